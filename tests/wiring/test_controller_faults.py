"""What a controller makes of an API server that refuses, hangs, or goes away."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netlb.testing.apiserver import ApiServer
from tests.support.kubernetes import CONTROLLER, Kubernetes, kubernetes, pool, service
from tests.support.wired import Wired, wired


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with kubernetes(tmp_path) as cluster:
        cluster.server.put(pool("many", "198.51.100.0/24"), service("web"))
        yield cluster


Fault = Callable[[ApiServer], None]
FAULTS: dict[str, Fault] = {
    "409": lambda server: server.faults.fail(409, "Conflict", verb="patch", resource="services", times=2),
    "403": lambda server: server.faults.fail(403, "Forbidden", verb="patch", resource="services", times=2),
    "422": lambda server: server.faults.fail(422, "Invalid", verb="patch", resource="services", times=2),
    "404": lambda server: server.faults.fail(404, "NotFound", verb="patch", resource="services", times=2),
    "500": lambda server: server.faults.fail(500, "InternalError", verb="patch", resource="services", times=2),
    "429": lambda server: server.faults.throttle(1, verb="patch", resource="services", times=1),
    "dropped": lambda server: server.faults.drop(verb="patch", resource="services", times=2),
    "cut off": lambda server: server.faults.cut(verb="patch", resource="services", times=2),
    "garbage": lambda server: server.faults.garbage(verb="patch", resource="services", times=2),
    "no journal": lambda server: server.faults.fail(500, "InternalError", resource="configmaps", times=2),
    "no events": lambda server: server.faults.fail(403, "Forbidden", resource="events.events.k8s.io", times=10**6),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_is_tried_again_and_nothing_else_suffers(cluster: Kubernetes, fault: str) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            await daemon.ready()
            FAULTS[fault](cluster.server)
            names = [f"s{number}" for number in range(5)]
            cluster.server.put(*(service(name) for name in names))
            await daemon.until(lambda: all(cluster.ingress(name) for name in names), "all are served in the end")
            await daemon.ready()
            assert len(names) + 1 == len({cluster.ingress(name)[0] for name in ("web", *names)})

    asyncio.run(scenario())


def test_what_is_forbidden_names_what_to_grant(cluster: Kubernetes, capsys: pytest.CaptureFixture[str]) -> None:
    forbids = "services"

    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            cluster.server.faults.fail(403, "Forbidden", verb="patch", resource=forbids, times=10**6)
            await daemon.until(lambda: errors(daemon) == 1.0, "it is counted")
            await daemon.until(lambda: cluster.accepted("many")[0] == "True", "pools are told of all the same")
            assert {"status": "not all written"} == daemon.problems()
            await daemon.until(lambda: "grant patch on services" in capsys.readouterr().out, "it is logged")
            cluster.server.faults.clear()
            await daemon.until(lambda: cluster.ingress("web"), "it is granted")

    asyncio.run(scenario())


def errors(daemon: Wired) -> float | None:
    return daemon.metric("netlb_reconcile_errors", reconciler="status")


def test_one_that_never_answers_holds_up_no_other(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            cluster.server.faults.stall(verb="patch", resource="services", times=1)
            names = [f"s{number}" for number in range(20)]
            cluster.server.put(*(service(name) for name in names))
            await daemon.until(lambda: sum(map(bool, map(cluster.ingress, names))) == 19, "all others are served")
            cluster.server.reset_connections()
            await daemon.until(lambda: all(map(cluster.ingress, names)), "it is tried again")

    asyncio.run(scenario())


def test_while_the_server_is_away_everything_stays_and_then_goes_on(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller(elects=False)) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            await daemon.ready()
            written = cluster.writes()
            cluster.server.go_away()
            await daemon.until(lambda: daemon.metric("netlb_source_missing", kind="services"), "it is noticed")
            assert (daemon.metric("netlb_source_missing_since_timestamp_seconds") or 0) > 1.7e9
            cluster.server.put(service("web-2"))
            cluster.server.come_back()
            await daemon.until(lambda: cluster.ingress("web-2"), "it goes on")
            since = "netlb_source_missing_since_timestamp_seconds"
            await daemon.until(lambda: daemon.metric(since) == 0.0, "nothing is missed")
            assert daemon.metric("netlb_source_missing", kind="services") is None
            assert written + 1 == cluster.writes(), "nothing else is written"

    asyncio.run(scenario())


def test_a_token_that_is_rotated_is_taken_up(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller(elects=False)) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            cluster.server.rotate_token("another", cluster.token_file(CONTROLLER), old=CONTROLLER)
            cluster.server.reset_connections()
            cluster.server.put(service("web-2"))
            await daemon.until(lambda: cluster.ingress("web-2"), "it goes on")

    asyncio.run(scenario())


def test_what_somebody_undoes_again_and_again_is_put_back_after_a_pause(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller(elects=False)) as daemon:

            def retries() -> float:
                return daemon.metric("netlb_reconcile_retries_total", reconciler="status") or 0.0

            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            await daemon.ready()
            good, paused = cluster.ingress("web"), list[bool]()
            for _ in range(4):  # the pauses grow; one may go by while this process is held up
                before, there = retries(), cluster.service("web")
                theirs = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}
                cluster.server.put(there | {"status": there["status"] | theirs})
                await daemon.until(lambda: cluster.ingress("web") == good, "it is put back")
                await daemon.ready()
                paused.append(retries() > before)
                if paused[-1]:
                    break
            assert [False, True] == [paused[0], paused[-1]]

    asyncio.run(scenario())


def test_a_status_that_another_load_balancer_wrote_anew_is_left_alone(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            await daemon.ready()
            used = {"name": "netlb_allocator_addresses_in_use", "pool": "many", "family": "ipv4"}
            assert 1.0 == daemon.metric(**used)
            cluster.server.put(service("web", "203.0.113.9"))
            await daemon.until(
                lambda: cluster.counts("two")["used"] + cluster.counts("many")["used"] == 0, "it is freed"
            )
            await daemon.ready()
            assert ["203.0.113.9"] == cluster.ingress("web")
            assert ("", "", "") == cluster.allocated("web")

    asyncio.run(scenario())


def test_a_service_that_cannot_be_read_keeps_what_it_has(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            bad = service("web", externalTrafficPolicy="Sometimes")
            cluster.server.put(bad | {"metadata": cluster.service("web")["metadata"]})
            await daemon.until(lambda: daemon.metric("netlb_findings", severity="error"), "it is told")
            cluster.server.put(service("other"))
            await daemon.until(lambda: cluster.ingress("other"), "others are served")
            assert 1 == len(cluster.ingress("web"))
            await daemon.ready()

    asyncio.run(scenario())


def test_a_thousand_services_are_served(cluster: Kubernetes) -> None:
    names = [f"s{number}" for number in range(1000)]
    cluster.server.put(pool("large", "10.0.0.0/16"), *(service(name) for name in names))

    async def scenario() -> None:
        async with wired(cluster.controller(elects=False)) as daemon:  # whose Lease is for a machine that is less busy
            await daemon.until(lambda: cluster.writes() >= 1001, "all are written", pause=0.1)
            await daemon.ready(pause=0.1)
            assert 1001 == len({cluster.ingress(name)[0] for name in ("web", *names)})
            assert 1001 == cluster.writes(), "each is written once"

    asyncio.run(scenario())
