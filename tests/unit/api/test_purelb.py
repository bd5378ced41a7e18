"""PureLB's objects: what they become, what is refused, and who is served from which group.

Long, for it is the tables of one grammar, field by field, with one way of writing an object.
"""

import pytest

from netlb.api.dialects import DEFAULT, Compatibility, Translation
from netlb.api.dialects.purelb import translate
from netlb.api.intake import Intake
from netlb.api.meta import LabelSelector, LabelSelectorRequirement
from netlb.api.v1alpha1 import (
    AddressPool,
    AddressPoolSpec,
    BGPAdvertisement,
    L2Advertisement,
    L2AdvertisementSpec,
    ServiceAllocation,
)
from netlb.findings import ObjectRef, Severity
from netlb.reasons import ManifestProblem
from tests.manifests import declare, pool
from tests.support.translation import foreign, pools, records, said


def of_purelb(kind: str, spec: str, name: str, namespace: str = "purelb-system", version: str = "v2") -> str:
    return f"""
apiVersion: purelb.io/{version}
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{spec}}}
status: {{allocatedIPv4: 1}}
"""


def group(spec: str, name: str = "g", **where: str) -> str:
    return of_purelb("ServiceGroup", spec, name, **where)


def agent(spec: str, name: str = "default", **where: str) -> str:
    return of_purelb("LBNodeAgent", spec, name, **where)


def numbered(number: int, terms: str = "") -> str:
    """A group's spec, with an address of its own."""
    v4 = f"{{pool: 192.0.2.{number}-192.0.2.{number}, subnet: 192.0.2.0/24}}"
    return f"local: {{v4pool: {v4}}}{', ' if terms else ''}{terms}"


V4 = "v4pool: {pool: 192.0.2.0/28, subnet: 192.0.2.0/24}"


def read(*manifests: str, compatibility: Compatibility = DEFAULT) -> Translation:
    return translate(foreign(*manifests), compatibility)


@pytest.mark.parametrize(
    ("spec", "addresses"),
    [
        (f"local: {{{V4}}}", ("192.0.2.0/28",)),
        # Host bits say where the range begins, and are not cleared.
        ("local: {v4pool: {pool: 192.0.2.241/28, subnet: 192.0.2.0/24}}", ("192.0.2.241-192.0.2.255",)),
        (
            "local: {v6pool: {pool: '2001:db8::1/112', subnet: '2001:db8::/64'}}",
            ("2001:db8::1-2001:db8::ffff",),
        ),
        ("local: {v4pool: {pool: 192.0.2.7/32, subnet: 192.0.2.0/24}}", ("192.0.2.7",)),
        ("local: {v4pool: {pool: 192.0.2.7 - 192.0.2.9, subnet: 192.0.2.0/24}}", ("192.0.2.7-192.0.2.9",)),
        # PureLB's order: IPv6 before IPv4, lists before single pools.
        (
            "local: {v4pool: {pool: 192.0.2.0/30, subnet: 192.0.2.0/24},"
            " v4pools: [{pool: 192.0.2.16/30, subnet: 192.0.2.0/24}, {pool: 192.0.2.8/30, subnet: 192.0.2.0/24}],"
            " v6pool: {pool: '2001:db8::/126', subnet: '2001:db8::/64'},"
            " v6pools: [{pool: '2001:db8::8/126', subnet: '2001:db8::/64', aggregation: /128}]}",
            ("2001:db8::8/126", "2001:db8::/126", "192.0.2.16/30", "192.0.2.8/30", "192.0.2.0/30"),
        ),
    ],
)
def test_a_local_group_becomes_a_pool_that_is_announced_on_the_segment(spec: str, addresses: tuple[str, ...]) -> None:
    translation = read(group(spec))
    assert ({}, ()) == (translation.refused, translation.findings)
    pool_record, advertisement = records(translation)
    assert isinstance(pool_record, AddressPool)
    assert (
        AddressPoolSpec(addresses=addresses, auto_assign=False, sharing="cluster", protocol="layer2")
        == pool_record.spec
    )
    assert isinstance(advertisement, L2Advertisement)
    assert ("g", L2AdvertisementSpec(ip_address_pools=("g",))) == (advertisement.metadata.name, advertisement.spec)


