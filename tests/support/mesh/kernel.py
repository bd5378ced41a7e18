"""What the kernel of a host says of itself."""

from collections.abc import Callable

from netlb.testing.lab import Host
from netlb.testing.sites import SitesLab
from tests.support.mesh.pairs import unreachable

__all__ = ["check_reverse_paths"]


def check_reverse_paths(lab: SitesLab, unrest: Callable[[], int] = lambda: 0) -> None:
    """Have all pods reach each other: the reverse path is checked everywhere, and no packet fails that.

    Where `unrest` has become more packets were on their way while ways changed, and it is tried again.
    """
    hosts = (lab.internet, *lab.routers.values(), *lab.nodes.values(), *lab.pods.values())
    while True:
        calm = unrest()
        assert {} == unreachable(lab)
        before = {host.name: _filtered(host) for host in hosts}  # while tunnels came up, and routes after them
        assert {} == unreachable(lab)
        failed = {host.name: more for host in hosts if (more := _filtered(host) - before[host.name])}
        if not failed or calm == unrest():
            break
    assert {} == failed
    for host in hosts:
        assert {"1"} == _checks(host), host.name


def _checks(host: Host) -> set[str]:
    """Return how the reverse path is checked (rp_filter), over all interfaces."""
    return set(host.run(["sh", "-c", "cat /proc/sys/net/ipv4/conf/*/rp_filter"]).stdout.split())


def _filtered(host: Host) -> int:
    """Return how many packets failed that check."""
    names, values = (line.split() for line in host.run(["grep", "^TcpExt", "/proc/net/netstat"]).stdout.splitlines())
    return int(values[names.index("IPReversePathFilter")])
