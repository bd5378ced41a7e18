"""The messages of GoBGP's API, from descriptors in a pool of our own: no generated code, no clash with anybody's.

Generated code works with its own generation of protobuf only, and registers its names for the whole process.
"""

import pkgutil
from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["Message", "descriptors", "message"]

Message = Any
"""A message or its class; protobuf makes its fields at run time, where no type checker sees them."""

_PACKAGE: Final = "netlb.gobgp"


def descriptors() -> bytes:
    """Return the serialised FileDescriptorSet that `gobgp.proto` compiles to."""
    data = pkgutil.get_data("netlb.bgp", "gobgp.desc")
    if data is None:
        raise FileNotFoundError("netlb/bgp/gobgp.desc is not part of this installation")
    return data


def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _load()


@cache
def message(name: str) -> Message:
    """Return the class of a message; KeyError if `gobgp.proto` has none of that name."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