def test_what_counts_for_seniority_and_selectors_goes_along() -> None:
    stamp = "2024-01-02T03:04:05Z"
    named = f"name: g, labels: {{a: b}}, creationTimestamp: '{stamp}'"
    (record, _) = records(read(group(f"local: {{{V4}}}").replace("name: g", named)))
    assert (stamp, {"a": "b"}) == (record.metadata.creation_timestamp, record.metadata.labels)


@pytest.mark.parametrize(
    ("pools_of_group", "lengths", "warnings"),
    [
        # By default the whole subnet is announced, by every node.
        ("v4pool: {pool: 192.0.2.0/28, subnet: 192.0.2.0/24}", (24, 128), []),
        ("v4pool: {pool: 192.0.2.0/28, subnet: 192.0.2.0/24, aggregation: default}", (24, 128), []),
        ("v4pool: {pool: 192.0.2.0/28, subnet: 192.0.2.0/24, aggregation: /32}", (32, 128), []),
        (
            "v4pool: {pool: 192.0.2.0/28, subnet: 192.0.2.0/24, aggregation: /8},"
            "v6pool: {pool: '2001:db8::/112', subnet: '2001:db8::/64', aggregation: /96}",
            (8, 96),
            [],
        ),
        (
            "v4pools: [{pool: 192.0.2.0/28, subnet: 192.0.2.0/24},"
            " {pool: 198.51.100.0/28, subnet: 198.51.100.0/26}],"
            "v6pool: {pool: '2001:db8::/112', subnet: '2001:db8::/64'}",
            (26, 64),
            ["spec.remote"],
        ),
    ],
)
def test_a_remote_group_becomes_a_pool_that_is_announced_by_bgp(
    pools_of_group: str, lengths: tuple[int, int], warnings: list[str]
) -> None:
    translation = read(group(f"remote: {{{pools_of_group}}}"))
    pool_record, advertisement = records(translation)
    assert isinstance(pool_record, AddressPool)
    assert ("bgp", "cluster") == (pool_record.spec.protocol, pool_record.spec.sharing)
    assert isinstance(advertisement, BGPAdvertisement)
    assert ("g",) == advertisement.spec.ip_address_pools
    assert lengths == (advertisement.spec.aggregation_length, advertisement.spec.aggregation_length_v6)
    assert [("g", field) for field in warnings] == said(translation.findings)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "g: spec.local: a group is exactly one of local, remote and external"),
        (f"local: {{{V4}}}, remote: {{{V4}}}", "spec.local: a group is exactly one of"),
        (f"locl: {{{V4}}}", "spec.locl: there is no such field (UnknownField); did you mean 'local'?"),
        (f"local: {{{V4.replace('v4pool', 'v4Pool')}}}", "spec.local.v4Pool: there is no such field"),
        (f"remote: {{{V4}, skipIPv6DAD: true}}", "spec.remote.skipIPv6DAD: there is no such field"),
        ("local: {v4pool: {pool: 192.0.2.0/28}}", "spec.local.v4pool.subnet: the field is required and missing"),
        ("local: {}", "spec.local: the group has no address"),
        (
            "local: {v4pool: {pool: 192.0.2.1, subnet: 192.0.2.0/24}}",
            "spec.local.v4pool.pool: '192.0.2.1' is neither a prefix nor a range (InvalidRange)",
        ),
        ("local: {v4pools: [{pool: a-b, subnet: 192.0.2.0/24}]}", "spec.local.v4pools[0].pool: 'a' is not an IPv4"),
        ("local: {v4pool: {pool: 192.0.2.9-192.0.2.1, subnet: 192.0.2.0/24}}", "turned round"),
        ("local: {v4pool: {pool: 192.0.2.0/33, subnet: 192.0.2.0/24}}", "its length is a number from 0 to 32"),
        (
            "local: {v4pool: {pool: '2001:db8::/112', subnet: '2001:db8::/64'}}",
            "spec.local.v4pool.pool: 2001:db8::/112 is IPv6 (InvalidRange); move it to v6pool",
        ),
        ("local: {v4pool: {pool: 224.0.0.0/28, subnet: 224.0.0.0/24}}", "no address that a single station can have"),
        ("local: {v6pool: {pool: '::/127', subnet: '::/64'}}", "no address that a single station can have"),
        (
            "local: {v4pool: {pool: 192.0.2.0/23, subnet: 192.0.2.0/24}}",
            "spec.local.v4pool.subnet: the addresses 192.0.2.0/23 are not all in 192.0.2.0/24",
        ),
        ("local: {v4pool: {pool: 192.0.1.255-192.0.2.1, subnet: 192.0.2.0/24}}", "are not all in 192.0.2.0/24"),
        ("local: {v6pool: {pool: '::5-::6', subnet: 0.0.0.0/8}}", "the addresses ::5-::6 are not all in 0.0.0.0/8"),
        ("local: {v4pool: {pool: 192.0.2.0/28, subnet: 192.0.2.0}}", "spec.local.v4pool.subnet: '192.0.2.0' is not"),
        ("remote: {v4pool: {pool: 192.0.2.0/28, subnet: 0.0.0.0/0}}", "0.0.0.0/0 is every address there is"),
        *(
            (
                f"remote: {{v4pool: {{pool: 192.0.2.0/28, subnet: 192.0.2.0/24, aggregation: '{text}'}}}}",
                f"spec.remote.v4pool.aggregation: '{text}' is not the length of an IPv4 prefix, from /8 to /32",
            )
            for text in ("32", "/7", "/33", "/032", "/x", "all")
        ),
        (
            "local: {v4pools: [{pool: 192.0.2.0/28, subnet: 192.0.2.0/24},"
            " {pool: 192.0.2.15-192.0.2.20, subnet: 192.0.2.0/24}]}",
            "192.0.2.0/28 and 192.0.2.15-192.0.2.20 overlap within the group",
        ),
        (f"local: {{{V4}}}, enforceNamespaces: true", "spec.enforceNamespaces: without namespaces"),
        (f"local: {{{V4}}}, namespaceDefault: true", "spec.namespaceDefault: without namespaces"),
        (f"local: {{{V4}}}, namespaces: [a, B]", "spec.namespaces[1]: 'B' is not the name of a namespace"),
        (
            "external: {provider: netbox, socket: /run/x.sock, announce: local}",
            "spec.external: PureLB's sidecars and its NetBox client are not run",
        ),
        ("netbox: {url: https://netbox.example.com, tenant: t}", "spec.netbox: PureLB's sidecars and its NetBox"),
    ],
)
def test_what_is_wrong_is_refused_alone(spec: str, message: str) -> None:
    good = group("local: {v4pool: {pool: 198.51.100.0/28, subnet: 198.51.100.0/24}}", "good")
    translation = read(group(spec), good)
    (finding,) = translation.refused.values()
    assert message in str(finding)
    assert Severity.ERROR is finding.severity
    assert ["good"] == list(pools(translation))


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        (f"local: {{{V4}, multiPool: true}}", ["spec.local.multiPool"]),
        (f"remote: {{{V4}, balancePools: true}}", ["spec.remote.balancePools"]),
        (f"local: {{{V4}, skipIPv6DAD: true}}", ["spec.local.skipIPv6DAD"]),
    ],
)
def test_what_has_no_effect_is_said(spec: str, fields: list[str]) -> None:
    translation = read(group(spec))
    assert ["g"] == list(pools(translation))
    assert [("g", field) for field in fields] == said(translation.findings)
    assert {ManifestProblem.NOT_HONOURED} == {finding.reason for finding in translation.findings}


