"""What BFD sessions count, as metrics."""

from netlb.bfd.adapter.bfd import Peer, SessionStatus
from netlb.bfd.packet import State
from netlb.net import parse_address
from netlb.reasons import BfdVerdict
from netlb_speaker.metrics import bfd_metrics

PEER = Peer(parse_address("192.0.2.2"), interface="eth0")


def status(state: State) -> SessionStatus:
    return SessionStatus(
        state=state, remote_state=state, diagnostic=0, remote_diagnostic=0, local_discriminator=1,
        remote_discriminator=2, transmit_interval=100_000, detection_time=300_000, polling=False, since=0.0,
        sent=7, unsent=0, received=6, dropped={BfdVerdict.LOW_TTL: 2}, ups=3, downs=1,
    )  # fmt: skip


def test_every_session_and_every_packet_is_shown() -> None:
    metrics = list(bfd_metrics({PEER: status(State.UP)}, {BfdVerdict.ACCEPTED: 6, BfdVerdict.UNKNOWN_PEER: 4}))
    found = {(sample.name, *sample.labels.values()): sample.value for metric in metrics for sample in metric.samples}
    peer = "192.0.2.2%eth0"
    assert {
        ("netlb_bfd_session_up", peer): 1.0,
        ("netlb_bfd_control_packet_input_total", peer): 6.0,
        ("netlb_bfd_control_packet_output_total", peer): 7.0,
        ("netlb_bfd_session_up_events_total", peer): 3.0,
        ("netlb_bfd_session_down_events_total", peer): 1.0,
        ("netlb_bfd_control_packet_dropped_total", peer, "LowTTL"): 2.0,
        ("netlb_bfd_packets_total", "Accepted"): 6.0,
        ("netlb_bfd_packets_total", "UnknownPeer"): 4.0,
    } == found


def test_a_session_that_is_not_up_is_down() -> None:
    for state in (State.DOWN, State.INIT, State.ADMIN_DOWN):
        [sample] = next(iter(bfd_metrics({PEER: status(state)}, {}))).samples
        assert 0.0 == sample.value
