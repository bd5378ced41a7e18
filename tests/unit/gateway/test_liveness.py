"""For how long it is not known of a node that was never heard whether it lives."""

import asyncio
from ipaddress import ip_address
from typing import Any, cast

from netlb.bfd.adapter.bfd import Bfd
from netlb.raven.watch import Watched
from netlb.runtime.log import get_logger
from netlb_gateway.liveness import Liveness
from tests.support.virtual_time import run


class Silence:
    """A BFD by which nobody is heard."""

    def add(self, *_: Any) -> None: ...


def test_who_is_at_the_other_end_of_a_tunnel_is_waited_for_longer_than_wireguard_takes_to_ask_again() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        known: dict[str, float] = {}
        liveness = Liveness(
            get_logger("test"), lambda: known.update(dict.fromkeys(liveness.dead - known.keys(), loop.time()))
        )
        liveness.begin(cast("Bfd", Silence()))
        here, there = ip_address("192.0.2.1"), ip_address("192.0.2.2")
        watched = {
            name: Watched(local=here, address=there, interval=100, tunnel=tunnel)
            for name, tunnel in {"near": False, "far": True}.items()
        }
        liveness.watch(watched)
        await asyncio.sleep(20)
        assert {"near": 5.0, "far": 8.0} == known

    run(scenario())
