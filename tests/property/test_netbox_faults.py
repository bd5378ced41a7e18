"""Whatever goes wrong with NetBox, and in whatever order: once it stops, every claim has one address or none.

A random NetBox, random calls, random faults (answers lost, work done late, other people faster, our own restarts). What
others have entered is never touched, no address is given to two, and what is released is gone.
"""

import asyncio
import tempfile
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from netlb.errors import TransientError
from netlb.findings import ObjectRef
from netlb.ipam.adapter.netbox import NetBox
from netlb.ipam.adapter.settings import NetBoxSettings, TokenFile
from netlb.ipam.source import AddressTakenError, Claim, Lessee, NoAddressLeftError
from netlb.net import Address, Family
from netlb.testing.http_double import Fault, Request
from netlb.testing.netbox import NetBoxDouble, NetBoxEntry

EDGE, OTHER = Lessee("edge", "default"), Lessee("edge", "default.b")
CLAIMS = [Claim(ObjectRef("Service", "default", name), Family.IPV4) for name in ("web", "api", "dns")]
HOSTS = [f"192.0.2.{number}" for number in range(1, 7)]
PASSING = [
    fault
    for fault in Fault
    # Deadlines are tried elsewhere: here every one would cost its time, and teach nothing that a reset does not.
    if fault not in (Fault.REDIRECT, Fault.LOGIN_PAGE, Fault.WRONG_HOST, Fault.HANG, Fault.HANG_DONE, Fault.DRIP)
]
claims, hosts = st.sampled_from(CLAIMS), st.sampled_from(HOSTS)


class TroubledNetBox(RuleBasedStateMachine):
    """One lessee's client of a NetBox that others use, too."""

    @initialize(unique=st.booleans())
    def start(self, unique: bool) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.netbox = NetBoxDouble(unique=unique)
        self.netbox.add_prefix("192.0.2.0/29")
        self.token = Path(self.folder.name) / "token"
        self.token.write_text(next(iter(self.netbox.tokens)))
        self.foreign: dict[int, NetBoxEntry] = {}
        self.faster: list[str] = []
        self.held: dict[Claim, Address] = {}
        self.netbox.before = self.be_faster
        self.server = self.netbox.http.serving()
        self.url = self.runner.run(self.server.__aenter__())
        self.source = self.connect()

    def connect(self) -> NetBox:
        token = TokenFile(self.token)
        source = NetBoxSettings(url=self.url, token=token, addresses=("192.0.2.0/29",), timeout=60.0, page_size=2)
        return NetBox(source, EDGE)

    def enter(self, host: str, text: str) -> None:
        entry = self.netbox.add_entry(f"{host}/29", text)
        self.foreign[entry.id] = entry

    def be_faster(self, request: Request) -> None:
        if request.method == "POST" and self.faster:
            self.enter(self.faster.pop(), "just entered")

    # What happens

    @rule(claim=claims)
    def lease(self, claim: Claim) -> None:
        self.call_lease(claim, None)

    @rule(claim=claims, host=hosts)
    def lease_wanted(self, claim: Claim, host: str) -> None:
        self.call_lease(claim, ip_address(host))

    def call_lease(self, claim: Claim, wanted: Address | None) -> None:
        try:
            address = self.runner.run(self.source.lease(claim, wanted))
        except (TransientError, NoAddressLeftError, AddressTakenError):
            return
        assert address == self.held.setdefault(claim, address)

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        self.held.pop(claim, None)
        try:
            self.runner.run(self.source.release(claim))
        except TransientError:
            return
        assert EDGE.tag(claim) not in {entry.description for entry in self.netbox.entries.values()}

    @rule(pair=st.lists(claims, min_size=2, max_size=3))
    def lease_at_the_same_time(self, pair: list[Claim]) -> None:
        async def all_of_them() -> list[Address | BaseException]:
            return await asyncio.gather(*(self.source.lease(claim) for claim in pair), return_exceptions=True)

        given = dict(zip(pair, self.runner.run(all_of_them()), strict=True))
        for claim, address in given.items():
            if not isinstance(address, TransientError | NoAddressLeftError):
                assert address == self.held.setdefault(claim, address)  # type: ignore[arg-type]

    @rule()
    def look(self) -> None:
        try:
            leases = self.runner.run(self.look_at_leases())
        except TransientError:
            return
        assert self.held == {claim: leases[claim] for claim in self.held}

    async def look_at_leases(self) -> dict[Claim, Address]:
        return dict(await self.source.leases())

    @rule(fault=st.sampled_from(PASSING), method=st.sampled_from(["", "GET", "POST", "PATCH", "DELETE"]))
    def trouble(self, fault: Fault, method: str) -> None:
        self.netbox.http.fail_next(fault, method)

    @rule(host=hosts)
    def somebody_will_be_faster(self, host: str) -> None:
        if not self.netbox.unique:  # else NetBox would refuse it
            self.faster.append(host)

    @rule(host=hosts, text=st.sampled_from(["", "the printer", OTHER.tag(CLAIMS[0]), EDGE.tag(CLAIMS[0]) + "?"]))
    def somebody_enters_one(self, host: str, text: str) -> None:
        if not self.netbox.unique or host not in {entry.host for entry in self.netbox.entries.values()}:
            self.enter(host, text)

    @rule()
    def somebody_leaves(self) -> None:
        if self.foreign:
            self.netbox.entries.pop(self.foreign.popitem()[0])

    @rule()
    def restart(self) -> None:
        # A new process: nothing of the old one's is still on its way.
        self.netbox.http.finish_late()
        self.runner.run(self.source.close())
        self.source = self.connect()

    @rule()
    def late_work_lands(self) -> None:
        self.netbox.http.finish_late()

    # What must be so

    @invariant()
    def nobody_else_is_touched(self) -> None:
        if hasattr(self, "netbox"):
            others = {n: entry for n, entry in self.netbox.entries.items() if EDGE.claim(entry.description) is None}
            assert self.foreign == others

    @invariant()
    def what_was_given_stays(self) -> None:
        for claim, address in self.held.items() if hasattr(self, "netbox") else ():
            at = [entry for entry in self.netbox.entries.values() if entry.host == str(address)]
            ours = [entry for entry in at if entry.description == EDGE.tag(claim)]
            assert "active" == ours[0].status
            # Whoever enters it as well comes later, and can know.
            assert ours[0] == min(at, key=lambda entry: entry.id)

    def teardown(self) -> None:
        if not hasattr(self, "netbox"):
            return
        try:
            self.settle()
        finally:
            self.runner.run(self.source.close())
            self.runner.run(self.server.__aexit__(None, None, None))
            self.runner.close()
            self.folder.cleanup()

    def settle(self) -> None:
        self.netbox.http.heal()
        self.netbox.http.finish_late()
        self.faster.clear()
        leases = self.runner.run(self.look_at_leases())
        ours = [entry for entry in self.netbox.entries.values() if EDGE.claim(entry.description)]
        assert {EDGE.tag(claim): str(address) for claim, address in leases.items()} == {
            entry.description: entry.host for entry in ours
        }
        assert {1} >= set(Counter(entry.description for entry in ours).values())
        assert {1} >= set(Counter(leases.values()).values())
        assert ours == [replace(entry, status="active") for entry in ours]
        for claim in leases:
            self.runner.run(self.source.release(claim))
        assert self.foreign == self.netbox.entries


TestTroubledNetBox = TroubledNetBox.TestCase
TestTroubledNetBox.settings = settings(max_examples=60, stateful_step_count=25)
