"""When announcements go out: rounds, pace, order, and what stopping and starting anew does."""

from collections import Counter

import pytest

from netlb.l2 import arp, ndp
from netlb.l2.burst import INTERVAL, ROUNDS, GratuitousBurst, frames
from netlb.l2.pace import BATCH, RATE

MAC = b"\2\0\0\0\0\1"
ONE, TWO = b"\xc0\0\2\1", b"\xc0\0\2\2"
SIX = bytes.fromhex("20010db8") + bytes(11) + b"\1"


def burst_on(*interfaces: int) -> GratuitousBurst:
    burst = GratuitousBurst()
    for index in interfaces:
        burst.set_interface(index, MAC)
    return burst


def play(burst: GratuitousBurst, until: float = 60.0) -> list[tuple[float, int, bytes]]:
    """Call the burst whenever it asks for it; return time, interface and address of each frame."""
    sent: list[tuple[float, int, bytes]] = []
    for _ in range(1_000_000):
        now = burst.next_wakeup()
        if now is None or now > until:
            return sent
        sent += [(round(now, 6), index, address) for index, address, _ in burst.frames_to_send(now)]
    raise AssertionError("it never sleeps")


def burst_with(addresses: list[bytes]) -> GratuitousBurst:
    burst = burst_on(1)
    burst.start(1, addresses, 0.0)
    return burst


def all_frames(burst: GratuitousBurst) -> list[tuple[int, bytes, bytes]]:
    """Return the frames of the first second."""
    return [sent for tick in range(1000) for sent in burst.frames_to_send(tick / 1000)]


def test_five_rounds_11_tenths_apart_with_both_forms_of_arp() -> None:
    burst = burst_on(7)
    burst.start(7, [ONE], 0.0)
    assert [(at, 7, ONE) for at in (0.0, 1.1, 2.2, 3.3, 4.4) for _ in range(2)] == play(burst)
    assert burst.next_wakeup() is None


def test_the_frames_of_a_round() -> None:
    assert arp.gratuitous(MAC, ONE) == frames(MAC, ONE)
    assert (ndp.unsolicited(MAC, SIX),) == frames(MAC, SIX)


def test_starting_anew_extends_and_never_doubles() -> None:
    burst = burst_on(1)
    burst.start(1, [SIX], 0.0)
    play(burst, until=2.0)
    burst.start(1, [SIX], 2.0)
    burst.start(1, [SIX], 2.0)
    assert [2.2, 3.3, 4.4, 5.5, 6.6] == [at for at, _, _ in play(burst)]


def test_a_stopped_address_is_silent_and_may_start_afresh() -> None:
    burst = burst_on(1)
    burst.start(1, [ONE, SIX], 0.0)
    play(burst, until=1.0)
    burst.stop(1, ONE)
    burst.stop(1, TWO)
    assert {SIX} == {address for _, _, address in play(burst, until=1.5)}
    burst.start(1, [ONE], 2.0)
    again = [at for at, _, address in play(burst) if address == ONE]
    assert [2.0, 3.1, 4.2, 5.3, 6.4] == sorted(set(again))
    assert 2 * ROUNDS == len(again)


def test_with_no_rounds_at_all_an_address_is_announced_no_more() -> None:
    burst = burst_on(1)
    burst.start(1, [ONE, SIX], 0.0)
    play(burst, until=1.0)
    burst.start(1, [ONE, TWO], 1.05, rounds=0)
    assert {SIX} == {address for _, _, address in play(burst)}


def test_every_address_once_before_any_repeat_and_none_twice_in_a_round() -> None:
    burst = burst_on(1)
    many = [number.to_bytes(16, "big") for number in range(250_000)]
    burst.start(1, many, 0.0)
    sent = [address for _, _, address in play(burst, until=1.3)]
    assert many == sent[: len(many)]


def test_ten_thousand_addresses_are_announced_once_within_100_milliseconds_and_then_by_the_other_form_of_arp() -> None:
    burst = burst_on(1)
    many = [number.to_bytes(4, "big") for number in range(10_000)]
    burst.start(1, many, 0.0)
    sent = play(burst, until=0.5)
    assert [*many, *many] == [address for _, _, address in sent]
    assert sent[len(many) - 1][0] <= 0.1
    kinds = [frame[20:22] for _, _, frame in all_frames(burst_with(many))]
    assert [arp.REQUEST.to_bytes(2, "big")] * 10_000 + [arp.REPLY.to_bytes(2, "big")] * 10_000 == kinds[:20_000]


def test_the_pace_is_a_thousand_frames_in_5_milliseconds_over_all_interfaces() -> None:
    burst = burst_on(1, 2)
    many = [number.to_bytes(16, "big") for number in range(5000)]
    burst.start(1, many, 0.0)
    burst.start(2, many, 0.0)
    sent = play(burst, until=1.0)
    assert 10_000 == len(sent)
    assert 0.045 <= sent[-1][0] <= 0.051
    each_5_ms = Counter(int(at / 0.005) for at, _, _ in sent[1000:])
    assert max(each_5_ms.values()) <= RATE * 0.005 + BATCH


def test_frames_are_given_out_in_small_batches() -> None:
    burst = burst_on(1)
    burst.start(1, [number.to_bytes(4, "big") for number in range(1000)], 0.0)
    assert BATCH == len(burst.frames_to_send(0.0))


def test_an_interface_that_appears_later_has_a_burst_of_its_own() -> None:
    burst = burst_on(1)
    burst.start(1, [SIX], 0.0)
    play(burst, until=3.0)
    burst.set_interface(2, MAC)
    burst.start(2, [SIX], 3.0)
    later = play(burst)
    assert [3.3, 4.4] == [at for at, index, _ in later if index == 1]
    assert [3.0, 4.1, 5.2, 6.3, 7.4] == [at for at, index, _ in later if index == 2]


def test_an_interface_that_vanishes_takes_its_burst_along() -> None:
    burst = burst_on(1, 2)
    burst.start(1, [SIX], 0.0)
    burst.start(2, [SIX], 0.0)
    burst.remove_interface(1)
    assert {2} == {index for _, index, _ in play(burst)}


@pytest.mark.parametrize("now", [0.0, 12345.678, 1e9])
def test_it_sleeps_between_rounds_whatever_the_clock_shows(now: float) -> None:
    burst = burst_on(1)
    burst.start(1, [ONE], now)
    burst.frames_to_send(now)
    assert burst.next_wakeup() == now + INTERVAL
