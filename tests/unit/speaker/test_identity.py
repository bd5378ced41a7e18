"""Of two machines that go by one node's name, only the one that has its address announces anything."""

from ipaddress import ip_address

from structlog.testing import CapturingLogger

from netlb.bfd.adapter.sockets import is_here
from netlb_speaker.identity import Identity

FOUR, SIX = ip_address("192.0.2.1"), ip_address("2001:db8::1")


def test_a_machine_without_the_nodes_addresses_is_not_that_node_until_it_has_one() -> None:
    here: set[bytes] = set()
    log = CapturingLogger()
    identity = Identity("a", log, here.__contains__)
    assert [False, False] == [identity.look([FOUR, SIX]), identity.look([FOUR, SIX])]
    assert "this machine is not node a: none of 192.0.2.1, 2001:db8::1 is here" == identity.why_not()
    assert ["this is not node"] == [call.args[0] for call in log.calls]
    here.add(SIX.packed)
    assert identity.look([FOUR, SIX])
    assert identity.why_not() is None


def test_who_is_established_stays_so() -> None:
    here = {FOUR.packed}
    identity = Identity("a", CapturingLogger(), here.__contains__)
    assert not identity.look([FOUR])
    here.clear()
    assert not identity.look([FOUR])
    assert identity.why_not() is None


def test_a_node_that_has_no_addresses_yet_says_nothing_of_the_one_that_it_will_have() -> None:
    identity = Identity("a", CapturingLogger(), lambda _: False)
    assert not identity.look([])
    assert identity.why_not() is None
    assert not identity.look([FOUR])
    assert identity.why_not() is not None


def test_the_kernel_knows_which_addresses_are_here() -> None:
    assert [True, False] == [is_here(ip_address(text).packed) for text in ("127.0.0.1", "192.0.2.1")]