def test_only_purelbs_own_namespace_counts() -> None:
    manifests = (
        group("anything: goes", namespace="purelb"),
        agent("anything: goes", namespace="purelb"),
        group("local: {}", "old", namespace="purelb", version="v1"),
    )
    translation = read(*manifests)
    assert ((), {}) == (translation.records, translation.refused)
    assert ["metadata.namespace"] * 3 == [field for _, field in said(translation.findings)]
    moved = Compatibility(purelb_namespace="edge")
    assert ["g"] == list(pools(read(group(f"local: {{{V4}}}", namespace="edge"), compatibility=moved)))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (group(f"local: {{{V4}}}", version="v1"), "with `local` for addresses of the nodes' own segment and `remote`"),
        (agent("local: {localint: eth0}", version="v1"), "write purelb.io/v2, where localint is localInterface"),
    ],
)
def test_the_first_version_is_refused_with_what_to_write(manifest: str, message: str) -> None:
    (finding,) = read(manifest).refused.values()
    assert message in finding.remedy


# Who is served from which group

OUTSIDE = "kubernetes.io/metadata.name"


def without(*namespaces: str) -> tuple[LabelSelector, ...]:
    requirement = LabelSelectorRequirement(key=OUTSIDE, operator="NotIn", values=namespaces)
    return (LabelSelector(match_expressions=(requirement,)),)


