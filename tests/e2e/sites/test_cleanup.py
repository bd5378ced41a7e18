"""What others have on a node is left alone from beginning to end, and in the end nothing of ours is left."""

from netlb.testing.sites import SitesLab
from tests.support.mesh.pairs import unreachable
from tests.support.mesh.state import difference, plant_decoys, state
from tests.support.mesh.world import World
from tests.support.waiting import eventually


def everything(lab: SitesLab) -> dict[str, set[str]]:
    return {name: state(host) for name, host in lab.nodes.items()}


def missing(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, set[str]]:
    return {name: lines - after[name] for name, lines in before.items() if lines - after[name]}


def test_what_others_have_survives_and_nothing_of_ours_does(empty: World) -> None:
    lab = empty.lab
    for name, host in lab.nodes.items():
        site = lab.sites[lab.places[name].site]
        plant_decoys(host, str(site.gateway4), str(site.gateway6))
    before = everything(lab)
    empty.start(*lab.nodes)
    eventually(lambda: not unreachable(lab), "every pod reaches every pod")
    made = everything(lab)
    assert {} == missing(before, made)

    # Everything of ours that can be told apart by its number is taken away, and comes back beside theirs.
    for host in lab.nodes.values():
        for family in ("-4", "-6"):
            for table in ("9027", "9028"):
                host.run(["ip", family, "route", "flush", "table", table, "proto", "107"], check=False)
            host.run(["ip", family, "rule", "del", "protocol", "107"], check=False)
        host.run(["nft", "delete", "table", "inet", "raven"])
    for name, host in lab.nodes.items():
        assert ([], []) == difference(made[name], host), name
    assert {} == missing(before, everything(lab))

    empty.kill_all()
    assert made == everything(lab), "tunnels and routes stay when daemons are killed"
    assert {} == unreachable(lab)
    done = {name: empty.cleanup(name) for name in lab.nodes}
    assert dict.fromkeys(lab.nodes, 0) == {name: one.returncode for name, one in done.items()}, done
    assert before == everything(lab)
    again = {name: empty.cleanup(name) for name in lab.nodes}
    assert dict.fromkeys(lab.nodes, (0, "")) == {name: (one.returncode, one.stdout) for name, one in again.items()}
