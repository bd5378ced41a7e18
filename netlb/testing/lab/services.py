"""nft rules that stand in for kube-proxy: a service's address and port become one of its backends. Pure.

The table is replaced as a whole in one transaction. Backends take turns (`numgen inc`), so that a test that
asks as often as there are backends reaches every one of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from netlb.testing.lab.layout import Address

__all__ = ["TABLE", "Backend", "ServiceRule", "render_service_rules"]

TABLE = "inet netlb-lab"

_MASQUERADE = "0x4000"  # kube-proxy's own mark (--iptables-masquerade-bit 14)
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})


class Backend(NamedTuple):
    """One place where a service's traffic can end."""

    node: str
    address: Address
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRule:
    """One port of one service, as kube-proxy would see it."""

    name: str
    """For the reader of the rules; quotes and control characters are left out."""
    addresses: tuple[Address, ...]
    protocol: str = "TCP"
    """TCP, UDP or SCTP, as in a Service."""
    port: int
    backends: tuple[Backend, ...]
    external_traffic_policy: Literal["Cluster", "Local"] = "Cluster"
    """Local: this node's backends, which see the client's address. Cluster: all, which see the node's."""

    def __post_init__(self) -> None:
        if self.protocol not in _PROTOCOLS:
            raise ValueError(f"{self.name}: protocol {self.protocol!r} is none of {', '.join(sorted(_PROTOCOLS))}")


def render_service_rules(node: str, services: Sequence[ServiceRule]) -> str:
    """The ruleset of one node, for `nft -f -`: replaces what an earlier one installed, in one transaction.

    Connections to a service without a usable backend are dropped, as kube-proxy drops those of policy Local.
    """
    keys: dict[int, list[str]] = {4: [], 6: []}
    chains: list[str] = []
    for number, service in enumerate(services):
        for version in (4, 6):
            addresses = sorted(address for address in service.addresses if address.version == version)
            if not addresses:
                continue
            chain = f"service-{number}-ipv{version}"
            keys[version] += [
                f"{address} . {service.protocol.lower()} . {service.port} : goto {chain}" for address in addresses
            ]
            chains += _chain(chain, service, _usable(node, service, version), version)
    return "\n".join([
        f"add table {TABLE}",
        f"delete table {TABLE}",
        f"table {TABLE} {{",
        *_map("services-ipv4", "ipv4_addr", keys[4]),
        *_map("services-ipv6", "ipv6_addr", keys[6]),
        "    chain services {",
        "        ip daddr . meta l4proto . th dport vmap @services-ipv4",
        "        ip6 daddr . meta l4proto . th dport vmap @services-ipv6",
        "    }",
        "    chain prerouting {",
        "        type nat hook prerouting priority dstnat; policy accept;",
        "        jump services",
        "    }",
        "    chain output {",
        "        type nat hook output priority -100; policy accept;",
        "        jump services",
        "    }",
        "    chain postrouting {",
        "        type nat hook postrouting priority srcnat; policy accept;",
        f"        meta mark & {_MASQUERADE} == {_MASQUERADE} masquerade",
        "    }",
        *chains,
        "}",
        "",
    ])  # fmt: skip


def _usable(node: str, service: ServiceRule, version: int) -> list[Backend]:
    local = service.external_traffic_policy == "Local"
    return [
        backend
        for backend in service.backends
        if backend.address.version == version and (backend.node == node or not local)
    ]


def _map(name: str, key: str, elements: Iterable[str]) -> list[str]:
    listed = ",\n".join(f"            {element}" for element in elements)
    body = ["        elements = {", listed, "        }"] if listed else []
    return [
        f"    map {name} {{",
        f"        type {key} . inet_proto . inet_service : verdict",
        *body,
        "    }",
    ]


def _chain(chain: str, service: ServiceRule, backends: Sequence[Backend], version: int) -> list[str]:
    comment = "".join(char for char in service.name if char.isprintable() and char != '"')[:120]
    lines = [f"    chain {chain} {{", f'        comment "{comment}"']
    if not backends:
        lines.append("        drop")
    else:
        family = "ip" if version == 4 else "ip6"
        turns = ", ".join(f"{turn} : {backend.address} . {backend.port}" for turn, backend in enumerate(backends))
        if service.external_traffic_policy == "Cluster":
            lines.append(f"        meta mark set meta mark | {_MASQUERADE}")
        lines.append(f"        meta l4proto {service.protocol.lower()} dnat {family} to"
                     f" numgen inc mod {len(backends)} map {{ {turns} }}")  # fmt: skip
    return [*lines, "    }"]
