"""The one door of the room: packet sockets, the responder's process, interfaces, and `announcer.Announcer`.

It imports nothing here, since the responder's process, which must not load netlink or asyncio, passes through it.
"""
