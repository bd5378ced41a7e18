"""OpenELB's objects: what they become, what is refused, and what one Eip says about another.

Long, for it is the tables of one grammar, field by field, with one way of writing an object.
"""

import pytest

from netlb.api.dialects import DEFAULT, DIALECTS, System, Translation
from netlb.api.intake import Intake
from netlb.api.meta import LabelSelector, Record
from netlb.api.v1alpha1 import (
    AddPaths,
    AddressPoolSpec,
    BGPAdvertisement,
    BGPAdvertisementSpec,
    BGPConfiguration,
    BGPConfigurationSpec,
    BGPPeer,
    BGPPeerSpec,
    GracefulRestart,
    L2Advertisement,
    L2AdvertisementSpec,
    ServiceAllocation,
)
from netlb.errors import ConfigError
from netlb.findings import ObjectRef, Severity
from netlb.reasons import ManifestProblem
from tests.manifests import declare, pool
from tests.support.translation import foreign, pools, records, said

DEFAULT_MARK = "eip.openelb.kubesphere.io/is-default-eip"


def eip(spec: str, name: str = "e", metadata: str = "", version: str = "v1alpha2") -> str:
    return f"""
apiVersion: network.kubesphere.io/{version}
kind: Eip
metadata: {{name: {name}{metadata}}}
spec: {{{spec}}}
status: {{occupied: false, used: {{192.0.2.1: a/b}}, whatever: 1}}
"""


def default(spec: str, name: str = "e", value: str = "true", more: str = "") -> str:
    return eip(spec, name, f', annotations: {{{DEFAULT_MARK}: "{value}"}}{more}')


def bgp(kind: str, spec: str, name: str = "default", labels: str = "{}") -> str:
    return f"""
apiVersion: network.kubesphere.io/v1alpha2
kind: {kind}
metadata: {{name: {name}, labels: {labels}}}
spec: {spec}
status: {{nodesPeerStatus: {{n1: {{peerState: {{authPassword: hunter2}}}}}}}}
"""


PEER = "conf: {peerAs: 64501, neighborAddress: 192.0.2.1}"


def peer(more: str = "", conf: str = "") -> str:
    head = PEER.replace("}", f", {conf}}}") if conf else PEER
    return bgp("BgpPeer", f"{{{head}{', ' if more else ''}{more}}}", name="tor")


def read(*manifests: str) -> Translation:
    objects = foreign(*manifests)
    parts = [translate(objects, DEFAULT) for translate in DIALECTS[System.OPENELB]]
    return Translation(
        records=tuple(one for part in parts for one in part.records),
        findings=tuple(one for part in parts for one in part.findings),
        refused={ref: one for part in parts for ref, one in part.refused.items()},
    )


def spec_of(addresses: str, protocol: str = "bgp", **fields: object) -> AddressPoolSpec:
    given: dict[str, object] = {"auto_assign": False, "sharing": "cluster", **fields}
    return AddressPoolSpec(addresses=(addresses,), protocol=protocol, **given)  # type: ignore[arg-type]


L2 = "protocol: layer2, interface: eth0"


@pytest.mark.parametrize(
    ("spec", "native", "warnings"),
    [
        ("address: 192.0.2.1", spec_of("192.0.2.1"), []),
        # Host bits are cleared; the first and the last address are handed out.
        ("address: 192.0.2.1/24", spec_of("192.0.2.0/24"), []),
        ("address: 192.0.2.10-192.0.2.20", spec_of("192.0.2.10-192.0.2.20"), []),
        ("address: '2001:db8::/32'", spec_of("2001:db8::/32"), []),
        ("address: 192.0.2.1, protocol: bgp, interface: eth0", spec_of("192.0.2.1"), []),
        ("address: 192.0.2.1, usingKnownIPs: true", spec_of("192.0.2.1"), []),
        ("address: 192.0.2.1, disable: true", spec_of("192.0.2.1", disabled=True), []),
        # Without namespaces nothing compares the priority with anything.
        ("address: 192.0.2.1, priority: 3", spec_of("192.0.2.1"), []),
        (f"address: 192.0.2.1, {L2}", spec_of("192.0.2.1", "layer2"), []),
        ("address: 192.0.2.1, protocol: vip, interface: eth0", spec_of("192.0.2.1", "layer2"), ["spec.protocol"]),
        (
            "address: 192.0.2.1, protocol: layer2, interface: 'can_reach:192.0.2.254'",
            spec_of("192.0.2.1", "layer2"),
            ["spec.interface"],
        ),
        (
            "address: 192.0.2.1, namespaces: [a, b, a]",
            spec_of(
                "192.0.2.1",
                auto_assign=True,
                service_allocation=ServiceAllocation(priority=1, namespaces=("a", "b")),
            ),
            [],
        ),
        (
            "address: 192.0.2.1, namespaceSelector: {team: x, env: y}, priority: 7",
            spec_of(
                "192.0.2.1",
                auto_assign=True,
                service_allocation=ServiceAllocation(
                    priority=8, namespace_selectors=(LabelSelector(match_labels={"team": "x", "env": "y"}),)
                ),
            ),
            [],
        ),
        # An empty selector matches every namespace.
        (
            "address: 192.0.2.1, namespaceSelector: {}, priority: -2",
            spec_of(
                "192.0.2.1",
                auto_assign=True,
                service_allocation=ServiceAllocation(priority=-2, namespace_selectors=(LabelSelector(),)),
            ),
            [],
        ),
    ],
)
def test_an_eip_becomes_a_pool(spec: str, native: AddressPoolSpec, warnings: list[str]) -> None:
    translation = read(eip(spec))
    assert {} == translation.refused
    assert {"e": native} == pools(translation)
    assert [("e", field) for field in warnings] == said(translation.findings)


