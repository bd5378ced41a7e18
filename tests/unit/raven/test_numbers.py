"""Names and numbers that cannot be."""

import re
from ipaddress import IPv4Address
from typing import Any

import pytest

from netlb.raven.dataplane import Numbers


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"protocol": 4}, "protocol: 4 is not from 5 to 255"),
        ({"overlay_table": 254}, "overlay_table: 254 is not from 256 to 4294967295"),
        ({"tunnel_table": 9027}, "tunnel_table: it is the overlay's"),
        ({"overlay_priority": 0}, "overlay_priority: 0 is not from 1 to 32765"),
        ({"tunnel_priority": 32766}, "tunnel_priority: 32766 is not from 1 to 32765"),
        ({"tunnel_priority": 100}, "tunnel_priority: its rule comes behind the overlay's"),
        ({"vni": 1 << 24}, "vni: 16777216 is not from 1 to 16777215"),
        ({"vxlan_port": 0}, "vxlan_port: 0 is not from 1 to 65535"),
        ({"bfd_port": 65536}, "bfd_port: 65536 is not from 1 to 65535"),
        ({"overlay_device": ""}, "overlay_device: an interface's name has 1 to 15 characters"),
        ({"tunnel_device": "a-name-too-long!"}, "tunnel_device: an interface's name has 1 to 15 characters"),
        ({"tunnel_device": "raven0"}, "tunnel_device: it is the overlay's"),
        ({"next_hop4": IPv4Address("192.0.2.1")}, "next_hop4: it is outside overlay_network"),
        ({"mac_prefix": "aa"}, "mac_prefix: write two octets, as in aa:0f"),
        ({"mac_prefix": "AA:0F"}, "mac_prefix: write two octets, as in aa:0f"),
        ({"mac_prefix": "01:00"}, "mac_prefix: it is one of multicast addresses"),
    ],
)
def test_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as refused:
        Numbers(**changes)
    assert problem == str(refused.value)


def test_the_defaults_are_ravens() -> None:
    numbers = Numbers()
    assert ("raven0", 200, 4472, 9027, 9028, 100, 101, "aa:0f") == (
        numbers.overlay_device,
        numbers.vni,
        numbers.vxlan_port,
        numbers.overlay_table,
        numbers.tunnel_table,
        numbers.overlay_priority,
        numbers.tunnel_priority,
        numbers.mac_prefix,
    )
