"""Foreign objects as native manifests, with what gets lost on the way as comments: behind `netlb import`."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from netlb.api.decode import decode
from netlb.api.documents import Document
from netlb.api.intake import Counterpart
from netlb.api.manifest import manifest
from netlb.api.meta import Record
from netlb.api.v1alpha1 import BGPPeer
from netlb.api.v1alpha1.base import Native
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef, Severity
from netlb.plan.render import to_yaml
from netlb.reasons import ManifestProblem

__all__ = ["Translation", "render_translation"]

_WIDTH = 110
_DIFFERS = frozenset({ManifestProblem.NOT_HONOURED})
_CLEAR_TEXT = (
    "the password stands here in clear text; put it into a Secret of type kubernetes.io/basic-auth, "
    "and write passwordSecret instead"
)


@dataclass(frozen=True, slots=True)
class Translation:
    """Native manifests, and why some are missing."""

    text: str
    """YAML documents with comments; `netlb check` finds no error in it."""
    errors: tuple[Finding, ...]
    """What is wrong; of an object with an error there is nothing in the text but a comment."""


def render_translation(counterparts: Iterable[Counterpart], findings: Iterable[Finding]) -> Translation:
    """Write what foreign objects say as native manifests; `findings` are those of the whole snapshot.

    An object whose native name the API server would not take is an error, too: MetalLB's ConfigMap names pools freely.
    """
    sources = list(counterparts)
    findings = [*findings, *(finding for source in sources for finding in _unwritable(source))]
    errors = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    warnings = [finding for finding in findings if finding.severity is Severity.WARNING]
    refused = {finding.subject for finding in errors}
    blocks = [
        _comment(f"refused: {finding.subject} ({finding.origin}): {_words(finding)}")
        for finding in errors
        if finding.subject
    ]
    for source in sources:
        if source.subject not in refused:
            blocks += _blocks(source, warnings)
    return Translation("---\n".join(blocks), errors)


def _unwritable(source: Counterpart) -> Iterator[Finding]:
    for record in _native(source.records):
        try:
            decode(Document(source.origin, manifest(record)))
        except ConfigError as error:
            yield replace(error.finding, subject=source.subject, problem=f"{record.ref}: {error.finding.problem}")


def _native(records: Sequence[Record]) -> Iterator[Native]:
    return (record for record in records if isinstance(record, Native))


def _blocks(source: Counterpart, warnings: Sequence[Finding]) -> Iterator[str]:
    heading, told = f"from {source.subject} ({source.origin})", _told(source.subject, warnings)
    if not source.records:
        yield _comment(f"{heading}: no object of its own") + told
    for record in _native(source.records):
        told += _told(record.ref, warnings)
        if isinstance(record, BGPPeer) and record.spec.password:
            told += _comment(f"warning: spec.password: {_CLEAR_TEXT}")
        yield _comment(heading) + told + to_yaml(manifest(record))
        told = ""


def _told(subject: ObjectRef, warnings: Sequence[Finding]) -> str:
    """Return the warnings about an object as comments, but those about passwords: the native object has its own."""
    return "".join(
        _comment(f"{'differs' if warning.reason in _DIFFERS else 'warning'}: {_words(warning)}")
        for warning in warnings
        if warning.subject == subject and warning.reason is not ManifestProblem.CLEAR_TEXT
    )


def _words(finding: Finding) -> str:
    return f"{finding.field}: " * bool(finding.field) + f"{finding.problem} ({finding.reason}); {finding.remedy}"


def _comment(text: str) -> str:
    """Return a text as comment lines: names and files may hold anything, and none of it may become YAML."""
    printable = "".join(char if char.isprintable() else "?" for char in text)
    lines = textwrap.wrap(printable, _WIDTH, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")
    return "".join(f"# {line}\n" for line in lines)
