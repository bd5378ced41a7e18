"""The gateway: a selection of rooms. Snapshots in, tunnels and routes out, one way."""

from collections.abc import Callable
from dataclasses import dataclass

from netlb.bfd.adapter.bfd import Bfd
from netlb.raven.adapter.hellos import HelloSocket
from netlb.raven.adapter.inner import InnerAddress
from netlb.raven.adapter.kernel import KernelOperations
from netlb.raven.backend import Backend
from netlb.raven.dataplane import Numbers
from netlb.raven.keys import Keys
from netlb.runtime.app import App
from netlb.runtime.log import get_logger
from netlb.runtime.metrics import StateCollector, new_registry
from netlb.source.reflector import DEFAULT_PACE, Pace
from netlb_gateway.carrier import Carrier, Inner, Kernel
from netlb_gateway.gateway import Gateway
from netlb_gateway.hellos import Sockets
from netlb_gateway.liveness import GRACE
from netlb_gateway.secrets import LOOK_SECONDS, SharedSecret
from netlb_gateway.settings import NAME, GatewaySettings
from netlb_gateway.surroundings import Surroundings, on_directory

__all__ = ["PATIENCE", "Doors", "build", "real_doors"]

PATIENCE = 3.0
"""Seconds for the API server to answer, before what is kept on disk is taken for what is."""


@dataclass(frozen=True, kw_only=True)
class Doors:
    """What the gateway acts through; tests bring others."""

    kernel: Callable[[Numbers], Kernel]
    inner: Callable[[Numbers], Inner]
    backend: Backend | None
    """None: this node can hold no tunnels."""
    keys: Keys | None
    """Those that the backend uses."""
    bfd: Callable[..., Bfd] = Bfd
    sockets: Sockets = HelloSocket
    """For hellos."""


def real_doors(backend: Backend | None, keys: Keys | None) -> Doors:
    """Return the doors to this machine's kernel."""
    return Doors(
        kernel=KernelOperations,
        inner=lambda numbers: InnerAddress(numbers.tunnel_device, numbers.inner_network),
        backend=backend,
        keys=keys,
    )


def build(
    settings: GatewaySettings,
    doors: Doors,
    *,
    grace: float = GRACE,
    pace: Pace = DEFAULT_PACE,
    patience: float = PATIENCE,
    look: float = LOOK_SECONDS,
) -> App:
    """Put the gateway together; nothing is read or opened before the App runs. `look`: as of `SharedSecret`."""
    surroundings = _surroundings(settings, pace, patience)
    numbers = settings.numbers
    kernel = doors.kernel(numbers)
    inner = doors.inner(numbers)
    gateway = Gateway(
        node=settings.node,
        source=surroundings.source,
        sink=surroundings.sink,
        kernel=kernel,
        carrier=lambda on_status, on_made, on_bug: Carrier(
            kernel, doors.backend, inner, doors.keys, numbers, on_status=on_status, on_made=on_made, on_bug=on_bug
        ),
        keys=doors.keys,
        numbers=numbers,
        withdraws=settings.withdraws,
        grace=grace,
        bfd=doors.bfd,
        sockets=doors.sockets,
    )
    services = dict(surroundings.services)
    if settings.shared_key_file is not None and doors.keys is not None:
        log = get_logger(NAME).bind(node=settings.node)
        secret = SharedSecret(settings.shared_key_file, doors.keys, gateway.carrier, log, every=look)
        services["shared secret"] = secret.follow
    registry = new_registry(NAME)
    registry.register(StateCollector(gateway.metrics))
    registry.register(StateCollector(surroundings.metrics))
    return App(
        name=NAME,
        registry=registry,
        services={
            **services,
            "kernel": gateway.carry,
            "source": gateway.follow,
            "bfd": gateway.watch,
            "hellos": gateway.hellos.run,
            "report": gateway.report,
            "status": gateway.status.run,
            "counters": gateway.count,
        },
        checks={"source": surroundings.why_blind, "tunnels": gateway.why_not_ready},
        on_stop={"leave": gateway.leave, "status": gateway.finish},
        http=settings.common.http,
    )


def _surroundings(settings: GatewaySettings, pace: Pace, patience: float) -> Surroundings:
    common = settings.common
    if common.directory is not None and settings.status_dir is not None:
        return on_directory(common.directory, settings.status_dir, common.compatibility, name=NAME, node=settings.node)
    from netlb_gateway.cluster import on_cluster  # noqa: PLC0415 - lightkube is for those who need it

    return on_cluster(common, settings.state_dir, name=NAME, node=settings.node, pace=pace, patience=patience)
