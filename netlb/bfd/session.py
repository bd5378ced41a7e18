"""One session in asynchronous mode (RFC 5880 section 6), without sockets or clocks: the protocol and nothing else.

Octets that came in go to `receive`, time that went by to `due`, which `next_wakeup` asks for; `take_packets` and
`take_events` give what came of it. What is particular here:

- Demand mode is never asked for; a peer that asks for it is spared periodic packets (section 6.6). Echo is not
  offered.
- Both sorts of SHA1 number every packet anew, which the plain sort allows. A number counts as seen only once the
  digest is found right, so that nobody without the secret can move the window.
- Poll sequences run while the session is up. In the other states a timer that an end announces is in force on both
  ends with the packet that announces it, and there is nothing to wait for (section 6.8.3 delays changes in Up alone).
- A peer that takes its end down begins its sequence numbers anew when it returns, and is believed at once.
- What a peer that has fallen silent asked of our sending is forgotten with its discriminator.
"""

from collections import Counter
from collections.abc import Callable

from netlb.bfd.authentication import SEQUENCE_MASK, follows, judge
from netlb.bfd.events import AdminDown, Down, Event, ParametersChanged, Up
from netlb.bfd.pace import Pace
from netlb.bfd.packet import ControlPacket, Diagnostic, Key, State, encode, sign
from netlb.bfd.settings import Settings
from netlb.reasons import BfdVerdict

__all__ = ["SLOW", "Session"]

SLOW = 1_000_000
"""Microseconds: nobody sends faster than this until the session is up (section 6.8.3)."""
_LONGEST_FAREWELL = 5.0
"""Seconds in which a peer is told that the session was stopped, whatever intervals the two would have kept."""
_SECOND, _NEVER = 1e6, float("inf")


