"""What becomes of API servers, and of the way to them, while a client asks all the time for what is announced."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.kube_cluster import KubeCluster
from tests.support.kube_world import World, at_work
from tests.support.kubernetes import CONTROLLER, SPEAKER
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


def is_restarted(world: World) -> None:
    server = world.kube.api.server
    server.go_away()
    world.asker.goes_on()
    server.come_back()


def is_restored_from_a_backup(world: World) -> None:
    server = world.kube.api.server
    backup = server.revision
    world.late("lost")
    lost = world.kube.await_address("lost")
    server.put(*(config_map(f"lost-{number}") for number in range(200)))  # it takes long to have written as much again
    server.go_away()
    server.come_back(revision=backup)
    eventually(lambda: world.kube.answerers(lost) == [], "what is not declared any more is not announced", within=120)


def forgets_its_history(world: World) -> None:
    server = world.kube.api.server
    for number in range(3):
        server.put(config_map(f"new-{number}"))
        server.compact()
        server.reset_connections()
        world.asker.goes_on(1)
        server.compact()
        server.expire_watches()


def takes_other_tokens(world: World) -> None:
    api = world.kube.api
    for token in (CONTROLLER, SPEAKER):
        api.server.rotate_token(f"another-{token}", api.token_file(token), old=token)
    api.server.reset_connections()


def asks_for_time(world: World) -> None:
    faults = world.kube.api.server.faults
    faults.throttle(1, verb="patch", times=5)
    faults.throttle(1, verb="list", times=5)
    faults.throttle(1, verb="watch", times=20)
    world.kube.api.server.reset_connections()


def answers_nothing(world: World) -> None:
    server = world.kube.api.server
    server.faults.stall(times=10**6)
    server.reset_connections()
    world.kube.apply("late")
    eventually(lambda: server.seen("watch"), "they ask")
    world.asker.goes_on(10)
    server.faults.clear()
    server.reset_connections()


def answers_nonsense(world: World) -> None:
    faults = world.kube.api.server.faults
    faults.garbage(times=10)
    faults.cut(times=10)
    faults.slow(0.5, times=10)
    faults.too_large(verb="watch", times=5)
    world.kube.api.server.reset_connections()


def config_map(name: str) -> Mapping[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


TROUBLES: Mapping[str, Callable[[World], None]] = {
    trouble.__name__.replace("_", " "): trouble
    for trouble in (
        is_restarted,
        is_restored_from_a_backup,
        forgets_its_history,
        takes_other_tokens,
        asks_for_time,
        answers_nothing,
        answers_nonsense,
    )
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_reachable_stays_so_when_the_api_server(kube: KubeCluster, trouble: str) -> None:
    with at_work(kube) as world:
        TROUBLES[trouble](world)
        world.late("late")
        world.undisturbed()
