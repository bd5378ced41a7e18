"""Tunnels by IPsec as strongSwan is told of them over VICI: messages, and what is to be done about its SAs. Pure.

A peer is a connection: IKEv2 (RFC 7296) with the shared secret, identities that are the public keys of both ends, and
one CHILD_SA with all prefixes of both families. We say what the peer has, and leave it to the peer to say what we have
(traffic selectors are narrowed, RFC 7296 section 2.9), so that the two need not be told the same.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, Final

from netlb.raven.backend import PeerState, Remote
from netlb.raven.keys import key_octets, key_text
from netlb.raven.nat import Destination

__all__ = [
    "IF_ID",
    "OVERHEAD",
    "ChildSa",
    "Sa",
    "Todo",
    "child_name",
    "connection",
    "identity",
    "key_of",
    "name_of",
    "read_sa",
    "same",
    "secret",
    "state",
    "to_do",
]

OVERHEAD: Final = 88
"""Outer IPv6 header, UDP, ESP with AES-GCM (RFC 4106) and its padding; a multiple of four."""
IF_ID: Final = 9028
"""By which connections find our xfrm interface: the number of the table that leads there."""
_ALIVE: Final = 10
"""Seconds between two questions whether the peer lives, where it says nothing itself."""
_ESP: Final = ["aes128gcm16-curve25519", "aes256gcm16-curve25519"]
_EVERYTHING: Final = ["0.0.0.0/0", "::/0"]
_SORTED_OUT: Final = 2
"""Seconds after which strongSwan has ended an older IKE_SA at both ends, unless one of them does not hear of it, as
where the address is gone that it had then."""
_OLDER: Final = 3
"""Seconds by which it is older; what both ends have begun at once is not, whichever end looks."""
_IDLE: Final = 4
"""Seconds in which nothing comes in by an IKE_SA that the peer does not use: who lives is never silent for as long."""
_ESTABLISHED, _INSTALLED = "ESTABLISHED", "INSTALLED"


@dataclass(frozen=True, slots=True)
class ChildSa:
    """A CHILD_SA."""

    name: str
    number: str
    """By which strongSwan knows it."""
    state: str
    received: int
    sent: int
    age: int
    """Seconds since it was made."""
    idle: int
    """Seconds since something came in by it, or since it was made."""


@dataclass(frozen=True, slots=True)
class Sa:
    """An IKE_SA."""

    name: str
    number: int
    """By which this strongSwan knows it."""
    spi: str
    """The initiator's, by which both ends know it (RFC 7296 section 3.1)."""
    state: str
    endpoint: Destination | None
    age: int
    """Seconds since it was made."""
    children: tuple[ChildSa, ...]

    @property
    def idle(self) -> int:
        """Seconds since something came in by one of its children, or since it was made."""
        return min((child.idle for child in self.children), default=self.age)


@dataclass(frozen=True, slots=True)
class Todo:
    """What is to be done."""

    initiate: tuple[tuple[str, str], ...] = ()
    """Names of connections and of their children."""
    terminate: tuple[str, ...] = ()
    """Numbers of CHILD_SAs."""
    end: tuple[str, ...] = ()
    """Names of connections that are to have no SA at all, at once: their peer may not be there to agree."""
    stale: tuple[int, ...] = ()
    """Numbers of IKE_SAs that the peer has no more, or does not use: to be ended at once."""


def identity(key: str) -> str:
    """Return the identity of an endpoint: its public key in hexadecimal."""
    return key_octets(key).hex()


def name_of(device: str, key: str) -> str:
    """Return the name of the connection to a peer, and of the secret for it."""
    return f"netlb-{device}-{identity(key)}"


def key_of(device: str, name: str) -> str | None:
    """Return the peer that a connection of ours leads to; None: it is somebody else's."""
    prefix = f"netlb-{device}-"
    digits = name.removeprefix(prefix)
    if not name.startswith(prefix) or len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        return None
    return key_text(bytes.fromhex(digits))


def child_name(remote: Remote) -> str | None:
    """Return the name of the CHILD_SA with just these prefixes; None: there is none without any."""
    if not remote.allowed:
        return None
    return f"net-{sha256(' '.join(_selectors(remote)).encode()).hexdigest()[:8]}"


def connection(device: str, own: str, key: str, remote: Remote, port: int, if_id: int) -> dict[str, Any]:  # noqa: PLR0917
    """Return a connection as `load-conn` takes it; `own` and `key` are public keys, `if_id` 0 where there is none."""
    child: dict[str, Any] = {
        "mode": "tunnel",
        "local_ts": _EVERYTHING,
        "remote_ts": _selectors(remote),
        "esp_proposals": _ESP,
        "dpd_action": "clear",
    }
    if if_id:
        child |= {"if_id_in": str(if_id), "if_id_out": str(if_id)}
    name = child_name(remote)
    host, remote_port = remote.destination or ("%any", port)
    return {
        name_of(device, key): {
            "version": "2",
            "local_addrs": ["%any"],
            "remote_addrs": [str(host)],
            "local_port": str(port),
            "remote_port": str(remote_port),
            "encap": "yes",
            "unique": "replace",
            "dpd_delay": f"{remote.keepalive or _ALIVE}s",
            "local": {"auth": "psk", "id": identity(own)},
            "remote": {"auth": "psk", "id": identity(key)},
            "children": {name: child} if name else {},
        }
    }


