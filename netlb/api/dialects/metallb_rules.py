"""MetalLB's own rules, where they differ from ours: of its ConfigMap and of its objects alike."""

from abc import abstractmethod
from collections.abc import Sequence

from netlb.api.meta import LabelSelector, ObjectMeta, Record
from netlb.api.v1alpha1 import AddressPoolSpec, BGPAdvertisementSpec
from netlb.api.v1alpha1.base import check_distinct, duration_seconds
from netlb.net import AddressRange, Family, is_station, parse_address, parse_prefix, parse_range

__all__ = [
    "MetalLBRecord",
    "check_aggregation",
    "check_entries",
    "check_selectors",
    "parse_entry",
    "whole_seconds",
]


class MetalLBRecord(Record, frozen=True, kw_only=True):
    """Base of MetalLB's kinds: each says what it is in native terms."""

    @abstractmethod
    def native(self) -> tuple[Record, ...]:
        """Return what the object says in native terms; whatever cannot be said has been refused before."""

    def unhonoured(self) -> tuple[tuple[str, str, str], ...]:
        """Return the fields that have no effect in this version: each with the problem and the remedy."""
        return ()

    @property
    def cluster_wide(self) -> ObjectMeta:
        """The metadata of the native record; nothing behind the door knows of MetalLB's namespace."""
        meta = self.metadata
        return ObjectMeta(name=meta.name, labels=meta.labels, creation_timestamp=meta.creation_timestamp)


def parse_entry(text: str) -> AddressRange:
    """Parse one entry of `addresses`: a prefix or a range, never a bare address; blanks only inside a range."""
    if "-" not in text and "/" not in text:
        address = parse_address(text)
        raise ValueError(
            f"{text!r} is neither a prefix nor a range; write {text}/{address.max_prefixlen} or {text}-{text}"
        )
    span = parse_range(text) if "-" in text else parse_prefix(text)
    if not is_station(span):
        raise ValueError(f"{text} holds no address that a single station can have")
    return span


def check_entries(field: str, texts: Sequence[str]) -> None:
    """Raise ValueError at the first entry of `addresses` that is none, or if there is no entry."""
    if not texts:
        raise ValueError(f"{field}: a pool needs at least one prefix or range")
    for index, text in enumerate(texts):
        try:
            parse_entry(text)
        except ValueError as error:
            raise ValueError(f"{field}[{index}]: {error}") from None


def check_selectors(field: str, selectors: Sequence[LabelSelector]) -> None:
    """Raise ValueError if a selector, or a condition or a value in one, stands there twice in whatever order."""
    canonical = []
    for index, selector in enumerate(selectors):
        conditions = [(each.key, each.operator, sorted(each.values)) for each in selector.match_expressions]
        if any(conditions.count(one) > 1 for one in conditions):
            raise ValueError(f"{field}[{index}].matchExpressions: a condition stands there twice")
        for key, operator, values in conditions:
            if len(set(values)) < len(values):
                raise ValueError(f"{field}[{index}].matchExpressions: a value of {key} {operator} stands there twice")
        canonical.append((selector.match_labels, conditions))
    check_distinct(field, canonical)


def check_aggregation(advertisement: BGPAdvertisementSpec, pool: AddressPoolSpec) -> None:
    """Raise ValueError if aggregates would hold more than an entry of the pool (MetalLB's rule since v0.12).

    A range counts as the widest of the prefixes that it consists of.
    """
    if (advertisement.aggregation_length, advertisement.aggregation_length_v6) == (32, 128):
        return  # every address for itself
    for text in pool.addresses:
        span = parse_range(text)
        field, length = "aggregationLength", advertisement.aggregation_length
        if span.family is Family.IPV6:
            field, length = "aggregationLengthV6", advertisement.aggregation_length_v6
        widest = min(span.prefix_lengths())
        if length < widest:
            raise ValueError(f"{field}: {length} is less than {widest}, the length of the widest prefix in {text}")


def whole_seconds(text: str) -> str:
    """Cut a duration to whole seconds, as MetalLB does; a text that is none stays as it is."""
    seconds = duration_seconds(text)
    return text if seconds is None else f"{int(seconds)}s"
