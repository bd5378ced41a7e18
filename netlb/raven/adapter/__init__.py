"""The doors of the room: the kernel's routes, rules and overlay, devices of tunnels, files of keys, and hellos."""

from netlb.raven.adapter.errors import ForeignStateError
from netlb.raven.adapter.kernel import KernelOperations, cleanup
from netlb.raven.events import Change

__all__ = ["Change", "ForeignStateError", "KernelOperations", "cleanup"]
