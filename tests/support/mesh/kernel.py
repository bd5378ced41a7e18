"""What the kernel of a host says of itself."""

from netlb.testing.lab import Host

__all__ = ["filtered", "reverse_path_filters"]


def reverse_path_filters(host: Host) -> set[str]:
    """Return how the reverse path is checked (rp_filter), over all interfaces."""
    return set(host.run(["sh", "-c", "cat /proc/sys/net/ipv4/conf/*/rp_filter"]).stdout.split())


def filtered(host: Host) -> int:
    """Return how many packets failed that check."""
    names, values = (line.split() for line in host.run(["grep", "^TcpExt", "/proc/net/netstat"]).stdout.splitlines())
    return int(values[names.index("IPReversePathFilter")])
