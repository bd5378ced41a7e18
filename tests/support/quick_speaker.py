"""netlb-speaker, but for the seconds of RFC 5227 and RFC 4862, which are hundredths here: run as a script."""

from functools import partial
from unittest.mock import patch

from netlb.l2.probe import ProbeTimings
from netlb_speaker import __main__ as command
from netlb_speaker.wiring import build

QUICK = ProbeTimings(
    probe_wait=0.01, probe_min=0.05, probe_max=0.1, announce_wait=0.3, retrans_timer=0.3, rate_limit_interval=0.5
)

if __name__ == "__main__":
    with patch.object(command, "build", partial(build, timings=QUICK)):
        command.main()
