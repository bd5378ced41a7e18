"""netlb-speaker with a wall clock that is wrong by as many seconds as a file says at the time: run as a script.

Only this process's own reading of the wall clock is wrong. Monotonic clocks cannot jump, and log lines show the machine's
time.
"""

import sys
import time
from pathlib import Path

from netlb_speaker.__main__ import main

if __name__ == "__main__":
    clock, right = Path(sys.argv.pop(1)), time.time_ns
    time.time_ns = lambda: right() + int(clock.read_text()) * 10**9
    time.time = lambda: time.time_ns() / 1e9  # noqa: TID251 - to set it
    main()
