"""OpenYurt Raven's Gateways: `raven.openyurt.io` v1beta1 and v1alpha1, translated into native ones.

Read as Raven v0.4 and OpenYurt v1.7 read them, with what their webhook fills in. What its webhook forbids because Raven
cannot do it is taken: endpoints of which some are behind a NAT and some are not, and several active ones.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import msgspec

from netlb.api.dialects.base import Compatibility, Foreign, Translated, Translation
from netlb.api.meta import LabelSelector, ObjectMeta, Record
from netlb.api.v1alpha1 import Gateway, GatewayEndpoint, GatewaySpec
from netlb.api.v1alpha1.base import Spec
from netlb.api.v1alpha1.gateways import NatType
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.net import parse_prefix
from netlb.reasons import ManifestProblem

__all__ = ["EXTRA_CIDRS", "KINDS", "RavenGateway", "RavenGatewayV1Alpha1", "translate"]

EXTRA_CIDRS = "raven.openyurt.io/extra-allowed-source-cidrs"
"""Annotation: prefixes, separated by commas, that are added to those of the active endpoint's node."""

_PORT = 4500
"""Where Raven's tunnels end unless told otherwise: IPsec's port for NAT traversal, which its WireGuard uses as well."""
_KIND = "Gateway.raven.openyurt.io"
"""Written as kubectl takes it, for a native Gateway may have the same name."""


class ProxyConfig(Spec, frozen=True, kw_only=True):
    """Of the L7 proxy."""

    replicas: int = msgspec.field(default=0, name="Replicas")
    proxy_http_port: str = msgspec.field(default="", name="proxyHTTPPort")
    proxy_https_port: str = msgspec.field(default="", name="proxyHTTPSPort")


class TunnelConfig(Spec, frozen=True, kw_only=True):
    """Of the L3 tunnel."""

    replicas: int = msgspec.field(default=0, name="Replicas")


class RavenEndpoint(Spec, frozen=True, kw_only=True):
    """`v1beta1.Endpoint`."""

    node_name: str
    type: str
    """`tunnel` or `proxy`."""
    port: int = 0
    under_nat: bool = msgspec.field(default=False, name="underNAT")
    nat_type: str = ""
    """As the STUN client that Raven uses calls it, as in `Symmetric NAT`."""
    public_ip: str = msgspec.field(default="", name="publicIP")
    public_port: int = 0
    config: dict[str, str] = {}
    """`publicKey` is the key that Raven's agent made for WireGuard."""


class RavenGatewaySpec(Spec, frozen=True, kw_only=True):
    """`v1beta1.GatewaySpec`."""

    node_selector: LabelSelector | None = None
    proxy_config: ProxyConfig = ProxyConfig()
    tunnel_config: TunnelConfig = TunnelConfig()
    endpoints: tuple[RavenEndpoint, ...] = ()
    expose_type: str = ""


class RavenGateway(Record, frozen=True, kw_only=True):
    """`raven.openyurt.io/v1beta1 Gateway`; its status is not read."""

    NAMESPACED: ClassVar[bool] = False
    KIND: ClassVar[str] = _KIND

    spec: RavenGatewaySpec = RavenGatewaySpec()


class RavenEndpointV1Alpha1(Spec, frozen=True, kw_only=True):
    """`v1alpha1.Endpoint`: each is a tunnel's."""

    node_name: str
    under_nat: bool = msgspec.field(default=False, name="underNAT")
    public_ip: str = msgspec.field(default="", name="publicIP")
    config: dict[str, str] = {}


class RavenGatewayV1Alpha1Spec(Spec, frozen=True, kw_only=True):
    """`v1alpha1.GatewaySpec`."""

    node_selector: LabelSelector | None = None
    endpoints: tuple[RavenEndpointV1Alpha1, ...] = ()
    expose_type: str = ""


class RavenGatewayV1Alpha1(Record, frozen=True, kw_only=True):
    """`raven.openyurt.io/v1alpha1 Gateway`."""

    NAMESPACED: ClassVar[bool] = False
    KIND: ClassVar[str] = _KIND

    spec: RavenGatewayV1Alpha1Spec = RavenGatewayV1Alpha1Spec()


KINDS: Mapping[tuple[str, str], type[Record]] = {
    ("raven.openyurt.io/v1beta1", "Gateway"): RavenGateway,
    ("raven.openyurt.io/v1alpha1", "Gateway"): RavenGatewayV1Alpha1,
}


def translate(objects: Mapping[ObjectRef, Foreign], _compatibility: Compatibility) -> Translation:
    """Translate all Gateways; one that is wrong is refused alone."""
    records: list[Translated] = []
    findings: list[Finding] = []
    refused: dict[ObjectRef, Finding] = {}
    for ref in sorted(objects):
        foreign = objects[ref]
        match foreign.record:
            case RavenGateway(spec=spec):
                pass
            case RavenGatewayV1Alpha1(spec=old):
                spec = _upgraded(old)
            case _:
                continue
        try:
            record, warnings = _gateway(foreign, spec)
        except ConfigError as error:
            refused[ref] = error.finding
            continue
        records.append(Translated(record, ref))
        findings += warnings
    return Translation(records=tuple(records), findings=tuple(findings), refused=refused)


