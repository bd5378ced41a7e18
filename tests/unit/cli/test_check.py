"""`netlb check` as people call it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from netlb.cli.main import main
from tests.manifests import advertisement, pool, service


def run(*arguments: str, stdin: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(main, ["check", *arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stderr


def test_manifests_in_order_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(pool("one", "192.0.2.1"))
    (tmp_path / "b.yaml").write_text(advertisement() + "---" + service("web"))
    assert (0, "") == run(str(tmp_path))
    assert (0, "") == run(str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"))


def test_the_example_is_in_order() -> None:
    assert (0, "") == run("examples/edgeapp")


EXAMPLES = sorted({path.parent for path in Path("examples").rglob("*.yaml")} - {Path("examples/migrate/expected")})


@pytest.mark.parametrize("folder", EXAMPLES, ids=str)
def test_every_example_has_no_error(folder: Path) -> None:
    code, findings = run(str(folder))
    assert (0, []) == (code, [line for line in findings.splitlines() if not line.startswith("warning: ")])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "InvalidYAML"),
        (pool("one", "192.0.2.1", autoAsign=True), "did you mean 'autoAssign'?"),
        (pool("one", "192.0.2.9-192.0.2.1"), "turned round"),
        (pool("one", "192.0.2.0/24") + "---" + pool("two", "192.0.2.9"), "the pool overlaps pool 'one'"),
        (service("web", ipFamilies="[IPv4]", loadBalancerIP="fd00::1"), "asks for fd00::1"),
        (service("web", ports="many"), "stands twice"),
    ],
)
def test_what_is_wrong_fails_with_one_line_each(text: str, words: str) -> None:
    code, errors = run("-", stdin=text)
    assert 1 == code
    assert words in errors
    assert not [line for line in errors.splitlines() if not line.startswith(("error: ", "warning: "))]


def test_without_files_the_source_is_checked(tmp_path: Path) -> None:
    (tmp_path / "pool.yaml").write_text(pool("one", "192.0.2.0/240"))
    result = CliRunner().invoke(main, ["check", "--source", f"dir:{tmp_path}"])
    assert 1 == result.exit_code
    assert "192.0.2.0/240" in result.stderr
    assert 64 == CliRunner().invoke(main, ["check"], env={"NETLB_SOURCE": None}).exit_code


def test_a_file_that_is_not_there_fails() -> None:
    code, errors = run("/nonexistent/a.yaml")
    assert 1 == code
    assert "error: /nonexistent/a.yaml: No such file or directory (UnreadableFile)" in errors


def test_warnings_fail_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(pool("one", "192.0.2.1"))
    assert 0 == run(str(tmp_path))[0]
    assert "UnadvertisedPool" in run(str(tmp_path))[1]
    assert 1 == run("--strict", str(tmp_path))[0]


def test_what_is_wrong_with_sites_is_said_too(tmp_path: Path) -> None:
    text = """
apiVersion: netlb.io/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {endpoints: [{nodeName: ghost, underNAT: true}]}
"""
    (tmp_path / "gateway.yaml").write_text(text)
    code, findings = run(str(tmp_path))
    assert (0, True) == (code, "ghost is no node of the site, so it is not elected (UnknownReference)" in findings)
    assert 1 == run("--strict", str(tmp_path))[0]
