"""The kernel of a node, brought to a data plane: the overlay, routes, rules, and our nftables table."""

from netlb.raven.adapter.kernel import Change, KernelOperations, cleanup

__all__ = ["Change", "KernelOperations", "cleanup"]