def _upgraded(old: RavenGatewayV1Alpha1Spec) -> RavenGatewaySpec:
    """Return what OpenYurt's conversion makes of a v1alpha1 Gateway."""
    return RavenGatewaySpec(
        node_selector=old.node_selector,
        tunnel_config=TunnelConfig(replicas=1),
        endpoints=tuple(
            RavenEndpoint(
                node_name=endpoint.node_name,
                type="tunnel",
                under_nat=endpoint.under_nat,
                public_ip=endpoint.public_ip,
                config=endpoint.config,
            )
            for endpoint in old.endpoints
        ),
        expose_type=old.expose_type,
    )


def _gateway(foreign: Foreign, spec: RavenGatewaySpec) -> tuple[Gateway, list[Finding]]:
    """Return the native Gateway and what gets lost; ConfigError says what the webhook would refuse."""
    if spec.expose_type not in ("", "PublicIP", "LoadBalancer"):
        raise ConfigError(
            foreign.error(
                "spec.exposeType", f"{spec.expose_type!r} is none", "write PublicIP, LoadBalancer, or nothing"
            )
        )
    endpoints: dict[str, GatewayEndpoint] = {}
    findings = [*_doubts(foreign, spec)]
    for index, endpoint in enumerate(spec.endpoints):
        field = f"spec.endpoints[{index}]"
        if endpoint.type not in ("tunnel", "proxy"):
            raise ConfigError(foreign.error(f"{field}.type", f"{endpoint.type!r} is none", "write tunnel or proxy"))
        if endpoint.type == "tunnel" and endpoint.node_name in endpoints:
            findings.append(
                foreign.warning(f"{field}.nodeName", "the node is there twice; the first counts", "remove it")
            )
        elif endpoint.type == "tunnel":
            endpoints[endpoint.node_name] = _endpoint(foreign, field, endpoint)
    extra, bad = _extra_cidrs(foreign)
    selector = spec.node_selector
    try:
        native = GatewaySpec(
            # Raven's webhook adds the Gateway's own label to an empty one; here it would mean every node.
            node_selector=selector if selector and (selector.match_labels or selector.match_expressions) else None,
            endpoints=tuple(endpoints.values()),
            replicas=spec.tunnel_config.replicas,
            extra_source_cidrs=extra,
        )
    except ValueError as error:
        raise ConfigError(foreign.error("spec", str(error), "correct the field")) from None
    metadata = foreign.record.metadata
    meta = ObjectMeta(name=metadata.name, labels=metadata.labels, creation_timestamp=metadata.creation_timestamp)
    return Gateway(metadata=meta, spec=native), [*findings, *bad]


def _endpoint(foreign: Foreign, field: str, endpoint: RavenEndpoint) -> GatewayEndpoint:
    def made(key: str) -> GatewayEndpoint:
        return GatewayEndpoint(
            node_name=endpoint.node_name,
            under_nat=endpoint.under_nat,
            nat_type=_nat_type(endpoint.nat_type) if endpoint.under_nat else None,
            public_ips=(endpoint.public_ip,) if endpoint.public_ip else (),
            port=endpoint.port or _PORT,
            public_port=endpoint.public_port or None,
            public_key=key,
        )

    try:
        return made(endpoint.config.get("publicKey", ""))
    except ValueError as error:
        raise ConfigError(foreign.error(f"{field}", str(error), "correct the field")) from None


def _nat_type(said: str) -> NatType | None:
    """Return the NAT's type by what a STUN client calls it; None for what is no type of NAT, as a failed test."""
    words = said.lower().replace("-", " ")
    if "symmetric" in words:
        return "symmetric"
    if "port restricted" in words:
        return "port-restricted-cone"
    if "restricted" in words:
        return "restricted-cone"
    return "full-cone" if "full cone" in words else None


def _extra_cidrs(foreign: Foreign) -> tuple[tuple[str, ...], list[Finding]]:
    """Return the prefixes of the annotation, and a warning for each text that is none."""
    good, bad = [], []
    for text in map(str.strip, foreign.record.metadata.annotations.get(EXTRA_CIDRS, "").split(",")):
        try:
            if text:
                parse_prefix(text)
                good.append(text)
        except ValueError as error:
            field = f"metadata.annotations[{EXTRA_CIDRS}]"
            remedy = "write prefixes such as 192.0.2.0/24, separated by commas"
            bad.append(foreign.warning(field, str(error), remedy, ManifestProblem.INVALID_RANGE))
    return tuple(good), bad


def _doubts(foreign: Foreign, spec: RavenGatewaySpec) -> Iterator[Finding]:
    if spec.proxy_config.replicas or any(endpoint.type == "proxy" for endpoint in spec.endpoints):
        yield foreign.warning(
            "spec.proxyConfig", "the proxy is not served, only the tunnels are", "keep Raven's proxy, or remove it"
        )
    tunnels = [endpoint for endpoint in spec.endpoints if endpoint.type == "tunnel"]
    if spec.expose_type == "LoadBalancer" and any(not endpoint.public_ip for endpoint in tunnels):
        yield foreign.warning(
            "spec.exposeType", "no Service is made for the tunnels", "give the endpoints the publicIP of yours"
        )
