"""How often is planned, by a clock that only what is done and waited for moves."""

import asyncio
from itertools import pairwise

from netlb_gateway.coalescer import Coalescer
from tests.support.virtual_time import VirtualLoop, run


def test_what_is_quiet_is_done_at_once_and_what_comes_together_once() -> None:
    async def scenario() -> None:
        done: list[float] = []
        loop = asyncio.get_running_loop()
        coalescer = Coalescer(lambda: done.append(loop.time()))
        coalescer.ask()
        coalescer.ask()
        assert [] == done, "whoever asks goes on first"
        await asyncio.sleep(1)
        assert [0.0] == done
        coalescer.ask()
        await asyncio.sleep(1)
        assert [0.0, 1.0] == done

    run(scenario())


def test_what_takes_long_takes_half_the_time_at_most_and_nothing_is_forgotten() -> None:
    async def scenario() -> None:
        done: list[float] = []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)

        def act() -> None:
            done.append(loop.time())
            loop.pass_time(0.5)

        coalescer = Coalescer(act)
        for _ in range(40):
            coalescer.ask()
            await asyncio.sleep(0.1)
        coalescer.ask()
        asked = loop.time()
        await asyncio.sleep(10)
        assert [] == [(before, after) for before, after in pairwise(done) if after - before < 0.999]
        assert done[-1] >= asked

    run(scenario())


def test_what_fails_is_done_again_when_it_is_asked_for() -> None:
    async def scenario() -> None:
        done: list[float] = []
        loop = asyncio.get_running_loop()
        failed: list[object] = []
        loop.set_exception_handler(lambda _, context: failed.append(context["exception"]))

        def act() -> None:
            done.append(loop.time())
            raise ArithmeticError

        coalescer = Coalescer(act)
        for _ in range(2):
            coalescer.ask()
            await asyncio.sleep(1)
        assert [0.0, 1.0] == done
        assert [ArithmeticError] * 2 == [type(each) for each in failed]

    run(scenario())
