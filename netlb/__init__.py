"""Load balancing for bare-metal and edge clusters.

Importing `netlb` costs nothing: each room (`netlb.ipam`, `netlb.l2`, ...) is imported where it is used.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