def secret(device: str, own: str, key: str, octets: bytes) -> dict[str, Any]:
    """Return the secret for a peer as `load-shared` takes it."""
    return {"id": name_of(device, key), "type": "IKE", "data": octets, "owners": [identity(own), identity(key)]}


def same(listed: Mapping[str, Any], own: str, remote: Remote) -> bool:
    """Whether a connection that `list-conns` says is as `connection` makes it, as far as that is said."""
    name = child_name(remote)
    host = str(remote.destination[0]) if remote.destination else "%any"
    local = listed.get("local-1", {}).get("id", b"")
    return (list(listed.get("children", {})), [host.encode()], identity(own).encode()) == (
        [name] if name else [],
        listed.get("remote_addrs"),
        local,
    )


def read_sa(name: str, said: Mapping[str, Any]) -> Sa:
    """Read an IKE_SA of `list-sas`; KeyError and ValueError where that is not one."""
    host, port = _text(said, "remote-host"), _number(said, "remote-port")
    try:
        endpoint: Destination | None = (ip_address(host), port)
    except ValueError:
        endpoint = None  # %any
    children = tuple(
        ChildSa(
            name=_text(child, "name"),
            number=_text(child, "uniqueid"),
            state=_text(child, "state"),
            received=_number(child, "bytes-in"),
            sent=_number(child, "bytes-out"),
            age=_number(child, "install-time"),
            idle=_number(child, "use-in" if "use-in" in child else "install-time"),
        )
        for child in said.get("child-sas", {}).values()
    )
    age = _number(said, "established")
    number, spi = _number(said, "uniqueid"), _text(said, "initiator-spi")
    return Sa(name, number, spi, _text(said, "state"), endpoint, age, children)


def state(sas: Iterable[Sa]) -> PeerState:
    """Return what is seen of a peer that has these SAs."""
    established = [sa for sa in sas if sa.state == _ESTABLISHED]
    children = [child for sa in established for child in sa.children]
    ages = [sa.age for sa in established] + [child.age for child in children]
    return PeerState(
        endpoint=next((sa.endpoint for sa in established), None),
        handshake=float(min(ages)) if ages else None,
        received=sum(child.received for child in children),
        sent=sum(child.sent for child in children),
    )


def to_do(wanted: Mapping[str, Remote], sas: tuple[Sa, ...]) -> Todo:
    """Return which CHILD_SAs to make and to end; `wanted` has peers by the names of their connections.

    One with other prefixes ends when the new one is there. A peer without prefixes has no SA: it may be dead, and
    others have its prefixes now. Whoever knows where the peer is begins, and later whoever has new prefixes.
    """
    initiate: list[tuple[str, str]] = []
    terminate: list[str] = []
    end: list[str] = []
    stale: list[int] = []
    for name, remote in wanted.items():
        child = child_name(remote)
        old = _stale([sa for sa in sas if sa.name == name and sa.state == _ESTABLISHED])
        mine = [sa for sa in sas if sa.name == name and sa.number not in old]
        children = [found for sa in mine for found in sa.children if found.state == _INSTALLED]
        if child is None:
            end += [name] if mine else []
            continue
        stale += old
        if any(found.name == child for found in children):
            terminate += [found.number for found in children if found.name != child]
        elif any(sa.state == _ESTABLISHED for sa in mine) or (remote.destination and not mine):
            initiate.append((name, child))
    return Todo(tuple(initiate), tuple(terminate), tuple(end), tuple(stale))


def _stale(established: Collection[Sa]) -> list[int]:
    """Return those of one peer's that it has no more, or does not use.

    Where both ends began at once, both may have two; or one end alone, as INITIAL_CONTACT (RFC 7296 section 2.4) ends
    the first one without a word while it comes about at the other end. Nothing comes in by that one. But where each
    end sends by another one, each has one by which nothing comes in, too: so that the ends do not both end what the
    other one uses, the one with the higher SPI has time until the other is gone.
    """
    last = min(established, key=lambda sa: sa.age, default=None)
    if last is None or last.age < _SORTED_OUT:
        return []
    older = [sa for sa in established if sa.age >= last.age + _OLDER]
    rest = sorted((sa for sa in established if sa not in older), key=lambda sa: sa.spi)
    used = any(sa.idle < _IDLE for sa in rest)
    idle = [sa for turn, sa in enumerate(rest, start=1) if used and sa.idle >= turn * _IDLE]
    return [sa.number for sa in (*older, *idle)]


def _selectors(remote: Remote) -> list[str]:
    ordered = sorted(remote.allowed, key=lambda prefix: (prefix.version, int(prefix.network_address), prefix.prefixlen))
    return [str(prefix) for prefix in ordered]


def _text(said: Mapping[str, Any], name: str) -> str:
    return str(said[name].decode())


def _number(said: Mapping[str, Any], name: str) -> int:
    return int(said.get(name, b"0"))
