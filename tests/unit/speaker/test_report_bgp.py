"""What the status tree and the metrics say of routers."""

from dataclasses import replace

import pytest
import yaml
from prometheus_client import Metric

from netlb.bgp.model import Key, Kind
from netlb.bgp.peers import MessageCounts, Session, SessionState
from netlb.bgp.sessions import Watched
from netlb.net import parse_address
from netlb.plan import plan_node
from netlb.plan.bgp import BgpPlan, plan_bgp
from netlb.reasons import Silence
from netlb.reconcile import Status, StatusKind
from netlb.source.status import Standing, node_data, node_status, service_bgp_path, service_bgp_statuses
from netlb_speaker.metrics import announced_metric, bgp_metrics
from netlb_speaker.report_bgp import Heard, bgp_report, standings
from tests.manifests import node, pool, ref, service, slice_of, snapshot

PASSWORD = "correct-horse"


def native(kind: str, name: str, spec: str) -> str:
    return f"apiVersion: netlb.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def router(name: str, where: str) -> str:
    return native("BGPPeer", name, f"myASN: 65001, peerASN: 65000, {where}, password: {PASSWORD}")


EXCLUDED = "{node.kubernetes.io/exclude-from-external-load-balancers: ''}"


def planned(*peers: str, labels: str = "{}") -> BgpPlan:
    taken = snapshot(
        pool("routed", "203.0.113.0/24", "2001:db8::/64", protocol="bgp"),
        service("web"),
        slice_of("web", "n1"),
        node("n1", labels, addresses=("10.0.0.11", "fd00::11")),
        native("BGPAdvertisement", "all", "communities: ['65000:7'], localPref: 200"),
        *peers,
        holdings={"web": "203.0.113.10,2001:db8::10"},
    )
    return plan_bgp(taken, "n1")


FOUR, SIX = parse_address("203.0.113.10"), parse_address("2001:db8::10")
A, B = "10.0.0.1", "10.0.0.2"
PLAN = planned(
    router("tor-a", f"peerAddress: {A}"), router("tor-b", f"peerAddress: {B}, addressFamilies: [ipv4, ipv6]")
)
DONE = {Key(Kind.ROUTE, "203.0.113.10/32"): Status(StatusKind.DONE), Key(Kind.ROUTE, "2001:db8::10/128"): Status(StatusKind.DONE)}  # fmt: skip


def watched(address: str, state: SessionState = SessionState.ESTABLISHED, *, of: str = "", **more: object) -> Watched:
    session = Session(Key(Kind.PEER, of or address), address, state)
    return Watched(replace(session, **more), 1_000_000_000.0)  # type: ignore[arg-type]


HEARD = Heard(
    sessions=(
        watched(A, advertised=1, accepted=3, sent=MessageCounts(updates=5)),
        watched(B, SessionState.ACTIVE, reason="hold timer expired", advertised=1, accepted=1),
    ),
    statuses=DONE,
)
UNHEARD = "no session is up with tor-b (10.0.0.2: ACTIVE)"


def test_what_bfd_says_of_a_router_is_shown_beside_its_session() -> None:
    heard = replace(HEARD, bfd={B: "down"})
    standing = standings(PLAN, heard)
    assert "no session is up with tor-b (10.0.0.2: ACTIVE, BFD down)" == standing[SIX].message
    assert [None, "down"] == [peer.get("bfd") for peer in bgp_report(PLAN, heard, standing)["peers"]]


def test_each_address_stands_as_its_routes_and_the_sessions_of_those_who_are_meant() -> None:
    assert {FOUR: Standing(message=UNHEARD), SIX: Standing(Silence.SESSION_DOWN, UNHEARD)} == standings(PLAN, HEARD)
    both = replace(HEARD, sessions=(watched(A), watched(B)))
    assert {FOUR: Standing(), SIX: Standing()} == standings(PLAN, both)


FAILED = DONE | {Key(Kind.ROUTE, "203.0.113.10/32"): Status(StatusKind.ERROR, "an import policy rejects it")}
PENDING = DONE | {Key(Kind.ROUTE, "203.0.113.10/32"): Status(StatusKind.PENDING)}


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (Heard(), Standing(Silence.PENDING, "it is about to be announced")),
        (replace(HEARD, statuses=PENDING), Standing(Silence.PENDING, "it is about to be announced")),
        (replace(HEARD, statuses=FAILED), Standing(Silence.ANNOUNCE_FAILED, "an import policy rejects it")),
        (replace(HEARD, problem="no gobgpd"), Standing(Silence.ANNOUNCE_FAILED, "no gobgpd")),
        (
            replace(HEARD, withdrawn=True),
            Standing(Silence.DRAINED, "this node takes no more traffic, and its routes are withdrawn"),
        ),
    ],
)
def test_what_keeps_an_address_from_routers(heard: Heard, expected: Standing) -> None:
    assert expected == standings(PLAN, heard)[FOUR]


def test_a_node_that_drains_says_so_while_it_is_announced() -> None:
    plan = planned(router("tor-a", f"peerAddress: {A}"), labels=EXCLUDED)
    found = standings(plan, HEARD)[FOUR]
    assert found.silence is None
    assert "routers are asked to prefer other nodes" in found.message


def test_an_address_that_no_session_carries_says_which_field_is_wrong() -> None:
    plan = planned(router("tor-a", f"peerAddress: {A}"))
    assert "addressFamilies" in standings(plan, HEARD)[SIX].message


