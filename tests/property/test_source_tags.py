"""A tag reads back as what it was made of, and as nothing to everybody else."""

from hypothesis import assume, given
from hypothesis import strategies as st

from netlb.findings import ObjectRef
from netlb.ipam.source import NAMES_LENGTH, TAG_LENGTH, Claim, Lessee
from netlb.net import Family

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
SUBDOMAINS = st.from_regex(r"[a-z0-9]([-.a-z0-9]{0,28}[a-z0-9])?", fullmatch=True)
CLAIMS = st.builds(Claim, st.builds(ObjectRef, st.just("Service"), LABELS, LABELS), st.sampled_from(Family))
LESSEES = st.builds(Lessee, SUBDOMAINS, SUBDOMAINS)


@given(LESSEES, CLAIMS)
def test_a_tag_reads_back_exactly(lessee: Lessee, claim: Claim) -> None:
    tag = lessee.tag(claim)
    assert claim == lessee.claim(tag)
    assert len(tag) <= TAG_LENGTH
    assert tag.startswith(lessee.tag_prefix)


@given(LESSEES, LESSEES, CLAIMS)
def test_a_tag_is_nothing_to_another_lessee(lessee: Lessee, other: Lessee, claim: Claim) -> None:
    assume(lessee != other)
    assert other.claim(lessee.tag(claim)) is None
    assert not lessee.tag(claim).startswith(other.tag_prefix)


@given(LESSEES, st.text() | st.from_regex(r"netlb:[a-b.]+:[a-b.]+:[a-b]+/[a-b]+:IPv[46]"))
def test_what_reads_as_a_claim_is_its_tag_letter_by_letter(lessee: Lessee, text: str) -> None:
    for tag in (text, f"{lessee.tag_prefix}{text}"):
        claim = lessee.claim(tag)
        assert claim is None or tag == lessee.tag(claim)


def test_the_longest_names_fill_a_tag() -> None:
    longest = Claim(ObjectRef("Service", "n" * 63, "s" * 63), Family.IPV4)
    assert TAG_LENGTH == len(Lessee("i" * (NAMES_LENGTH - 1), "p").tag(longest))
