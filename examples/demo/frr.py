"""FRR, the router of act two, as an operator would configure it."""

import json
import os
import pwd
from collections.abc import Iterable
from pathlib import Path

from examples.demo.steps import StepFailedError, eventually
from netlb.testing.lab import Host

ASN = 65000
_DAEMONS = Path("/usr/lib/frr")
_BFD = """\
bfd
 profile fast
  transmit-interval 100
  receive-interval 100
  detect-multiplier 3
"""
_BGP = """\
router bgp {asn}
 bgp router-id {router}
 no bgp ebgp-requires-policy
 bgp bestpath as-path multipath-relax
 neighbor nodes peer-group
 neighbor nodes remote-as {nodes_asn}
 neighbor nodes timers connect 1
 neighbor nodes bfd profile fast
{neighbors}
 address-family ipv4 unicast
  maximum-paths 8
"""


def start(router: Host, nodes: Iterable[Host], nodes_asn: int, folder: Path) -> None:
    """Run FRR with the nodes as neighbours; the lab ends it. `folder` is for its files alone."""
    try:
        user = pwd.getpwnam("frr")
    except KeyError:
        raise StepFailedError("FRR is not installed: apt-get install frr") from None
    neighbors = "\n".join(f" neighbor {node.ipv4} peer-group nodes" for node in nodes)
    text = _BGP.format(asn=ASN, router=router.ipv4, nodes_asn=nodes_asn, neighbors=neighbors)
    (folder / "bgpd.conf").write_text(text)
    (folder / "bfdd.conf").write_text(_BFD)
    (folder / "zebra.conf").write_text("")
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)  # FRR gives up root
    router.run(["sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1"])  # by ports too, not by addresses alone
    for daemon in ("zebra", "bfdd", "bgpd"):
        files: list[str | Path] = ["-f", folder / f"{daemon}.conf", "-i", folder / f"{daemon}.pid"]
        sockets: list[str | Path] = ["--vty_socket", folder, "-z", folder / "zserv.api", "-P", "0"]
        control: list[str | Path] = ["--bfdctl", folder / "bfdd.sock"] if daemon == "bfdd" else []
        with (folder / f"{daemon}.log").open("w") as log:
            command = [_DAEMONS / daemon, "-u", "frr", "-g", "frr", "--log", "stdout", *files, *sockets, *control]
            router.popen(command, stdout=log, stderr=log)
        # Who comes before zebra listens tries again after ten seconds.
        eventually((folder / "zserv.api").exists, f"zebra does not listen: {folder}/zebra.log")


def next_hops(router: Host, prefix: str) -> set[str]:
    """Return the gateways of the kernel's route to a prefix; none if there is no route."""
    listed = json.loads(router.run(["ip", "-json", "route", "show", prefix]).stdout or "[]")
    return {hop["gateway"] for route in listed for hop in route.get("nexthops", [route])}
