"""What only a kernel has: packets, processes that are killed, and somebody else who knows its every corner."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from netlb.net import Family
from netlb.raven.adapter import cleanup
from netlb.raven.dataplane import DataPlane, Forwarding, Neighbour, Overlay, Role, Route, Rule
from netlb.raven.objects import DeviceKey, Key, NeighbourKey, RouteKey, RuleKey, Value, objects
from netlb.testing.lab import requirements
from netlb.testing.lab.namespaces import batch
from tests.support.kernel_plans import add_tunnel, bring, in_kernel, wanted
from tests.support.kernel_rigs import NUMBERS, Kernel, RealRig, real_rig
from tests.support.needs import needs
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture
def real() -> Iterator[RealRig]:
    needs(requirements())
    with real_rig() as rig:
        yield rig


def left(rig: RealRig) -> str:
    """Everything that is in the namespace, as one text; an address that is being probed is as good as there."""
    return "\n".join(
        rig.run_command(*command.split())
        for command in (
            "ip -o link show",
            "ip -o address show",
            "ip -4 route show table all",
            "ip -6 route show table all",
            "ip -4 rule show",
            "ip -6 rule show",
            "nft list ruleset",
        )
    ).replace(" tentative", "")


# -- cleanup

KILLED = """
import asyncio, os, sys
from tests.support.kernel_plans import bring, wanted
from tests.support.kernel_rigs import NUMBERS
from netlb.raven.adapter import KernelOperations
async def main():
    async with KernelOperations(NUMBERS) as kernel:
        _, failures = await bring(kernel, wanted("e1"))
        assert not failures, failures
        print("there", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def test_what_a_killed_process_left_is_cleaned_up_and_nothing_else(real: RealRig) -> None:
    add_tunnel(real)
    real.ip(
        "rule add priority 98 fwmark 0x40 lookup 9027",
        "route add 10.99.0.0/24 dev raven-wg0 table 9027 proto static",
        "route add 10.99.1.0/24 dev raven-wg0 table main proto 107",
        "link add vxlan.calico group 9 type vxlan id 4096 dstport 4789",
    )
    real.nft("add", "table", "ip", "raven")
    before = left(real)
    command = ["ip", "netns", "exec", real.namespace, sys.executable, "-c", KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "there\n" == process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert before != left(real)

    async def scenario() -> None:
        gone = await cleanup(NUMBERS)
        assert dict.fromkeys(wanted("e1")) == gone
        assert {} == await cleanup(NUMBERS)

    real.run(scenario)
    assert before == left(real)


# -- what somebody who knows the kernel could do


def test_a_rule_to_be_removed_that_names_no_device_does_not_take_others_along(real: RealRig) -> None:
    """For the kernel it would be any: the first one of that priority and table."""

    async def play(kernel: Kernel) -> None:
        at_tunnel = RuleKey(Family.IPV4, 100, 9027, "raven-wg0")
        everywhere = RuleKey(Family.IPV4, 100, 9027, "")
        for key in (at_tunnel, everywhere):
            assert {} == await kernel.apply({key: Rule(key.family, key.priority, key.table, key.incoming)})
        assert {} == await kernel.prune([everywhere])
        assert {at_tunnel} == set(await kernel.observe())

    in_kernel(real, play)


@pytest.mark.parametrize(
    "change",
    [
        "route replace 10.1.1.0/24 dev raven0 table 9027 proto 107",
        "route append 10.1.1.0/24 via 240.168.2.2 dev raven0 onlink table 9027 proto 107",
        "-6 route append fd00:1:1::/64 via fe80::7 dev raven0 table 9027 proto 107",
        "route append blackhole 10.1.1.0/24 table 9027 proto 107",
        "route del 10.1.1.0/24 metric 1048576 table 9027",
        "-6 route replace unreachable fd00:1:1::/64 table 9027 proto 107",
        "route add 10.77.0.0/16 dev raven0 table 9027 proto 107",
        "rule add priority 50 lookup 9027 protocol 107",
        "rule add priority 100 fwmark 7 lookup 9027 protocol 107",
        "link set raven0 down",
        "link set raven0 address aa:0f:00:00:00:07",
        "link set raven0 type vxlan learning",
        "address del 240.168.2.3/32 dev raven0",
        "address add 240.168.2.3/8 dev raven0",
        "address add 10.77.0.1/24 dev raven0",
        "neigh del 240.255.255.254 dev raven0",
        "neigh replace fe80::ffff lladdr aa:0f:00:00:00:07 nud permanent dev raven0",
        "neigh add 240.7.7.7 lladdr aa:0f:00:00:00:07 nud permanent dev raven0",
    ],
)
def test_a_change_in_our_place_is_seen_and_undone(real: RealRig, change: str) -> None:
    async def play(kernel: Kernel) -> None:
        want = wanted("e3")
        await bring(kernel, want)
        real.ip(change)
        assert want != await kernel.observe()
        # What goes with a device that goes down is seen when it is up again.
        for _ in range(3):
            await bring(kernel, want)
        assert want == await kernel.observe()
        assert (set(), {}) == await bring(kernel, want)

    in_kernel(real, play)


def test_a_device_of_ours_with_other_numbers_is_made_anew(real: RealRig) -> None:
    real.ip("link add raven0 group 107 type vxlan id 300 dstport 8472")

    async def play(kernel: Kernel) -> None:
        _, failures = await bring(kernel, wanted("e3"))
        assert {} == failures
        assert wanted("e3") == await kernel.observe()

    in_kernel(real, play)


def test_who_has_the_port_is_told_by_the_kernel_and_it_is_tried_again(real: RealRig) -> None:
    holder = [sys.executable, "-c", HOLD]
    command = ["ip", "netns", "exec", real.namespace, *holder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "bound\n" == process.stdout.readline()

        async def refused(kernel: Kernel) -> None:
            _, failures = await bring(kernel, wanted("e3"))
            assert "in use" in str(failures[DeviceKey("raven0")])
            assert DeviceKey("raven0") in await kernel.observe()

        in_kernel(real, refused)
        process.communicate("")

    async def free(kernel: Kernel) -> None:
        _, failures = await bring(kernel, wanted("e3"))
        assert {} == failures

    in_kernel(real, free)


HOLD = """
import socket, sys
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held.bind(("", 4472))
print("bound", flush=True)
sys.stdin.read()
"""


# -- packets


class Segment:
    """Two endpoints and a member of one site on a wire; at the endpoints, an address of another site."""

    FAR4, FAR6 = ip_address("10.9.0.1"), ip_address("fd00:9::1")

    def __init__(self, member: RealRig, *endpoints: RealRig) -> None:
        self.member, self.endpoints = member, endpoints
        batch(["link add lan type bridge mcast_snooping 0", "link set lan up"], member.namespace)
        for number, rig in enumerate((member, *endpoints), start=1):
            batch(
                [
                    f"link add port{number} type veth peer name eth0 netns {rig.namespace}",
                    f"link set port{number} master lan up",
                ],
                member.namespace,
            )
            lines = [f"address add 192.0.2.{number}/24 dev eth0", "link set eth0 up"]
            if rig is not member:
                lines += [f"address add {self.FAR4}/32 dev pods", f"address add {self.FAR6}/128 dev pods nodad"]
            else:
                lines += ["address add 10.1.0.1/24 dev pods", "address add fd00:1::1/64 dev pods nodad"]
            batch(lines, rig.namespace)

    def plane(self, number: int, through: int) -> DataPlane:
        """What node number 1 (the member), 2 or 3 has if 2 or 3 is active."""
        member = number == 1
        macs = {node: f"aa:0f:f0:00:02:{node:02x}" for node in (1, 2, 3)}
        hops = (NUMBERS.next_hop4, NUMBERS.next_hop6)
        links = {node: (ip_address(f"240.0.2.{node}"), ip_address(f"fe80::{node}")) for node in (1, 2, 3)}
        others = [node for node in macs if node != number]
        remote = ("10.9.0.0/24", "fd00:9::/64") if member else ("10.1.0.0/24", "fd00:1::/64")
        sources = ("10.1.0.1", "fd00:1::1") if member else (str(self.FAR4), str(self.FAR6))
        return DataPlane(
            node=f"n{number}",
            role=Role.MEMBER if member else Role.GATEWAY,
            overlay=Overlay(
                device="raven0",
                vni=200,
                port=4472,
                local=ip_address(f"192.0.2.{number}"),
                mac=macs[number],
                addresses=links[number],
                mtu=1420,
            ),
            forwarding=tuple(Forwarding(macs[node], ip_address(f"192.0.2.{node}")) for node in others),
            neighbours=(
                *(Neighbour(hop, macs[through]) for hop in hops if member),
                *(Neighbour(link, macs[node]) for node in others for link in links[node] if not member),
            ),
            routes=tuple(
                Route(
                    prefix=ip_network(prefix),
                    table=NUMBERS.overlay_table,
                    device="raven0",
                    via=hop,
                    source=ip_address(source),
                    mtu=1420,
                )
                for prefix, hop, source in zip(remote, hops if member else links[1], sources, strict=True)
            ),
            rules=tuple(Rule(family, NUMBERS.overlay_priority, NUMBERS.overlay_table) for family in Family),
            nft="table inet raven\ndelete table inet raven\ntable inet raven {\n}\n",
        )

    def pings(self, address: object) -> bool:
        command = ["ip", "netns", "exec", self.member.namespace, "ping", "-c1", "-W1", str(address)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def segment(real: RealRig) -> Iterator[Segment]:
    with real_rig() as one, real_rig() as other:
        yield Segment(real, one, other)


def test_another_endpoint_takes_over_by_one_neighbour_entry_of_each_family(segment: Segment) -> None:
    """Packets of a member go to the active endpoint under a next hop that does not change, in strict rp_filter."""

    def have(rig: RealRig, want: dict[Key, Value]) -> set[Key]:
        touched: set[Key] = set()

        async def play(kernel: Kernel) -> None:
            nonlocal touched
            touched, failures = await bring(kernel, want)
            assert {} == failures

        in_kernel(rig, play)
        return touched

    for number, rig in enumerate((segment.member, *segment.endpoints), start=1):
        rig.run_command("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
        have(rig, dict(objects(segment.plane(number, through=2), NUMBERS)))
    for address in (segment.FAR4, segment.FAR6):
        eventually(lambda address=address: segment.pings(address), f"{address} answers")  # type: ignore[misc]
    shown = json.loads(segment.member.run_command("ip", "-json", "-4", "route", "get", str(segment.FAR4)))
    assert ("raven0", "240.255.255.254") == (shown[0]["dev"], shown[0]["gateway"])

    batch(["link set eth0 down"], segment.endpoints[0].namespace)
    assert not segment.pings(segment.FAR4)
    touched = have(segment.member, dict(objects(segment.plane(1, through=3), NUMBERS)))
    assert {NeighbourKey("raven0", hop) for hop in (NUMBERS.next_hop4, NUMBERS.next_hop6)} == touched
    for address in (segment.FAR4, segment.FAR6):
        eventually(lambda address=address: segment.pings(address), f"{address} answers again")  # type: ignore[misc]


def way(rig: RealRig, address: str) -> str:
    """What the kernel says of a packet to an address."""
    command = ["ip", "netns", "exec", rig.namespace, "ip", "route", "get", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_when_its_device_goes_nothing_of_ours_leads_anywhere(real: RealRig) -> None:
    async def play(kernel: Kernel) -> None:
        await bring(kernel, wanted("e3"))
        real.remove_device("raven0")
        for remote in ("10.1.1.5", "fd00:1:1::5"):
            assert "No route to host" in way(real, remote)
        assert RouteKey(ip_network("10.1.1.0/24"), 9027, 1 << 20) in await kernel.observe()

    in_kernel(real, play)
