"""The rules that stand in for kube-proxy, as text."""

from ipaddress import ip_address

import pytest

from netlb.testing.lab import Backend, ServiceRule, render_service_rules

WEB = ServiceRule(
    name="default/web",
    addresses=(ip_address("fd00:122::90"), ip_address("192.168.122.90")),
    port=80,
    backends=(
        Backend("node-1", ip_address("10.244.1.11"), 8080),
        Backend("node-2", ip_address("10.244.2.11"), 8080),
        Backend("node-2", ip_address("fd00:244:2::11"), 8080),
    ),
)
LOCAL = ServiceRule(
    name='a "quoted"\nname',
    addresses=(ip_address("192.168.122.91"),),
    protocol="UDP",
    port=53,
    backends=(Backend("node-2", ip_address("10.244.2.11"), 5353),),
    external_traffic_policy="Local",
)

HEAD = """\
add table inet netlb-lab
delete table inet netlb-lab
table inet netlb-lab {
"""
HOOKS = """\
    chain services {
        ip daddr . meta l4proto . th dport vmap @services-ipv4
        ip6 daddr . meta l4proto . th dport vmap @services-ipv6
    }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        jump services
    }
    chain output {
        type nat hook output priority -100; policy accept;
        jump services
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        meta mark & 0x4000 == 0x4000 masquerade
    }
"""
MAP4 = "    map services-ipv4 {\n        type ipv4_addr . inet_proto . inet_service : verdict\n"
MAP6 = "    map services-ipv6 {\n        type ipv6_addr . inet_proto . inet_service : verdict\n"


def test_no_service_is_an_empty_table() -> None:
    assert render_service_rules("node-1", []) == f"{HEAD}{MAP4}    }}\n{MAP6}    }}\n{HOOKS}}}\n"


def test_cluster_policy_spreads_over_all_backends_of_a_family_and_masquerades() -> None:
    expected = f"""\
{HEAD}{MAP4}        elements = {{
            192.168.122.90 . tcp . 80 : goto service-0-ipv4
        }}
    }}
{MAP6}        elements = {{
            fd00:122::90 . tcp . 80 : goto service-0-ipv6
        }}
    }}
{HOOKS}    chain service-0-ipv4 {{
        comment "default/web"
        meta mark set meta mark | 0x4000
        meta l4proto tcp dnat ip to numgen inc mod 2 map {{ 0 : 10.244.1.11 . 8080, 1 : 10.244.2.11 . 8080 }}
    }}
    chain service-0-ipv6 {{
        comment "default/web"
        meta mark set meta mark | 0x4000
        meta l4proto tcp dnat ip6 to numgen inc mod 1 map {{ 0 : fd00:244:2::11 . 8080 }}
    }}
}}
"""
    assert expected == render_service_rules("node-1", [WEB])


def test_local_policy_uses_this_nodes_backends_and_keeps_the_clients_address() -> None:
    here, elsewhere = (render_service_rules(node, [LOCAL]).partition(HOOKS)[2] for node in ("node-2", "node-1"))
    assert (
        here
        == """\
    chain service-0-ipv4 {
        comment "a quotedname"
        meta l4proto udp dnat ip to numgen inc mod 1 map { 0 : 10.244.2.11 . 5353 }
    }
}
"""
    )
    assert elsewhere == '    chain service-0-ipv4 {\n        comment "a quotedname"\n        drop\n    }\n}\n'


def test_the_order_of_a_services_addresses_changes_nothing() -> None:
    turned = ServiceRule(name=WEB.name, addresses=WEB.addresses[::-1], port=80, backends=WEB.backends)
    assert render_service_rules("node-1", [WEB]) == render_service_rules("node-1", [turned])


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match="'tcp' is none of SCTP, TCP, UDP"):
        ServiceRule(name="x", addresses=(), protocol="tcp", port=80, backends=())
