"""What a machine must have to carry a lab of sites, each lack with its remedy."""

import shutil

from netlb.testing.lab import requirements as lab_requirements

__all__ = ["requirements"]


def requirements() -> list[str]:
    """What is missing here, an empty list if a lab can be opened; tests skip with these words."""
    return lab_requirements() + [
        f"{command}: the command is not found; install {package}"
        for command, package in (("iptables-restore", "iptables"), ("conntrack", "conntrack"), ("bridge", "iproute2"))
        if shutil.which(command) is None
    ]
