"""A stand-in for one node's speaker of MetalLB in layer 2 mode, as a network sees it: `python metallb_speaker.py MAC IP...`

It answers and announces on eth0 as MetalLB 0.16 does, by its source:

- ARP: every request for one of the addresses, probes included, that is sent to everybody or to this node;
- NDP: solicitations that carry a source link-layer address; others, probes among them, get no answer;
- gratuitous: at once and every 1.1 s until 5 s are over, as an ARP request and an ARP reply, or an advertisement; again
  at SIGUSR1, as MetalLB does whenever a Service changes.

Nothing of netlb is in it. It gives way to nobody, and is silent when it ends.
"""

import select
import signal
import socket
import struct
import sys
import time
from ipaddress import ip_address

INTERVAL, LENGTH = 1.1, 5.0
BROADCAST, ALL_NODES = b"\xff" * 6, ip_address("ff02::1").packed
ARP, IPV6 = b"\x08\x06", b"\x86\xdd"


def arp(operation: int, mac: bytes, address: bytes, target_mac: bytes, target: bytes) -> bytes:
    """An ARP frame of ours."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return target_mac + mac + ARP + head + mac + address + target_mac + target


def advertisement(mac: bytes, address: bytes, to_mac: bytes, to: bytes, flags: int) -> bytes:
    """A neighbour advertisement of ours."""

    def message(checksum: int) -> bytes:
        return struct.pack("!BBHI16s", 136, 0, checksum, flags, address) + b"\x02\x01" + mac

    total = sum(struct.unpack("!18H", address + to + struct.pack("!HH", 32, 58)))
    total += sum(struct.unpack("!16H", message(0)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return to_mac + mac + IPV6 + struct.pack("!IHBB", 6 << 28, 32, 58, 255) + address + to + message(~total & 0xFFFF)


class Speaker:
    """One announcer of some addresses."""

    def __init__(self, mac: bytes, addresses: list[bytes]) -> None:
        self.mac = mac
        self.addresses = addresses
        self.sockets = [packet_socket(0x0806), packet_socket(0x86DD)]
        self.groups = [join(address) for address in addresses if len(address) == 16]
        self.until = 0.0
        self.next = 0.0

    def trigger(self) -> None:
        """Announce from now on, in time with a burst that is under way."""
        now = time.monotonic()
        self.next = self.next if now < self.until else now
        self.until = now + LENGTH

    def run(self) -> None:
        """Serve for ever."""
        self.trigger()
        while True:
            now = time.monotonic()
            if self.next <= now < self.until:
                self.announce()
                self.next += INTERVAL
            wait = max(0.0, self.next - now) if now < self.until else None
            for sock in select.select(self.sockets, [], [], wait)[0]:
                frame = sock.recv(2048)
                answer = self.answer_arp(frame) if frame[12:14] == ARP else self.answer_nd(frame)
                if answer:
                    sock.send(answer)

    def announce(self) -> None:
        """Send one round for every address."""
        for address in self.addresses:
            if len(address) == 4:
                for operation in (1, 2):
                    frame = arp(operation, self.mac, address, BROADCAST, address)
                    self.sockets[0].send(frame)
            else:
                everybody = b"\x33\x33" + ALL_NODES[12:]
                self.sockets[1].send(advertisement(self.mac, address, everybody, ALL_NODES, 0x20000000))

    def answer_arp(self, frame: bytes) -> bytes | None:
        """Answer a request."""
        if frame[20:22] != b"\x00\x01" or frame[38:42] not in self.addresses or frame[:6] not in (BROADCAST, self.mac):
            return None
        return arp(2, self.mac, frame[38:42], frame[22:28], frame[28:32])

    def answer_nd(self, frame: bytes) -> bytes | None:
        """Answer a solicitation that says at which MAC address its sender is."""
        if len(frame) < 86 or frame[20] != 58 or frame[54] != 135 or frame[78:80] != b"\x01\x01":
            return None
        if frame[62:78] not in self.addresses:
            return None
        return advertisement(self.mac, frame[62:78], frame[80:86], frame[22:38], 0x40000000)


def packet_socket(protocol: int) -> socket.socket:
    """A socket that hears one protocol on eth0, but not what this node sends."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind(("eth0", protocol))
    return sock


def join(address: bytes) -> socket.socket:
    """Become a member of an address's solicited-node group for as long as the socket is there."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    group = ip_address("ff02::1:ff00:0").packed[:13] + address[13:]
    sock.setsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@i", socket.if_nametoindex("eth0"))
    )
    return sock


if __name__ == "__main__":
    speaker = Speaker(bytes.fromhex(sys.argv[1].replace(":", "")), [ip_address(text).packed for text in sys.argv[2:]])
    signal.signal(signal.SIGUSR1, lambda *_: speaker.trigger())
    print("ready", flush=True)
    speaker.run()
