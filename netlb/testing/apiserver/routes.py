"""What a path of the API server means."""

from collections.abc import Iterable

from netlb.testing.apiserver.http import Head
from netlb.testing.apiserver.request import Request
from netlb.testing.apiserver.resources import Resource

__all__ = ["route"]


def route(head: Head, content: bytes, resources: Iterable[Resource]) -> Request | None:
    """Return the request that a head and its content are; None if nothing is served there."""
    rest: list[str]
    match head.path:
        case ("api", version, *rest):
            group = ""
        case ("apis", group, version, *rest):
            pass
        case ("api",) | ("apis",) | ("apis", _):
            return Request(method=head.method, path=head.path)
        case _:
            return None
    served = [one for one in resources if (one.group, one.version) == (group, version)]
    if not rest:
        return Request(method=head.method, path=head.path) if served else None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = next((one for one in served if one.plural == rest[0]), None)
    if resource is None:
        return None
    return Request(
        method=head.method,
        path=head.path,
        query=head.query,
        content_type=head.headers.get("content-type", "application/json").partition(";")[0],
        user_agent=head.headers.get("user-agent", ""),
        body=content,
        resource=resource,
        namespace=namespace,
        name=rest[1] if len(rest) > 1 else "",
        subresource="/".join(rest[2:]),
    )
