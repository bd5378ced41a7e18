"""The small decisions: owner, groups, conflicts to tell, interfaces to take, addresses to hold."""

import re
from hashlib import sha256
from ipaddress import ip_address

import pytest

from netlb.l2.announces import parse_station
from netlb.l2.conflicts import ConflictReports
from netlb.l2.election import order, owner
from netlb.l2.groups import SolicitedNodeGroups
from netlb.l2.holdings import Holdings
from netlb.l2.interfaces import Interface, Link, Selection
from netlb.l2.ndp import solicited_node
from netlb.l2.responder import Claim

MAC = b"\2\0\0\0\0\1"
FOUR, SIX = b"\xc0\0\2\1", ip_address("2001:db8::1:2").packed
TWIN = ip_address("2001:db8:7::1:2").packed
USABLE = 0x1 | 0x2 | 0x10000


class TestElection:
    def test_the_owner_is_the_smallest_hash_of_node_and_address(self) -> None:
        nodes = [f"node-{number}" for number in range(20)]
        by_hash = sorted(nodes, key=lambda node: sha256(f"{node}#192.0.2.1".encode()).hexdigest())
        assert by_hash == order("192.0.2.1", reversed(nodes))
        assert by_hash[0] == owner("192.0.2.1", nodes)

    def test_a_loser_that_goes_moves_nothing(self) -> None:
        first, second, *rest = order("2001:db8::1", ["a", "b", "c", "d"])
        assert first == owner("2001:db8::1", [first, *rest])
        assert second == owner("2001:db8::1", [second, *rest])

    def test_known_answers(self) -> None:
        assert ["node-2", "node-3", "node-1"] == order("192.168.122.100", ["node-1", "node-2", "node-3"])

    def test_without_candidates_nobody_owns(self) -> None:
        assert owner("192.0.2.1", []) is None
        assert [] == order("192.0.2.1", [])


class TestGroups:
    def test_the_first_address_joins_and_the_last_leaves(self) -> None:
        groups = SolicitedNodeGroups()
        assert solicited_node(SIX) == groups.add(SIX)
        assert groups.add(TWIN) is None
        assert groups.add(SIX) is None
        assert groups.discard(SIX) is None
        assert groups.discard(SIX) is None
        assert {solicited_node(SIX)} == groups.joined
        assert solicited_node(SIX) == groups.discard(TWIN)
        assert frozenset() == groups.joined

    def test_ipv4_has_no_groups(self) -> None:
        groups = SolicitedNodeGroups()
        assert groups.add(FOUR) is None
        assert groups.discard(FOUR) is None


class TestConflictReports:
    def test_the_same_is_told_once_in_ten_seconds(self) -> None:
        reports = ConflictReports()
        claim = Claim(FOUR, MAC)
        assert [True, False, False, True] == [reports.due(1, claim, now) for now in (0.1, 0.1, 10.0, 10.2)]
        assert reports.due(2, claim, 10.3)
        assert reports.due(1, Claim(SIX, MAC), 10.3)

    def test_what_is_held_anew_is_told_anew(self) -> None:
        reports = ConflictReports()
        assert reports.due(1, Claim(FOUR, MAC), 0.0)
        assert reports.due(1, Claim(SIX, MAC), 0.0)
        reports.forget(2, [FOUR])
        assert not reports.due(1, Claim(FOUR, MAC), 1.0)
        reports.forget(1, [FOUR])
        assert reports.due(1, Claim(FOUR, MAC), 1.0)
        assert not reports.due(1, Claim(SIX, MAC), 1.0)

    def test_forged_claims_fill_no_memory_and_do_not_silence_for_ever(self) -> None:
        reports = ConflictReports()
        claims = [Claim(FOUR, number.to_bytes(6, "big")) for number in range(2000)]
        assert 1024 == sum(reports.due(1, claim, 0.0) for claim in claims)
        assert reports.due(1, claims[-1], 11.0)


def link(name: str = "eth0", flags: int = USABLE, mac: bytes = MAC, master: int | None = None) -> Link:
    return Link(index=3, name=name, mac=mac, flags=flags, master=master)


class TestSelection:
    def test_an_ordinary_interface_is_taken(self) -> None:
        assert Interface(3, "eth0", MAC) == Selection().pick(link())

    @pytest.mark.parametrize(
        "useless",
        [
            link(flags=USABLE & ~0x1),
            link(flags=USABLE & ~0x10000),
            link(flags=USABLE & ~0x2),
            link(flags=USABLE | 0x8),
            link(flags=USABLE | 0x80),
            link(master=9),
            link(mac=b""),
            link(mac=bytes(20)),
        ],
        ids=["down", "no carrier", "no broadcast", "loopback", "no arp", "enslaved", "no mac", "infiniband"],
    )
    def test_useless_interfaces_are_not_taken_even_by_name(self, useless: Link) -> None:
        assert Selection(exclude=[]).pick(useless) is None
        assert Selection(["eth0"]).pick(useless) is None

    def test_names_stand_above_exclusions_and_keep_all_others_out(self) -> None:
        assert Selection().pick(link("veth0a1b")) is None
        assert Selection(["veth0a1b"]).pick(link("veth0a1b")) is not None
        assert Selection(["veth0a1b"]).pick(link("eth0")) is None

    def test_exclusions_are_expressions_found_anywhere(self) -> None:
        assert Selection(exclude=["th"]).pick(link("eth0")) is None
        assert Selection(exclude=["^th"]).pick(link("eth0")) is not None
        with pytest.raises(re.error):
            Selection(exclude=["("])


class TestHoldings:
    def test_what_is_missing_and_what_is_too_much(self) -> None:
        holdings = Holdings()
        holdings.opened(Interface(1, "eth0", MAC))
        holdings.opened(Interface(2, "eth1", MAC))
        holdings.want({FOUR: None, SIX: frozenset({"eth1"})})
        every = holdings.all_wanted()
        assert ([FOUR], [FOUR, SIX]) == (holdings.missing(1, every), holdings.missing(2, every))
        holdings.answers(1, [FOUR])
        holdings.answers(2, [FOUR, SIX])
        assert [] == holdings.missing(2, every)
        holdings.want({FOUR: frozenset({"eth1"}), SIX: frozenset({"eth0"})})
        assert ([FOUR], [SIX]) == (holdings.surplus(1, every), holdings.surplus(2, every))
        assert ([SIX], []) == (holdings.missing(1, every), holdings.missing(2, every))

    def test_held_tells_where_answers_are_given(self) -> None:
        holdings = Holdings()
        holdings.want({FOUR: None, SIX: None})
        holdings.opened(Interface(1, "eth0", MAC))
        holdings.answers(1, [SIX])
        four, six = ip_address(FOUR), ip_address(SIX)
        assert {four: frozenset(), six: frozenset({"eth0"})} == holdings.held()
        holdings.unwant([SIX])
        assert {four: frozenset()} == holdings.held()
        assert [SIX] == holdings.surplus(1, [SIX])
        holdings.silent(1, [SIX])
        assert [] == holdings.surplus(1, [SIX])
        assert Interface(1, "eth0", MAC) == holdings.closed(1)
        assert holdings.closed(1) is None


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "x", "192.0.2", "192.0.2.1/32"),
        *("224.0.0.1", "ff02::1", "0.0.0.0", "::", "127.0.0.1", "::1", "255.255.255.255", "fe80::1%eth0"),
    ],
)
def test_no_address_of_one_station(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_station(wrong)
