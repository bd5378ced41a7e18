"""What a speaker loads: nothing big that it has no use for, since its memory is taken on every node."""

import json
import subprocess
import sys

LOAD = "import json, sys, netlb_speaker.__main__, netlb_speaker.cluster; print(json.dumps(list(sys.modules)))"
HEAVY = {"cryptography", "google", "grpc", "httpx", "pyroute2", "rich", "scapy", "sqlite3", "unittest"}


def test_a_speaker_without_routers_loads_nothing_heavy() -> None:
    shown = subprocess.run([sys.executable, "-c", LOAD], check=True, capture_output=True, text=True).stdout
    assert set() == {name.partition(".")[0] for name in json.loads(shown)} & HEAVY
