"""What the API server makes of an object before it is stored, and what it refuses. Pure but for names and times.

Of Kubernetes' own kinds only what a load balancer meets is checked. Services get no cluster addresses here.
"""

import re
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from netlb.testing.apiserver.resources import Resource
from netlb.testing.apiserver.schema import defaulted, problems, unknown_fields
from netlb.testing.apiserver.status import Refused

__all__ = ["born", "changed", "checked", "now"]

Body = dict[str, Any]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[-+]\d\d:\d\d)")
_KEPT = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "managedFields", "name", "namespace")
_SERVER_SIDE = ("selfLink", *_KEPT[:5], "resourceVersion")


def now() -> str:
    """Return the time as the API server writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def born(resource: Resource, body: Mapping[str, Any]) -> Body:
    """Return a new object as it is created: what only the server sets is set, a status is not."""
    metadata = {name: value for name, value in body["metadata"].items() if name not in _SERVER_SIDE}
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
    new: Body = {**body, "metadata": metadata}
    if resource.schema is not None:
        metadata["generation"] = 1
    if resource.status and resource.kind != "Node":
        new.pop("status", None)
    if resource.kind == "Namespace":
        new["status"] = {"phase": "Active"}
    return new


def changed(resource: Resource, before: Mapping[str, Any], body: Mapping[str, Any], subresource: str) -> Body:
    """Return an object as an update leaves it: of `before`, what this update cannot touch.

    A status update changes status and, but for custom resources, metadata; an update of the object all but status.
    """
    kept = {name: before["metadata"][name] for name in _KEPT if name in before["metadata"]}
    metadata = {name: value for name, value in body["metadata"].items() if name not in _SERVER_SIDE} | kept
    if subresource and resource.schema is not None:
        metadata = {**before["metadata"]}
    new: Body = {**(before if subresource else body), "metadata": metadata}
    if resource.status:
        source = body if subresource else before
        new.pop("status", None)
        if "status" in source:
            new["status"] = source["status"]
    if resource.kind == "Service" and new["spec"].get("type") != "LoadBalancer" and "status" in new:
        new["status"] = {**new["status"], "loadBalancer": {}}
    if resource.schema is not None and _declared(new) != _declared(before):
        metadata["generation"] = before["metadata"]["generation"] + 1
    return new


def checked(resource: Resource, body: Body, *, strict: bool) -> Body:
    """Return an object with defaults, and without what its schema does not have; Refused (400, 422) if it is wrong."""
    name = body["metadata"].get("name")
    if not name:
        raise _invalid(resource, "", [("metadata.name", "Required value: name or generateName is required")])
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _invalid(resource, str(name), [("metadata.name", f'Invalid value: "{name}": a lowercase RFC 1123 name')])
    if resource.schema is not None:
        return _custom(resource, body, strict=strict)
    wrong = list(_CHECKS.get(resource.kind, lambda _: ())(body))
    if wrong:
        raise _invalid(resource, name, wrong)
    return body


def _custom(resource: Resource, body: Body, *, strict: bool) -> Body:
    assert resource.schema is not None
    if strict and (unknown := sorted(unknown_fields(resource.schema, body))):
        raise Refused(400, "BadRequest", f"strict decoding error: {', '.join(unknown)}")
    whole = {**defaulted(resource.schema, _pruned(resource.schema, body)), "metadata": body["metadata"]}
    if wrong := problems(resource.schema, whole):
        fields = [problem.removeprefix("$.").partition(": ") for problem in wrong]
        raise _invalid(
            resource, body["metadata"]["name"], [(field, f"Invalid value: {said}") for field, _, said in fields]
        )
    return whole


def _declared(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("metadata", "status")}


def _pruned(schema: Mapping[str, Any], value: Any) -> Any:
    """Return a value without the fields that the schema does not have, as the API server stores it."""
    if isinstance(value, list) and "items" in schema:
        return [_pruned(schema["items"], inner) for inner in value]
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    properties, more = schema.get("properties"), schema.get("additionalProperties")
    if properties is None:
        return {name: _pruned(more, inner) for name, inner in value.items()} if isinstance(more, dict) else value
    return {name: _pruned(properties[name], inner) for name, inner in value.items() if name in properties}


def _invalid(resource: Resource, name: str, wrong: list[tuple[str, str]]) -> Refused:
    said = ", ".join(f"{field}: {problem}" for field, problem in wrong)
    causes = [{"reason": "FieldValueInvalid", "message": problem, "field": field} for field, problem in wrong]
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return Refused(422, "Invalid", f'{kind} "{name}" is invalid: {said}', causes=causes)


def _service(body: Body) -> Iterator[tuple[str, str]]:
    spec = body.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    if spec["type"] not in ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"):
        yield "spec.type", f'Unsupported value: "{spec["type"]}"'
    if not spec.get("ports") and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield "spec.ports", "Required value"
    for port in spec.get("ports", ()):
        port.setdefault("protocol", "TCP")
    for index, entry in enumerate(body.get("status", {}).get("loadBalancer", {}).get("ingress", ())):
        if entry.get("ip") and not re.fullmatch(r"[0-9a-f.:]+", entry["ip"]):
            yield (
                f"status.loadBalancer.ingress[{index}].ip",
                f'Invalid value: "{entry["ip"]}": must be a valid IP address',
            )
        if entry.get("ip") and "ipMode" not in entry:
            entry["ipMode"] = "VIP"


def _lease(body: Body) -> Iterator[tuple[str, str]]:
    spec = body.setdefault("spec", {})
    for name in ("acquireTime", "renewTime"):
        if name in spec and not _MICRO_TIME.fullmatch(spec[name]):
            raise Refused(400, "BadRequest", f"Lease in version v1 cannot be handled: parsing time {spec[name]!r}")
    if spec.get("leaseDurationSeconds", 1) <= 0:
        yield "spec.leaseDurationSeconds", f"Invalid value: {spec['leaseDurationSeconds']}: must be greater than 0"
    if spec.get("leaseTransitions", 0) < 0:
        yield "spec.leaseTransitions", "Invalid value: must be greater than or equal to 0"


def _slice(body: Body) -> Iterator[tuple[str, str]]:
    if body.get("addressType") not in ("IPv4", "IPv6", "FQDN"):
        yield "addressType", "Required value"


def _definition(body: Body) -> Iterator[tuple[str, str]]:
    spec = body["spec"]
    if body["metadata"]["name"] != f"{spec['names']['plural']}.{spec['group']}":
        yield "metadata.name", "Invalid value: must be spec.names.plural+'.'+spec.group"
    conditions = [
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
        {"type": "Established", "status": "True", "reason": "InitialNamesAccepted", "message": ""},
    ]
    body["status"] = {"acceptedNames": spec["names"], "conditions": conditions, "storedVersions": []}


_CHECKS = {"Service": _service, "Lease": _lease, "EndpointSlice": _slice, "CustomResourceDefinition": _definition}