@pytest.mark.parametrize(
    ("spec", "kind", "native"),
    [
        ("", BGPAdvertisement, BGPAdvertisementSpec(ip_address_pools=("e",))),
        (f", {L2}", L2Advertisement, L2AdvertisementSpec(ip_address_pools=("e",), interfaces=("eth0",))),
        (
            ", protocol: vip, interface: bond0.7",
            L2Advertisement,
            L2AdvertisementSpec(
                ip_address_pools=("e",), interfaces=("bond0.7",), group="openelb-vip-bond0.7", revertive=False
            ),
        ),
        (
            ", protocol: layer2, interface: 'can_reach:2001:db8::1'",
            L2Advertisement,
            L2AdvertisementSpec(ip_address_pools=("e",)),
        ),
    ],
)
def test_an_eip_announces_its_own_pool(spec: str, kind: type[Record], native: object) -> None:
    _, advertisement = records(read(eip("address: 192.0.2.1" + spec)))
    assert isinstance(advertisement, kind)
    assert ("e", native) == (advertisement.metadata.name, getattr(advertisement, "spec", None))


def test_what_counts_for_seniority_and_selectors_goes_along() -> None:
    stamp = "2024-01-02T03:04:05Z"
    (pool_record, _) = records(
        read(eip("address: 192.0.2.1", metadata=f", creationTimestamp: '{stamp}', labels: {{a: b}}"))
    )
    assert (stamp, {"a": "b"}) == (pool_record.metadata.creation_timestamp, pool_record.metadata.labels)


