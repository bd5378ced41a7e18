"""What the responder's process loads: the standard library and this room, with what all workers have in common, and of that little."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import netlb

LOAD = "import json, sys; sys.path.append(sys.argv[1]); import netlb.l2.adapter.worker; {more}; print(json.dumps(list(sys.modules)))"
ROOT = str(Path(netlb.__file__).parents[1])


@pytest.mark.parametrize("fastpath", [False, True])
def test_the_worker_loads_the_standard_library_and_these_rooms_alone(fastpath: bool) -> None:
    load = LOAD.format(more="import netlb.l2.adapter.fastpath" if fastpath else "pass")
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", load, ROOT], check=True, capture_output=True, text=True
    ).stdout
    modules = set(json.loads(shown))
    tops = {name.partition(".")[0] for name in modules}
    assert tops - {"netlb", "__main__"} <= set(sys.stdlib_module_names)
    ours = {name for name in modules if name.startswith("netlb")}
    assert {name for name in ours if not name.startswith(("netlb.l2", "netlb.worker"))} == {"netlb", "netlb.reasons"}
    assert not ours & {"netlb.worker.adapter.process", "netlb.worker.adapter.shelter"}
    assert fastpath == ("ctypes" in modules)
    assert not modules & {"asyncio", "subprocess", "ipaddress", "logging", "pathlib", "random", "ssl", "threading"}
