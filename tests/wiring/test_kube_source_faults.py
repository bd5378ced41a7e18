"""The Kubernetes source against the double: it ends with the truth whatever goes wrong."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netlb.testing.apiserver import ApiServer
from tests.support.following import followed, following, has, port_of, service
from tests.support.waiting import becomes


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with followed() as server:
        yield server


FAULTS: dict[str, Callable[[ApiServer, str], None]] = {
    "drop": lambda server, verb: server.faults.drop(verb=verb, resource="services", times=3),
    "stall": lambda server, verb: server.faults.stall(verb=verb, resource="services"),
    "slow": lambda server, verb: server.faults.slow(0.3, verb=verb, resource="services"),
    "too slow": lambda server, verb: server.faults.slow(5, verb=verb, resource="services"),
    "cut": lambda server, verb: server.faults.cut(verb=verb, resource="services", times=2),
    "garbage": lambda server, verb: server.faults.garbage(verb=verb, resource="services", times=2),
    "gone": lambda server, verb: server.faults.gone(verb=verb, resource="services", times=2),
    "too large": lambda server, verb: server.faults.too_large(verb=verb, resource="services", times=1),
    "throttled": lambda server, verb: server.faults.throttle(1, verb=verb, resource="services"),
    "500": lambda server, verb: server.faults.fail(500, "InternalError", verb=verb, resource="services", times=4),
    "403": lambda server, verb: server.faults.fail(403, "Forbidden", verb=verb, resource="services", times=4),
    "expired": lambda server, verb: server.faults.expired(resource="services", times=2),
}


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_becomes_of_a_request_the_truth_is_known_in_the_end(
    server: ApiServer, tmp_path: Path, fault: str, verb: str
) -> None:
    server.put(*(service(name) for name in ("a", "b", "c")))

    async def main() -> None:
        async with following(server, tmp_path) as one:
            if verb == "list":
                FAULTS[fault](server, verb)
            await one.until(has("a", "b", "c"))
            if verb == "watch":
                FAULTS[fault](server, verb)
                server.end_watches()
            server.delete("services", "a", "default")
            server.put(service("d"), service("b", port=81))
            await one.until(lambda snapshot: has("b", "c", "d")(snapshot) and port_of(snapshot, "b") == 81)

    asyncio.run(main())


def go_away_and_forget(server: ApiServer, _: Path) -> None:
    server.go_away()
    server.compact()


def rotate(server: ApiServer, folder: Path) -> None:
    server.rotate_token("second", folder / "token")
    server.reset_connections()


EVENTS: dict[str, Callable[[ApiServer, Path], None]] = {
    "half-open connections": lambda server, _: server.freeze(),
    "reset connections": lambda server, _: server.reset_connections(),
    "watches that end": lambda server, _: server.end_watches(),
    "watches that expire": lambda server, _: server.expire_watches(),
    "away while the history is compacted": go_away_and_forget,
    "a rotated token": rotate,
}


@pytest.mark.parametrize("event", EVENTS)
def test_whatever_becomes_of_open_watches_the_truth_is_known_in_the_end(
    server: ApiServer, tmp_path: Path, event: str
) -> None:
    server.put(service("a"), service("b"))

    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(has("a", "b"))
            await becomes(lambda: not one.source.troubles())
            EVENTS[event](server, tmp_path)
            server.delete("services", "a", "default")
            server.put(service("c"))
            if "away" in event:
                await becomes(lambda: "services" in one.source.troubles())
                server.come_back()
            await one.until(has("b", "c"))
            await becomes(lambda: not one.source.troubles())

    asyncio.run(main())


def test_a_kubeconfig_with_another_token_is_taken_up(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(lambda _: True)
            server.rotate_token("second")
            server.end_watches()
            server.put(service("a"))
            await becomes(lambda: "401" in one.source.troubles().get("services", ""))
            server.write_kubeconfig(tmp_path / "kubeconfig")
            await one.until(has("a"))
            await becomes(lambda: not one.source.troubles())

    asyncio.run(main())


def test_a_server_restored_from_a_backup_is_believed(server: ApiServer, tmp_path: Path) -> None:
    server.put(service("a"))
    backup = server.revision

    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(has("a"))
            server.delete("services", "a", "default")
            server.put(*(service(name) for name in ("b", "c", "d")))
            await one.until(has("b", "c", "d"))
            server.go_away()
            server.come_back(revision=backup)
            await one.until(has("a"))
            server.put(service("e"))
            await one.until(has("a", "e"))

    asyncio.run(main())


def test_while_the_server_is_away_everything_stays_as_it_was(server: ApiServer, tmp_path: Path) -> None:
    server.put(service("a"))

    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(has("a"))
            server.go_away()
            waiting = asyncio.create_task(one.until(lambda snapshot: not has("a")(snapshot)))
            await becomes(lambda: len(one.source.troubles()) >= 12)
            await becomes(lambda: "no connection" in one.source.troubles().get("services", ""))
            await asyncio.sleep(0.3)  # some more attempts
            assert not waiting.done()
            server.come_back()
            server.put(service("b"))
            await waiting

    asyncio.run(main())
