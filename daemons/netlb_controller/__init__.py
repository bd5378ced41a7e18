"""netlb-controller: gives Services of type LoadBalancer their addresses."""
