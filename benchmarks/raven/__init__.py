"""What sites cost: gateways that fail, plans that are made true, many routes, and packets through tunnels."""