class Session:
    """One end of a session; every `now` is seconds of one clock that never goes back."""

    def __init__(
        self, discriminator: int, settings: Settings, *, sequence: int, lots: Callable[[], float], now: float
    ) -> None:
        """Begin in Down, the first packet due at once.

        `discriminator`, not 0, is this end's alone; `sequence`, 32 random bits, begins its authenticated packets;
        `lots` draws a number in [0, 1) for each interval's jitter.
        """
        self.local_discriminator = discriminator
        self.remote_discriminator = 0
        self.state = State.DOWN
        self.remote_state = State.DOWN
        self.diagnostic = Diagnostic.NONE
        self.remote_diagnostic = 0
        self.settings = settings
        self.changed_at = now
        """Since when the state is what it is."""
        self.over = False
        """The session was stopped, and the peer knows or has had the time to: nothing is sent any more."""
        self.sent = 0
        self.received = 0
        self.dropped: Counter[BfdVerdict] = Counter()
        self.ups = 0
        self.downs = 0
        """Failures: `Down` events."""
        self._packets: list[bytes] = []
        self._events: list[Event] = []
        # What our packets say, and what counts until the peer has confirmed it, in microseconds.
        self._desired_min_tx = self._tx_in_force = max(SLOW, settings.transmit_interval)
        self._required_min_rx = self._rx_in_force = settings.receive_interval
        # What the peer's last packet said.
        self._remote_min_tx = 0
        self._remote_min_rx = 1
        self._remote_detect_mult = 0
        self._remote_demand = False
        # The poll sequence: under way since its first packet, then settling until one without Final.
        self._polling = False
        self._polling_since: float | None = None
        self._settled_at: float | None = None
        self._heard_at: float | None = None
        self._expected = False
        """The peer has been heard, and its silence is being timed."""
        self._sequence = sequence & SEQUENCE_MASK
        self._remote_sequence: int | None = None
        self._pace = Pace(lots, self.transmit_interval, now)
        self._repeated = b""
        """What the peer says again and again, while the session is up and nothing else goes on."""
        self._said: tuple[int, ...] = ()
        self._plain = b""
        """The content of the last packet, and its octets without Poll, Final and authentication."""
        self.reported: Up | None = None
        """What was told last, if the session is up."""
        self._farewell_until: float | None = None

    # What is known

    @property
    def transmit_interval(self) -> int:
        """Microseconds between our packets before jitter (section 6.8.2)."""
        return max(self._tx_in_force, self._remote_min_rx)

    @property
    def detection_time(self) -> int:
        """Microseconds of silence that mean failure (section 6.8.4); 0 until the peer was heard."""
        return self._remote_detect_mult * max(self._rx_in_force, self._remote_min_tx)

    @property
    def polling(self) -> bool:
        """A poll sequence is under way."""
        return self._polling

    @property
    def shortest_interval(self) -> int:
        """Microseconds: the shorter of what is negotiated for the two directions."""
        return min(self.transmit_interval, max(self._rx_in_force, self._remote_min_tx))

    def next_wakeup(self, slack: float = 0.0) -> float | None:
        """Return when to call `due` next, or None while only a packet can change anything; slack is as in `Pace`."""
        if self.over:
            return None
        wakeup = self._pace.deadline(slack) if self._sends_periodically() else _NEVER
        if self._expected and self._heard_at is not None:
            wakeup = min(wakeup, self._heard_at + self.detection_time / _SECOND)
        if self._farewell_until is not None:
            wakeup = min(wakeup, self._farewell_until)
        return None if wakeup == _NEVER else wakeup

    def take_packets(self) -> list[bytes]:
        """Return what is to be sent now, in this order."""
        packets, self._packets = self._packets, []
        return packets

    def take_events(self) -> list[Event]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    # What happens

    def receive(self, packet: ControlPacket, data: bytes, ttl: int, now: float) -> BfdVerdict:
        """Judge a packet, decoded from `data`, that was selected for this session, and heed it (section 6.8.6)."""
        verdict = self._judge(packet, data, ttl, now)
        if verdict is BfdVerdict.ACCEPTED or verdict is BfdVerdict.STOPPED:
            self._learn(packet, now)
        if verdict is not BfdVerdict.ACCEPTED:
            self.dropped[verdict] += 1
            return verdict
        self.received += 1
        self._follow(packet.state, now)
        if packet.poll:
            self._transmit(now, final=True)
        self._catch_up(now)
        if self._is_settled() and not (packet.poll or packet.final):
            self._repeated = data
        return verdict

    def hear_again(self, data: bytes, ttl: int, now: float) -> bool:
        """Accept a packet that says what the last one said, at little cost; False: `receive` is to judge it."""
        if data != self._repeated or ttl < self.settings.minimum_ttl:
            return False
        self._heard_at = now
        self.received += 1
        return True

    def due(self, now: float, slack: float = 0.0) -> None:
        """Do what the time has come for, and send what may be sent within the slack, as of `Pace`."""
        if self.over:
            return
        if self._farewell_until is not None and now >= self._farewell_until:
            self.over = True
            return
        if self._expected and self._heard_at is not None and now >= self._heard_at + self.detection_time / _SECOND:
            self._lose_peer(now)
            self._catch_up(now)
        if self._sends_periodically() and self._pace.ready(now, slack):
            self._transmit(now)

    def link_up(self, now: float) -> None:
        """Speak at once unless the session is up: its link was down, and both ends would stay silent for a second."""
        if self.state is not State.UP and self._sends_periodically():
            self._transmit(now)

    def change(self, settings: Settings, now: float) -> None:
        """Put other settings in force: timers by a poll sequence if the session is up, all else at once.

        Another key is used at once; a session stays up if the peer's changes within the detection time, or while the
        earlier key is among the former ones.
        """
        if not set(settings.keys) & set(self.settings.keys):
            self._remote_sequence = None
        self.settings = settings
        self._repeated = b""
        self._announce_timers()
        self._catch_up(now)

    def stop(self, now: float) -> None:
        """Take the session down on purpose (section 6.8.16).

        The peer is told for as long as it would take to detect a failure, but not for more than 5 seconds, or until it
        says that it knows.
        """
        if self.state is State.ADMIN_DOWN:
            return
        before, known = self.state, self.remote_discriminator != 0
        self._enter(State.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN, now)
        self._catch_up(now)
        if known and (before is not State.DOWN or self.remote_state is State.UP):
            noticed = self.settings.detect_multiplier * self.transmit_interval / _SECOND
            self._farewell_until = now + min(noticed, _LONGEST_FAREWELL)
        else:
            self.over = True

    def abandon(self, now: float) -> None:
        """End, since the program behind is gone: the peer is told once of a failure, and not of AdminDown."""
        if self.state in (State.INIT, State.UP):
            self._enter(State.DOWN, Diagnostic.FORWARDING_PLANE_RESET, now)
            self._transmit(now)
        self.over = True

    # Receiving

    def _judge(self, packet: ControlPacket, data: bytes, ttl: int, now: float) -> BfdVerdict:
        if ttl < self.settings.minimum_ttl:
            return BfdVerdict.LOW_TTL
        verdicts = [
            judge(key, packet, data, lambda key, packet: self._in_window(key, packet, now))
            for key in self.settings.keys
        ]
        if BfdVerdict.ACCEPTED not in verdicts:
            return verdicts[0]
        return BfdVerdict.STOPPED if self.state is State.ADMIN_DOWN else BfdVerdict.ACCEPTED

    def _in_window(self, key: Key, packet: ControlPacket, now: float) -> bool:
        """Say whether a sequence number may follow the last one (section 6.7.4).

        After twice the detection time in silence any may: the peer has begun anew.
        """
        if self._remote_sequence is None or self._heard_at is None:
            return True
        begun_anew = now >= self._heard_at + 2 * self.detection_time / _SECOND
        return begun_anew or follows(key, packet, self._remote_sequence)

    def _learn(self, packet: ControlPacket, now: float) -> None:
        before, self._repeated = self.remote_state, b""
        self.remote_discriminator = packet.my_discriminator
        self.remote_state = packet.state
        self.remote_diagnostic = packet.diagnostic
        self._remote_min_tx = packet.desired_min_tx
        self._remote_min_rx = packet.required_min_rx
        self._remote_detect_mult = packet.detect_mult
        self._remote_demand = packet.demand
        if packet.authentication is not None:
            self._remote_sequence = packet.authentication.sequence
        gone = before > State.DOWN is packet.state and packet.diagnostic == Diagnostic.FORWARDING_PLANE_RESET
        if packet.state is State.ADMIN_DOWN or gone:
            self._remote_sequence = None  # whoever comes back begins anew
        self._heard_at = now
        self._expected = True
        self._advance_poll(packet.final, now)
        if self.state is State.ADMIN_DOWN:
            # From Init the peer may not have been up yet: that it is down then says nothing about what it has heard.
            self.over = self.over or (before > State.DOWN >= packet.state)
        elif packet.state is State.ADMIN_DOWN and before is not State.ADMIN_DOWN:
            self._events.append(AdminDown())

    def _advance_poll(self, final: bool, now: float) -> None:
        """End the poll sequence on Final; begin a waiting one when no Final of the last can be under way any more.

        Section 6.8.3 asks for a packet without Final or for a round trip's time in between; this is both.
        """
        if final:
            if self._polling and self._polling_since is not None:
                self._settled_at = now + (now - self._polling_since)
                self._polling, self._polling_since = False, None
                self._tx_in_force, self._rx_in_force = self._desired_min_tx, self._required_min_rx
        elif self._settled_at is not None and now >= self._settled_at:
            self._settled_at = None
            self._announce_timers()

    def _follow(self, remote: State, now: float) -> None:
        """Be led by the peer's state (section 6.2, and the table in section 6.8.6)."""
        if remote is State.ADMIN_DOWN:
            if self.state is not State.DOWN:
                self._enter(State.DOWN, Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN, now)
        elif self.state is State.DOWN:
            if remote is State.DOWN:
                self._enter(State.INIT, self.diagnostic, now)
            elif remote is State.INIT:
                self._enter(State.UP, Diagnostic.NONE, now)
        elif self.state is State.INIT:
            if remote is not State.DOWN:
                self._enter(State.UP, Diagnostic.NONE, now)
        elif remote is State.DOWN:
            self._fail(Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN, now)

    def _is_settled(self) -> bool:
        """Say whether the peer's last packet, said once more, would change nothing but the time it was heard at."""
        up = self.state is State.UP is self.remote_state and self.reported is not None
        return up and not self._polling and self._settled_at is None and self.settings.keys == (None,)

    def _lose_peer(self, now: float) -> None:
        self._expected, self._repeated = False, b""
        self.remote_discriminator = 0
        self._remote_min_rx = 1
        self._remote_demand = False
        if self.state is State.UP:
            self._fail(Diagnostic.CONTROL_DETECTION_TIME_EXPIRED, now)
        elif self.state is State.INIT:
            self._enter(State.DOWN, Diagnostic.CONTROL_DETECTION_TIME_EXPIRED, now)

    def _fail(self, diagnostic: Diagnostic, now: float) -> None:
        self._enter(State.DOWN, diagnostic, now)
        self.downs += 1
        self._events.append(Down(diagnostic, self.remote_diagnostic))

    def _enter(self, state: State, diagnostic: Diagnostic, now: float) -> None:
        self.state, self.diagnostic, self.changed_at, self._repeated = state, diagnostic, now, b""
        self._polling, self._polling_since, self._settled_at = False, None, None
        if state is State.UP:
            self.ups += 1
        else:
            self.reported = None
        self._announce_timers()

    # Timers and sending

    def _announce_timers(self) -> None:
        """Say in our packets what the settings ask for, and hold back what the peer must know of first.

        While a poll sequence runs or settles nothing changes: its end calls again.
        """
        wanted_tx, wanted_rx = self.settings.transmit_interval, self.settings.receive_interval
        if self.state is not State.UP:
            self._desired_min_tx = self._tx_in_force = max(SLOW, wanted_tx)
            self._required_min_rx = self._rx_in_force = wanted_rx
            return
        if self._polling or self._settled_at is not None:
            return
        if (wanted_tx, wanted_rx) != (self._desired_min_tx, self._required_min_rx):
            self._desired_min_tx, self._required_min_rx = wanted_tx, wanted_rx
            # The peer may go on counting by our old interval, and sending by our old wish, until it answers.
            self._tx_in_force = min(self._tx_in_force, wanted_tx)
            self._rx_in_force = max(self._rx_in_force, wanted_rx)
            self._polling = True

    def _sends_periodically(self) -> bool:
        """Section 6.8.7, and section 6.6 for a peer in demand mode."""
        if self.over or not self._remote_min_rx or (self.settings.passive and not self.remote_discriminator):
            return False
        spared = self._remote_demand and self.state is State.UP and self.remote_state is State.UP
        return self._polling or not spared

    def _catch_up(self, now: float) -> None:
        """Send at once what differs from what was said last, keep pace with changed intervals, and report them."""
        if self.over:
            return
        if self._content() != self._said and (self.remote_discriminator or not self.settings.passive):
            self._transmit(now)
        if self.transmit_interval != self._pace.interval:
            self._pace.change(self.transmit_interval, self.settings.detect_multiplier)
        usable = self.remote_diagnostic != Diagnostic.CONCATENATED_PATH_DOWN
        told = Up(self.transmit_interval, self.detection_time, usable)
        if self.state is State.UP and told != self.reported:
            self._events.append(told if self.reported is None else ParametersChanged(*told))
            self.reported = told

    def _content(self) -> tuple[int, ...]:
        """What our packets say, but for Poll and Final."""
        return (
            self.state,
            self._said_diagnostic(),
            self.remote_discriminator,
            self._desired_min_tx,
            self._required_min_rx,
            self.settings.detect_multiplier,
        )

    def _said_diagnostic(self) -> Diagnostic:
        """What is ahead counts more than what is past, and from Init on: the peer may come up by such a packet."""
        if self.settings.path_down and self.state > State.DOWN:
            return Diagnostic.CONCATENATED_PATH_DOWN
        return self.diagnostic

    def _encode(self, *, poll: bool, final: bool) -> bytes:
        state, diagnostic, remote, least_tx, least_rx, multiplier = self._content()
        packet = ControlPacket(self.local_discriminator, remote, State(state), multiplier, least_tx, least_rx)
        return encode(packet._replace(diagnostic=diagnostic, poll=poll, final=final))

    def _transmit(self, now: float, *, final: bool = False) -> None:
        """Send a packet: the next periodic one ahead of its time, or, with `final`, one besides."""
        poll = self._polling and not final
        content = self._content()
        if content != self._said:
            self._said, self._plain = content, self._encode(poll=False, final=False)
        octets = self._encode(poll=poll, final=final) if poll or final else self._plain
        for key in self.settings.keys:
            self._sequence = self._sequence + 1 & SEQUENCE_MASK
            self._packets.append(octets if key is None else sign(octets, key, self._sequence))
            self.sent += 1
        if poll and self._polling_since is None:
            self._polling_since = now
        if not final:
            self._pace.sent(now, self.transmit_interval, self.settings.detect_multiplier)
