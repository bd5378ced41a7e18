"""The Kubernetes source against the double: what it keeps for a time without the API server."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from netlb.api.snapshot import Snapshot
from netlb.source.keeper import Keeper
from netlb.testing.apiserver import ApiServer
from tests.support.following import followed, following, peer, secret
from tests.support.waiting import becomes


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with followed() as server:
        yield server


def test_passwords_are_kept_where_nobody_else_can_look(server: ApiServer, tmp_path: Path) -> None:
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lb"}})
    server.put(secret("a", "first"), peer("r1", "a"))
    told: list[str] = []

    async def main(folder: Path) -> Snapshot:
        keeper = Keeper(folder, "test", "here")
        async with following(server, tmp_path, "lb", keeper=keeper, on_trouble=told.append) as one:
            await one.until(lambda snapshot: bool(snapshot.passwords))
        server.go_away()
        try:
            async with following(server, tmp_path, "lb", keeper=Keeper(folder, "test", "here")) as one:
                return await one.until(lambda _: True)
        finally:
            server.come_back()

    private, public = tmp_path / "private", tmp_path / "public"
    public.mkdir(mode=0o755)
    assert {("lb", "a"): "first", ("", "a"): "first"} == asyncio.run(main(private)).passwords
    assert 0o700 == private.stat().st_mode & 0o777
    assert [] == told
    snapshot = asyncio.run(main(public))
    assert ({}, ["r1"]) == (snapshot.passwords, list(snapshot.bgp_peers))
    assert 0o600 == (public / "test.snapshot").stat().st_mode & 0o777
    assert [f"{public} is open to others: passwords are not kept; chmod 0700"] == told


class Held(Keeper):
    """Keeps nothing whole before it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "test", "here")
        self.began, self.go_on = threading.Event(), threading.Event()

    def save(self, objects: Iterable[tuple[str, bytes]], now: int) -> Iterator[None]:
        for _ in super().save(objects, now):
            self.began.set()
            self.go_on.wait()
            yield


def test_what_is_being_kept_at_the_end_is_kept(server: ApiServer, tmp_path: Path) -> None:
    keeper = Held(tmp_path / "state")

    async def main() -> None:
        async with following(server, tmp_path, keeper=keeper) as one:
            await one.until(lambda _: True)
            await becomes(keeper.began.is_set)
            asyncio.get_running_loop().call_later(0.1, keeper.go_on.set)

    asyncio.run(main())
    kept = keeper.load()
    assert kept
    assert any(origin.startswith("addresspools.netlb.io/") for origin in kept.objects)
    assert [keeper.path] == list(keeper.path.parent.iterdir())


def test_a_password_that_was_kept_stays_until_the_secret_has_been_read(server: ApiServer, tmp_path: Path) -> None:
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lb"}})
    server.put(secret("a", "first"), peer("r1", "a"))
    keeper = Keeper(tmp_path / "state", "test", "here")

    async def main() -> None:
        async with following(server, tmp_path, "lb", keeper=keeper) as one:
            await one.until(lambda snapshot: bool(snapshot.passwords))
        server.go_away()
        async with following(server, tmp_path, "lb", keeper=keeper) as one:
            await one.until(lambda snapshot: bool(snapshot.passwords))
            server.faults.fail(500, "InternalError", resource="secrets", times=3)
            server.come_back()
            snapshot = await one.until(lambda _: True)
            assert "first" == snapshot.passwords["lb", "a"]
            assert one.source.kept_since is None
            server.delete("secrets", "a", "lb")
            await one.until(lambda snapshot: not snapshot.passwords)

    asyncio.run(main())
