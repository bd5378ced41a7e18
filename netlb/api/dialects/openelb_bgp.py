"""OpenELB's BgpConf and BgpPeer, translated into native kinds.

What has a counterpart is carried over; every other field that is set is reported. The checks are those of the native
kinds; their messages come back under the names that OpenELB gives the fields.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from netlb.api.dialects.base import Compatibility, Foreign, Translated, Translation
from netlb.api.dialects.openelb_peers import (
    AddPathsConfig,
    AfiSafi,
    BgpConf,
    BgpConfSpec,
    BgpPeer,
    BgpPeerSpec,
    GracefulRestart,
)
from netlb.api.meta import ObjectMeta, Record
from netlb.api.v1alpha1 import AddPaths, BGPConfiguration, BGPConfigurationSpec, BGPPeer, BGPPeerSpec
from netlb.api.v1alpha1 import GracefulRestart as NativeGracefulRestart
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem

__all__ = ["CNI_LABEL", "KINDS", "translate"]

T = TypeVar("T")

CNI_LABEL = "openelb.kubesphere.io/cni"
"""On a BgpConf or BgpPeer, with any value: the CNI speaks BGP instead."""
_THE_CONF = "default"

KINDS: Mapping[tuple[str, str], type[Record]] = {
    ("network.kubesphere.io/v1alpha2", "BgpConf"): BgpConf,
    ("network.kubesphere.io/v1alpha2", "BgpPeer"): BgpPeer,
}

_HEAD = re.compile(r"(\w+)(\S*): (.*)", re.DOTALL)
_RESTART_FIELDS = {field: f"gracefulRestart.{field}" for field in ("restartTime", "staleRoutesTime", "deferralTime")}
_CONF_FIELDS = {"asn": "as", "asnPerRack": "asPerRack", "routerID": "routerId", **_RESTART_FIELDS}
_PEER_FIELDS = {
    "allowOwnASN": "conf.allowOwnAs",
    "connectTime": "timers.config.connectRetry",
    "holdTime": "timers.config.holdTime",
    "keepaliveTime": "timers.config.keepaliveInterval",
    "localASN": "conf.localAs",
    "multiHopTTL": "ebgpMultihop.multihopTtl",
    "peerASN": "conf.peerAs",
    "peerAddress": "conf.neighborAddress",
    "peerPort": "transport.remotePort",
    "sendMax": "afiSafis",
    "tcpMSS": "transport.tcpMss",
    **_RESTART_FIELDS,
}
_FAMILIES: Mapping[tuple[str, str], Literal["ipv4", "ipv6"]] = {
    ("AFI_IP", "SAFI_UNICAST"): "ipv4",
    ("AFI_IP6", "SAFI_UNICAST"): "ipv6",
}


def translate(objects: Mapping[ObjectRef, Foreign], _compatibility: Compatibility) -> Translation:
    """Translate the BgpConf `default` and all BgpPeers; one that is wrong is refused alone."""
    records: list[Translated] = []
    findings: list[Finding] = []
    refused: dict[ObjectRef, Finding] = {}
    for ref in sorted(objects):
        foreign = objects[ref]
        if not isinstance(foreign.record, BgpConf | BgpPeer):
            continue
        if ignored := _ignored(foreign):
            findings.append(ignored)
            continue
        try:
            record, warnings = _native_record(foreign, foreign.record)
        except ConfigError as error:
            refused[ref] = error.finding
        else:
            records.append(Translated(record, ref))
            findings.extend(warnings)
    return Translation(records=tuple(records), findings=tuple(findings), refused=refused)


def _ignored(foreign: Foreign) -> Finding | None:
    """Return the warning for an object that OpenELB does not use either."""
    metadata = foreign.record.metadata
    if CNI_LABEL in metadata.labels:
        return foreign.warning(
            f"metadata.labels[{CNI_LABEL}]",
            "the object is left to the CNI, so it is not translated",
            "remove the label if netlb is to use the object",
        )
    if isinstance(foreign.record, BgpConf) and metadata.name != _THE_CONF:
        return foreign.warning(
            "metadata.name",
            f"OpenELB uses the BgpConf named {_THE_CONF!r} only, and so does netlb",
            "rename or remove the object",
        )
    return None


def _native_record(foreign: Foreign, record: BgpConf | BgpPeer) -> tuple[Record, list[Finding]]:
    """Return the counterpart of an object, and what of it has no effect; ConfigError says what is wrong with it."""
    if isinstance(record, BgpConf):
        return _configuration(foreign, record.spec)
    return _peer(foreign, record.spec)


def _configuration(foreign: Foreign, spec: BgpConfSpec) -> tuple[BGPConfiguration, list[Finding]]:
    findings: list[Finding] = []
    router_id = spec.router_id
    if router_id and spec.as_per_rack:
        router_id = ""
        findings.append(
            foreign.warning(
                "spec.routerId",
                "with asPerRack each node has its own address as router id",
                "remove the field, or asPerRack",
            )
        )
    findings += _without_effect(foreign, {"spec.families": spec.families}, "name the families in each BgpPeer")
    findings += _without_effect(
        foreign, {"spec.policy": spec.policy}, "set communities, localPref and med in a BGPAdvertisement"
    )
    findings += _restart_state(foreign, spec.graceful_restart)
    native = _native(
        foreign,
        _CONF_FIELDS,
        lambda: BGPConfigurationSpec(
            asn=spec.asn or None,
            asn_per_rack=spec.as_per_rack,
            router_id=router_id,
            listen_port=spec.listen_port or 179,
            listen_addresses=spec.listen_addresses,
            use_multiple_paths=spec.use_multiple_paths,
            graceful_restart=_restart(spec.graceful_restart),
        ),
    )
    return BGPConfiguration(metadata=ObjectMeta(name=_THE_CONF), spec=native), findings


def _peer(foreign: Foreign, spec: BgpPeerSpec) -> tuple[BGPPeer, list[Finding]]:
    conf, timers, transport = spec.conf, spec.timers.config, spec.transport
    if (not conf.neighbor_address) == (not conf.neighbor_interface):
        raise ConfigError(
            foreign.error(
                "spec.conf.neighborAddress",
                "a peer needs either neighborAddress or neighborInterface",
                "give one of the two",
            )
        )
    if not conf.peer_as:
        raise ConfigError(
            foreign.error("spec.conf.peerAs", "the field is required and missing", "add the router's number")
        )
    families, add_paths, findings = _families(foreign, spec.afi_safis)
    native = _native(
        foreign,
        _PEER_FIELDS,
        lambda: BGPPeerSpec(
            peer_asn=conf.peer_as,
            local_asn=conf.local_as or None,
            peer_address=conf.neighbor_address,
            interface=conf.neighbor_interface,
            peer_port=transport.remote_port or 179,
            hold_time=_seconds(timers.hold_time),
            keepalive_time=_seconds(timers.keepalive_interval),
            connect_time=_seconds(timers.connect_retry),
            node_selectors=() if spec.node_selector is None else (spec.node_selector,),
            password=conf.auth_password,
            ebgp_multi_hop=spec.ebgp_multihop.enabled,
            multi_hop_ttl=(spec.ebgp_multihop.multihop_ttl or None) if spec.ebgp_multihop.enabled else None,
            passive=transport.passive_mode,
            vrf=conf.vrf,
            graceful_restart=_restart(spec.graceful_restart),
            address_families=families,
            add_paths=AddPaths(receive=add_paths.receive, send_max=add_paths.send_max),
            allow_own_asn=conf.allow_own_as,
            remove_private_asn=_PRIVATE[conf.remove_private_as],
            replace_peer_asn=conf.replace_peer_as,
            mtu_discovery=transport.mtu_discovery,
            tcp_mss=transport.tcp_mss or None,
            disabled=conf.admin_down,
            description=conf.description,
        ),
    )
    warnings: list[Finding] = []
    if conf.auth_password:
        warnings.append(
            foreign.warning(
                "spec.conf.authPassword",
                "the password stands in clear text in the manifest",
                "declare a BGPPeer of netlb with passwordSecret instead",
                ManifestProblem.CLEAR_TEXT,
            )
        )
    unknown_to_us = {
        "spec.conf.peerGroup": conf.peer_group,
        "spec.conf.peerType": conf.peer_type,
        "spec.conf.routeFlapDamping": conf.route_flap_damping,
        "spec.conf.sendCommunity": conf.send_community,
        "spec.timers.config.minimumAdvertisementInterval": timers.minimum_advertisement_interval,
        "spec.transport.remoteAddress": transport.remote_address,
        "spec.ebgpMultihop.multihopTtl": spec.ebgp_multihop.multihop_ttl and not spec.ebgp_multihop.enabled,
    }
    warnings += _without_effect(foreign, unknown_to_us, "remove it")
    warnings += _restart_state(foreign, spec.graceful_restart)
    return BGPPeer(metadata=ObjectMeta(name=foreign.record.metadata.name), spec=native), warnings + findings


_PRIVATE: Mapping[str, Literal["all", "replace"] | None] = {"": None, "NONE": None, "ALL": "all", "REPLACE": "replace"}


def _families(
    foreign: Foreign, afi_safis: Sequence[AfiSafi]
) -> tuple[tuple[Literal["ipv4", "ipv6"], ...], AddPathsConfig, list[Finding]]:
    """Return the families of a session, their common ADD-PATH setting, and what of it has no effect."""
    if not afi_safis:
        return (), AddPathsConfig(send_max=10), []  # OpenELB's default
    families: list[Literal["ipv4", "ipv6"]] = []
    settings: list[AddPathsConfig] = []
    findings: list[Finding] = []
    for index, one in enumerate(afi_safis):
        field = f"spec.afiSafis[{index}]"
        findings += _without_effect(
            foreign, {f"{field}.mpGracefulRestart": one.mp_graceful_restart}, "set gracefulRestart of the peer"
        )
        if one.config is not None:
            family = _FAMILIES.get((one.config.family.afi, one.config.family.safi))
            if family is None or not one.config.enabled:
                remedy = "enable AFI_IP or AFI_IP6 with SAFI_UNICAST, or remove it"
                findings += _without_effect(foreign, {field: True}, remedy)
                continue
            families.append(family)
        settings.append(one.add_paths.config)
    if any(setting != settings[0] for setting in settings):
        findings.append(
            foreign.warning(
                "spec.afiSafis",
                "addPaths differs between families; the most that any of them has is used for all",
                "give every family the same addPaths",
            )
        )
    if len(families) < len(settings):
        families = []  # One is that of the session itself, which is what no family at all means.
    add_paths = AddPathsConfig(
        receive=any(setting.receive for setting in settings),
        send_max=max((setting.send_max for setting in settings), default=0),
    )
    return tuple(dict.fromkeys(families)), add_paths, findings


def _restart(theirs: GracefulRestart | None) -> NativeGracefulRestart | None:
    if theirs is None:
        return None
    return NativeGracefulRestart(
        enabled=theirs.enabled,
        restart_time=theirs.restart_time or NativeGracefulRestart().restart_time,
        stale_routes_time=theirs.stale_routes_time or None,
        deferral_time=theirs.deferral_time or None,
        helper_only=theirs.helper_only,
        notification_enabled=theirs.notification_enabled,
        longlived_enabled=theirs.longlived_enabled,
    )


def _restart_state(foreign: Foreign, theirs: GracefulRestart | None) -> list[Finding]:
    if theirs is None:
        return []
    state = {
        "spec.gracefulRestart.peerRestartTime": theirs.peer_restart_time,
        "spec.gracefulRestart.peerRestarting": theirs.peer_restarting,
        "spec.gracefulRestart.localRestarting": theirs.local_restarting,
        "spec.gracefulRestart.mode": theirs.mode,
    }
    return _without_effect(foreign, state, "remove it")


def _seconds(text: str) -> str:
    return f"{int(text)}s" if text and int(text) else ""


def _without_effect(foreign: Foreign, fields: Mapping[str, object], remedy: str) -> list[Finding]:
    """Return a warning for each of these fields that is set."""
    problem = "netlb has no such setting, so the field has no effect"
    return [foreign.warning(field, problem, remedy) for field, value in fields.items() if value]


def _native(foreign: Foreign, names: Mapping[str, str], build: Callable[[], T]) -> T:
    """Build a native spec; ConfigError gives what it refuses the name that the field has here."""
    try:
        return build()
    except ValueError as error:
        matched = _HEAD.match(str(error))
        field, rest, problem = matched.groups() if matched else ("", "", str(error))
        raise ConfigError(
            foreign.error(f"spec.{names.get(field, field)}{rest}", problem, "correct the field")
        ) from None
