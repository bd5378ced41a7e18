"""The probe believes the right answer and no other; on the real kernel."""

import json
import select
import shutil
import socket
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from benchmarks.arp.probe import compile_probe
from netlb.l2.responder import Responder
from netlb.testing.lab import Host, Lab
from netlb.testing.lab.fixtures import lab_fixture
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        shutil.which("cc") is None, reason="no C compiler; Debian's packages gcc and libc6-dev have one"
    ),
]

lab = lab_fixture(nodes=1, clients=1, pods_per_node=0)

TARGETS = {"ARP": "192.168.122.90", "NDP": "fd00:122::90"}
ETHERTYPES = {"ARP": 0x0806, "NDP": 0x86DD}
FREE = {"ARP": set[int](), "NDP": {15, 16, 17}}
"""Bytes of an answer that may be anything: traffic class and flow label."""
LONG = ("-T", "30000000")
"""No answer comes too late, however long this process is held up."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_probe(tmp_path_factory.mktemp("probe"))


def correct_answers(protocol: str, node: Host, frame: bytes) -> list[bytes]:
    """What the node says to a frame that asks for the target, if it does."""
    responder = Responder(bytes.fromhex(node.mac.replace(":", "")))
    responder.hold(socket.inet_pton(socket.AF_INET6 if protocol == "NDP" else socket.AF_INET, TARGETS[protocol]))
    receive = responder.receive_arp if protocol == "ARP" else responder.receive_nd
    return [answer] if (answer := receive(frame)[1]) else []


def open_packet_socket(node: Host, protocol: str) -> socket.socket:
    def opened() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind(("eth0", ETHERTYPES[protocol]))
        return made

    return node.inside(opened)


def probe(lab: Lab, program: Path, protocol: str, count: int, change: Any, *options: str) -> dict[str, Any]:
    """Ask `count` times; `change` turns the number of a question and its right answer into what is sent back.

    Where the asker ended before all of its questions were heard here, it is all done again.
    """

    def all_heard() -> dict[str, Any] | None:
        heard, said = _probe(lab, program, protocol, count, change, *options)
        return said if heard >= count else None

    return eventually(all_heard, "all questions are heard before the asker ends")


def _probe(
    lab: Lab, program: Path, protocol: str, count: int, change: Any, *options: str
) -> tuple[int, dict[str, Any]]:
    """Ask once; return how many questions were heard, and what the asker says."""
    node, client = lab.nodes["node-1"], lab.clients["client-1"]
    source = client.ipv4 if protocol == "ARP" else client.ipv6
    where = ["-i", "eth0", "-s", str(source), "-t", TARGETS[protocol], "-m", node.mac]
    with open_packet_socket(node, protocol) as answering:
        # The client's kernel complains to the target about some changed frames; it must not ask for it on its own.
        client.run(["ip", "neighbor", "replace", TARGETS[protocol], "lladdr", node.mac, "dev", "eth0"])
        command = [str(program), *where, "-n", str(count), *options]
        process = client.popen(command, stdout=subprocess.PIPE)
        number = 0
        while process.poll() is None:
            if not select.select([answering], [], [], 0.05)[0]:
                continue
            for answer in correct_answers(protocol, node, answering.recv(2048)):
                for frame in change(number, answer):
                    answering.send(frame)
                number += 1
    assert process.stdout is not None
    return number, json.loads(process.stdout.read())


@pytest.mark.parametrize("protocol", TARGETS)
def test_an_answer_with_any_byte_changed_is_none(lab: Lab, program: Path, protocol: str) -> None:
    length = {"ARP": 42, "NDP": 86}[protocol]

    def change(number: int, answer: bytes) -> list[bytes]:
        return [answer[:number] + bytes([answer[number] ^ 0x10]) + answer[number + 1 :]]

    said = probe(lab, program, protocol, length, change, "-T", "10000")
    assert (length, len(FREE[protocol])) == (said["sent"], said["answered"] + said["surplus"])
    assert 20 < said["wrong"] < length
    assert said["wrong_frame"]


@pytest.mark.parametrize("protocol", TARGETS)
def test_the_right_answer_is_timed(lab: Lab, program: Path, protocol: str) -> None:
    said = probe(lab, program, protocol, 20, lambda _, answer: [answer], "-w", "5", *LONG)
    assert {"sent": 25, "answered": 25, "surplus": 0, "wrong": 0} == {name: said[name] for name in list(said)[1:5]}
    assert 20 == len(said["latencies_ns"])
    assert all(0 < nanoseconds < 30_000_000_000 for nanoseconds in said["latencies_ns"])


@pytest.mark.parametrize("protocol", TARGETS)
def test_a_second_answer_is_noticed(lab: Lab, program: Path, protocol: str) -> None:
    def counted() -> bool:  # one that comes later than the next question is asked is not
        said = probe(lab, program, protocol, 5, lambda _, answer: [answer, answer], "-g", "50000", *LONG)
        return (5, 4) == (said["answered"], said["surplus"])

    eventually(counted, "all are, but that to the last question, for which nobody listens any more")


@pytest.mark.parametrize("protocol", TARGETS)
def test_silence_is_lost_and_no_error(lab: Lab, program: Path, protocol: str) -> None:
    def counted() -> bool:  # an answer that is held up for longer than the asker waits is lost, too
        said = probe(lab, program, protocol, 4, lambda number, answer: [answer] if number % 2 else [], "-T", "100000")
        return (4, 2, 0, 2) == (said["sent"], said["answered"], said["wrong"], len(said["latencies_ns"]))

    eventually(counted, "every other one is lost")


@pytest.mark.parametrize("protocol", TARGETS)
def test_a_window_counts_what_is_lost_and_goes_on(lab: Lab, program: Path, protocol: str) -> None:
    options = ("-W", "8", "-d", "200000", "-T", "20000")

    def answered() -> dict[str, Any] | None:  # not if this process is held up for as long as it lasts
        said = probe(lab, program, protocol, 1, lambda number, answer: [answer] if number % 10 else [], *options)
        return said if said["in_time"] else None

    said = eventually(answered, "some answers are in time")
    assert 200_000_000 == said["duration_ns"]
    assert 0 < said["in_time"] <= said["answered"] < said["sent"]
    assert (0, 0) == (said["surplus"], said["wrong"])


@pytest.mark.parametrize("protocol", TARGETS)
def test_a_window_is_filled_once_for_every_timeout_without_an_answer(lab: Lab, program: Path, protocol: str) -> None:
    said = probe(lab, program, protocol, 1, lambda *_: [], "-W", "8", "-d", "100000", "-T", "50000")
    assert (0, 0) == (said["answered"], said["in_time"])
    assert said["sent"] in {8, 16}


def test_replies_to_everybody_are_right_only_where_expected(lab: Lab, program: Path) -> None:
    def to_everybody(_: int, answer: bytes) -> list[bytes]:
        return [b"\xff" * 6 + answer[6:32] + b"\xff" * 6 + answer[38:]]

    assert 0 == probe(lab, program, "ARP", 3, to_everybody, "-T", "50000")["answered"]
    assert 3 == probe(lab, program, "ARP", 3, to_everybody, "-b", *LONG)["answered"]


@pytest.mark.parametrize("protocol", TARGETS)
def test_each_of_many_addresses_is_asked_for_and_known_again(lab: Lab, program: Path, protocol: str) -> None:
    node, many = lab.nodes["node-1"], 200
    target, source = {"ARP": ("10.9.0.0", "10.8.0.1"), "NDP": ("fd00:9::1", "fd00:8::1")}[protocol]
    first = int(ip_address(target))
    step = 1 << 32 if protocol == "NDP" else 1
    held = {ip_address(first + number * step).packed for number in range(many)}
    responder = Responder(bytes.fromhex(node.mac.replace(":", "")))
    for address in held:
        responder.hold(address)
    receive = responder.receive_arp if protocol == "ARP" else responder.receive_nd
    where = ["-i", "eth0", "-s", source, "-t", target, "-m", node.mac, "-a", str(many)]
    with open_packet_socket(node, protocol) as answering:
        for options in (["-n", "300"], ["-W", "8", "-d", "200000"], ["-R", "1000", "-d", "200000"]):
            process = lab.clients["client-1"].popen([str(program), *where, *LONG, *options], stdout=subprocess.PIPE)
            while process.poll() is None:
                if select.select([answering], [], [], 0.05)[0] and (answer := receive(answering.recv(2048))[1]):
                    answering.send(answer)
            assert process.stdout is not None
            said = json.loads(process.stdout.read())
            assert (0, 0, said["sent"]) == (said["wrong"], said["surplus"], said["answered"])
            assert said["sent"] > 0
    asked = {address for address in held if (counters := responder.counters(address)) and counters.requests}
    assert len(asked) > many / 2
