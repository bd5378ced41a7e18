"""A speaker on segments in memory, and a directory of manifests for it."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from netlb.errors import DataplaneError
from netlb.l2.adapter.kernel import KernelAddresses
from netlb.l2.announces import Event, Stranger
from netlb.l2.defence import Conduct
from netlb.l2.probe import RFC_TIMINGS, ProbeTimings
from netlb.net import Address
from netlb.runtime.app import App
from netlb.testing.kernel_addresses import FakeKernel
from netlb.testing.l2 import FakeAnnouncer, FakeSegment
from netlb_speaker.wiring import ConflictDetection, SpeakerSettings, build
from tests.manifests import service, slice_of
from tests.support.wired import allocate, common, write

__all__ = ["ADDRESS", "ANNOUNCED", "Net", "declare", "speaker"]

ADDRESS = "192.0.2.1"
ANNOUNCED = ("True", "Announced")
"""Status and reason of a Service whose addresses are announced."""
TIMINGS = ProbeTimings(probe_wait=0.0, rate_limit_interval=0.05)
"""Probes take the time of the segments, which stands still; only what follows a conflict takes time of this world."""


class Net:
    """Two segments that the speaker is on, and its announcer once there is one."""

    def __init__(self) -> None:
        self.segments = {"eth0": FakeSegment(), "eth1": FakeSegment()}
        self.kernel = FakeKernel(self.segments)
        """Of the node, on the same segments."""
        self.refuses: dict[str, int] = {}
        """How often holding an address still fails."""
        self.refuses_probes: set[str] = set()
        """Addresses that cannot be probed."""
        self.on_release: Callable[[], None] = lambda: None
        self.announcer: FakeAnnouncer | None = None

    def __call__(self, *, interfaces: Collection[str], on_event: Callable[[Event], None]) -> FakeAnnouncer:
        self.announcer = _Announcer(self, interfaces, on_event)
        return self.announcer

    def addresses(self, *, interfaces: Collection[str], on_change: Callable[[], None]) -> KernelAddresses:
        """Make what keeps addresses on the kernel's interfaces."""
        return KernelAddresses(interfaces=interfaces, on_change=on_change, kernel=self.kernel.opened)

    @property
    def worker(self) -> FakeAnnouncer:
        assert self.announcer is not None
        return self.announcer

    def advance(self, seconds: float) -> None:
        """Let time go by on the segments."""
        for segment in self.segments.values():
            segment.advance(seconds)

    def tick(self, look: Callable[[], bool]) -> Callable[[], bool]:
        """Let a second go by before each look."""

        def tick_and_look() -> bool:
            self.advance(1)
            return look()

        return tick_and_look

    def probed(self) -> int:
        """Return how many probes were sent."""
        return sum(len(segment.probed) for segment in self.segments.values())

    async def answers(self, address: str = ADDRESS) -> list[str]:
        """Return the interfaces on which an address is answered for."""
        return [name for name, segment in self.segments.items() if await segment.who_has(address)]


class _Announcer(FakeAnnouncer):
    """Refuses now and then, and lets a test look on when addresses are released."""

    def __init__(self, net: Net, interfaces: Collection[str], on_event: Callable[[Event], None]) -> None:
        super().__init__(net.segments, interfaces=interfaces, on_event=on_event)
        self._net = net

    async def hold_many(self, wanted: Mapping[str | Address, Collection[str] | None]) -> None:
        for address in map(str, wanted):
            if self._net.refuses.get(address, 0):
                self._net.refuses[address] -= 1
                raise DataplaneError(f"hold {address}", 12)
        await super().hold_many(wanted)

    async def probe(
        self, addresses: Mapping[str | Address, Collection[str] | None], timings: ProbeTimings = RFC_TIMINGS
    ) -> Mapping[Address, Stranger | None]:
        if refused := self._net.refuses_probes & set(map(str, addresses)):
            raise DataplaneError(f"probe {' '.join(refused)}", 12)
        return await super().probe(addresses, timings)

    async def release_many(self, addresses: Collection[str | Address]) -> None:  # type: ignore[override]
        self._net.on_release()
        await super().release_many(addresses)


def declare(root: Path, *names: str) -> None:
    """Declare Services with an endpoint on node-1, policy Local, and allocate."""
    spec = {"externalTrafficPolicy": "Local"}
    for name in names:
        write(root, f"{name}.yaml", [service(name, **spec), slice_of(name, "node-1")])
    allocate(root)


def speaker(
    root: Path,
    net: Net,
    *,
    name: str = "node-1",
    interfaces: tuple[str, ...] = (),
    detection: str = "off",
    on_conflict: Conduct = Conduct.REPORT,
) -> App:
    settings = SpeakerSettings(
        common=common(root),
        status_dir=root / "cluster.status",
        node=name,
        interfaces=interfaces,
        conflict_detection=ConflictDetection(detection),
        on_conflict=on_conflict,
    )
    return build(settings, net, TIMINGS, settled=0.0, kernel=net.addresses)
