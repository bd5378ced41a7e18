"""The kernel of a node, brought to a data plane: the overlay, routes, rules, and our nftables table."""

from netlb.raven.adapter.errors import ForeignStateError
from netlb.raven.adapter.kernel import KernelOperations, cleanup
from netlb.raven.events import Change

__all__ = ["Change", "ForeignStateError", "KernelOperations", "cleanup"]
