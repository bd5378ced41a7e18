"""Events (events.k8s.io/v1): what netlb did, told beside the object that it concerns. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from netlb.findings import ObjectRef
from netlb.source.kube_kinds import Resource

__all__ = ["EVENTS", "event_body"]

EVENTS = Resource(group="events.k8s.io", version="v1", plural="events", kind="Event")
_LONGEST_NOTE = 1024
_LONGEST_NAME = 230


def event_body(
    about: ObjectRef,
    *,
    api_version: str,
    uid: str,
    reason: str,
    action: str,
    note: str,
    warning: bool,
    reporter: str,
    instance: str,
    when: datetime,
) -> Mapping[str, Any]:
    """Return an Event to be created; of cluster-wide objects, in the namespace `default`, as the API server wants it.

    `reason` and `action` are CamelCase names of at most 128 characters, `reporter` as in netlb.io/controller,
    `instance` the pod or node, `when` in UTC. The API server keeps Events for an hour.
    """
    name = about.name[:_LONGEST_NAME]
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"generateName": f"{name}.", "namespace": about.namespace or "default"},
        "eventTime": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": reporter,
        "reportingInstance": instance,
        "action": action,
        "reason": reason,
        "note": note[:_LONGEST_NOTE],
        "type": "Warning" if warning else "Normal",
        "regarding": {
            "apiVersion": api_version,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": uid,
        },
    }
