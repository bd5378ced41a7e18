"""MetalLB's configuration of v0.11 and v0.12: one ConfigMap, translated into native kinds.

The grammar is read as strictly as MetalLB reads it: an unknown key, a pool without addresses or two pools
that overlap refuse the whole configuration, so that nobody runs on half of what they wrote. Native records have the
names that MetalLB's own conversion tool gives them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from netlb.api.convert import convert, without_nulls
from netlb.api.core import ConfigMap
from netlb.api.dialects.base import Compatibility, Foreign, Translated, Translation
from netlb.api.dialects.metallb_grammar import Config, as_meant
from netlb.api.documents import parse_value
from netlb.api.meta import ObjectMeta, Record
from netlb.api.v1alpha1 import (
    AddressPool,
    BFDProfile,
    BGPAdvertisement,
    BGPPeer,
    Community,
    CommunityAlias,
    CommunitySpec,
    L2Advertisement,
    L2AdvertisementSpec,
)
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem

__all__ = ["KINDS", "translate"]

_KEY = "config"

KINDS = {("v1", "ConfigMap"): ConfigMap}


def translate(objects: Mapping[ObjectRef, Foreign], compatibility: Compatibility) -> Translation:
    """Translate MetalLB's ConfigMap `config`; it is refused as a whole if any part of it is invalid."""
    ref = ObjectRef("ConfigMap", compatibility.metallb_namespace, "config")
    foreign = objects.get(ref)
    if foreign is None or not isinstance(foreign.record, ConfigMap):
        return Translation()
    try:
        return _translate(foreign.record, foreign.origin)
    except ConfigError as error:
        return Translation(refused={ref: error.finding})


def _translate(config_map: ConfigMap, origin: str) -> Translation:
    subject = config_map.ref
    text = config_map.data.get(_KEY)
    if text is None:
        raise ConfigError(
            Finding(
                origin=origin,
                subject=subject,
                field=f"data.{_KEY}",
                reason=ManifestProblem.INVALID_OBJECT,
                problem="the field is required and missing",
                remedy=f"put MetalLB's configuration under the key {_KEY!r}",
            )
        )
    field = f"data.{_KEY}"
    try:
        value = without_nulls(parse_value(text, origin, plain=True))
    except ConfigError as error:
        raise ConfigError(replace(error.finding, subject=subject, field=field)) from None
    config = convert({} if value is None else as_meant(value), Config, subject=subject, origin=origin, field=field)
    return Translation(
        records=tuple(
            Translated(record, subject) for record in _native(config, config_map.metadata.creation_timestamp)
        ),
    )


def _native(config: Config, since: str) -> Iterator[Record]:
    for number, peer in enumerate(config.peers, start=1):
        yield BGPPeer(metadata=ObjectMeta(name=f"peer{number}"), spec=peer.native())
    if config.bgp_communities:
        aliases = [CommunityAlias(name=name, value=value) for name, value in sorted(config.bgp_communities.items())]
        yield Community(metadata=ObjectMeta(name="communities"), spec=CommunitySpec(communities=tuple(aliases)))
    for profile in config.bfd_profiles:
        yield BFDProfile(metadata=ObjectMeta(name=profile.name), spec=profile.native())
    for pool in config.address_pools:
        yield AddressPool(metadata=ObjectMeta(name=pool.name, creation_timestamp=since), spec=pool.native())
    by_layer2 = [pool.name for pool in config.address_pools if pool.protocol == "layer2"]
    for number, name in enumerate(by_layer2, start=1):
        spec = L2AdvertisementSpec(ip_address_pools=(name,))
        yield L2Advertisement(metadata=ObjectMeta(name=f"l2advertisement{number}"), spec=spec)
    by_bgp = [advertisement for pool in config.address_pools for advertisement in pool.advertisements]
    for number, advertisement in enumerate(by_bgp, start=1):
        yield BGPAdvertisement(metadata=ObjectMeta(name=f"bgpadvertisement{number}"), spec=advertisement)
