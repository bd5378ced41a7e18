"""Foreign objects as a dialect gets them, and what it makes of them in a form that a test can compare."""

from netlb.api.decode import decode
from netlb.api.dialects import Foreign, Translation
from netlb.api.documents import parse_documents
from netlb.api.meta import Record
from netlb.api.v1alpha1 import AddressPool, AddressPoolSpec
from netlb.findings import Finding, ObjectRef, Severity

__all__ = ["foreign", "pools", "records", "said"]


def foreign(*manifests: str) -> dict[ObjectRef, Foreign]:
    """Read manifests, each of which has to be one object that can be decoded."""
    objects = {}
    for document in parse_documents("\n---\n".join(manifests), "x.yaml"):
        record = decode(document)
        assert record is not None
        objects[record.ref] = Foreign(document.origin, record)
    return objects


def records(translation: Translation) -> list[Record]:
    """Return the native records."""
    return [translated.record for translated in translation.records]


def pools(translation: Translation) -> dict[str, AddressPoolSpec]:
    """Return the native pools by name."""
    return {record.metadata.name: record.spec for record in records(translation) if isinstance(record, AddressPool)}


def said(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    """Name the object and the field of each finding; all of them are warnings."""
    assert {Severity.WARNING} >= {finding.severity for finding in findings}
    return [(finding.subject.name if finding.subject else "", finding.field) for finding in findings]
