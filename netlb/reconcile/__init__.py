"""The one engine that brings what is there to what is wanted, whatever it is."""

from netlb.reconcile.core import Core, Work
from netlb.reconcile.differences import differing
from netlb.reconcile.loop import Reconciler
from netlb.reconcile.operations import Operations
from netlb.reconcile.status import Counts, Status, StatusKind

__all__ = ["Core", "Counts", "Operations", "Reconciler", "Status", "StatusKind", "Work", "differing"]