Terms = tuple[bool, tuple[str, ...], ServiceAllocation | None]


def terms(translation: Translation) -> dict[str, Terms]:
    return {
        name: (spec.auto_assign, spec.auto_assign_namespaces, spec.service_allocation)
        for name, spec in pools(translation).items()
    }


FIRST = ServiceAllocation(priority=1)


@pytest.mark.parametrize(
    ("groups", "expected", "undecided"),
    [
        pytest.param(
            {"default": "", "other": ""},
            {"default": (True, (), None), "other": (False, (), None)},
            [],
            id="only the default group serves those who ask for nothing",
        ),
        pytest.param(
            {"default": "", "soft": "namespaces: [a, b, a]"},
            {"default": (True, (), None), "soft": (False, ("a", "b"), FIRST)},
            [],
            id="a group with namespaces serves theirs, and others that ask",
        ),
        pytest.param(
            {"one": "namespaces: [a], namespaceDefault: true", "two": "namespaces: [a, b]"},
            {"one": (False, ("a",), FIRST), "two": (False, ("b",), FIRST)},
            [],
            id="of two groups of a namespace, the marked one is its default",
        ),
        pytest.param(
            {"default": "", "one": "namespaces: [a]", "two": "namespaces: [a]"},
            {"default": (True, (), None), "one": (False, (), None), "two": (False, (), None)},
            ["one"],
            id="without a mark the group `default` serves it",
        ),
        pytest.param(
            {
                "one": "namespaces: [a], namespaceDefault: true",
                "two": "namespaces: [a], namespaceDefault: true",
            },
            {"one": (False, (), None), "two": (False, (), None)},
            ["one"],
            id="two marks are as good as none",
        ),
        pytest.param(
            {"default": "", "open": "", "walled": "namespaces: [a, b], enforceNamespaces: true"},
            {
                "default": (True, (), ServiceAllocation(namespace_selectors=without("a", "b"))),
                "open": (False, (), ServiceAllocation(priority=1, namespace_selectors=without("a", "b"))),
                "walled": (True, (), ServiceAllocation(priority=1, namespaces=("a", "b"))),
            },
            [],
            id="a fence holds both ways",
        ),
        pytest.param(
            {"soft": "namespaces: [c]", "walled": "namespaces: [a], enforceNamespaces: true"},
            {
                "soft": (False, ("c",), ServiceAllocation(priority=1, namespace_selectors=without("a"))),
                "walled": (True, (), ServiceAllocation(priority=1, namespaces=("a",))),
            },
            [],
            id="a soft group is shut to fenced namespaces",
        ),
        pytest.param(
            {
                "bgp": "namespaces: [a, b]",
                "l2": "namespaces: [a], enforceNamespaces: true, namespaceDefault: true",
            },
            {
                # Fencing is a property of the namespace: all of its groups are closed to outsiders.
                "bgp": (False, ("b",), ServiceAllocation(priority=1, namespaces=("a", "b"))),
                "l2": (True, (), ServiceAllocation(priority=1, namespaces=("a",))),
            },
            [],
            id="one group's fence encloses the other groups of its namespace",
        ),
        pytest.param(
            {
                "default": "namespaces: [a, c, d]",
                "one": "namespaces: [a, b], enforceNamespaces: true",
                "two": "namespaces: [c]",
            },
            {
                # a: two groups, none marked, fenced: nothing unasked. c: two groups, not fenced: the default group.
                "default": (False, ("c", "d"), ServiceAllocation(priority=1, namespaces=("a", "c", "d"))),
                "one": (False, ("b",), ServiceAllocation(priority=1, namespaces=("a", "b"))),
                "two": (False, (), ServiceAllocation(priority=1, namespace_selectors=without("a", "b"))),
            },
            ["default", "default"],
            id="the default group can be fenced too",
        ),
        pytest.param(
            {"default": "namespaces: [a]", "other": "namespaces: [a], namespaceDefault: true"},
            {"default": (True, (), None), "other": (False, ("a",), FIRST)},
            [],
            id="naming a namespace does not shut the default group to others",
        ),
    ],
)
def test_who_is_served_from_which_group(
    groups: dict[str, str], expected: dict[str, Terms], undecided: list[str]
) -> None:
    manifests = [group(numbered(number, spec), name) for number, (name, spec) in enumerate(groups.items(), start=1)]
    for declared in (manifests, manifests[::-1]):
        translation = read(*declared)
        assert expected == terms(translation)
        assert [(name, "spec.namespaceDefault") for name in undecided] == said(translation.findings)


