"""Tell exabgp, whose process this is, what to announce: lines of its text API on standard output.

COMMANDS REPLIES ADDRESS FIRST. See `feeders` for what is said on the two pipes. exabgp is told not to
acknowledge, which would only make it slower.
"""

import json
import signal
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

__all__: list[str] = []


def main(asked: Path, answered: Path, address: str, first: str) -> None:
    """Do as the commands say until there are no more."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    there = 0
    with asked.open() as orders:
        for order in iter(orders.readline, "end\n"):
            begun, wanted = time.monotonic_ns(), int(order.split()[1])
            word = "announce" if wanted > there else "withdraw"
            for number in range(min(there, wanted), max(there, wanted)):
                print(f"{word} route {IPv4Address(first) + number}/32 next-hop {address}")
            sys.stdout.flush()
            there = wanted
            with answered.open("w") as answers:
                answers.write(json.dumps({"begun": begun, "handed": None, "verified": None}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
