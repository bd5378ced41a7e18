"""Our nftables table, as text: what the CNI and kube-proxy must not rewrite, and who may speak on the overlay."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from netlb.net import Address, Family, family_of
from netlb.raven.dataplane import Numbers
from netlb.raven.model import Prefix, family_of_prefix

__all__ = ["Table", "render"]

_WORD = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_DIGIT = {Family.IPV4: "4", Family.IPV6: "6"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What the table of one node says."""

    local: tuple[Prefix, ...]
    """What belongs to the node's own site."""
    remote: tuple[Prefix, ...]
    """What belongs to other sites."""
    own: tuple[Prefix, ...]
    """What belongs to the node itself."""
    overlay: bool
    """Whether the node is on the overlay."""
    tunnel: bool
    """Whether it has the device of the tunnels."""
    relays: bool
    """Whether it may pass on what comes from one site to another one."""
    sources: Mapping[Family, Address] = field(default_factory=dict)
    """The sender of what comes from no address of the site, by family."""
    nodes: tuple[Address, ...] = ()
    """The site's nodes."""
    watched: tuple[Address, ...] = ()
    """Others with which this node has BFD sessions."""


def render(table: Table, numbers: Numbers) -> str:
    """Return the table as `nft -f` takes it, in place of what there was: one transaction.

    - bypass: packets between sites keep their addresses. A source NAT to the source it has already is a decision like
      any other, so the chains of others behind it, as kube-proxy's and flannel's, are not asked. Nothing of theirs is
      touched.
    - transit: connections that a gateway only passes on are not tracked. They move from one gateway to another, and one
      that saw their beginning and their end alone would take what it has not seen for invalid, which kube-proxy drops.
    - mss: TCP learns how much fits, also where somebody drops ICMP.
    - guard: VXLAN has no authentication, so its packets are taken from the site's nodes only; likewise those of BFD
      and hellos, which may also come through the tunnels.
    - inner: the addresses inside the tunnels are the endpoints' own: nobody's packets are passed on in their name.
    """
    devices = [
        name
        for name, there in ((numbers.overlay_device, table.overlay), (numbers.tunnel_device, table.tunnel))
        if there
    ]
    lines = [
        f"table inet {numbers.nft_table}",
        f"delete table inet {numbers.nft_table}",
        f"table inet {numbers.nft_table} {{",
        *_prefix_sets("local", table.local),
        *_prefix_sets("remote", table.remote),
    ]
    if table.overlay:
        lines += _address_sets("nodes", table.nodes)
        lines += _address_sets("watched", (*table.nodes, *table.watched))
    if table.tunnel:
        lines += _prefix_sets("own", table.own)
    quoted = ", ".join(f'"{name}"' for name in devices)
    out = f"oifname {{ {quoted} }}"
    lines += _chain("bypass", "type nat hook postrouting priority srcnat - 10", _bypass(table, out))
    if table.tunnel:
        lines += _chain("transit", "type filter hook prerouting priority raw", _transit(table, numbers))
    if devices:
        clamp = f"{out} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"
        lines += _chain("mss", "type filter hook forward priority mangle", [clamp])
    if table.overlay:
        lines += _chain("guard", "type filter hook input priority filter", _guard(table, numbers))
    if table.tunnel:
        inner = [f"ip {end} {numbers.inner_network} drop" for end in ("saddr", "daddr")]
        lines += _chain("inner", "type filter hook forward priority filter", inner)
    return "\n".join((*lines, "}", ""))


def _bypass(table: Table, out: str) -> Iterator[str]:
    local, remote = _families(table.local), _families(table.remote)
    for family in Family:
        if family not in remote:
            continue
        word, digit = _WORD[family], _DIGIT[family]
        keep = f"snat {word} to {word} saddr"
        if family in local:
            yield f"{word} saddr @local{digit} {word} daddr @remote{digit} {keep}"
            yield f"{word} saddr @remote{digit} {word} daddr @local{digit} {keep}"
        if table.relays:
            yield f"{word} saddr @remote{digit} {word} daddr @remote{digit} {keep}"
        if family in table.sources and (table.overlay or table.tunnel):
            yield f"{out} {word} daddr @remote{digit} snat {word} to {table.sources[family]}"


def _transit(table: Table, numbers: Numbers) -> Iterator[str]:
    local, remote, own = _families(table.local), _families(table.remote), _families(table.own)
    into, out_of = f'iifname "{numbers.overlay_device}"', f'iifname "{numbers.tunnel_device}"'
    for family in Family:
        word, digit = _WORD[family], _DIGIT[family]
        if table.overlay and family in remote:
            yield f"{into} {word} daddr @remote{digit} notrack"
        if table.overlay and family in local:
            others = f"{word} daddr != @own{digit} " if family in own else ""
            yield f"{out_of} {word} daddr @local{digit} {others}notrack"
        if table.relays and family in remote:
            yield f"{out_of} {word} daddr @remote{digit} notrack"


def _guard(table: Table, numbers: Numbers) -> Iterator[str]:
    for name, addresses, packets in (
        ("nodes", table.nodes, f"udp dport {numbers.vxlan_port}"),
        ("watched", (*table.nodes, *table.watched), _bfd(table, numbers)),
    ):
        known = {family_of(address) for address in addresses}
        for family in Family:
            word, digit = _WORD[family], _DIGIT[family]
            others = f"{word} saddr != @{name}{digit}" if family in known else f"meta nfproto ipv{digit}"
            yield f"{others} {packets} drop"


def _bfd(table: Table, numbers: Numbers) -> str:
    elsewhere = f'iifname != "{numbers.tunnel_device}" ' if table.tunnel else ""
    return f"{elsewhere}udp dport {{ {numbers.bfd_port}, {numbers.hello_port} }}"


def _chain(name: str, hook: str, rules: Iterable[str]) -> list[str]:
    return [f"  chain {name} {{", f"    {hook}; policy accept;", *(f"    {rule}" for rule in rules), "  }"]


def _prefix_sets(name: str, prefixes: Iterable[Prefix]) -> Iterator[str]:
    listed = list(prefixes)
    for family in Family:
        texts = [str(prefix) for prefix in listed if family_of_prefix(prefix) is family]
        if texts:
            yield from _set(f"{name}{_DIGIT[family]}", family, "flags interval; auto-merge; ", texts)


def _address_sets(name: str, addresses: Iterable[Address]) -> Iterator[str]:
    listed = sorted(set(addresses), key=lambda address: (address.version, int(address)))
    for family in Family:
        texts = [str(address) for address in listed if family_of(address) is family]
        if texts:
            yield from _set(f"{name}{_DIGIT[family]}", family, "", texts)


def _set(name: str, family: Family, flags: str, texts: list[str]) -> Iterator[str]:
    yield f"  set {name} {{"
    yield f"    type ipv{_DIGIT[family]}_addr; {flags}elements = {{ {', '.join(texts)} }}"
    yield "  }"


def _families(prefixes: Iterable[Prefix]) -> set[Family]:
    return {family_of_prefix(prefix) for prefix in prefixes}
