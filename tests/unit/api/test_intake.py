"""What is in force: the last good version of everything, and nothing concluded from what cannot be read."""

import pytest

from netlb.api.dialects import Compatibility, System
from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.errors import ConfigError
from netlb.findings import ObjectRef
from netlb.reasons import ManifestProblem
from tests.manifests import advertisement, declare, metallb, metallb_object, node, pool, ref, service, slice_of

GOOD = """
address-pools:
- name: default
  protocol: layer2
  addresses: [192.0.2.10-192.0.2.20]
"""


def reasons(snapshot: Snapshot) -> list[ManifestProblem]:
    return [finding.reason for finding in snapshot.findings]


def read(intake: Intake) -> Snapshot:
    return intake.snapshot({})


def test_an_object_that_breaks_keeps_its_last_good_version() -> None:
    intake = Intake()
    declare(intake, "a.yaml", pool("one", "192.0.2.1"), service("web"))
    before = read(intake)
    declare(intake, "a.yaml", pool("one", "192.0.2.9-192.0.2.1"), service("web"))
    after = read(intake)
    assert before.pools == after.pools
    assert [ManifestProblem.INVALID_RANGE] == reasons(after)
    assert after.pools_certain
    declare(intake, "a.yaml", pool("one", "192.0.2.2"), service("web"))
    assert ("192.0.2.2",) == read(intake).pools["one"].spec.addresses
    assert [] == reasons(read(intake))


def test_an_object_that_was_never_good_is_unread_not_absent() -> None:
    intake = Intake()
    declare(intake, "a.yaml", pool("one", "x"), service("web", sessionAffinity="x", loadBalancerIP="7"))
    snapshot = read(intake)
    assert not snapshot.pools_certain
    assert snapshot.may_exist(ref("web"))
    assert not snapshot.may_exist(ref("other"))


def test_a_file_that_breaks_keeps_all_it_declared() -> None:
    intake = Intake()
    declare(intake, "a.yaml", pool("one", "192.0.2.1"))
    before = read(intake)
    with pytest.raises(ConfigError) as caught:
        parse_documents("a: [", "a.yaml")
    intake.unreadable("a.yaml", caught.value.finding)
    after = read(intake)
    assert before.pools == after.pools
    assert [ManifestProblem.INVALID_YAML] == reasons(after)
    assert not after.files_missing
    intake.unreadable("b.yaml", caught.value.finding)
    assert read(intake).files_missing
    assert read(intake).may_exist(ref("anything"))
    intake.withdraw("b.yaml")
    assert not read(intake).files_missing


@pytest.mark.parametrize(
    "typo",
    [
        ("kind: Service", "kind: Servce"),
        ("kind: Service", "knd: Service"),
        ("apiVersion: v1", "version: v1"),
        ("name: web,", "nme: web,"),
        ("name: web,", "name: 8080,"),
        ("name: web,", "name: Web,"),
        ("spec:\n", "spec:\nspecs:\n"),
    ],
)
def test_a_typo_in_what_names_an_object_releases_nothing(typo: tuple[str, str]) -> None:
    manifest = service("web")
    assert typo[0] in manifest
    intake = Intake()
    declare(intake, "a.yaml", manifest, pool("one", "192.0.2.1"))
    before = read(intake)
    declare(intake, "a.yaml", manifest.replace(*typo), pool("one", "192.0.2.1"))
    after = read(intake)
    assert (before.services, before.pools) == (after.services, after.pools)
    assert 1 == len(after.findings)
    restarted = Intake()
    declare(restarted, "a.yaml", manifest.replace(*typo), pool("one", "192.0.2.1"))
    assert read(restarted).may_exist(ref("web"))
    assert before.pools == read(restarted).pools


def test_a_file_that_goes_takes_its_objects_along() -> None:
    intake = Intake()
    declare(intake, "a.yaml", pool("one", "192.0.2.1"))
    intake.withdraw("a.yaml")
    assert {} == read(intake).pools
    assert frozenset() == intake.origins


def test_of_two_declarations_the_first_file_counts() -> None:
    intake = Intake()
    declare(intake, "b.yaml", pool("one", "192.0.2.2"))
    declare(intake, "a.yaml", pool("one", "192.0.2.1"))
    snapshot = read(intake)
    assert ("192.0.2.1",) == snapshot.pools["one"].spec.addresses
    assert [ManifestProblem.DUPLICATE_OBJECT] == reasons(snapshot)
    assert "a.yaml#1" in snapshot.findings[0].problem


def test_of_overlapping_pools_the_one_in_force_stays() -> None:
    intake = Intake()
    declare(intake, "a.yaml", pool("beta", "192.0.2.0/28"))
    read(intake)
    declare(intake, "b.yaml", pool("alpha", "192.0.2.8-192.0.2.30"))
    snapshot = read(intake)
    assert ["beta"] == list(snapshot.pools)
    assert [ManifestProblem.OVERLAPPING_POOLS] == reasons(snapshot)
    assert "alpha" in str(snapshot.findings[0])
    assert not snapshot.pools_certain


