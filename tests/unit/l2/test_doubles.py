"""What the kernel of a node answers for beside the responders of others."""

from ipaddress import ip_address

import pytest

from netlb.l2.addrmsg import InterfaceAddress
from netlb.l2.doubles import IPVS, Double, find_doubles, sentences

FOUR, SIX = ip_address("192.0.2.1"), ip_address("2001:db8::1")
NAMES = {1: "lo", 2: "eth0", 3: IPVS}


def has(index: int, address: str, *, ours: bool = False) -> InterfaceAddress:
    packed = ip_address(address)
    return InterfaceAddress(index, packed, packed, packed.max_prefixlen, ours)


@pytest.mark.parametrize(
    ("index", "ignored", "answers"),
    [
        (1, 0, True),
        (1, 1, False),
        (1, 2, False),
        (1, 3, True),
        (1, 8, False),
        (2, 0, True),
        (2, 1, True),
        (2, 8, False),
    ],
)
def test_the_kernel_answers_arp_as_arp_ignore_says(index: int, ignored: int, answers: bool) -> None:
    found = find_doubles({FOUR}, [has(index, str(FOUR))], NAMES, {"eth0": ignored})
    assert ([Double(FOUR, NAMES[index], "eth0")] if answers else []) == found


def test_solicitations_are_answered_for_the_interface_that_they_come_by() -> None:
    local = [has(1, str(SIX)), has(3, str(SIX))]
    assert [] == find_doubles({SIX}, local, NAMES, {"eth0": 0})
    assert [Double(SIX, "eth0", "eth0")] == find_doubles({SIX}, [has(2, str(SIX))], NAMES, {"eth0": 0})


def test_what_this_node_announces_or_put_there_itself_or_is_nobodys_is_none() -> None:
    local = [has(3, "192.0.2.2"), has(2, str(FOUR), ours=True), has(9, str(FOUR))]
    assert [] == find_doubles({FOUR}, local, NAMES, {"eth0": 0})


def test_the_operator_is_told_what_to_do() -> None:
    five = [Double(ip_address(f"192.0.2.{number}"), IPVS, "eth0") for number in (10, 9, 3, 2, 1)]
    [said] = sentences(five)
    assert said == (
        "kube-ipvs0 has 192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more, which other nodes announce, and the kernel answers "
        "for them on eth0; give kube-proxy ipvs.strictARP: true, or set net.ipv4.conf.all.arp_ignore=1 and "
        "net.ipv4.conf.all.arp_announce=2"
    )
    assert "; take them from lo, or set net.ipv4" in sentences([Double(FOUR, "lo", "eth0")])[0]
    assert sentences([Double(SIX, "eth0", "eth0")])[0].endswith("; take them from eth0")