def test_an_eip_of_v1alpha1_has_no_interface() -> None:
    translation = read(eip("address: 192.0.2.0/24, protocol: layer2, disable: true", version="v1alpha1"))
    _, advertisement = records(translation)
    assert {"e": spec_of("192.0.2.0/24", "layer2", disabled=True)} == pools(translation)
    assert isinstance(advertisement, L2Advertisement)
    assert () == advertisement.spec.interfaces


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (eip("address: 192.0.2.0/255.255.255.0"), "e: spec.address: '192.0.2.0/255.255.255.0' is not a prefix"),
        (eip("address: 192.0.2.9-192.0.2.1"), "its first address is above its last (InvalidRange)"),
        (eip("address: '192.0.2.1-2001:db8::1'"), "begins in IPv4 and ends in IPv6"),
        (eip("address: 192.0.2.1-192.0.2.5-192.0.2.9"), "is not an IPv4 or IPv6 address"),
        (eip("address: anything"), "'anything' is not an IPv4 or IPv6 address"),
        (eip("address: 224.0.0.0/24"), "holds no address that a single station can have"),
        (eip("address: '::/127'"), "holds no address that a single station can have"),
        (eip("address: 192.0.2.1, protocol: layer2"), "spec.interface: protocol layer2 needs an interface"),
        (eip("address: 192.0.2.1, protocol: vip"), "spec.interface: protocol vip needs an interface"),
        (
            eip("address: 192.0.2.1, protocol: layer2, interface: 'can_reach:router'"),
            "spec.interface: 'router' is not an IPv4 or IPv6 address",
        ),
        (
            eip("address: 192.0.2.1, protocol: layer2, interface: 'reaches:192.0.2.9'"),
            "spec.interface: 'reaches:192.0.2.9' is neither the name of an interface nor can_reach:ADDRESS",
        ),
        (eip("address: '2001:db8::1'", version="v1alpha1"), "an Eip of v1alpha1 holds IPv4 addresses"),
        (peer(conf="neighborInterface: eth0"), "tor: spec.conf.neighborAddress: a peer needs either"),
        (bgp("BgpPeer", "{conf: {peerAs: 1}}"), "spec.conf.neighborAddress: a peer needs either"),
        (bgp("BgpPeer", "{conf: {neighborAddress: 192.0.2.1}}"), "spec.conf.peerAs: the field is required"),
        (bgp("BgpPeer", "{conf: {peerAs: 1, neighborAddress: tor}}"), "spec.conf.neighborAddress: 'tor' is not"),
        (bgp("BgpPeer", "{conf: {peerAs: -1, neighborAddress: 192.0.2.1}}"), "spec.conf.peerAs: -1 is not from 1"),
        (peer("timers: {config: {holdTime: '2'}}"), "spec.timers.config.holdTime: BGP allows 0 or 3 to 65535"),
        (
            peer("timers: {config: {holdTime: '9', keepaliveInterval: '10'}}"),
            "spec.timers.config.keepaliveInterval: it is longer than holdTime",
        ),
        (peer("transport: {remotePort: 70000}"), "spec.transport.remotePort: 70000 is not from 1 to 65535"),
        (peer("ebgpMultihop: {enabled: true, multihopTtl: 256}"), "spec.ebgpMultihop.multihopTtl: 256 is not from"),
        (peer("gracefulRestart: {restartTime: 5000}"), "spec.gracefulRestart.restartTime: 5000 is not from 1"),
        (bgp("BgpConf", "{as: 5000000000}"), "spec.as: 5000000000 is not from 1 to 4294967295"),
        (bgp("BgpConf", "{asPerRack: {r1: 0}}"), "spec.asPerRack.r1: 0 is not from 1"),
        (bgp("BgpConf", "{routerId: '::1'}"), "spec.routerId: '::1' is not written as an IPv4 address"),
        (bgp("BgpConf", "{listenAddresses: [192.0.2.1, x]}"), "spec.listenAddresses[1]: 'x' is not"),
    ],
)
def test_what_is_wrong_is_refused_alone(manifest: str, message: str) -> None:
    translation = read(manifest, eip("address: 198.51.100.1", "good"))
    (finding,) = translation.refused.values()
    assert message in str(finding)
    assert Severity.ERROR is finding.severity
    assert ["good"] == list(pools(translation))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (eip("adress: 192.0.2.1"), "spec.adress: there is no such field (UnknownField); did you mean 'address'?"),
        (eip("priority: 1"), "spec.address: the field is required and missing"),
        (eip("address: 192.0.2.1, protocol: arp"), "spec.protocol: Invalid enum value 'arp'"),
        (eip("address: 192.0.2.1, protocol: vip", version="v1alpha1"), "spec.protocol: Invalid enum value 'vip'"),
        (eip("address: 192.0.2.1, interface: eth0", version="v1alpha1"), "spec.interface: there is no such field"),
        (peer(conf="authPasswd: x"), "spec.conf.authPasswd: there is no such field"),
        (peer("timers: {config: {holdTime: soon}}"), "spec.timers.config.holdTime: 'soon' is not a number of seconds"),
        (peer("timers: {config: {holdTime: 90}}"), "put the value in quotes"),
        (peer(conf="authPassword: 12345678"), "spec.conf.authPassword: expected str, got int"),
        (bgp("BgpConf", "{asn: 1}"), "spec.asn: there is no such field"),
    ],
)
def test_what_the_grammar_does_not_have_is_refused_at_the_door(manifest: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        foreign(manifest)
    assert message in str(caught.value)
    assert "12345678" not in str(caught.value)


def test_the_default_eip_serves_everyone() -> None:
    translation = read(default("address: 192.0.2.1"))
    assert spec_of("192.0.2.1", auto_assign=True) == pools(translation)["e"]
    assert () == translation.findings


def test_a_default_eip_that_is_bound_is_not_fenced_and_says_so() -> None:
    translation = read(default("address: 192.0.2.1, namespaces: [a]"))
    assert spec_of("192.0.2.1", auto_assign=True) == pools(translation)["e"]
    assert [("e", "spec.namespaces")] == said(translation.findings)


@pytest.mark.parametrize(
    ("more", "senior"),
    [
        (("", ""), "a"),
        ((", creationTimestamp: '2024-01-02T00:00:00Z'", ", creationTimestamp: '2024-01-01T00:00:00Z'"), "b"),
        (("", ", creationTimestamp: '2024-01-01T00:00:00Z'"), "b"),
    ],
)
def test_of_two_default_eips_the_senior_counts(more: tuple[str, str], senior: str) -> None:
    translation = read(
        default("address: 192.0.2.1", "a", more=more[0]), default("address: 192.0.2.2", "b", more=more[1])
    )
    (junior,) = {"a", "b"} - {senior}
    assert {senior: True, junior: False} == {name: spec.auto_assign for name, spec in pools(translation).items()}
    assert [(junior, f"metadata.annotations[{DEFAULT_MARK}]")] == said(translation.findings)
    assert f"Eip {senior} is the default already" in translation.findings[0].problem


def test_a_disabled_default_eip_stands_back() -> None:
    translation = read(default("address: 192.0.2.1, disable: true", "a"), default("address: 192.0.2.2", "b"))
    assert {"a": False, "b": True} == {name: spec.auto_assign for name, spec in pools(translation).items()}


def test_a_refused_eip_cannot_be_the_default() -> None:
    translation = read(default("address: x", "a"), default("address: 192.0.2.2", "b"))
    assert {"b": True} == {name: spec.auto_assign for name, spec in pools(translation).items()}
    assert () == translation.findings


def test_a_mark_that_the_allocator_does_not_take_is_none() -> None:
    translation = read(
        default("address: 192.0.2.1", value="True"), default("address: 192.0.2.2", "plain", value="false")
    )
    assert {"e": False, "plain": False} == {name: spec.auto_assign for name, spec in pools(translation).items()}
    assert [("e", f"metadata.annotations[{DEFAULT_MARK}]")] == said(translation.findings)


def test_a_bound_eip_that_loses_the_mark_is_fenced() -> None:
    translation = read(default("address: 192.0.2.1", "a"), default("address: 192.0.2.2, namespaces: [x]", "b"))
    allocation = pools(translation)["b"].service_allocation
    assert ServiceAllocation(priority=1, namespaces=("x",)) == allocation


CONF = """
  as: 64500
  asPerRack: {r1: 64510}
  listenPort: 17900
  listenAddresses: [192.0.2.7]
  useMultiplePaths: true
  gracefulRestart: {enabled: true, restartTime: 60, deferralTime: 5, staleRoutesTime: 9, longlivedEnabled: true}
"""


def test_bgp_conf_becomes_the_configuration() -> None:
    translation = read(bgp("BgpConf", CONF))
    (configuration,) = records(translation)
    assert isinstance(configuration, BGPConfiguration)
    assert (
        BGPConfigurationSpec(
            asn=64500,
            asn_per_rack={"r1": 64510},
            listen_port=17900,
            listen_addresses=("192.0.2.7",),
            use_multiple_paths=True,
            graceful_restart=GracefulRestart(
                restart_time=60, deferral_time=5, stale_routes_time=9, longlived_enabled=True
            ),
        )
        == configuration.spec
    )
    assert [] == said(translation.findings)


def test_gobgps_zeros_mean_its_defaults() -> None:
    (configuration,) = records(read(bgp("BgpConf", "{as: 1, routerId: 192.0.2.1, gracefulRestart: {}}")))
    assert isinstance(configuration, BGPConfiguration)
    assert (
        BGPConfigurationSpec(asn=1, router_id="192.0.2.1", graceful_restart=GracefulRestart(enabled=False))
        == configuration.spec
    )
    (silent,) = records(read(bgp("BgpConf", "{as: 1, listenPort: -1}")))
    assert isinstance(silent, BGPConfiguration)
    assert -1 == silent.spec.listen_port
    (unhurried,) = records(read(peer("timers: {config: {holdTime: '0', keepaliveInterval: '007'}}")))
    assert isinstance(unhurried, BGPPeer)
    assert ("", "7s") == (unhurried.spec.hold_time, unhurried.spec.keepalive_time)


def test_a_peer_keeps_all_that_has_a_counterpart() -> None:
    translation = read(
        peer(
            "ebgpMultihop: {enabled: true, multihopTtl: 3},"
            "timers: {config: {holdTime: '30', keepaliveInterval: '10', connectRetry: '5'}},"
            "transport: {mtuDiscovery: true, passiveMode: true, remotePort: 1790, tcpMss: 1400},"
            "gracefulRestart: {enabled: true, helperOnly: true, notificationEnabled: true},"
            "nodeSelector: {matchLabels: {rack: r1}},"
            "afiSafis: [{config: {family: {afi: AFI_IP, safi: SAFI_UNICAST}, enabled: true},"
            " addPaths: {config: {sendMax: 4, receive: true}}},"
            " {config: {family: {afi: AFI_IP6, safi: SAFI_UNICAST}, enabled: true},"
            " addPaths: {config: {sendMax: 4, receive: true}}}]",
            conf="localAs: 64999, description: ToR, vrf: red, allowOwnAs: 2, replacePeerAs: true, adminDown: true,"
            " removePrivateAs: REPLACE",
        )
    )
    (record,) = records(translation)
    assert isinstance(record, BGPPeer)
    assert (
        BGPPeerSpec(
            peer_asn=64501,
            local_asn=64999,
            peer_address="192.0.2.1",
            peer_port=1790,
            hold_time="30s",
            keepalive_time="10s",
            connect_time="5s",
            node_selectors=(LabelSelector(match_labels={"rack": "r1"}),),
            ebgp_multi_hop=True,
            multi_hop_ttl=3,
            passive=True,
            vrf="red",
            graceful_restart=GracefulRestart(helper_only=True, notification_enabled=True),
            address_families=("ipv4", "ipv6"),
            add_paths=AddPaths(receive=True, send_max=4),
            allow_own_asn=2,
            remove_private_asn="replace",
            replace_peer_asn=True,
            mtu_discovery=True,
            tcp_mss=1400,
            disabled=True,
            description="ToR",
        )
        == record.spec
    )
    assert [] == said(translation.findings)


@pytest.mark.parametrize(
    ("afi_safis", "families", "paths", "warnings"),
    [
        # OpenELB's default: ten paths in the family of the peer's address.
        ("[]", (), AddPaths(send_max=10), []),
        ("[{addPaths: {config: {sendMax: 2}}}]", (), AddPaths(send_max=2), []),
        (
            "[{}, {config: {enabled: true, family: {afi: AFI_IP6, safi: SAFI_UNICAST}}}]",
            (),
            AddPaths(),
            [],
        ),
        (
            "[{config: {enabled: true, family: {afi: AFI_IP, safi: SAFI_UNICAST}}},"
            " {config: {enabled: true, family: {afi: AFI_IP6, safi: SAFI_UNICAST}}, addPaths: {config: {sendMax: 3}}}]",
            ("ipv4", "ipv6"),
            AddPaths(send_max=3),
            ["spec.afiSafis"],
        ),
        (
            "[{config: {enabled: true, family: {afi: AFI_L2VPN, safi: SAFI_EVPN}}},"
            " {config: {family: {afi: AFI_IP, safi: SAFI_UNICAST}}, mpGracefulRestart: {config: {enabled: true}}}]",
            (),
            AddPaths(),
            ["spec.afiSafis[0]", "spec.afiSafis[1].mpGracefulRestart", "spec.afiSafis[1]"],
        ),
    ],
)
def test_families_and_paths_of_a_session(
    afi_safis: str, families: tuple[str, ...], paths: AddPaths, warnings: list[str]
) -> None:
    translation = read(peer(f"afiSafis: {afi_safis}"))
    (record,) = records(translation)
    assert isinstance(record, BGPPeer)
    assert (families, paths) == (record.spec.address_families, record.spec.add_paths)
    assert [("tor", field) for field in warnings] == said(translation.findings)


@pytest.mark.parametrize(
    ("manifest", "fields"),
    [
        (peer(conf="peerGroup: g"), ["spec.conf.peerGroup"]),
        (peer(conf="peerType: 1"), ["spec.conf.peerType"]),
        (peer(conf="routeFlapDamping: true"), ["spec.conf.routeFlapDamping"]),
        (peer(conf="sendCommunity: 3"), ["spec.conf.sendCommunity"]),
        (
            peer("timers: {config: {minimumAdvertisementInterval: '5'}}"),
            ["spec.timers.config.minimumAdvertisementInterval"],
        ),
        (peer("transport: {remoteAddress: 192.0.2.9}"), ["spec.transport.remoteAddress"]),
        (peer("ebgpMultihop: {multihopTtl: 3}"), ["spec.ebgpMultihop.multihopTtl"]),
        (
            peer("gracefulRestart: {peerRestartTime: 1, peerRestarting: true, localRestarting: true, mode: x}"),
            [
                f"spec.gracefulRestart.{field}"
                for field in ("peerRestartTime", "peerRestarting", "localRestarting", "mode")
            ],
        ),
        (bgp("BgpConf", "{as: 1, policy: p}"), ["spec.policy"]),
        (bgp("BgpConf", "{as: 1, families: [65537]}"), ["spec.families"]),
        (bgp("BgpConf", "{as: 1, asPerRack: {r: 2}, routerId: 192.0.2.1}"), ["spec.routerId"]),
    ],
)
def test_what_has_no_counterpart_is_said(manifest: str, fields: list[str]) -> None:
    translation = read(manifest)
    assert 1 == len(translation.records)
    assert [*fields] == [finding.field for finding in translation.findings]
    assert {ManifestProblem.NOT_HONOURED} == {finding.reason for finding in translation.findings}


def test_a_password_is_carried_over_and_never_said() -> None:
    translation = read(peer(conf="authPassword: hunter2"))
    (record,) = records(translation)
    assert isinstance(record, BGPPeer)
    assert "hunter2" == record.spec.password
    assert ["spec.conf.authPassword"] == [finding.field for finding in translation.findings]
    assert ManifestProblem.CLEAR_TEXT is translation.findings[0].reason
    assert "hunter2" not in "".join(map(str, translation.findings))
    wrong = read(peer("transport: {remotePort: 70000}", conf="authPassword: hunter2"))
    assert "hunter2" not in "".join(map(str, wrong.refused.values()))


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        (bgp("BgpConf", "{as: 1}", name="other"), "metadata.name"),
        (bgp("BgpConf", "{as: 1}", labels="{openelb.kubesphere.io/cni: calico}"), "cni"),
        (bgp("BgpPeer", f"{{{PEER}}}", labels="{openelb.kubesphere.io/cni: calico}"), "cni"),
    ],
)
def test_what_openelb_leaves_to_others_is_not_translated(manifest: str, field: str) -> None:
    translation = read(manifest)
    assert ((), {}) == (translation.records, translation.refused)
    (finding,) = translation.findings
    assert field in finding.field


