"""The one door of the room: UDP sockets, an engine for any event loop, and `bfd.Bfd` for asyncio.

It imports nothing here, since a process without asyncio passes through it to the engine.
"""
