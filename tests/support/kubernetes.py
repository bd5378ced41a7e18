"""A cluster whose API server is the double: objects, daemons on it with the rights that they have, what they wrote."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from netlb.api.dialects import DEFAULT, Compatibility
from netlb.runtime.app import App
from netlb.runtime.config import CommonSettings
from netlb.source.kube_rights import controller_rights, gateway_rights, role_rules, speaker_rights
from netlb.source.lease import LeasePace
from netlb.source.reflector import Pace
from netlb.testing.apiserver import ApiServer
from netlb_controller.settings import ControllerSettings
from netlb_controller.wiring import build as build_controller
from netlb_speaker.gobgp import GobgpSettings
from netlb_speaker.wiring import SHORTEST_LEASE, LivenessMode, SpeakerSettings
from netlb_speaker.wiring import build as build_speaker
from tests.support.speaking import Net

__all__ = [
    "CONTROLLER",
    "GATEWAY",
    "LEASES",
    "NAMESPACE",
    "OPERATOR",
    "PACE",
    "SPEAKER",
    "Kubernetes",
    "advertisement",
    "endpoints",
    "kubernetes",
    "node",
    "pool",
    "service",
]

NAMESPACE = "netlb-system"
CONTROLLER, GATEWAY, SPEAKER = "controller-token", "gateway-token", "speaker-token"
OPERATOR = "operator-token"
"""Of somebody who may do everything."""
LEASES = "leases.coordination.k8s.io"
CRDS = Path(__file__).parents[2] / "deploy" / "crds"
PACE = Pace(
    page_size=100,
    answer_timeout=3.0,  # a server that is held up for a moment has not failed
    idle_timeout=3.0,
    watch_timeout=20.0,
    first_backoff=0.01,
    longest_backoff=0.1,
    absence_grace=0.2,
)
LEASE_PACE = LeasePace(duration=4, renew_deadline=3.0, retry=0.1, answer_timeout=1.0)


def pool(name: str, *addresses: str, **spec: Any) -> dict[str, Any]:
    """A native pool."""
    body = {"apiVersion": "netlb.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": name}}
    return {**body, "spec": {"addresses": list(addresses), **spec}}


def advertisement(**spec: Any) -> dict[str, Any]:
    """An L2Advertisement of all pools."""
    return {"apiVersion": "netlb.io/v1alpha1", "kind": "L2Advertisement", "metadata": {"name": "all"}, "spec": spec}


def service(name: str, ip: str = "", *, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A Service of type LoadBalancer in the namespace default; with a status if there is an address."""
    metadata = {"name": name, "namespace": "default", "annotations": annotations or {}}
    status = {"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}} if ip else {}
    whole = {"type": "LoadBalancer", "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": whole, **status}


def endpoints(name: str, *nodes: str) -> dict[str, Any]:
    """An EndpointSlice with one endpoint on each node."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [f"10.244.0.{number}"], "nodeName": node, "conditions": {"ready": True}}
            for number, node in enumerate(nodes, start=1)
        ],
    }


def node(name: str, *addresses: str) -> dict[str, Any]:
    """A Node, known by these addresses."""
    listed = [{"type": "InternalIP", "address": address} for address in addresses]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": listed}}


class Kubernetes:
    """The double, and short ways to look into it."""

    def __init__(self, server: ApiServer, root: Path) -> None:
        self.server = server
        self.root = root

    def kubeconfig(self, token: str) -> Path:
        """Return a kubeconfig for whoever has a token; its token is in a file, which can be rotated."""
        path = self.root / f"kubeconfig-{token}"
        return self.server.write_kubeconfig(path, token=token, token_file=self.token_file(token))

    def token_file(self, token: str) -> Path:
        """Return the file that a token is read from."""
        return self.root / f"token-{token}"

    def common(self, token: str) -> CommonSettings:
        """Return the settings of a daemon that has a token."""
        source = f"kube:{self.kubeconfig(token)}"
        return CommonSettings.parse(
            source=source, namespace=NAMESPACE, log_level="info", log_format="console", http="off"
        )

    def controller(
        self,
        *,
        elects: bool = True,
        settle: float = 0.02,
        compatibility: Compatibility = DEFAULT,
        **settings: Any,
    ) -> App:
        """Return a controller with the rights that a controller has; it takes changes in after `settle` seconds."""
        common = replace(self.common(CONTROLLER), compatibility=compatibility)
        chosen = ControllerSettings(common=common, status_dir=None, elects=elects, **settings)
        return build_controller(chosen, pace=replace(PACE, settle=settle), lease=LEASE_PACE)

    def speaker(
        self,
        net: Net,
        name: str = "node-1",
        *,
        state_dir: Path | None = None,
        patience: float = 0.3,
        gobgp: GobgpSettings | None = None,
        liveness: LivenessMode = LivenessMode.STATIC,
        grace: float = 0.0,
    ) -> App:
        """Return the speaker of a node on segments in memory, with the rights that a speaker has."""
        settings = SpeakerSettings(
            common=self.common(SPEAKER),
            status_dir=None,
            node=name,
            liveness=liveness,
            lease_duration=SHORTEST_LEASE,
            state_dir=state_dir,
            gobgp=gobgp,
        )
        return build_speaker(settings, net, grace=grace, kernel=net.addresses, pace=PACE, patience=patience)

    def give(self, name: str, address: str, **spec: Any) -> None:
        """Have a Service with an address, as a controller leaves it, and an endpoint of it on each node."""
        self.server.put(
            service(name, address, annotations={"netlb.io/allocated-from": "two"}, **spec),
            endpoints(name, "node-1", "node-2"),
        )

    def report(self, name: str, node: str = "node-1") -> dict[str, Any] | None:
        """Return what a node's speaker says of a Service of the namespace default."""
        return self.server.get("servicel2statuses.netlb.io", f"{name}.{node}", "default")

    def announced(self, name: str, node: str = "node-1") -> tuple[str, str, str]:
        """Return status, reason and message of the condition on a report; empty while there is none."""
        return self.condition(self.report(name, node) or {}, "netlb.io/Announced")

    def service(self, name: str) -> dict[str, Any]:
        """Return a Service of the namespace default, as it is now."""
        found = self.server.get("services", name, "default")
        assert found is not None
        return found

    def ingress(self, name: str) -> list[str]:
        """Return the addresses in a Service's status."""
        status = self.service(name).get("status", {})
        return [entry.get("ip", entry.get("hostname")) for entry in status.get("loadBalancer", {}).get("ingress", ())]

    def allocated(self, name: str) -> tuple[str, str, str]:
        """Return status, reason and message of the condition on a Service; empty while there is none."""
        return self.condition(self.service(name), "netlb.io/AddressAllocated")

    def accepted(self, name: str) -> tuple[str, str, str]:
        """Return status, reason and message of the condition on an AddressPool."""
        return self.condition(self.server.get("addresspools.netlb.io", name) or {}, "netlb.io/Accepted")

    def counts(self, name: str) -> dict[str, int]:
        """Return how many IPv4 addresses a pool has; empty while it does not say."""
        found = self.server.get("addresspools.netlb.io", name) or {}
        return {what: int(number) for what, number in found.get("status", {}).get("ipv4", {}).items()}

    def events(self, name: str = "") -> list[tuple[str, str]]:
        """Return reason and note of all Events about a Service, oldest first."""
        every = sorted(self.server.all("events.events.k8s.io").values(), key=lambda event: event["eventTime"])
        return [(one["reason"], one["note"]) for one in every if name in ("", one["regarding"]["name"])]

    def writes(self, resource: str = "services") -> int:
        """Return how many writes about a resource came in."""
        return len(self.server.seen("patch", resource))

    @staticmethod
    def condition(body: dict[str, Any], kind: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition; empty while there is none."""
        for one in body.get("status", {}).get("conditions", ()):
            if one["type"] == kind:
                return one["status"], one["reason"], one["message"]
        return "", "", ""


@contextmanager
def kubernetes(root: Path, *, leases: bool = False) -> Iterator[Kubernetes]:
    """Run a cluster with netlb's definitions, two nodes and a pool; AssertionError if a daemon lacked a right.

    With `leases` speakers have the rights that it takes to be known of by them.
    """
    rights = {
        CONTROLLER: role_rules(controller_rights(NAMESPACE)),
        GATEWAY: role_rules(gateway_rights()),
        SPEAKER: role_rules(speaker_rights(NAMESPACE, leases=leases)),
    }
    with ApiServer(token=OPERATOR, bookmark_interval=0.2, rights=rights) as server:
        server.put_files(CRDS)
        for name in (NAMESPACE, "metallb-system"):
            server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        server.put(node("node-1"), node("node-2"), pool("two", "192.0.2.1-192.0.2.2"), advertisement())
        yield Kubernetes(server, root)
        assert [] == server.forbidden
