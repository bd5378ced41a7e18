"""Answer for one address with scapy's answering machines: `python answer_scapy.py INTERFACE ADDRESS`.

ARP_am comes with scapy, silent here so that printing is not measured. Scapy has none for IPv6; the one below does for
neighbour solicitations just what ARP_am does for ARP requests.
"""

import sys

from scapy.ansmachine import AnsweringMachine
from scapy.arch import get_if_hwaddr
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP_am, Ether
from scapy.packet import Packet
from scapy.sendrecv import sendp


class NeighborAnsweringMachine(AnsweringMachine[Packet]):
    """Advertise one address to whoever solicits it."""

    function_name = "ndpd"
    filter = "icmp6"
    send_function = staticmethod(sendp)

    def parse_options(self, address: str = "", mac: str = "") -> None:
        """Take the options of the constructor."""
        self.address = address
        self.mac = mac

    def is_request(self, request: Packet) -> bool:
        """Tell whether a packet asks for the address."""
        return ICMPv6ND_NS in request and request[ICMPv6ND_NS].tgt == self.address

    def make_reply(self, request: Packet) -> Packet:
        """Build the advertisement for the asker."""
        return (
            Ether(src=self.mac, dst=request.src)
            / IPv6(src=self.address, dst=request[IPv6].src, hlim=255)
            / ICMPv6ND_NA(tgt=self.address, R=0, S=1, O=1)
            / ICMPv6NDOptDstLLAddr(lladdr=self.mac)
        )


def main(interface: str, address: str) -> None:
    """Answer until killed."""
    mac = get_if_hwaddr(interface)
    if ":" in address:
        NeighborAnsweringMachine(address=address, mac=mac, iface=interface, verbose=False)()
    else:
        ARP_am(IP_addr=address, ARP_addr=mac, iface=interface, verbose=False)()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