def test_the_node_says_how_each_session_is_and_how_each_address_stands() -> None:
    report = bgp_report(PLAN, HEARD, standings(PLAN, HEARD))
    since = "2001-09-09T01:46:40Z"
    assert [
        {"name": "tor-a", "router": A, "asn": 65000, "state": "ESTABLISHED", "since": since, "lastError": "", "advertised": 1, "received": 3},
        {"name": "tor-b", "router": B, "asn": 65000, "state": "ACTIVE", "since": since, "lastError": "hold timer expired", "advertised": 0, "received": 0},
    ] == report["peers"]  # fmt: skip
    four, six = report["announcing"]
    assert (UNHEARD, f"SessionDown: {UNHEARD}") == (four["note"], six["error"])
    assert {} == bgp_report(BgpPlan("n1"), Heard(), {})


def test_a_peer_without_a_session_says_why() -> None:
    refused = {Key(Kind.PEER, A): Status(StatusKind.ERROR, "GoBGP 3 cannot do that")}
    [first, second] = bgp_report(PLAN, Heard(statuses=refused, problem="gobgpd hangs"), {FOUR: Standing(), SIX: Standing()})["peers"]  # fmt: skip
    assert ("UNKNOWN", "GoBGP 3 cannot do that") == (first["state"], first["lastError"])
    assert ("UNKNOWN", "gobgpd hangs") == (second["state"], second["lastError"])


def test_everybody_who_connected_from_a_prefix_is_a_peer() -> None:
    plan = planned(router("rack", "peerPrefix: 10.0.0.0/24"))
    sessions = (watched(B, of="10.0.0.0/24"), watched(A, SessionState.IDLE, of="10.0.0.0/24", admin_down=True))
    heard = Heard(sessions=sessions, statuses=DONE)
    peers = bgp_report(plan, heard, standings(plan, heard))["peers"]
    assert [(A, "ADMIN_DOWN"), (B, "ESTABLISHED")] == [(peer["router"], peer["state"]) for peer in peers]
    assert standings(plan, heard)[FOUR].silence is None


def test_a_service_has_a_file_that_says_whom_it_is_for_and_what_came_of_it() -> None:
    files = service_bgp_statuses(PLAN, standings(PLAN, HEARD))
    assert {
        "apiVersion": "netlb.io/v1alpha1",
        "kind": "ServiceBGPStatus",
        "metadata": {"name": "default.web.n1"},
        "status": {
            "node": "n1",
            "serviceNamespace": "default",
            "serviceName": "web",
            "peers": ["tor-a", "tor-b"],
            "addresses": [
                {"ip": str(FOUR), "routes": [{"prefix": f"{FOUR}/32", "nextHop": "10.0.0.11", "localPref": 200, "communities": ["65000:7"], "peers": ["tor-a", "tor-b"]}]},
                {"ip": str(SIX), "routes": [{"prefix": f"{SIX}/128", "nextHop": "fd00::11", "localPref": 200, "communities": ["65000:7"], "peers": ["tor-b"]}]},
            ],
            "conditions": [{"type": "netlb.io/Announced", "status": "False", "reason": "SessionDown", "message": f"{SIX}: {UNHEARD}"}],
        },
    } == yaml.safe_load(files[service_bgp_path("n1", ref("web"))])  # fmt: skip


def samples(metrics: list[Metric], name: str) -> dict[str, float]:
    return {
        sample.labels["name"]: sample.value for metric in metrics for sample in metric.samples if sample.name == name
    }


def test_metrics_of_sessions() -> None:
    metrics = list(bgp_metrics(PLAN, HEARD))
    expected = {
        "netlb_bgp_session_up": {"tor-a": 1.0, "tor-b": 0.0},
        "netlb_bgp_announced_prefixes_total": {"tor-a": 1.0, "tor-b": 0.0},
        "netlb_bgp_pending_prefixes_total": {"tor-a": 0.0, "tor-b": 2.0},
        "netlb_bgp_updates_total": {"tor-a": 5.0, "tor-b": 0.0},
    }
    assert expected == {name: samples(metrics, name) for name in expected}
    without = list(bgp_metrics(PLAN, Heard()))
    assert {"tor-a": 1.0, "tor-b": 2.0} == samples(without, "netlb_bgp_pending_prefixes_total")
    assert {"tor-a": 0.0, "tor-b": 0.0} == samples(without, "netlb_bgp_session_up")


def test_an_address_that_routers_are_told_of_counts_as_announced() -> None:
    metric = announced_metric("n1", None, {}, PLAN, standings(PLAN, HEARD))
    [sample] = metric.samples
    assert {"service": "default/web", "protocol": "bgp", "node": "n1", "ip": str(FOUR)} == sample.labels


def test_no_password_is_in_what_is_shown() -> None:
    standing = standings(PLAN, HEARD)
    shown = [str(bgp_report(PLAN, HEARD, standing)), *service_bgp_statuses(PLAN, standing).values()]
    shown += [str(list(bgp_metrics(PLAN, HEARD)))]
    shown += [node_status(node_data(plan_node(snapshot(), "n1"), announcements={}, interfaces={}, nodes={}, bgp=bgp_report(PLAN, HEARD, standing)))]  # fmt: skip
    assert not any(PASSWORD in text for text in shown)
