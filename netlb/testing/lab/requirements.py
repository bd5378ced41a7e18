"""What a machine must have to carry a lab, tried and not guessed, each lack with its remedy."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

from netlb.testing.lab.errors import LabError
from netlb.testing.lab.guardian import Guardian
from netlb.testing.lab.janitor import remove_lab
from netlb.testing.lab.namespaces import batch, load_rules
from netlb.testing.lab.records import new_lab_name
from netlb.testing.lab.services import render_service_rules

__all__ = ["requirements"]


def requirements() -> list[str]:
    """What is missing here, an empty list if a lab can be opened; tests skip with these words."""
    return list(_missing())


@functools.cache
def _missing() -> tuple[str, ...]:
    missing = []
    if os.geteuid() != 0:
        missing.append("root: network namespaces are made by root; run as root")
    missing += [
        f"{command}: the command is not found; install {package}"
        for command, package in (("ip", "iproute2"), ("nft", "nftables"))
        if shutil.which(command) is None
    ]
    if not Path("/proc/sys/net/ipv6").exists():
        missing.append("IPv6: the kernel has none; boot without ipv6.disable=1")
    return tuple(missing) or _refused()


def _refused() -> tuple[str, ...]:
    """Make one namespace with what a lab has inside, and say at which step the kernel refused."""
    lab = new_lab_name("probe")
    namespace = f"netlb-{lab}-probe"
    guardian = Guardian(lab)
    step = "network namespaces"
    remedy = "run with CAP_SYS_ADMIN, and where mounts are allowed"
    try:
        batch([f"netns add {namespace}"])
        step, remedy = "bridges and veth", "load the kernel modules bridge and veth"
        batch(["link add name br0 type bridge", "link add name a type veth peer name b"], namespace)
        step, remedy = "nftables NAT", "load the kernel modules nf_tables and nft_nat"
        load_rules({namespace: render_service_rules("probe", ())})
    except (LabError, subprocess.SubprocessError, OSError) as refusal:
        return (f"{step}: {refusal}; {remedy}",)
    finally:
        remove_lab(lab)
        guardian.dismiss()
    return ()
