"""The kernel takes what golden plans say, in the order in which they say it; in namespaces of their own."""

import re
import subprocess
from pathlib import Path

import pytest

from netlb.testing.lab import requirements

MISSING = requirements()
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING))]

MESHES = sorted((Path(__file__).parents[1] / "golden" / "raven").glob("*.mesh"))
PLANES = [
    pytest.param(text, id=f"{path.stem}-{name}")
    for path in MESHES
    for name, text in re.findall(r"^=== node (\S+) ===$(.*?)(?=^===|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
]


def in_a_namespace(script: str) -> str:
    """Run a shell script in a network namespace that ends with it."""
    done = subprocess.run(["unshare", "--net", "sh", "-ec", script], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, f"{done.stderr}\n{script}"
    return done.stdout


@pytest.mark.parametrize("text", PLANES)
def test_a_plan_is_taken_and_is_there(text: str) -> None:
    lines = text.strip().splitlines()
    commands = [line for line in lines if line.startswith(("ip ", "bridge "))]
    # Not every kernel has WireGuard and IPsec; what is tried here is what leads to their devices.
    commands = [re.sub(r"type (wireguard|xfrm if_id \d+)", "type bridge", line) for line in commands]
    table = "\n".join(lines[lines.index("table inet raven") :]) if "table inet raven" in lines else ""
    sources = sorted(set(re.findall(r" src (\S+)", text)))
    out = in_a_namespace(
        "\n".join(
            [
                "ip link add pods type bridge",
                "ip link set pods up",
                *(f"ip address add {source} dev pods nodad" for source in sources),
                *commands,
                *(["nft -f - <<'END'", table, "END"] * 2 if table else []),  # the second time in place of the first
                "echo routes $(ip -o -4 route show table all proto 107 | wc -l) "
                "$(ip -o -6 route show table all proto 107 | wc -l)",
                "echo rules $(ip -4 rule show | grep -c 'proto 107') $(ip -6 rule show | grep -c 'proto 107')",
                "echo tables $(nft list tables | wc -l)",
            ]
        )
    )
    routes, rules = (
        [sum(f"ip {flag} {what}" in line for line in commands) for flag in ("-4", "-6")] for what in ("route", "rule")
    )
    assert [
        f"routes {routes[0]} {routes[1]}",
        f"rules {rules[0]} {rules[1]}",
        f"tables {1 if table else 0}",
    ] == out.splitlines()


def test_there_are_plans() -> None:
    assert PLANES
