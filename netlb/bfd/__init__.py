"""Who is alive: Bidirectional Forwarding Detection (RFC 5880, 5881 over one hop, 5883 over several).

Everything in this room decides without doing: sessions take octets, seconds and lots as arguments and give octets and
events. Only `netlb.bfd.adapter` opens sockets. Addresses are `bytes` here, 4 or 16 long; users of the room meet
`ipaddress` objects at its door, `netlb.bfd.adapter.bfd`. Intervals are microseconds, as on the wire; points in time
are seconds. The standard library is all it needs, so that a process which must be small can have it too.
"""
