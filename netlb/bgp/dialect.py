"""The two dialects of GoBGP's API, and everything in which they differ for us."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from netlb.bgp.messages import Message, message

__all__ = ["DIALECTS", "V3", "V4", "Dialect"]

_Any = message("Any")
_Nlri = message("NLRI")
_Attribute = message("Attribute")

_NAMES: Final = {field.message_type.name: field.name for field in _Attribute.DESCRIPTOR.oneofs_by_name["attr"].fields}
"""The name of each attribute in the oneof of GoBGP 4, by that of its message."""


@dataclass(frozen=True, slots=True)
class Dialect(ABC):
    """How one generation of GoBGP spells NLRI, path attributes and enumerations.

    Attributes are named as in GoBGP 4's oneof: `origin`, `as_path`, `next_hop`, `mp_reach` and so on. What does not
    decode, or is no attribute of ours, comes back as None.
    """

    service: str
    table_global: int
    table_adj_out: int
    watch_best: int
    lookup_exact: int
    admin_down: int
    first: int
    """The number of the first value of an enumeration that belongs to policies."""
    dynamic_passwords: bool
    """Whether a password of dynamic neighbours has any effect."""
    bare_interfaces: bool
    """Whether a peer may be known by its interface alone."""

    @abstractmethod
    def wrap_nlri(self, nlri: Message) -> bytes:
        """Return an IPAddressPrefix as the content of `Path.nlri`."""

    @abstractmethod
    def unwrap_nlri(self, data: bytes) -> Message | None:
        """Return the IPAddressPrefix, or None for what is none."""

    @abstractmethod
    def wrap_attribute(self, name: str, attribute: Message) -> bytes:
        """Return an attribute as one of `Path.pattrs`."""

    @abstractmethod
    def unwrap_attribute(self, data: bytes) -> tuple[str, Message] | None:
        """Return an attribute and its name."""


class _Version3(Dialect):
    """GoBGP 3: google.protobuf.Any with the names of the package apipb."""

    __slots__ = ()

    _TYPES: Final = "type.googleapis.com/apipb."

    def wrap_nlri(self, nlri: Message) -> bytes:
        return self._wrap(nlri)

    def unwrap_nlri(self, data: bytes) -> Message | None:
        wrapped = _Any.FromString(data)
        return self._unwrap(wrapped, "IPAddressPrefix") if wrapped.type_url.endswith(".IPAddressPrefix") else None

    def wrap_attribute(self, name: str, attribute: Message) -> bytes:
        return self._wrap(attribute)

    def unwrap_attribute(self, data: bytes) -> tuple[str, Message] | None:
        wrapped = _Any.FromString(data)
        kind = wrapped.type_url.removeprefix(self._TYPES)
        return (_NAMES[kind], self._unwrap(wrapped, kind)) if kind in _NAMES else None

    def _wrap(self, inner: Message) -> bytes:
        wrapped: bytes = _Any(
            type_url=self._TYPES + inner.DESCRIPTOR.name, value=inner.SerializeToString()
        ).SerializeToString()
        return wrapped

    @staticmethod
    def _unwrap(wrapped: Message, kind: str) -> Message:
        return message(kind).FromString(wrapped.value)


class _Version4(Dialect):
    """GoBGP 4: messages with a oneof, and enumerations that begin with 1."""

    __slots__ = ()

    def wrap_nlri(self, nlri: Message) -> bytes:
        wrapped: bytes = _Nlri(prefix=nlri).SerializeToString()
        return wrapped

    def unwrap_nlri(self, data: bytes) -> Message | None:
        wrapped = _Nlri.FromString(data)
        return wrapped.prefix if wrapped.HasField("prefix") else None

    def wrap_attribute(self, name: str, attribute: Message) -> bytes:
        wrapped: bytes = _Attribute(**{name: attribute}).SerializeToString()
        return wrapped

    def unwrap_attribute(self, data: bytes) -> tuple[str, Message] | None:
        wrapped = _Attribute.FromString(data)
        name = wrapped.WhichOneof("attr")
        return None if name is None else (name, getattr(wrapped, name))


V3: Final = _Version3(
    service="apipb.GobgpApi",
    table_global=0,
    table_adj_out=3,
    watch_best=0,
    lookup_exact=0,
    admin_down=1,
    first=0,
    dynamic_passwords=False,
    bare_interfaces=False,
)
V4: Final = _Version4(
    service="api.GoBgpService",
    table_global=1,
    table_adj_out=4,
    watch_best=1,
    lookup_exact=1,
    admin_down=2,
    first=1,
    dynamic_passwords=True,
    bare_interfaces=True,
)
DIALECTS: Final = (V4, V3)
"""In the order in which they are tried."""
