"""What applying one object would bring with it, beside those that are known."""

import pytest

from netlb.api.documents import Document, parse_documents
from netlb.api.intake import Intake
from netlb.plan.review import review
from tests.manifests import advertisement, pool


def document(origin: str, manifest: str) -> Document:
    (parsed,) = parse_documents(manifest, "x")
    return Document(origin, parsed.body)


@pytest.fixture
def intake() -> Intake:
    intake = Intake()
    known = {"one": pool("one", "192.0.2.0/28"), "all": advertisement(), "wrong": pool("wrong", "nonsense")}
    for origin, manifest in known.items():
        intake.declare(origin, (document(origin, manifest),))
    return intake


@pytest.mark.parametrize(
    ("origin", "manifest", "errors", "warnings"),
    [
        ("two", pool("two", "198.51.100.0/28"), [], []),
        ("two", pool("two", "192.0.2.8"), ["the pool overlaps pool 'one'"], []),
        ("two", pool("two", "192.0.2.300"), ["'192.0.2.300'"], []),
        ("one", pool("one", "192.0.2.0/24"), [], []),  # it does not overlap itself
        ("one", pool("one", "192.0.2.1-nowhere"), ["nowhere"], []),
        ("wrong", pool("wrong", "nonsense"), ["nonsense"], []),  # what is wrong already may not be applied again
        ("wrong", pool("wrong", "203.0.113.0/24"), [], []),
        ("more", advertisement("more", "{ipAddressPools: [x]}"), [], ["there is no pool 'x'"]),
    ],
)
def test_what_an_object_would_bring(
    intake: Intake, origin: str, manifest: str, errors: list[str], warnings: list[str]
) -> None:
    found = review(intake, document(origin, manifest))
    assert len(errors) == len(found.errors)
    assert len(warnings) == len(found.warnings)
    assert all(words in str(finding) for words, finding in zip(errors, found.errors, strict=True))
    assert all(words in str(finding) for words, finding in zip(warnings, found.warnings, strict=True))


def test_what_is_known_stays_as_it_is(intake: Intake) -> None:
    before = intake.snapshot({})
    review(intake, document("one", pool("one", "203.0.113.0/24")))
    assert before == intake.snapshot({})
