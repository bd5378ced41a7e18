"""What may be announced, and what differs, worked out in steps: the same as at once."""

from collections.abc import Mapping
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from netlb.findings import ObjectRef
from netlb.l2.adapter.operations import Way
from netlb.net import Address
from netlb.plan import AnnouncedAddress
from netlb.reconcile import differing
from netlb_speaker.permitted import Permitted

ADDRESSES = st.integers(1, 6).map(lambda number: ip_address(f"192.0.2.{number}"))
WEB = (ObjectRef("Service", "default", "web"),)
ANNOUNCED = st.builds(
    AnnouncedAddress,
    st.just(WEB),
    st.sampled_from([None, frozenset({"eth0"}), frozenset({"eth1"})]),
    st.sampled_from(["reply", "address"]),
)
PLANS = st.dictionaries(ADDRESSES, ANNOUNCED)
SOME = st.frozensets(ADDRESSES, max_size=3)


@given(st.lists(st.tuples(PLANS, SOME, st.none() | SOME), max_size=6))
def test_what_may_be_is_what_is_planned_and_not_withheld(
    steps: list[tuple[Mapping[Address, AnnouncedAddress], frozenset[Address], frozenset[Address] | None]],
) -> None:
    permitted = Permitted()
    for planned, withheld, held in steps:
        expected = {
            address: Way(each.interfaces, by_kernel=each.announce == "address")
            for address, each in planned.items()
            if address not in withheld and (held is None or address in held)
        }
        assert expected == permitted.ways(planned, withheld, held)


NUMBERED = st.dictionaries(st.integers(0, 9), st.integers(0, 2))


@given(NUMBERED, NUMBERED)
def test_what_differs_is_all_that_differs_in_its_order(before: dict[int, int], after: dict[int, int]) -> None:
    expected = [key for key in after if before.get(key) != after[key]] + [key for key in before if key not in after]
    assert expected == differing(before, after)


@given(NUMBERED, NUMBERED)
def test_what_follows_by_changes_differs_by_these(before: dict[int, int], changes: dict[int, int]) -> None:
    after = dict(before)
    for key, value in changes.items():
        if value:
            after[key] = value
        else:
            after.pop(key, None)
    expected = [key for key in after if before.get(key) != after[key]] + [key for key in before if key not in after]
    assert expected == differing(before, after)
