"""What a way between pods carries: whole packets up to its MTU, and TCP whatever becomes of ICMP."""

import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from netlb.net import Address
from netlb.testing.lab import Host
from tests.support.waiting import eventually

__all__ = ["carries", "headers", "lose_icmp_errors", "too_big"]

_PORT = 5201


def headers(address: Address) -> int:
    """Return the octets of a ping's headers."""
    return 28 if address.version == 4 else 48


def too_big(source: Host, target: Address, size: int) -> int:
    """Ping with packets of so many octets that may not be cut, and return the MTU that somebody names in return.

    Raises AssertionError if nobody does, or if a packet is answered.
    """
    command = ["ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", str(size - headers(target)), str(target)]

    def named() -> int | None:
        done = source.run(command, check=False)
        assert done.returncode != 0, f"{target} answered {size} octets"
        found = re.search(r"mtu ?= ?(\d+)", done.stdout + done.stderr)
        return int(found[1]) if found else None

    return eventually(named, f"{source.name} is told that {size} octets do not fit on the way to {target}")


@contextmanager
def lose_icmp_errors(hosts: Iterable[Host]) -> Iterator[None]:
    """Let hosts hear nothing of packets that did not fit."""
    listed = list(hosts)
    rules = """table inet deaf {
        chain input {
            type filter hook input priority filter;
            icmp type destination-unreachable drop
            icmpv6 type packet-too-big drop
        }
    }
    """
    for host in listed:
        host.run(["nft", "-f", "-"], input=rules)
    try:
        yield
    finally:
        for host in listed:
            host.run(["nft", "delete", "table", "inet", "deaf"])


def carries(source: Host, target: Host, address: Address, octets: int, timeout: float = 60.0) -> int:
    """Send so many octets over a TCP connection to a host and have them sent back; return how many came back."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with target.inside(lambda: socket.create_server((str(address), _PORT), family=family)) as listening:
        listening.settimeout(timeout)
        echo = threading.Thread(target=_echo, args=(listening, octets, timeout))
        echo.start()
        try:
            with source.connect(address, _PORT, timeout) as connection:
                sender = threading.Thread(target=_send, args=(connection, octets))
                sender.start()
                try:
                    return _receive(connection, octets)
                finally:
                    connection.shutdown(socket.SHUT_RDWR)
                    sender.join()
        except OSError:
            return 0
        finally:
            echo.join()


def _echo(listening: socket.socket, octets: int, timeout: float) -> None:
    try:
        connection, _ = listening.accept()
    except TimeoutError:
        return
    with connection:
        connection.settimeout(timeout)
        left = octets
        try:
            while left > 0 and (piece := connection.recv(65536)):
                connection.sendall(piece)
                left -= len(piece)
        except OSError:
            return


def _send(connection: socket.socket, octets: int) -> None:
    try:
        connection.sendall(bytes(octets))
    except OSError:
        return


def _receive(connection: socket.socket, octets: int) -> int:
    received = 0
    try:
        while received < octets and (piece := connection.recv(65536)):
            received += len(piece)
    except TimeoutError:
        pass
    return received
