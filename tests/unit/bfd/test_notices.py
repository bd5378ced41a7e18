"""Statements as datagrams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlb.bfd.linkstate import Statement
from netlb.bfd.notices import MOST_OCTETS, decode, encode, mark
from netlb.bfd.packet import Key
from netlb.reasons import BfdVerdict

NAMES = {mark(name): name for name in ("one", "two", "three")}
KEY, OTHER = Key(1, b"secret"), Key(1, b"other")
SAID = Statement("one", 7, frozenset({"two", "three"}))
[PLAIN] = encode([SAID], [None])
[SIGNED] = encode([SAID], [KEY])


@given(
    st.lists(
        st.builds(
            Statement,
            st.sampled_from(sorted(NAMES.values())),
            st.integers(0, 2**64 - 1),
            st.frozensets(st.sampled_from(sorted(NAMES.values()))),
        ),
        max_size=300,
    ),
    st.sampled_from([None, KEY]),
)
def test_what_is_written_is_read(statements: list[Statement], key: Key | None) -> None:
    datagrams = list(encode(statements, [key]))
    assert all(len(datagram) <= MOST_OCTETS for datagram in datagrams)
    read: list[Statement] = []
    for datagram in datagrams:
        found = decode(datagram, NAMES, [key])
        assert not isinstance(found, BfdVerdict)
        read += found
    assert statements == read


def test_each_key_is_used_and_any_is_believed() -> None:
    assert [SIGNED, PLAIN] == list(encode([SAID], [KEY, None]))
    assert [SAID] == decode(SIGNED, NAMES, [OTHER, KEY])
    assert [SAID] == decode(PLAIN, NAMES, [KEY, None])


def test_nodes_that_are_unknown_are_left_out() -> None:
    assert [] == decode(PLAIN, {}, [None])
    assert [SAID._replace(lost=frozenset())] == decode(PLAIN, {mark("one"): "one"}, [None])


@pytest.mark.parametrize(
    ("verdict", "data", "key"),
    [
        (BfdVerdict.WRONG_DIGEST, PLAIN, KEY),
        (BfdVerdict.WRONG_DIGEST, SIGNED, OTHER),
        (BfdVerdict.WRONG_DIGEST, SIGNED[:-1] + bytes([SIGNED[-1] ^ 1]), KEY),
        (BfdVerdict.WRONG_LENGTH, SIGNED, None),
        (BfdVerdict.WRONG_LENGTH, PLAIN[:-1], None),
        (BfdVerdict.WRONG_LENGTH, PLAIN + b"\0", None),
        (BfdVerdict.WRONG_LENGTH, PLAIN[:5] + b"\2" + PLAIN[6:], None),
        (BfdVerdict.WRONG_VERSION, b"nlbx" + PLAIN[4:], None),
        (BfdVerdict.WRONG_VERSION, PLAIN[:4] + b"\2" + PLAIN[5:], None),
        (BfdVerdict.TOO_SHORT, PLAIN[:5], None),
        (BfdVerdict.TOO_SHORT, b"", None),
    ],
)
def test_what_is_not_believed_and_why(verdict: BfdVerdict, data: bytes, key: Key | None) -> None:
    assert verdict == decode(data, NAMES, [key])


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_verdict_or_statements(data: bytes) -> None:
    for keys in ([None], [KEY]):
        assert isinstance(decode(data, NAMES, keys), BfdVerdict | list)
