"""What the documentation says is what the code does."""

import enum
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from netlb import reasons
from netlb.api.documents import parse_documents
from netlb.cli.explain import explain
from netlb.cli.main import main as netlb
from netlb.cli.show import show
from netlb_controller.__main__ import main as netlb_controller
from netlb_gateway.__main__ import main as netlb_gateway
from netlb_speaker.__main__ import main as netlb_speaker

ROOT = Path(__file__).parents[3]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def generator() -> object:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_reasons_is_what_the_generator_writes() -> None:
    source = (ROOT / "netlb" / "reasons.py").read_text()
    page = (ROOT / "docs" / "reasons.md").read_text()
    assert generator().reasons(source) == page  # type: ignore[attr-defined]
    for kind in vars(reasons).values():
        if isinstance(kind, enum.EnumType) and kind.__module__ == reasons.__name__:
            assert len(kind) == page.partition(f"## {kind.__name__}\n")[2].partition("\n## ")[0].count("\n| `")


def test_every_option_of_every_command_is_documented() -> None:
    page = (ROOT / "docs" / "daemons.md").read_text()
    commands = [
        netlb_controller,
        netlb_gateway,
        *netlb_gateway.commands.values(),
        netlb_speaker,
        *netlb.commands.values(),
        *explain.commands.values(),
        *show.commands.values(),
    ]
    flags = {flag for command in commands for option in command.params for flag in option.opts if flag.startswith("--")}
    assert [] == sorted(flag for flag in flags - {"--version"} if f"`{flag}" not in page)


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs" / "daemons.md").read_text()
    sources = "".join(path.read_text() for folder in ("netlb", "daemons") for path in (ROOT / folder).rglob("*.py"))
    named = {name for name in re.findall(r'"(netlb_[a-z0-9_]+)"', sources) if not (ROOT / "daemons" / name).is_dir()}
    assert {"netlb_speaker_announced"} <= named
    assert [] == sorted(name for name in named if f"`{name}" not in page)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_manifests_in_the_documentation_are_yaml(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        list(yaml.safe_load_all(block))
        parse_documents(block, page.name)


def test_allocate_example_runs() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "allocate.py"], capture_output=True, text=True, check=True
    )
    first, second = result.stdout.split("\n\n")[:2]
    assert {"default/dual", "default/late"} == {entry["service"] for entry in yaml.safe_load(first)["allocations"]}
    assert {"default/other", "default/late"} == {entry["service"] for entry in yaml.safe_load(second)["allocations"]}
    assert "" == result.stderr
