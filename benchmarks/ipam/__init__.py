"""What bench_ipam measures: clusters of any size, and allocation as one would write it with netaddr."""
