"""Routes on their way to routers: netlb, gobgpd alone, exabgp and FRR, as a router's kernel and clients see them."""
