"""The fast path's program: `fastpath.c`, the instructions that it compiles to, and its maps; all of it data.

`netlb.l2.adapter.fastpath` loads it. This package imports nothing at import time: the responder's process pays for
every import.
"""
