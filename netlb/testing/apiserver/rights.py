"""What a token may do, as RBAC has it."""

from collections.abc import Mapping, Sequence
from typing import Any

from netlb.testing.apiserver.request import Request
from netlb.testing.apiserver.status import Refused

__all__ = ["Rules", "check", "check_creation"]

Rules = Mapping[str, Sequence[Mapping[str, Any]]]
"""The `rules` of Roles by namespace, and those of a ClusterRole under the empty name."""


def check(rules: Rules, request: Request) -> None:
    """Raise Refused (403) for a request about an object that no rule allows; discovery is everybody's."""
    if request.resource is None:
        return
    _demand(rules, request, request.verb)


def check_creation(rules: Rules, request: Request) -> None:
    """Raise Refused (403) if an object may not be created by applying it: that takes `create` beside `patch`."""
    _demand(rules, request, "create")


def _demand(rules: Rules, request: Request, verb: str) -> None:
    assert request.resource is not None
    resource = "/".join(filter(None, (request.resource.plural, request.subresource)))
    name = "" if verb == "create" else request.name
    if not name and verb in ("list", "watch"):  # of one object, by its name
        fields = dict(part.partition("=")[::2] for part in request.query.get("fieldSelector", "").split(","))
        name = fields.get("metadata.name", "")
    for namespace in dict.fromkeys(("", request.namespace)):
        for rule in rules.get(namespace, ()):
            if (
                request.resource.group in rule["apiGroups"]
                and resource in rule["resources"]
                and verb in rule["verbs"]
                and (not rule.get("resourceNames") or name in rule["resourceNames"])
            ):
                return
    where = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
    group = request.resource.group
    said = f'User "double" cannot {verb} resource "{resource}" in API group "{group}" {where}'
    about = f' "{request.name}"' if request.name else ""
    raise Refused(403, "Forbidden", f"{request.resource.name}{about} is forbidden: {said}")
