"""What objects are for, as numbers."""

from netlb.api.snapshot import Snapshot
from netlb.findings import ObjectRef
from netlb.plan import ClusterPlanner, Selected, plan_cluster
from tests.manifests import advertisement, native, node, pool, snapshot

EAST = [{"matchLabels": {"zone": "east"}}]
NODES = (node("n1", "{zone: east}"), node("n2", "{zone: east}"), node("n3", "{zone: west}"))
POOLS = (pool("one", "192.0.2.1"), pool("two", "192.0.2.2"))
PEER = {"peerASN": 64512, "peerAddress": "10.0.0.1"}


def counts(declared: Snapshot) -> dict[tuple[str, str], Selected]:
    return {(ref.kind, ref.name): found for ref, found in plan_cluster(declared).selected.items()}


def test_every_kind_that_selects_is_counted() -> None:
    assert {
        ("L2Advertisement", "all"): Selected(3, 2),
        ("BGPAdvertisement", "east"): Selected(2, 1),
        ("BGPPeer", "tor"): Selected(2),
        ("BGPConfiguration", "none"): Selected(0),
    } == counts(
        snapshot(
            *NODES,
            *POOLS,
            advertisement(),
            native("BGPAdvertisement", "east", nodeSelectors=EAST, ipAddressPools=["one"]),
            native("BGPPeer", "tor", nodeSelectors=EAST, **PEER),
            native("BGPConfiguration", "none", nodeSelectors=[{"matchLabels": {"zone": "north"}}], asn=64513),
        )
    )


def test_a_planner_counts_again_when_it_matters() -> None:
    planner = ClusterPlanner({})
    ref = ObjectRef("L2Advertisement", "", "all")
    found = [
        planner.plan(snapshot(*manifests, advertisement()), ()).selected[ref]
        for manifests in (NODES, NODES[:1], (*NODES[:1], *POOLS), (*NODES[:1], *POOLS))
    ]
    assert [Selected(3, 0), Selected(1, 0), Selected(1, 2), Selected(1, 2)] == found