def test_a_pool_that_grows_into_another_keeps_its_old_size() -> None:
    intake = Intake()
    declare(intake, "a.yaml", pool("alpha", "192.0.2.0/28"), pool("beta", "192.0.2.16/28"))
    read(intake)
    declare(intake, "a.yaml", pool("alpha", "192.0.2.0/27"), pool("beta", "192.0.2.16/28"))
    snapshot = read(intake)
    assert {"alpha": ("192.0.2.0/28",), "beta": ("192.0.2.16/28",)} == {
        name: record.spec.addresses for name, record in snapshot.pools.items()
    }
    assert snapshot.pools_certain


def test_metallbs_config_map_becomes_native_objects() -> None:
    intake = Intake()
    declare(intake, "a.yaml", metallb(GOOD))
    snapshot = read(intake)
    assert ("192.0.2.10-192.0.2.20",) == snapshot.pools["default"].spec.addresses
    assert ("default",) == snapshot.l2_advertisements["l2advertisement1"].spec.ip_address_pools
    assert () == snapshot.findings


def test_a_broken_metallb_configuration_leaves_the_last_good_one() -> None:
    intake = Intake()
    declare(intake, "a.yaml", metallb(GOOD))
    before = read(intake)
    for broken in (GOOD.replace("addresses", "adresses"), GOOD + GOOD, "address-pools: ["):
        declare(intake, "a.yaml", metallb(broken))
        for _ in range(2):  # the second reading must not take the broken one for the last good one
            after = read(intake)
            assert (before.pools, before.l2_advertisements) == (after.pools, after.l2_advertisements)
            assert 1 == len(after.findings)
            assert after.pools_certain


def test_a_metallb_configuration_that_was_never_good_makes_pools_uncertain() -> None:
    intake = Intake()
    declare(intake, "a.yaml", metallb("address-pools: 7"))
    assert not read(intake).pools_certain


def test_other_config_maps_are_nobodys_business() -> None:
    intake = Intake()
    declare(intake, "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1}")
    snapshot = read(intake)
    assert snapshot.pools_certain
    assert () == snapshot.findings


def test_a_system_that_is_not_understood_is_passed_over() -> None:
    intake = Intake(Compatibility(systems=frozenset({System.PURELB})))
    annotations = "{metallb.io/loadBalancerIPs: 192.0.2.9, purelb.io/service-group: g, mine: x}"
    declare(intake, "a.yaml", metallb(GOOD), service("web", annotations=annotations))
    snapshot = read(intake)
    (found,) = snapshot.services.values()
    assert {"purelb.io/service-group": "g", "mine": "x"} == found.metadata.annotations
    assert ({}, ()) == (snapshot.pools, snapshot.findings)


def test_a_native_pool_wins_over_metallbs_of_the_same_name() -> None:
    intake = Intake()
    declare(intake, "a.yaml", metallb(GOOD), pool("default", "198.51.100.1"))
    snapshot = read(intake)
    assert ("198.51.100.1",) == snapshot.pools["default"].spec.addresses
    assert [ManifestProblem.DUPLICATE_OBJECT] == reasons(snapshot)


def test_metallbs_objects_and_its_config_map_are_read_together() -> None:
    intake = Intake()
    declare(
        intake,
        "a.yaml",
        metallb(GOOD),
        metallb_object("IPAddressPool", "more", "addresses: [198.51.100.0/24]"),
        metallb_object("L2Advertisement", "more", "ipAddressPools: [more]"),
    )
    snapshot = read(intake)
    assert {"default", "more"} == set(snapshot.pools)
    assert {"l2advertisement1", "more"} == set(snapshot.l2_advertisements)
    assert [] == reasons(snapshot)


def test_metallbs_own_pool_wins_over_the_config_maps_of_the_same_name() -> None:
    intake = Intake()
    declare(intake, "a.yaml", metallb(GOOD), metallb_object("IPAddressPool", "default", "addresses: [198.51.100.0/24]"))
    snapshot = read(intake)
    assert ("198.51.100.0/24",) == snapshot.pools["default"].spec.addresses
    assert [
        "error: a.yaml#1: ConfigMap metallb-system/config: it stands for AddressPool default, as does IPAddressPool "
        "metallb-system/default in a.yaml#2, and that one counts (DuplicateObject); rename or remove one of the two"
    ] == [str(finding) for finding in snapshot.findings]


