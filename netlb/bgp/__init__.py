"""What routers are told by BGP, and how gobgpd is made to tell it.

`model` has the records of what a gobgpd should have, `paths`, `peers` and `owner` turn them into its API's messages and
back, for GoBGP 3 and 4; all of that is pure. Only `netlb.bgp.adapter` talks to a gobgpd, or starts one.
"""
