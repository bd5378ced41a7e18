"""Addresses for which the kernel of this node answers, too, though another node is to. Pure.

The kernel answers ARP for every address that any interface of the node has, by whatever interface the question comes
(`arp_ignore` 0, the default). So kube-proxy in its mode IPVS, which puts the addresses of all Services on the interface
kube-ipvs0 of each node, has every node answer for them, unless it is told to be strict. Neighbour solicitations are
answered for addresses of the interface that they come by, and for no others.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from netlb.l2.addrmsg import InterfaceAddress
from netlb.net import Address

__all__ = ["IPVS", "Double", "find_doubles", "sentences"]

IPVS: Final = "kube-ipvs0"
"""The interface of kube-proxy's."""
_ANY_INTERFACE, _NEVER = {0, 3}, 8
"""Values of arp_ignore: answer for what any interface has (3: but for scope host); answer for nothing."""
_SHOWN: Final = 3


class Double(NamedTuple):
    """An address that the kernel answers for."""

    address: Address
    holder: str
    """The interface that has it."""
    interface: str
    """By which it answers."""


def find_doubles(
    foreign: Collection[Address],
    local: Iterable[InterfaceAddress],
    names: Mapping[int, str],
    arp_ignore: Mapping[str, int],
) -> list[Double]:
    """Return those of the addresses, which are not this node's to answer for, that its kernel answers for.

    `names` has all interfaces by index; `arp_ignore` has those that addresses are announced on, each with the setting
    in force, the larger of its own and that of `all`. What netlb has put on an interface itself is left out.
    """
    return [
        Double(each.address, holder, interface)
        for each in local
        if each.address in foreign and not each.ours and (holder := names.get(each.index)) is not None
        for interface, ignored in sorted(arp_ignore.items())
        if _answers(each.address, holder, interface, ignored)
    ]


def sentences(doubles: Collection[Double]) -> list[str]:
    """Return what an operator should know, and do: a sentence for each interface that has such addresses."""
    said: list[str] = []
    for holder in sorted({double.holder for double in doubles}):
        addresses = sorted({double.address for double in doubles if double.holder == holder}, key=_order)
        by = sorted({double.interface for double in doubles if double.holder == holder})
        more = f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else ""
        strict = "set net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2"
        if holder == IPVS:
            remedy = f"give kube-proxy ipvs.strictARP: true, or {strict}"
        elif holder in by:
            remedy = f"take them from {holder}"
        else:
            remedy = f"take them from {holder}, or {strict}"
        said.append(
            f"{holder} has {', '.join(map(str, addresses[:_SHOWN]))}{more}, which other nodes announce, and the kernel "
            f"answers for them on {', '.join(by)}; {remedy}"
        )
    return said


def _answers(address: Address, holder: str, interface: str, ignored: int) -> bool:
    if address.version == 6:
        return holder == interface
    return ignored in _ANY_INTERFACE or (holder == interface and ignored != _NEVER)


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)
