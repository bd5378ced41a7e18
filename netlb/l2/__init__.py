"""Who answers for an address on a segment, and how: ARP, neighbour discovery, and gratuitous announcements.

Everything in this room decides without doing: codecs, responder, bursts and filters take bytes and `now` as
arguments and return bytes. Only `netlb.l2.adapter` opens sockets. Addresses are `bytes` here, 4 or 16 long, and
MAC addresses are 6 `bytes`; users of the room meet `ipaddress` objects at its door, `netlb.l2.adapter.announcer`.
This package imports nothing at import time: the responder's process pays for every import.
"""
