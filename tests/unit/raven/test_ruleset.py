"""Our table is known by its mark, and whatever is changed in it is seen."""

import pytest

from netlb.raven.ruleset import Ruleset, foreign, marked, observed, seal

TEXT = "table inet raven\ndelete table inet raven\ntable inet raven {\n  chain guard {\n  }\n}\n"
RULESET = Ruleset.of(TEXT)


def listing(*chains: str, comment: str = f"netlb {RULESET.digest}") -> str:
    """A table as nft lists it, with these chains."""
    comments = f'\tcomment "{comment}"\n\n' if comment else ""
    return f"table inet raven {{\n{comments}" + "\n\n".join(chains) + "\n}\n"


GUARD = "\tchain guard {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tudp dport 4472 drop\n\t}"


def sealed(made: str) -> str:
    """The chain that seals a table."""
    (line,) = [line for line in seal("raven", made).splitlines() if line.startswith("add chain")]
    return f"\tchain {line.split()[-1]} {{\n\t}}"


def test_rulesets_are_the_same_if_their_texts_are() -> None:
    assert RULESET == Ruleset.of(TEXT)
    assert RULESET == Ruleset(RULESET.digest)
    assert RULESET != Ruleset.of(TEXT + "\n")


def test_the_mark_is_in_the_table() -> None:
    head = "table inet raven\ndelete table inet raven\ntable inet raven {\n"
    assert marked(RULESET).startswith(f'{head}  comment "netlb {RULESET.digest}"\n  chain guard')


@pytest.mark.parametrize("comment", ["", "made by hand", "raven", "netlb of somebody else"])
def test_a_table_without_the_mark_is_somebody_elses(comment: str) -> None:
    assert foreign(listing(GUARD, comment=comment))


def test_a_table_is_as_it_was_sealed_wherever_the_seal_is_listed() -> None:
    made = listing(GUARD)
    assert not foreign(made)
    assert RULESET == observed(listing(GUARD, sealed(made)))
    assert RULESET == observed(listing(sealed(made), GUARD))


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(lambda seal: listing(GUARD), id="unsealed"),
        pytest.param(lambda seal: listing(GUARD.replace("drop", "accept"), seal), id="changed"),
        pytest.param(listing, id="emptied"),
        pytest.param(lambda seal: listing(GUARD, "\tchain more {\n\t}", seal), id="added"),
        pytest.param(lambda seal: listing(GUARD, seal, sealed(listing())), id="sealed-twice"),
        pytest.param(lambda seal: listing(GUARD, seal.replace("{\n", "{\n\t\tdrop\n")), id="seal-used"),
    ],
)
def test_a_table_that_was_changed_is_not_as_it_was_made(there: object) -> None:
    assert callable(there)
    assert RULESET != observed(there(sealed(listing(GUARD))))


def test_a_seal_takes_the_place_of_another() -> None:
    made = listing(GUARD)
    again = seal("raven", listing(GUARD, sealed(listing())))
    assert [
        f"delete chain inet raven {sealed(listing()).split()[1]}",
        f"add chain inet raven {sealed(made).split()[1]}",
    ] == again.splitlines()
