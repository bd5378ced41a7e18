"""What others have on a node is left alone from beginning to end, and in the end nothing of ours is left."""

import pytest

from netlb.testing.sites import SitesLab
from tests.support.mesh.pairs import by_services, pairs, pings, to_pods, unreachable
from tests.support.mesh.state import difference, plant_decoys, state
from tests.support.mesh.world import World
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]


def everything(world: World) -> dict[str, set[str]]:
    return {name: state(host) for name, host in world.lab.nodes.items()}


def ipsec(world: World) -> dict[str, set[str]]:
    return {name: world.ipsec(name) for name in world.lab.nodes}


def missing(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the lines that are not there any more; strongSwan's own device may bear our mark at their end."""

    def gone(name: str) -> set[str]:
        marked = {line.removesuffix("\\ alias netlb").strip() for line in after[name]}
        return before[name] - after[name] - marked

    return {name: lines for name in before if (lines := gone(name))}


def changed(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, tuple[list[str], list[str]]]:
    """Return what is missing, and what is too much, by node."""
    return {
        name: (sorted(lines - after[name]), sorted(after[name] - lines))
        for name, lines in before.items()
        if lines != after[name]
    }


def take_away(lab: SitesLab) -> None:
    """Take away all of ours that can be told apart by its number."""
    for host in lab.nodes.values():
        for family in ("-4", "-6"):
            for table in ("9027", "9028"):
                host.run(["ip", family, "route", "flush", "table", table, "proto", "107"], check=False)
            host.run(["ip", family, "rule", "del", "protocol", "107"], check=False)
        host.run(["nft", "delete", "table", "inet", "raven"])


def test_what_others_have_survives_and_nothing_of_ours_does(empty: World) -> None:
    lab = empty.lab
    for name, host in lab.nodes.items():
        site = lab.sites[lab.places[name].site]
        plant_decoys(host, str(site.gateway4), str(site.gateway6))
    empty.start_charons()
    empty.join_strangers("c1", "c2")
    before, strangers = everything(empty), ipsec(empty)
    empty.start(*lab.nodes)
    assert {} == unreachable(lab)
    made = everything(empty)
    assert {} == missing(before, made)
    assert {} == missing(strangers, ipsec(empty))

    moved = True
    while moved:  # on a busy machine another one may take over just then, and has other things
        active = [empty.agreed(site) for site in lab.sites]
        empty.await_ready(*lab.nodes)
        made = everything(empty)
        take_away(lab)
        gaps = {name: gap for name, host in lab.nodes.items() if (gap := difference(made[name], host)) != ([], [])}
        moved = bool(gaps) and active != [empty.agreed(site) for site in lab.sites]
    assert {} == gaps
    assert {} == missing(before, everything(empty))
    assert {} == missing(strangers, ipsec(empty))

    while True:
        calm = empty.unrest()
        empty.await_ready(*lab.nodes)
        made = everything(empty)
        empty.kill_all()
        if calm == empty.unrest():
            break
        empty.start(*lab.nodes)  # on a busy machine one of them had missed another one before it was killed
        assert {} == unreachable(lab)
    assert {} == changed(made, everything(empty)), "tunnels and routes stay when daemons are killed"
    assert {} == unreachable(lab)

    empty.lose_tunnels("a1", "a2", "c1", "c2")  # of what is lost nothing goes another way, in clear text
    asked = [(source, address) for source, address in to_pods(lab) if source.node in ("a1", "a3", "c2")]
    listed = pairs(lab, ["a1", "a3", "c2"], ["b2"])
    with empty.unseen(tunnels=False):
        assert {f"{source.name} to {target}" for source, target in asked} == set(pings(asked, within=0))
        assert 2 * len(listed) == len(by_services(lab, listed, from_nodes=True, within=0))

    assert "" not in empty.cleanup(*lab.nodes).values()
    assert {} == changed(before, everything(empty))
    eventually(lambda: {} == changed(strangers, ipsec(empty)), "strongSwan has what others gave it, and no more")
    assert {"a1": "", "a3": ""} == empty.cleanup("a1", "a3"), "there is nothing left to remove"
    assert all(empty.key_file(name).exists() for name in lab.nodes)
