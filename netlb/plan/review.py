"""Whether an object may be applied: what would be wrong that is not wrong now. Pure; behind the admission webhook."""

from dataclasses import dataclass

from netlb.api.decode import identify
from netlb.api.documents import Document
from netlb.api.intake import Intake
from netlb.findings import Finding, Severity
from netlb.plan.validate import validate

__all__ = ["Review", "review"]


@dataclass(frozen=True, slots=True)
class Review:
    """What applying an object would bring with it."""

    errors: tuple[Finding, ...]
    """Why it must not be applied; none: it may be."""
    warnings: tuple[Finding, ...]


def review(intake: Intake, document: Document) -> Review:
    """Try what an object would do beside those that are known; `intake` stays as it is.

    All that is wrong with the object itself counts, and of others what its coming would make wrong. The origin of the
    document is the one that its source gives it, so that a new version takes the place of the old one.
    """
    before = frozenset(validate(intake.copy().snapshot({})))
    trial = intake.copy()
    trial.declare(document.origin, (document,))
    subject = identify(document)
    findings = [
        finding
        for finding in validate(trial.snapshot({}))
        if finding not in before or (subject and finding.subject == subject)
    ]
    return Review(
        tuple(finding for finding in findings if finding.severity is Severity.ERROR),
        tuple(finding for finding in findings if finding.severity is not Severity.ERROR),
    )
