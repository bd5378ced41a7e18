"""The instructions in the package are what the source says."""

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import netlb.l2.bpf
from netlb.l2.bpf import program
from netlb.l2.bpf.maps import MAPS
from tests.support.needs import needs

ROOT = Path(__file__).parents[3]
FOLDER = Path(netlb.l2.bpf.__file__).parent


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_bpf", ROOT / "tools" / "generate_bpf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_instructions_were_made_from_this_source() -> None:
    assert program.SOURCE == hashlib.sha256((FOLDER / "fastpath.c").read_bytes()).hexdigest()


def test_the_same_compiler_makes_the_same_of_it(tool: ModuleType) -> None:
    found = tool.compiler()
    needs([] if found == program.COMPILER else [f"{program.COMPILER}: what is installed is {found or 'none'}"])
    assert tool.generate(tool.compile_object(), found) == (FOLDER / "program.py").read_text()


def test_every_map_is_used_and_every_relocation_is_of_a_load_of_64_bits() -> None:
    assert MAPS.keys() == {name for _, name in program.RELOCATIONS}
    assert {0x18} == {program.INSTRUCTIONS[8 * at] for at, _ in program.RELOCATIONS}
