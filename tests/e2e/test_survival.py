"""Who holds what survives: the controller is killed at any moment, and no address changes or is given twice."""

from collections import Counter

from tests.manifests import advertisement, pool, service
from tests.support.site import Site
from tests.support.waiting import eventually

MANY = 200
Held = dict[str, tuple[str, ...]]


def declare_pool(site: Site) -> None:
    """Declare a pool that has room for few more than all: what is free again is given again."""
    site.write("pool.yaml", pool("all", "10.9.0.1-10.9.0.220", "fd00:9::1-fd00:9::dc"), advertisement())


def apply(site: Site, name: str) -> None:
    """Declare a Service with an address of each family."""
    site.write(f"{name}.yaml", service(name, ipFamilies="[IPv4, IPv6]", ipFamilyPolicy="RequireDualStack"))


def given_twice(held: Held) -> list[str]:
    """Return the addresses that more than one Service holds."""
    counts = Counter(address for addresses in held.values() for address in addresses)
    return [address for address, times in counts.items() if times > 1]


def test_a_restarted_controller_changes_nothing(site: Site) -> None:
    declare_pool(site)
    for number in range(MANY):
        apply(site, f"s{number:03}")
    controller = site.controller()
    site.await_ready(controller)
    before = site.status.held()
    written = {path: path.stat().st_mtime_ns for path in site.status.root.rglob("*.yaml")}
    assert MANY == len(before)
    assert [] == given_twice(before)

    controller.kill()
    site.remove("s100.yaml")
    apply(site, "a-newcomer")  # comes first where everybody is served anew
    site.await_ready(site.controller())
    after = site.status.held()
    assert [] == given_twice(after)
    assert before.pop("s100") == after.pop("a-newcomer")  # the lowest that is free
    assert before == after
    rewritten = {path.name for path, when in written.items() if path.exists() and path.stat().st_mtime_ns != when}
    assert rewritten <= {"controller.yaml", "all.yaml"}  # not one Service's file


def test_a_controller_killed_while_services_come_and_go(site: Site) -> None:
    """Each kill comes as soon as a few more Services have an address: in the middle of writing them down."""
    declare_pool(site)
    first, later = [f"old-{number:03}" for number in range(40)], [f"new-{number:03}" for number in range(MANY)]
    for name in first:
        apply(site, name)
    site.await_ready(site.controller())
    seen: Held = site.status.held()
    declared = set(first)
    assert declared == seen.keys()

    for turn, patience in enumerate((0, 1, 3, 10, 25)):
        site.daemons[-1].kill()
        coming, going = later[turn * 40 : turn * 40 + 40], first[turn * 8 : turn * 8 + 8]
        controller = site.controller()
        if patience % 2 == 0:
            site.await_ready(controller)  # else it starts among the changes
        for name in coming:
            apply(site, name)
        for name in going:
            site.remove(f"{name}.yaml")
        declared = declared.union(coming).difference(going)
        known = len(seen.keys() & declared)
        eventually(lambda: look(site, seen, declared) >= known + patience, "a few more addresses")  # noqa: B023
        controller.kill()
        look(site, seen, declared)

    site.await_ready(site.controller())
    eventually(lambda: site.status.held().keys() == declared, "every Service has its addresses, and nobody else")
    held = site.status.held()
    assert {name: seen.get(name, addresses) for name, addresses in held.items()} == held
    assert [] == given_twice(held)
    assert {2} == set(map(len, held.values()))
    used = {"total": 220, "used": len(held), "free": 220 - len(held)}
    assert {"ipv4": used, "ipv6": used} == site.status.pool("all")


def look(site: Site, seen: Held, declared: set[str]) -> int:
    """Note the addresses of those who are declared; none may change. Return how many have been seen."""
    for name, addresses in site.status.held().items():
        if name in declared:
            assert addresses == seen.setdefault(name, addresses), name
    return len(seen.keys() & declared)