def test_a_broken_object_of_metallb_keeps_its_last_good_version_and_hides_nothing() -> None:
    intake = Intake()
    other = metallb_object("IPAddressPool", "other", "addresses: [203.0.113.0/24]")
    declare(intake, "a.yaml", metallb_object("IPAddressPool", "p", "addresses: [198.51.100.0/24]"), other)
    before = read(intake)
    declare(intake, "a.yaml", metallb_object("IPAddressPool", "p", "addresses: [198.51.100.1]"), other)
    for _ in range(2):
        after = read(intake)
        assert before.pools == after.pools
        assert ["spec.addresses[0]"] == [finding.field for finding in after.findings]
        assert after.pools_certain
    fresh = Intake()
    declare(fresh, "a.yaml", metallb_object("IPAddressPool", "p", "addresses: [198.51.100.1]"), other)
    assert ["other"] == list(read(fresh).pools)
    assert not read(fresh).pools_certain


def test_a_pool_of_metallb_that_overlaps_a_native_one_is_refused() -> None:
    intake = Intake()
    declare(intake, "b.yaml", pool("native", "192.0.2.0/28"))
    read(intake)
    declare(intake, "a.yaml", metallb_object("IPAddressPool", "foreign", "addresses: [192.0.2.8/29]"))
    snapshot = read(intake)
    assert ["native"] == list(snapshot.pools)
    assert [
        "error: a.yaml#1: IPAddressPool metallb-system/foreign: the pool overlaps pool 'native' (OverlappingPools); give "
        "every address to one pool only"
    ] == [str(finding) for finding in snapshot.findings]
    assert not snapshot.pools_certain


def test_what_stays_in_place_of_a_refused_object_may_contradict_another() -> None:
    """The last good version of `b` contradicts `c`, which has come with the mistake in `b`."""
    a, b, c = (
        metallb_object("Community", name, f"communities: [{{name: {alias}, value: '1:1'}}]")
        for name, alias in zip("abc", "xyz", strict=True)
    )
    intake = Intake()
    declare(intake, "a.yaml", a, b)
    assert [] == reasons(read(intake))
    declare(intake, "a.yaml", a, b.replace("name: y", "name: x"), c.replace("name: z", "name: y"))
    assert ["Community metallb-system/b", "Community metallb-system/c"] == [
        str(finding.subject) for finding in read(intake).findings
    ]
    declare(intake, "a.yaml", a, b, c)
    assert [] == reasons(read(intake))


def test_an_object_whose_last_good_version_is_refused_too_is_reported_once() -> None:
    community = metallb_object("Community", "a", "communities: [{name: x, value: '1:1'}]")
    younger = community.replace("name: a", "name: b").replace("name: x", "name: y")
    intake = Intake()
    declare(intake, "a.yaml", community, younger)
    assert [] == reasons(read(intake))
    both = community.replace("name: x, value: '1:1'", "name: x, value: '1:1'}, {name: y, value: '1:1'")
    declare(intake, "a.yaml", both, younger.replace("name: y", "name: x"))
    snapshot = read(intake)
    assert ["spec.communities[0].name"] == [finding.field for finding in snapshot.findings]
    assert snapshot.may_exist(ObjectRef("Community", "metallb-system", "b"))


def test_the_snapshot_holds_every_kind_where_planning_looks_for_it() -> None:
    intake = Intake()
    declare(
        intake,
        "a.yaml",
        service("web"),
        slice_of("web", "n1"),
        node("n1"),
        advertisement(),
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod}",
    )
    snapshot = read(intake)
    assert [ref("web")] == list(snapshot.services)
    assert ["web-1"] == [member.metadata.name for member in snapshot.endpoint_slices[ref("web")]]
    assert (["n1"], ["all"], ["prod"]) == (
        list(snapshot.nodes),
        list(snapshot.l2_advertisements),
        list(snapshot.namespaces),
    )


def test_a_foreign_pool_that_is_not_in_force_is_not_announced_either() -> None:
    eip = """
apiVersion: network.kubesphere.io/v1alpha2
kind: Eip
metadata: {name: one}
spec: {address: 198.51.100.0/24, protocol: layer2, interface: eth0}
"""
    intake = Intake()
    declare(intake, "a.yaml", pool("one", "192.0.2.0/24"), eip)
    taken = intake.snapshot({})
    assert ["192.0.2.0/24"] == [str(span) for span in taken.pools["one"].spec.spans]
    assert {} == taken.l2_advertisements
    assert [ManifestProblem.DUPLICATE_OBJECT] == [finding.reason for finding in taken.findings]


def test_what_stands_for_a_foreign_object_is_no_earlier_version_of_a_native_one() -> None:
    intake = Intake()
    declare(intake, "wrong", pool("one", "nonsense"))
    declare(intake, "theirs", metallb_object("IPAddressPool", "one", "addresses: [198.51.100.0/24]"))
    first = intake.snapshot({})
    declare(intake, "more", node("n1"))
    second = intake.snapshot({})
    assert first.pools == second.pools
    assert first.findings == second.findings