@pytest.mark.parametrize(
    ("fence", "instead"), [("", "from the group 'default'"), (", enforceNamespaces: true", "get no")]
)
def test_a_namespace_without_a_default_hears_what_happens_instead(fence: str, instead: str) -> None:
    translation = read(
        group(numbered(1, "namespaces: [a]" + fence), "one"), group(numbered(2, "namespaces: [a]"), "two")
    )
    assert instead in translation.findings[0].problem
    assert "namespace 'a' has several groups (one, two)" in translation.findings[0].problem


def test_a_refused_group_binds_no_namespace() -> None:
    translation = read(
        group("local: {}, namespaces: [a], enforceNamespaces: true", "bad"), group(numbered(1), "default")
    )
    assert {"default": (True, (), None)} == terms(translation)


# Where local addresses are announced

EVERYWHERE: tuple[LabelSelector, ...] = ()
RACK = LabelSelector(match_labels={"rack": "a"})
SELECTOR = "nodeSelector: {matchLabels: {rack: a}}"


@pytest.mark.parametrize(
    ("agents", "nodes", "interfaces", "warnings"),
    [
        (["local: {localInterface: eth0}"], EVERYWHERE, ("eth0",), []),
        (["local: {localInterface: ^eth0$}"], EVERYWHERE, ("eth0",), []),
        ([r"local: {localInterface: '^bond0\.12$'}"], EVERYWHERE, ("bond0.12",), []),
        (["local: {localInterface: eth0, interfaces: [eth1, eth0]}"], EVERYWHERE, ("eth0", "eth1"), []),
        (["local: {}"], EVERYWHERE, (), ["localInterface"]),
        (["local: {localInterface: default, interfaces: [eth1]}"], EVERYWHERE, (), ["localInterface"]),
        (["local: {localInterface: 'eth.*'}"], EVERYWHERE, (), ["localInterface"]),
        (["local: {localInterface: eth0|eth1}"], EVERYWHERE, (), ["localInterface"]),
        (
            [
                "local: {localInterface: eth0, dummyInterface: lb1, garpConfig: {enabled: false, count: 5,"
                " initialDelay: 1s, interval: 1s, verifyBeforeSend: false}, addressConfig: {localInterface:"
                " {validLifetime: 60, preferredLifetime: 60, noPrefixRoute: true}, dummyInterface: {}}}"
            ],
            EVERYWHERE,
            ("eth0",),
            ["dummyInterface", "garpConfig", "addressConfig"],
        ),
        ([f"{SELECTOR}, local: {{localInterface: eth0}}"], (RACK,), ("eth0",), []),
        ([f"{SELECTOR}, local: {{localInterface: eth0}}"] * 2, (RACK,), ("eth0",), []),
        ([f"{SELECTOR}, local: {{localInterface: eth0}}", "local: {localInterface: eth0}"], EVERYWHERE, ("eth0",), []),
        # Without `local` PureLB passes an agent over.
        ([SELECTOR, "local: {localInterface: eth0}"], EVERYWHERE, ("eth0",), []),
        ([""], EVERYWHERE, (), []),
    ],
)
def test_agents_say_where(
    agents: list[str], nodes: tuple[LabelSelector, ...], interfaces: tuple[str, ...], warnings: list[str]
) -> None:
    manifests = [agent(spec, f"agent{number}") for number, spec in enumerate(agents)]
    translation = read(group(f"local: {{{V4}}}"), *manifests)
    assert {} == translation.refused
    advertisement = records(translation)[1]
    assert isinstance(advertisement, L2Advertisement)
    assert (nodes, interfaces) == (advertisement.spec.node_selectors, advertisement.spec.interfaces)
    assert [("agent0", f"spec.local.{field}") for field in warnings] == said(translation.findings)


def test_agents_that_disagree_about_interfaces_announce_on_all() -> None:
    translation = read(
        group(f"local: {{{V4}}}"),
        agent(f"{SELECTOR}, local: {{localInterface: eth0}}", "one"),
        agent("nodeSelector: {matchLabels: {rack: b}}, local: {localInterface: eth1}", "two"),
    )
    advertisement = records(translation)[1]
    assert isinstance(advertisement, L2Advertisement)
    assert (2, ()) == (len(advertisement.spec.node_selectors), advertisement.spec.interfaces)
    assert [("one", "spec.local"), ("two", "spec.local")] == said(translation.findings)