def test_an_eip_with_the_label_of_a_cni_is_served() -> None:
    assert ["e"] == list(pools(read(eip("address: 192.0.2.1", metadata=", labels: {openelb.kubesphere.io/cni: x}"))))


# At the door


def test_the_last_good_version_of_an_eip_stays_in_force() -> None:
    intake = Intake()
    declare(intake, "a.yaml", eip("address: 192.0.2.1"), eip("address: 192.0.2.2", "other"))
    before = intake.snapshot({})
    for broken in (eip("address: x"), eip("adress: 192.0.2.1")):
        declare(intake, "a.yaml", broken, eip("address: 192.0.2.2", "other"))
        for _ in range(2):
            after = intake.snapshot({})
            assert before.pools == after.pools
            assert [Severity.ERROR] == [finding.severity for finding in after.findings]
            assert after.pools_certain


def test_an_eip_that_was_never_good_makes_pools_uncertain() -> None:
    intake = Intake()
    declare(intake, "a.yaml", eip("address: x"))
    assert not intake.snapshot({}).pools_certain


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (pool("alpha", "192.0.2.0/28"), eip("address: 192.0.2.5", "beta"), ManifestProblem.OVERLAPPING_POOLS),
        (
            eip("address: 192.0.2.0/28", "alpha"),
            eip("address: 192.0.2.5-192.0.2.9", "beta"),
            ManifestProblem.OVERLAPPING_POOLS,
        ),
        (pool("beta", "192.0.2.1"), eip("address: 198.51.100.1", "beta"), ManifestProblem.DUPLICATE_OBJECT),
        (
            eip("address: 192.0.2.1", "beta"),
            eip("address: 198.51.100.1", "beta", version="v1alpha1"),
            ManifestProblem.DUPLICATE_OBJECT,
        ),
    ],
)
def test_an_address_and_a_name_belong_to_one_pool(first: str, second: str, reason: ManifestProblem) -> None:
    intake = Intake()
    declare(intake, "a.yaml", first, second)
    snapshot = intake.snapshot({})
    assert 1 == len(snapshot.pools)
    (finding,) = (finding for finding in snapshot.findings if finding.severity is Severity.ERROR)
    assert (reason, ObjectRef("Eip", "", "beta")) == (finding.reason, finding.subject)
