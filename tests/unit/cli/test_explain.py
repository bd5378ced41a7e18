"""`netlb explain service`: why a Service has, or has not, an address."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netlb.cli.main import main
from tests.manifests import advertisement, node, pool, service, slice_of

POOLS = (
    pool("a-full", "192.0.2.1"),
    pool("b-six", "fd00::/120"),
    pool("c-asked", "192.0.2.9", autoAssign=False),
    pool("d-drained", "192.0.2.10", disabled=True),
    pool("e-fenced", "192.0.2.11", serviceAllocation="{namespaces: [other]}"),
    pool("f-chosen", "192.0.2.12", serviceAllocation="{serviceSelectors: [{matchLabels: {app: x}}]}"),
    pool("g-edge", "192.0.2.13", nodePools="[hangzhou]"),
)
HOLDER = service("first").replace(
    "spec:", "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {hostname: lb.example}]}}\nspec:"
)


def explain(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(main, ["explain", "service", *arguments], input=text)


def test_every_pool_has_its_say_about_a_service_without_an_address() -> None:
    result = explain("default/web", "-", text="---".join([*POOLS, HOLDER, service("web")]))
    assert 1 == result.exit_code
    assert [
        "default/web: holds no address",
        "PoolExhausted: no IPv4 address is free in pool a-full",
        "pools, in the order in which they are tried:",
        "  e-fenced: NamespaceNotAdmitted: pool e-fenced does not serve namespace 'default' (serviceAllocation)",
        "  f-chosen: ServiceNotSelected: pool f-chosen does not select the Service by its labels "
        "(serviceAllocation.serviceSelectors)",
        "  a-full: PoolExhausted: no IPv4 address is free in pool a-full",
        "  b-six: FamilyMissing: pool b-six has no addresses of IPv4",
        "  c-asked: NotAutoAssigned: pool c-asked serves explicit requests only (autoAssign: false)",
        "  d-drained: PoolDisabled: pool d-drained gives no address any more (disabled: true)",
        "  g-edge: NoNodeInNodePools: no node is in a node pool of pool g-edge (nodePools)",
    ] == result.output.splitlines()


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        (
            {"loadBalancerIP": "192.0.2.1"},
            "  a-full: AddressInUse: 192.0.2.1 of pool a-full is held by another Service, default/first",
        ),
        ({"loadBalancerIP": "192.0.2.1"}, "  b-six: AddressNotInPool: 192.0.2.1 is not in pool b-six"),
        ({"annotations": "{netlb.io/pool: b-six}"}, "  a-full: NotRequested: the Service asks for pool 'b-six'"),
        ({"ipFamilies": "[IPv6]"}, "  b-six: serves it"),
        ({"loadBalancerIP": "x"}, "InvalidRequest: spec.loadBalancerIP: 'x' is not an IPv4 or IPv6 address"),
    ],
)
def test_what_a_pool_says_to_a_request(wish: dict[str, str], line: str) -> None:
    result = explain("default/web", "-", text="---".join([*POOLS, HOLDER, service("web", **wish)]))
    assert line in result.output.splitlines()


def test_who_announces_is_said_too() -> None:
    manifests = [pool("one", "192.0.2.1"), advertisement(), service("web"), node("n1"), slice_of("web", "n1")]
    result = explain("web", "-", text="---".join(manifests))
    assert (0, "192.0.2.1: announced by node n1") == (result.exit_code, result.output.splitlines()[-1])
    result = explain("web", "-", text="---".join(manifests[:-1]))
    assert "192.0.2.1: announced by nobody: NoEndpoint" == result.output.splitlines()[-1]


def near(keys: str) -> Result:
    """Explain a Service with these topology keys and two endpoints, at nodes of two node pools."""
    nodes = [
        node(name, f"{{apps.openyurt.io/nodepool: {where}}}") for name, where in [("n1", "a"), ("n2", "a"), ("n3", "b")]
    ]
    asked = service("web", annotations=f"{{openyurt.io/topologyKeys: '{keys}'}}")
    manifests = [pool("one", "192.0.2.1"), advertisement(), asked, *nodes, slice_of("web", "n1", "n2")]
    return explain("web", "-", text="---".join(manifests))


def test_which_endpoints_serve_which_node_is_said() -> None:
    assert [
        "nodes n1, n2: served by 10.244.0.1 on n1, 10.244.0.2 on n2",
        "node n3: served by no endpoint",
        "192.0.2.1: announced by node n2",
    ] == near("openyurt.io/nodepool").output.splitlines()[-3:]


def test_topology_keys_that_have_no_effect_are_said() -> None:
    assert [
        "openyurt.io/topologyKeys: 'rack' has no effect, as with OpenYurt: it takes one key that it knows",
        "nodes n1, n2, n3: served by 10.244.0.1 on n1, 10.244.0.2 on n2",
    ] == near("rack").output.splitlines()[-3:-1]


def test_of_many_endpoints_some_are_named() -> None:
    manifests = [pool("one", "192.0.2.1"), service("web"), node("n1"), slice_of("web", *["n1"] * 12)]
    output = explain("web", "-", text="---".join(manifests)).output
    assert "10.244.0.10 on n1, and 2 more" in output
    assert "10.244.0.11" not in output


def native(kind: str, name: str, spec: str) -> str:
    return f"\napiVersion: netlb.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


TOR = native("BGPPeer", "tor", "myASN: 65001, peerASN: 65000, peerAddress: 10.0.0.1, password: correct-horse")
EDGE = native(
    "BGPPeer", "edge", "myASN: 65001, peerASN: 65000, peerAddress: 10.0.0.2, nodeSelectors: [{matchLabels: {rack: a}}]"
)
ROUTED = (
    pool("one", "203.0.113.1", protocol="bgp"),
    native("BGPAdvertisement", "all", ""),
    service("web", externalTrafficPolicy="Local"),
    slice_of("web", "n1", "n2"),
    node("n1", addresses=("10.0.0.11",)),
    node("n2", "{rack: a}", addresses=("10.0.0.12",)),
    node("n3", addresses=("10.0.0.13",)),
)


def test_who_tells_which_routers_is_said_or_why_not() -> None:
    result = explain("web", "-", text="---".join([*ROUTED, TOR, EDGE]))
    assert [
        "203.0.113.1: told to tor by node n1",
        "203.0.113.1: told to edge, tor by node n2",
        "203.0.113.1: told to no router by node n3: NoCandidate",
    ] == result.output.splitlines()[-3:]
    assert "correct-horse" not in result.output


def test_an_address_that_routers_are_told_of_is_not_called_silent() -> None:
    output = explain("web", "-", text="---".join([*ROUTED, TOR])).output
    assert "announced by nobody" not in output
    assert "203.0.113.1: told to tor by nodes n1, n2" in output.splitlines()


def test_an_address_of_a_segment_says_nothing_of_routers_that_are_not_meant() -> None:
    manifests = [pool("one", "192.0.2.1"), advertisement(), service("web"), slice_of("web", "n1"), *ROUTED[4:], TOR]
    assert "192.0.2.1: announced by node n2" == explain("web", "-", text="---".join(manifests)).output.splitlines()[-1]


def test_a_family_that_no_session_carries_and_a_detail_are_said() -> None:
    six = [
        pool("one", "2001:db8::1", protocol="bgp"),
        service("web", ipFamilies="[IPv6]"),
        *ROUTED[1:2],
        *ROUTED[3:5],
        TOR,
    ]
    last = explain("web", "-", text="---".join(six)).output.splitlines()[-1]
    assert "2001:db8::1: told to no router by node n1: NoNextHop: node n1 has no InternalIP of IPv6" == last
    six[4] = node("n1", addresses=("10.0.0.11", "fd00::11"))
    last = explain("web", "-", text="---".join(six)).output.splitlines()[-1]
    assert last.endswith("told to no router by node n1: no peer of the node is for this family (addressFamilies)")


@pytest.mark.parametrize(
    ("manifest", "line"),
    [
        (pool("one", "192.0.2.1"), "default/web: there is no such Service"),
        (
            service("web", type="ClusterIP").replace("  type: LoadBalancer\n", ""),
            "default/web: not ours to serve: type ClusterIP, class none",
        ),
        (service("web", loadBalancerClass="x.io/y"), "default/web: not ours to serve: type LoadBalancer, class x.io/y"),
        (
            service("web", externalTrafficPolicy="Sometimes"),
            "default/web: there is no such Service (it is declared, and cannot be read)",
        ),
    ],
)
def test_a_service_that_is_not_served(manifest: str, line: str) -> None:
    result = explain("default/web", "-", text=manifest)
    assert (1, [line]) == (result.exit_code, result.output.splitlines())


def test_a_directory_and_its_status_tree_are_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "all.yaml").write_text(pool("one", "192.0.2.1-192.0.2.9") + "---" + service("web"))
    services = tmp_path / "cluster.status" / "services"
    services.mkdir(parents=True)
    (services / "default.web.yaml").write_text(
        "metadata: {namespace: default, name: web, annotations: {netlb.io/allocated-from: one}}\n"
        "status: {loadBalancer: {ingress: [{ip: 192.0.2.7}]}}\n"
    )
    result = explain("default/web", "--source", f"dir:{tmp_path / 'cluster'}")
    assert "default/web: holds 192.0.2.7 of pool one" == result.output.splitlines()[0]


def test_without_a_cluster_it_says_how_to_name_one() -> None:
    result = explain("default/web")
    assert 0 != result.exit_code
    assert "--source: is not set" in result.output
