"""The daemon that connects a node's site with others: tunnels, routes, and who holds them."""
