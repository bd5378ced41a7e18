"""Foreign objects as native records, whatever of them can be honoured. Pure.

Where an object is refused its last good version counts, which may contradict another one in turn.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from netlb.api.admission import Candidate
from netlb.api.dialects import FOREIGN, Compatibility, Foreign, Translate
from netlb.api.meta import Record
from netlb.api.v1alpha1 import AddressPool, BGPAdvertisement, L2Advertisement
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem

__all__ = ["names_only", "translate_all"]


def translate_all(
    origins: Mapping[ObjectRef, str],
    admitted: dict[ObjectRef, Record],
    *,
    in_force: Mapping[ObjectRef, Record],
    compatibility: Compatibility,
    translators: Iterable[Translate],
    findings: list[Finding],
    unread: set[ObjectRef],
) -> tuple[list[Candidate], Mapping[ObjectRef, Sequence[Record]]]:
    """Return native records, and those of them that are translated by the object that they come from.

    `origins` says where each object was declared, and `in_force` what counted so far. `admitted` keeps, of each foreign
    object, the last version that was good; what is wrong is added to `findings`, and what cannot be honoured and has no
    such version to `unread`.
    """
    by_source: dict[ObjectRef, list[Record]] = {}
    foreign = {ref: Foreign(origins[ref], record) for ref, record in admitted.items() if isinstance(record, FOREIGN)}
    native = {ref: Candidate(origins[ref], ref, record) for ref, record in admitted.items() if ref not in foreign}
    for translate in translators:
        translation = translate(foreign, compatibility)
        said: set[ObjectRef] = set()
        while translation.refused:  # what comes back in an object's place may contradict another one
            findings.extend(finding for ref, finding in translation.refused.items() if ref not in said)
            said |= translation.refused.keys()
            for ref in translation.refused:
                last_good = in_force.get(ref)
                if last_good is None or last_good == foreign[ref].record:
                    del admitted[ref], foreign[ref]
                    unread.add(ref)
                else:
                    admitted[ref] = last_good
                    foreign[ref] = Foreign(foreign[ref].origin, last_good)
            translation = translate(foreign, compatibility)
        findings.extend(translation.findings)
        lost: set[tuple[ObjectRef, str]] = set()
        for translated in sorted(translation.records, key=lambda each: not isinstance(each.record, AddressPool)):
            if names_only(translated.record, {name for source, name in lost if source == translated.source}):
                continue  # its pool is not in force: it would announce another one of that name
            mine = Candidate(origins[translated.source], translated.source, translated.record)
            first = native.setdefault(translated.record.ref, mine)
            if first is mine:
                by_source.setdefault(translated.source, []).append(translated.record)
            else:
                findings.append(_duplicate(mine, first))
                if isinstance(translated.record, AddressPool):
                    lost.add((translated.source, translated.record.metadata.name))
    return list(native.values()), by_source


def names_only(record: Record, pools: AbstractSet[str]) -> bool:
    """Say whether a record is an advertisement of nothing but these pools."""
    if not isinstance(record, L2Advertisement | BGPAdvertisement):
        return False
    names = record.spec.ip_address_pools
    return bool(names) and not record.spec.ip_address_pool_selectors and pools >= set(names)


def _duplicate(second: Candidate, first: Candidate) -> Finding:
    return Finding(
        origin=second.origin,
        subject=second.subject,
        reason=ManifestProblem.DUPLICATE_OBJECT,
        problem=f"it stands for {second.record.ref}, as does {first.subject} in {first.origin}, and that one counts",
        remedy="rename or remove one of the two",
    )