def test_an_agent_that_is_wrong_is_refused_alone() -> None:
    translation = read(group(f"local: {{{V4}}}"), agent("local: {localInterfaces: eth0}"))
    (finding,) = translation.refused.values()
    assert "spec.local.localInterfaces: there is no such field" in str(finding)
    assert ["g"] == list(pools(translation))


# At the door


def test_the_last_good_version_of_a_group_stays_in_force_with_its_fence() -> None:
    walled, everyone = (
        group(numbered(1, "namespaces: [a], enforceNamespaces: true"), "walled"),
        group(numbered(2), "default"),
    )
    intake = Intake()
    declare(intake, "a.yaml", walled, everyone)
    before = intake.snapshot({})
    declare(intake, "a.yaml", walled.replace("enforceNamespaces", "enforceNamespace"), everyone)
    for _ in range(2):
        after = intake.snapshot({})
        assert before.pools == after.pools
        assert [Severity.ERROR] == [finding.severity for finding in after.findings]
        assert after.pools_certain


def test_a_group_that_was_never_good_makes_pools_uncertain_and_one_elsewhere_does_not() -> None:
    intake = Intake()
    declare(intake, "a.yaml", group("local: {}", namespace="elsewhere"))
    assert intake.snapshot({}).pools_certain
    declare(intake, "b.yaml", group("local: {}"))
    assert not intake.snapshot({}).pools_certain


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (pool("alpha", "192.0.2.0/30"), group(f"local: {{{V4}}}", "beta"), ManifestProblem.OVERLAPPING_POOLS),
        (
            group(f"local: {{{V4}}}", "alpha"),
            group("local: {v4pool: {pool: 192.0.2.15-192.0.2.16, subnet: 192.0.2.0/24}}", "beta"),
            ManifestProblem.OVERLAPPING_POOLS,
        ),
        (pool("beta", "198.51.100.1"), group(f"local: {{{V4}}}", "beta"), ManifestProblem.DUPLICATE_OBJECT),
    ],
)
def test_an_address_and_a_name_belong_to_one_pool(first: str, second: str, reason: ManifestProblem) -> None:
    intake = Intake()
    declare(intake, "a.yaml", first, second)
    snapshot = intake.snapshot({})
    assert 1 == len(snapshot.pools)
    (finding,) = (finding for finding in snapshot.findings if finding.severity is Severity.ERROR)
    assert (reason, ObjectRef("ServiceGroup", "purelb-system", "beta")) == (finding.reason, finding.subject)


def test_several_systems_can_be_read_at_once() -> None:
    intake = Intake()
    eip = (
        "apiVersion: network.kubesphere.io/v1alpha2\nkind: Eip\nmetadata: {name: eip}\n"
        "spec: {address: 198.51.100.1, protocol: layer2, interface: eth0}"
    )
    declare(intake, "a.yaml", eip, group(f"local: {{{V4}}}", "group"), pool("native", "203.0.113.1"))
    snapshot = intake.snapshot({})
    assert ({"eip", "group", "native"}, ()) == (set(snapshot.pools), snapshot.findings)
    assert {"eip", "group"} == set(snapshot.l2_advertisements)


@pytest.mark.parametrize(
    "spec",
    [
        "addresses: [192.0.2.1], autoAssign: false, autoAssignNamespaces: [a]",
        "addresses: [192.0.2.1], autoAssignNamespaces: []",
    ],
)
def test_namespaces_that_need_not_ask_are_for_pools_that_the_others_ask_for(spec: str) -> None:
    manifest = "apiVersion: netlb.io/v1alpha1\nkind: AddressPool\nmetadata: {name: p}\nspec: {%s}"
    intake = Intake()
    declare(intake, "a.yaml", manifest % spec)
    assert () == intake.snapshot({}).findings
    declare(
        intake, "b.yaml", manifest.replace("name: p", "name: q") % "addresses: [192.0.2.2], autoAssignNamespaces: [a]"
    )
    (finding,) = intake.snapshot({}).findings
    assert "spec.autoAssignNamespaces: with autoAssign, Services of every namespace" in str(finding)
