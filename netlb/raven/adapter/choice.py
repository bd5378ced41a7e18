"""Which backend: the one that was asked for, or the best that this node has."""

from pathlib import Path

from netlb.errors import NetlbError, SettingError
from netlb.raven.adapter import wireguard_go, wireguard_kernel
from netlb.raven.adapter.links import NetLink
from netlb.raven.adapter.strongswan import LIBIPSEC_DEVICE, VICI, Strongswan, Vici
from netlb.raven.adapter.wireguard import WireGuard
from netlb.raven.adapter.wireguard_go import Userspace
from netlb.raven.adapter.wireguard_kernel import Kernel
from netlb.raven.backend import Backend, Choice

__all__ = ["choose"]


async def choose(choice: Choice, device: str, *, setting: str, vici: Path = VICI) -> Backend:
    """Return a backend for a device of this name; nothing is made yet.

    SettingError, in the name of the setting that chose, says why one cannot work here. `auto` keeps a device that runs
    already, whichever of the two it is; IPsec is used only where it is asked for, since all sites need the same. `vici`
    is where strongSwan listens, and its backend may have another device than the one that was asked for.
    """
    if choice is Choice.IPSEC:
        return await _ipsec(device, setting, vici)
    if choice is Choice.USERSPACE or (choice is Choice.AUTO and await _runs(device, Userspace.kind)):
        if problem := wireguard_go.missing():
            raise SettingError(setting, problem, "install it, or choose another backend")
        return WireGuard(device, Userspace(device))
    problem = await wireguard_kernel.missing()
    if problem is None:
        return WireGuard(device, Kernel(device))
    if choice is Choice.KERNEL:
        raise SettingError(setting, problem, "load its module, or choose `userspace`")
    if other := wireguard_go.missing():
        raise SettingError(setting, f"{problem}, and {other}", "install wireguard-go, or load the kernel's module")
    return WireGuard(device, Userspace(device))


async def _runs(device: str, kind: str) -> bool:
    link = await NetLink(device).link()
    return link is not None and link.ours and link.kind == kind


async def _ipsec(device: str, setting: str, path: Path) -> Backend:
    vici = Vici(path)
    try:
        plugins = (await vici.ask("stats")).get("plugins", [])
    except NetlbError as error:
        raise SettingError(setting, str(error), "or choose another backend") from None
    finally:
        await vici.close()
    libipsec = b"kernel-libipsec" in plugins
    return Strongswan(LIBIPSEC_DEVICE if libipsec else device, vici, libipsec=libipsec)
