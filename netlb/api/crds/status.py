"""What the controller writes back into native objects; records do not read it."""

from typing import Any

__all__ = ["status_schema"]

_CONDITION: dict[str, Any] = {
    "description": "One aspect of the object's state, in the form that all Kubernetes' kinds share.",
    "type": "object",
    "properties": {
        "type": {
            "description": "The aspect.",
            "type": "string",
            "maxLength": 316,
            "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        },
        "status": {"description": "Whether it holds.", "type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {
            "description": "The object's metadata.generation that this was found out about.",
            "type": "integer",
            "format": "int64",
            "minimum": 0,
        },
        "lastTransitionTime": {
            "description": "When the status last changed.",
            "type": "string",
            "format": "date-time",
        },
        "reason": {
            "description": "Why, as a name; docs/reasons.md has them all.",
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "message": {"description": "Why, for people; may be empty.", "type": "string", "maxLength": 32768},
    },
    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
}
"""`metav1.Condition`, with the limits that it has there."""


def status_schema(kind: str) -> dict[str, Any]:
    """Return the schema of a kind's `status`: conditions, and for a pool how many addresses it has."""
    properties = {
        "conditions": {
            "description": "What holds of the object; one entry a type.",
            "type": "array",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        }
    }
    if kind == "AddressPool":
        properties = {"ipv4": _counts("IPv4"), "ipv6": _counts("IPv6"), **properties}
    return {"description": "What became of it; netlb writes this.", "type": "object", "properties": properties}


def _counts(family: str) -> dict[str, Any]:
    counts = {"total": "All that it may give", "used": "Those that Services hold", "free": "Those left to give"}
    return {
        "description": f"The pool's {family} addresses; absent if it has none.",
        "type": "object",
        "properties": {name: _count(meaning) for name, meaning in counts.items()},
        "required": list(counts),
    }


def _count(meaning: str) -> dict[str, Any]:
    """Return the schema of a number of addresses: text, since an IPv6 /64 has more than an int64 can count."""
    return {"description": f"{meaning}: a decimal number, exact.", "type": "string", "pattern": "^(0|[1-9][0-9]*)$"}
