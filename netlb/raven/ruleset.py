"""How our nftables table is known as ours, and how it is seen that somebody has changed it.

The table's comment says that it is ours, and from which text it was made. What nft lists is not what it was given
(intervals are merged, words replaced by others), and differs between its versions; so once a table is there, what is
listed is condensed to a number, and kept in the table: as the name of an empty chain, the seal.
"""

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Self

__all__ = ["Ruleset", "foreign", "marked", "observed", "seal"]

_MARK: Final = "netlb"
_SEAL: Final = re.compile(r"^\tchain sealed_([0-9a-f]+) \{\n\t\}\n", re.MULTILINE)
_COMMENT: Final = re.compile(rf'^\tcomment "{_MARK} ([0-9a-f]+)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The whole of our table; equal to another one if made from the same text."""

    digest: str
    """Of the text that it is made from; empty: somebody has changed it."""
    text: str = field(default="", compare=False, repr=False)
    """As `nft -f` takes it; empty where it was observed."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the ruleset of a text."""
        return cls(_digest(text), text)


def marked(ruleset: Ruleset) -> str:
    """Return the text with the comment by which the table is known as ours."""
    head, brace, body = ruleset.text.partition("{\n")
    return f'{head}{brace}  comment "{_MARK} {ruleset.digest}"\n{body}'


def seal(name: str, listing: str) -> str:
    """Return what `nft -f` takes so that a table stays as it is listed now, or else it is seen."""
    seals = "".join(f"delete chain inet {name} sealed_{found}\n" for found in _SEAL.findall(listing))
    return f"{seals}add chain inet {name} sealed_{_listed(listing)}\n"


def foreign(listing: str) -> bool:
    """Say whether a table, as `nft list table` has it, is not ours."""
    return _COMMENT.search(listing) is None


def observed(listing: str) -> Ruleset:
    """Return our table as it is there."""
    comment = _COMMENT.search(listing)
    intact = _SEAL.findall(listing) == [_listed(listing)]
    return Ruleset(comment[1] if comment and intact else "")


def _listed(listing: str) -> str:
    # Between chains there is an empty line, and where it is depends on whether the seal is there.
    return _digest("\n".join(filter(None, _SEAL.sub("", listing).split("\n"))))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]
