"""Short ways to declare things in tests."""

import textwrap
from collections.abc import Iterable
from typing import Any

import yaml

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.api.snapshot import Holding, Snapshot
from netlb.findings import ObjectRef
from netlb.net import parse_address


def native(kind: str, name: str, **spec: Any) -> str:
    """An object of a native kind, with the fields of its spec by name."""
    return yaml.safe_dump({"apiVersion": "netlb.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})


def pool(name: str, *addresses: str, **spec: object) -> str:
    """A native pool; further fields of its spec by name."""
    extra = "".join(
        f"\n  {key}: {str(value).lower() if isinstance(value, bool) else value}" for key, value in spec.items()
    )
    listed = "".join(f"\n  - {address}" for address in addresses)
    return f"""
apiVersion: netlb.io/v1alpha1
kind: AddressPool
metadata: {{name: {name}, labels: {{pool: {name}}}}}
spec:{extra}
  addresses:{listed}
"""


def advertisement(name: str = "all", spec: str = "{}") -> str:
    """An L2Advertisement; every pool unless told otherwise."""
    return f"""
apiVersion: netlb.io/v1alpha1
kind: L2Advertisement
metadata: {{name: {name}}}
spec: {spec}
"""


def bfd_profile(name: str, **spec: object) -> str:
    """A BFDProfile; fields of its spec by name."""
    fields = ", ".join(f"{key}: {str(value).lower()}" for key, value in spec.items())
    return f"""
apiVersion: netlb.io/v1alpha1
kind: BFDProfile
metadata: {{name: {name}}}
spec: {{{fields}}}
"""


PATIENT = bfd_profile("patient", transmitInterval=100, receiveInterval=100, detectMultiplier=30)
"""By it nobody is taken for dead who is only held up for a moment."""


def service(name: str, *, annotations: str = "{}", **spec: object) -> str:
    """A Service of type LoadBalancer in the namespace default."""
    extra = "".join(f"\n  {key}: {value}" for key, value in spec.items())
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, labels: {{app: {name}}}, annotations: {annotations}}}
spec:
  type: LoadBalancer
  ports: [{{port: 80}}]{extra}
"""


def slice_of(service_name: str, *nodes: str, ready: bool = True) -> str:
    """An EndpointSlice with one endpoint on each node."""
    endpoints = ", ".join(
        f"{{addresses: [10.244.0.{number}], nodeName: {node}, conditions: {{ready: {str(ready).lower()}}}}}"
        for number, node in enumerate(nodes, start=1)
    )
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service_name}-1, labels: {{kubernetes.io/service-name: {service_name}}}}}
addressType: IPv4
endpoints: [{endpoints}]
"""


def node(name: str, labels: str = "{}", *, addresses: Iterable[object] = ()) -> str:
    """A Node; its InternalIPs, where others are to watch it."""
    listed = ", ".join(f"{{type: InternalIP, address: '{address}'}}" for address in addresses)
    status = f"status: {{addresses: [{listed}]}}\n" if listed else ""
    return f"""
apiVersion: v1
kind: Node
metadata: {{name: {name}, labels: {labels}}}
{status}"""


def metallb(config: str) -> str:
    """MetalLB's ConfigMap."""
    return (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: metallb-system, name: config}\ndata:\n  config: |\n"
        + textwrap.indent(textwrap.dedent(config), "    ")
    )


def metallb_object(
    kind: str, name: str, spec: str = "", *, version: str = "", namespace: str = "metallb-system"
) -> str:
    """One of MetalLB's objects, in its current version unless told otherwise."""
    return f"""
apiVersion: metallb.io/{version or ("v1beta2" if kind == "BGPPeer" else "v1beta1")}
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{spec}}}
"""


def declare(intake: Intake, origin: str, *manifests: str) -> None:
    """Let an origin declare these manifests."""
    intake.declare(origin, parse_documents("\n---\n".join(manifests), origin))


def snapshot(*manifests: str, holdings: dict[str, str] | None = None) -> Snapshot:
    """What is in force with these manifests; holdings as {service name: "address,address"}."""
    intake = Intake()
    declare(intake, "test.yaml", *manifests)
    return intake.snapshot(held(holdings or {}))


def ref(name: str) -> ObjectRef:
    """The Service of that name in the namespace default."""
    return ObjectRef("Service", "default", name)


def held(holdings: dict[str, str]) -> dict[ObjectRef, Holding]:
    """Holdings by the short names of Services."""
    return {
        ref(name): Holding(tuple(parse_address(text) for text in addresses.split(",")))
        for name, addresses in holdings.items()
    }
