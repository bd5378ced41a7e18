"""What is said of nodes whose BFD packets are not made with this node's key."""

from types import SimpleNamespace
from typing import Any, cast

from structlog.testing import CapturingLogger

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.net import parse_address
from netlb.reasons import BfdVerdict
from netlb_speaker.strangers import Strangers

SESSIONS = {"n2": Peer(parse_address("192.0.2.2")), "n3": Peer(parse_address("192.0.2.3"))}
STATES = dict.fromkeys(SESSIONS, "alive")


class Rig:
    """Strangers, and a Bfd that has dropped what the test says."""

    def __init__(self) -> None:
        self.log = CapturingLogger()
        self.notes = 0
        self.strangers = Strangers(self.log, self._note)
        self.dropped: dict[Peer, dict[BfdVerdict, int]] = {peer: {} for peer in SESSIONS.values()}
        self.asked = 0
        """How often about one session."""

    def _note(self) -> None:
        self.notes += 1

    def counts(self) -> dict[BfdVerdict, int]:
        found = dict[BfdVerdict, int]()
        for verdicts in self.dropped.values():
            for verdict, number in verdicts.items():
                found[verdict] = found.get(verdict, 0) + number
        return found

    def status(self, peer: Peer) -> Any:
        self.asked += 1
        return SimpleNamespace(dropped=self.dropped[peer])

    def drop(self, node: str, verdict: BfdVerdict) -> None:
        of_node = self.dropped[SESSIONS[node]]
        of_node[verdict] = of_node.get(verdict, 0) + 1

    def look(self, now: float) -> list[tuple[str, str]]:
        """Return what is said of it, by node."""
        said = len(self.log.calls)
        self.strangers.look(cast(Bfd, self), SESSIONS, STATES, now)
        return [(call.kwargs["node"], call.kwargs["dropped"]) for call in self.log.calls[said:]]


def test_a_node_is_told_of_once() -> None:
    rig = Rig()
    assert [] == rig.look(0)
    rig.drop("n2", BfdVerdict.UNAUTHENTICATED)
    assert [("n2", "Unauthenticated 1")] == rig.look(1)
    assert [] == rig.look(2)
    assert 1 == rig.notes == len(rig.strangers.notes())


def test_what_comes_soon_after_is_told_later_though_no_more_comes() -> None:
    rig = Rig()
    rig.drop("n2", BfdVerdict.UNAUTHENTICATED)
    rig.look(0)
    rig.drop("n2", BfdVerdict.WRONG_DIGEST)
    assert [] == [said for now in range(1, 10) for said in rig.look(now)]
    assert [("n2", "Unauthenticated 1, WrongDigest 1")] == rig.look(10)
    assert [] == rig.look(11)
    assert 2 == rig.notes


def test_another_node_need_not_wait() -> None:
    rig = Rig()
    rig.drop("n2", BfdVerdict.UNAUTHENTICATED)
    rig.look(0)
    rig.drop("n2", BfdVerdict.UNAUTHENTICATED)
    rig.drop("n3", BfdVerdict.UNKNOWN_KEY)
    assert [("n3", "UnknownKey 1")] == rig.look(1)
    assert [("n2", "Unauthenticated 2")] == rig.look(10)


def test_while_there_is_nothing_new_no_session_is_asked() -> None:
    rig = Rig()
    rig.drop("n2", BfdVerdict.UNAUTHENTICATED)
    rig.look(0)
    asked = rig.asked
    for now in range(1, 30):
        rig.look(now)
    assert asked == rig.asked


def test_with_a_new_process_of_bfd_counts_and_warnings_begin_anew() -> None:
    rig = Rig()
    rig.drop("n2", BfdVerdict.UNAUTHENTICATED)
    rig.look(0)
    rig.dropped[SESSIONS["n2"]].clear()
    assert [] == rig.look(1)
    assert [] == rig.strangers.notes()
    rig.drop("n2", BfdVerdict.UNAUTHENTICATED)
    assert [("n2", "Unauthenticated 1")] == rig.look(2)


def test_nothing_is_noted_of_a_node_that_is_forgotten() -> None:
    rig = Rig()
    rig.drop("n2", BfdVerdict.UNAUTHENTICATED)
    rig.look(0)
    rig.strangers.forget("n2")
    assert [] == rig.strangers.notes()
