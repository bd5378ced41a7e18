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
