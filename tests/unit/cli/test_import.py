"""`netlb import` as people call it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from netlb.api.documents import parse_documents
from netlb.cli.main import main
from tests.manifests import metallb, metallb_object, pool, service

POOL = metallb_object("IPAddressPool", "lan", "addresses: [192.0.2.0/28]")
EIP = """
apiVersion: network.kubesphere.io/v1alpha2
kind: Eip
metadata: {name: lan}
spec: {address: 192.0.2.0/28, protocol: layer2, interface: %s}
"""


def run(system: str, *files: str, stdin: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["import", system, *(files or ("-",))], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def unwrapped(text: str) -> str:
    """Long comments go on in the next line."""
    return text.replace("\n#   ", " ")


def kinds(text: str) -> list[tuple[str, str]]:
    return [(document.body["kind"], document.body["metadata"]["name"]) for document in parse_documents(text, "x")]


def test_only_the_systems_own_objects_are_printed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(POOL + "---" + service("web"))
    (tmp_path / "b.yaml").write_text(EIP % "eth0" + "---" + pool("native", "198.51.100.1"))
    code, text, errors = run("metallb", str(tmp_path))
    assert (0, [("AddressPool", "lan")], "") == (code, kinds(text), errors)
    assert f"# from IPAddressPool metallb-system/lan ({tmp_path}/a.yaml#1)\n" in unwrapped(text)
    code, text, errors = run("openelb", str(tmp_path))
    assert (0, [("AddressPool", "lan"), ("L2Advertisement", "lan")], "") == (code, kinds(text), errors)


def test_what_is_wrong_with_other_systems_objects_is_not_our_concern() -> None:
    wrong = (EIP % "eth0").replace("192.0.2.0/28", "nowhere")
    assert (0, "") == run("metallb", stdin=f"{POOL}\n---\n{wrong}")[::2]
    code, _, errors = run("openelb", stdin=f"{wrong}\n---\n{metallb('nonsense: 1')}")
    assert 1 == code
    assert 1 == len(errors.splitlines())


def test_nothing_of_the_system_is_said_so(tmp_path: Path) -> None:
    assert (1, "", "error: nothing of purelb is declared in -\n") == run("purelb", stdin=POOL)
    code, text, errors = run("metallb", str(tmp_path / "none.yaml"))
    assert (1, "") == (code, text)
    assert "No such file or directory (UnreadableFile)" in errors


def test_nothing_is_printed_of_a_refused_object() -> None:
    wrong = metallb_object("IPAddressPool", "wrong", "addresses: [192.0.2.9-192.0.2.1]")
    over = metallb_object("IPAddressPool", "over", "addresses: [192.0.2.8/29]")
    code, text, errors = run("metallb", stdin=f"{POOL}\n---\n{wrong}\n---\n{over}")
    assert 1 == code
    assert [("AddressPool", "lan")] == kinds(text)
    for name, problem in (("wrong", "turned round"), ("over", "the pool overlaps pool 'lan'")):
        assert 1 == text.count(f"# refused: IPAddressPool metallb-system/{name} (-#")
        assert problem in errors
    assert 2 == len(errors.splitlines())


def test_of_an_object_that_overlaps_no_advertisement_is_printed_either() -> None:
    second = (EIP % "eth0").replace("name: lan", "name: second")
    code, text, _ = run("openelb", stdin=EIP % "eth0" + "---" + second)
    assert (1, [("AddressPool", "lan"), ("L2Advertisement", "lan")]) == (code, kinds(text))


def test_a_name_that_no_object_can_have_is_refused() -> None:
    code, text, errors = run(
        "metallb",
        stdin=metallb("address-pools: [{name: My LAN, protocol: layer2, addresses: [192.0.2.0/28]}]"),
    )
    assert (1, []) == (code, kinds(text))
    assert "metadata.name: AddressPool My LAN: 'My LAN' is not a name that Kubernetes accepts" in errors


def test_what_differs_stands_above_the_object() -> None:
    code, text, _ = run("openelb", stdin=EIP % "can_reach:192.0.2.254")
    assert 0 == code
    lines = text.splitlines()
    assert "# from Eip lan (-#1)" == lines[0]
    assert lines[1].startswith("# differs: spec.interface: which interface reaches 192.0.2.254 is not looked up")
    assert 1 == text.count("# differs:")


def test_an_object_without_a_counterpart_is_a_comment() -> None:
    elsewhere = metallb_object("IPAddressPool", "lan", "addresses: [192.0.2.0/28]", namespace="other")
    code, text, _ = run("metallb", stdin=elsewhere)
    assert (0, []) == (code, kinds(text))
    assert text.startswith(
        "# from IPAddressPool other/lan (-#1): no object of its own\n# differs: metadata.namespace: "
    )


def test_a_password_is_printed_where_it_stood_and_nowhere_else() -> None:
    spec = "myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.1, password: hunter2"
    code, text, errors = run("metallb", stdin=metallb_object("BGPPeer", "tor", spec))
    assert (0, "") == (code, errors)
    assert 1 == text.count("hunter2")
    assert "\n  password: hunter2\n" in text
    assert "# warning: spec.password: the password stands here in clear text; put it into a Secret" in text
    spec += ", holdTime: 1s"
    code, text, errors = run("metallb", stdin=metallb_object("BGPPeer", "tor", spec))
    assert 1 == code
    assert "hunter2" not in text + errors


@pytest.mark.parametrize("line_break", ["\n", "\r", "\x85", "\u2028"])
def test_no_name_of_a_file_gets_out_of_its_comment(tmp_path: Path, line_break: str) -> None:
    file = tmp_path / f"a{line_break}kind: Secret{line_break}.yaml"
    file.write_text(POOL)
    code, text, _ = run("metallb", str(file))
    assert (0, [("AddressPool", "lan")]) == (code, kinds(text))
    assert "?kind: Secret?" in unwrapped(text)
