"""Meshes as text: sites above, below how they reach each other and what each node has to have for that."""

import re
from pathlib import Path

import pytest
import yaml

from netlb.plan.raven import plan_raven, render_mesh
from netlb.plan.sites import wanted_backend
from netlb.raven.backend import Choice
from netlb.raven.dataplane import Numbers
from netlb.raven.text import render
from tests.support.sites import documents, key_of, local, seen, snapshot

MESHES = sorted((Path(__file__).parent / "raven").glob("*.mesh"))
_HEADING = re.compile(r"^=== (.+) ===$", re.MULTILINE)


def read(text: str) -> dict[str, str]:
    """Split a file into its parts by their headings."""
    pieces = _HEADING.split(text)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def run(given: str) -> dict[str, str]:
    """Return what the expected parts should say."""
    body = yaml.safe_load(given)
    declared = snapshot(documents(body["sites"], body.get("nodes"), body.get("objects", ())))
    plan = plan_raven(declared, seen(declared, body.get("seen")))
    numbers = Numbers(**body.get("numbers", {}))
    parts = {"mesh": render_mesh(plan)}
    for node in body.get("show", sorted(declared.nodes)):
        made = plan.node(node, local(body.get("local", {}).get(node)), numbers)
        by_ipsec = wanted_backend(declared, node) is Choice.IPSEC
        parts[f"node {node}"] = render(made, numbers.protocol, ipsec_key=key_of(node) if by_ipsec else None)
    return parts


@pytest.mark.parametrize("path", MESHES, ids=lambda path: path.stem)
def test_mesh(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()
    parts = read(text)
    given = parts.pop("given")
    got = run(given)
    if request.config.getoption("--update-golden"):
        preface = _HEADING.split(text)[0]
        written = {"given": given} | {name: f"\n{body}" for name, body in got.items()}
        path.write_text(preface + "".join(f"=== {name} ==={body.rstrip()}\n\n" for name, body in written.items()))
        return
    assert {name: body.strip() for name, body in parts.items()} == {name: body.strip() for name, body in got.items()}


def test_there_are_meshes() -> None:
    assert MESHES
