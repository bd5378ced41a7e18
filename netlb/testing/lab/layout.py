"""Who is in a lab and what each is called: names, MACs, addresses. Pure.

Host number n has the IPv4 address .n and the IPv6 address whose digits read the same: 192.168.122.11 and
fd00:122::11 are one node. MACs are locally administered and tell the member: 02:4e:4c ("NL"), role, number.
"""

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Self

__all__ = [
    "INTERFACE",
    "Address",
    "Member",
    "PodPlace",
    "Role",
    "Segment",
    "check_name",
    "member",
    "pod_place",
]

Address = IPv4Address | IPv6Address

INTERFACE = "eth0"
"""The interface of every host and pod of a lab."""

_SEGMENT_IPV4 = IPv4Network("192.168.122.0/24")
_SEGMENT_IPV6 = IPv6Network("fd00:122::/64")
_PODS_IPV4 = IPv4Network("10.244.0.0/16")
_PODS_IPV6 = IPv6Network("fd00:244::/32")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME = 10  # "name.eth1" must fit an interface name: 15 bytes (IFNAMSIZ)


class Role(Enum):
    """What a host of the segment is: the word its name begins with, its code in MACs, how many may be."""

    ROUTER = ("router", 3, 9)
    NODE = ("node", 1, 78)
    CLIENT = ("client", 2, 50)

    def __init__(self, word: str, code: int, limit: int) -> None:
        self.word = word
        self.code = code
        self.limit = limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The prefixes of a lab and where in them the hosts of each role begin.

    The defaults leave .90 to .100 free for a pool of load-balancer addresses.
    """

    ipv4: IPv4Network = _SEGMENT_IPV4
    ipv6: IPv6Network = _SEGMENT_IPV6
    first_router: int = 1
    first_node: int = 11
    first_client: int = 201
    pods_ipv4: IPv4Network = _PODS_IPV4
    """Node number i takes the i-th /24 for its pods."""
    pods_ipv6: IPv6Network = _PODS_IPV6
    """Node number i takes the /64 whose third group reads i."""

    @classmethod
    def parse(cls, ipv4: str, ipv6: str) -> Self:
        """A segment with these two prefixes and everything else as by default."""
        return cls(ipv4=IPv4Network(ipv4), ipv6=IPv6Network(ipv6))

    def first(self, role: Role) -> int:
        """The host number of the role's first member."""
        return {Role.ROUTER: self.first_router, Role.NODE: self.first_node, Role.CLIENT: self.first_client}[role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A host of the segment."""

    name: str
    role: Role
    number: int
    """Counts from 1 within the role."""
    mac: str
    ipv4: IPv4Interface
    ipv6: IPv6Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlace:
    """A pod and the two ends of its link to its node, point to point as the `ptp` CNI plugin makes it."""

    name: str
    link: str
    """The node's interface towards the pod."""
    mac: str
    ipv4: IPv4Address
    ipv6: IPv6Address
    gateway4: IPv4Address
    gateway6: IPv6Address


def check_name(name: str) -> str:
    """Return a host's name, or raise ValueError for one that cannot also name interfaces and namespaces."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise ValueError(f"{name!r} is no host name for a lab: a-z, 0-9 and inner hyphens, at most {_LONGEST_NAME}")
    return name


def member(segment: Segment, role: Role, number: int, name: str | None = None) -> Member:
    """The `number`-th host of a role, counted from 1."""
    if not 1 <= number <= role.limit:
        raise ValueError(f"a lab has at most {role.limit} {role.word}s, not {number}")
    host = segment.first(role) + number - 1
    try:
        address4, address6 = segment.ipv4[host], segment.ipv6[_digits(host)]
    except IndexError:
        raise ValueError(f"{segment.ipv4} and {segment.ipv6} have no room for host number {host}") from None
    return Member(
        name=check_name(name or f"{role.word}-{number}"),
        role=role,
        number=number,
        mac=f"02:4e:4c:{role.code:02x}:00:{_digits(number):02x}",
        ipv4=IPv4Interface((address4, segment.ipv4.prefixlen)),
        ipv6=IPv6Interface((address6, segment.ipv6.prefixlen)),
    )


def pod_networks(segment: Segment, node: Member) -> tuple[IPv4Network, IPv6Network]:
    """The prefixes of a node's pods: a /24 and a /64."""
    return (
        IPv4Network((int(segment.pods_ipv4.network_address) + (node.number << 8), 24)),
        IPv6Network((int(segment.pods_ipv6.network_address) + (_digits(node.number) << 80), 64)),
    )


def pod_place(segment: Segment, node: Member, number: int) -> PodPlace:
    """The `number`-th pod of a node, counted from 1: host number 10 + `number` of the node's pod prefixes."""
    if not 1 <= number <= 80:
        raise ValueError(f"a node of a lab has at most 80 pods, not {number}")
    network4, network6 = pod_networks(segment, node)
    return PodPlace(
        name=f"{node.name}-pod-{number}",
        link=f"pod-{number}",
        mac=f"02:4e:4c:04:{_digits(node.number):02x}:{_digits(number):02x}",
        ipv4=network4[10 + number],
        ipv6=network6[_digits(10 + number)],
        gateway4=network4[1],
        gateway6=network6[1],
    )


def _digits(number: int) -> int:
    """The number whose hexadecimal digits read like the decimal ones of `number`."""
    return int(str(number), 16)
