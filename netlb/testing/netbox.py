"""NetBox in memory, behind its REST API on loopback: as much of it as addresses in prefixes need.

It follows what NetBox 4 documents and does: tokens of both versions, object permissions with constraints, filters
(unknown ones are ignored), pages, uniqueness that is enforced or not, the words of its errors. Not here: lists in a
POST, IP ranges, tags, custom fields.

    netbox = NetBoxDouble()
    netbox.add_prefix("192.0.2.0/24")
    async with netbox.http.serving() as url: ...
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from itertools import count
from typing import Any, Final

from netlb.testing.http_double import HttpDouble, Request, Response

__all__ = ["ALL_GRANTED", "NetBoxDouble", "NetBoxEntry", "NetBoxUser"]

ALL_GRANTED: Final[Mapping[str, str]] = dict.fromkeys(
    ("view_prefix", "view_vrf", "view_ipaddress", "add_ipaddress", "change_ipaddress", "delete_ipaddress"), ""
)
"""What the documentation asks for, without constraints."""
_STATUSES: Final = ("active", "reserved", "deprecated", "dhcp", "slaac")
_LARGEST_PAGE: Final = 1000
_NEEDS: Final = {"GET": "view", "POST": "add", "PATCH": "change", "DELETE": "delete"}
_FORBIDDEN: Final = {"detail": "You do not have permission to perform this action."}


@dataclass(frozen=True, slots=True)
class NetBoxUser:
    """Whom a token belongs to: permission to the text that descriptions must begin with (constraint), or to ''."""

    grants: Mapping[str, str]
    write_enabled: bool = True


@dataclass(frozen=True, slots=True)
class NetBoxEntry:
    """One IP address object."""

    id: int
    address: str
    description: str = ""
    status: str = "active"
    vrf: int | None = None

    @property
    def host(self) -> str:
        """The address without its mask."""
        return self.address.partition("/")[0]


@dataclass(frozen=True, slots=True)
class _Prefix:
    id: int
    network: IPv4Network | IPv6Network
    vrf: int | None
    is_pool: bool


class _Problem(Exception):  # noqa: N818  a response on its way out
    def __init__(self, status: int, said: Any) -> None:
        self.response = Response.json(status, said)


class NetBoxDouble:
    """One NetBox: its objects, who may do what, and the server (`http`) that answers for it."""

    def __init__(self, *, unique: bool = False) -> None:
        """`unique`: no address twice in the global table (ENFORCE_GLOBAL_UNIQUE)."""
        self.unique = unique
        self.tokens = {"0123456789abcdef0123456789abcdef01234567": NetBoxUser(ALL_GRANTED)}
        """Tokens of v1 are hexadecimal digits, those of v2 `nbt_KEY.TEXT`."""
        self.entries: dict[int, NetBoxEntry] = {}
        self.protected: set[int] = set()
        """Entries that something else depends on: they cannot be deleted."""
        self.vrfs: dict[int, tuple[str, bool]] = {}
        self.elsewhere = ""
        """Where `next` leads to, if not to this server."""
        self.before: Callable[[Request], None] = lambda _: None
        """Called before the work of a request is done: somebody else may be faster."""
        self.http = HttpDouble(self._answer)
        self._prefixes: dict[int, _Prefix] = {}
        self._ids = count(101)  # room below, for entries that a test wants to be older

    def add_vrf(self, name: str, *, enforce_unique: bool = True) -> int:
        """Make a VRF; return its id."""
        number = next(self._ids)
        self.vrfs[number] = (name, enforce_unique)
        return number

    def add_prefix(self, prefix: str, *, vrf: int | None = None, is_pool: bool = False) -> int:
        """Make a prefix; return its id. A pool gives its first and last address, too."""
        number = next(self._ids)
        self._prefixes[number] = _Prefix(number, ip_network(prefix), vrf, is_pool)
        return number

    def add_entry(
        self, address: str, description: str = "", *, status: str = "active", vrf: int | None = None
    ) -> NetBoxEntry:
        """Make an IP address object as somebody else would (mask included), without any check."""
        entry = NetBoxEntry(next(self._ids), address, description, status, vrf)
        self.entries[entry.id] = entry
        return entry

    # Requests

    def _answer(self, request: Request) -> Response:
        self.before(request)
        try:
            user = self._authenticate(request.headers.get("authorization", ""))
            return self._route(request, user)
        except _Problem as problem:
            return problem.response

    def _authenticate(self, header: str) -> NetBoxUser:
        keyword, _, text = header.partition(" ")
        if keyword.lower() not in ("token", "bearer"):
            raise _Problem(403, {"detail": "Authentication credentials were not provided."})
        version = 2 if text.startswith("nbt_") else 1
        if " " in text or not text or (version == 2 and "." not in text):
            raise _Problem(403, {"detail": "Invalid authorization header"})
        if text not in self.tokens:
            raise _Problem(403, {"detail": f"Invalid v{version} token"})
        return self.tokens[text]

    def _route(self, request: Request, user: NetBoxUser) -> Response:
        match [request.method, *request.path.strip("/").split("/")]:
            case _ if not request.path.endswith("/"):
                pass
            case ["GET", "api", "ipam", "vrfs"]:
                _permit(user, "view_vrf")
                named = [self._show_vrf(number) for number in self.vrfs]
                return self._page(request, _filtered(named, request, "name"))
            case ["GET", "api", "ipam", "prefixes"]:
                _permit(user, "view_prefix")
                return self._page(request, self._find_prefixes(request))
            case ["POST", "api", "ipam", "prefixes", number, "available-ips"]:
                _permit(user, "add_ipaddress")
                return self._create_available(number, _json(request), user)
            case ["GET", "api", "ipam", "ip-addresses"]:
                _permit(user, "view_ipaddress")
                return self._page(request, self._find_entries(request, user))
            case ["POST", "api", "ipam", "ip-addresses"]:
                _permit(user, "add_ipaddress")
                return self._create(_json(request), user)
            case ["GET" | "PATCH" | "DELETE" as method, "api", "ipam", "ip-addresses", number]:
                _permit(user, f"{_NEEDS[method]}_ipaddress")
                return self._one(method, number, request, user)
        raise _Problem(404, {"detail": "Not found."})

    def _one(self, method: str, number: str, request: Request, user: NetBoxUser) -> Response:
        entry = self.entries.get(int(number)) if number.isdigit() else None
        if entry is None or not entry.description.startswith(user.grants[f"{_NEEDS[method]}_ipaddress"]):
            raise _Problem(404, {"detail": "No IPAddress matches the given query."})
        if method == "PATCH":
            changed = self._validated(_json(request), entry)
            _permit_description(user, "change_ipaddress", changed)
            self.entries[entry.id] = entry = changed
        if method == "DELETE":
            if entry.id in self.protected:
                raise _Problem(409, {"detail": "Unable to delete object. 1 dependent objects were found: web (1)"})
            del self.entries[entry.id]
            return Response(204)
        return Response.json(200, self._show(entry))

    def _create_available(self, number: str, body: dict[str, Any], user: NetBoxUser) -> Response:
        prefix = self._prefixes.get(int(number)) if number.isdigit() else None
        if prefix is None or "view_prefix" not in user.grants:
            raise _Problem(404, {"detail": "No Prefix matches the given query."})
        used = {entry.host for entry in self.entries.values() if entry.vrf == prefix.vrf}
        free = next((host for host in _usable(prefix) if host not in used), None)
        if free is None:
            raise _Problem(409, {"detail": "Insufficient resources are available to satisfy the request"})
        return self._create({**body, "address": f"{free}/{prefix.network.prefixlen}", "vrf": prefix.vrf}, user)

    def _create(self, body: dict[str, Any], user: NetBoxUser) -> Response:
        entry = self._validated(body, NetBoxEntry(next(self._ids), ""))
        _permit_description(user, "add_ipaddress", entry)
        self.entries[entry.id] = entry
        return Response.json(201, self._show(entry))

    def _validated(self, body: dict[str, Any], entry: NetBoxEntry) -> NetBoxEntry:
        problems: dict[str, list[str]] = {}
        changed = replace(
            entry, **{name: body[name] for name in ("address", "description", "status", "vrf") if name in body}
        )
        if not changed.address:
            problems["address"] = ["This field is required."]
        else:
            try:
                changed = replace(changed, address=str(ip_interface(changed.address)))
            except ValueError:
                problems["address"] = [f"Invalid IP address format: {changed.address}"]
        if changed.status not in _STATUSES:
            problems["status"] = [f"{changed.status} is not a valid choice."]
        if len(changed.description) > 200:
            problems["description"] = ["Ensure this field has no more than 200 characters."]
        if changed.vrf is not None and changed.vrf not in self.vrfs:
            problems["vrf"] = [f"Related object not found using the provided numeric ID: {changed.vrf}"]
        if problems:
            raise _Problem(400, problems)
        enforced = self.unique if changed.vrf is None else self.vrfs[changed.vrf][1]
        for other in self.entries.values():
            if enforced and other.id != entry.id and (other.host, other.vrf) == (changed.host, changed.vrf):
                table = "global table" if changed.vrf is None else f"VRF {self.vrfs[changed.vrf][0]}"
                raise _Problem(400, {"address": [f"Duplicate IP address found in {table}: {other.address}"]})
        return changed

    # Lists

    def _find_prefixes(self, request: Request) -> Sequence[dict[str, Any]]:
        self._check_vrfs(request)
        found = [
            prefix
            for prefix in self._prefixes.values()
            if _among(str(prefix.network), request.values("prefix"))
            and _among("null" if prefix.vrf is None else str(prefix.vrf), request.values("vrf_id"))
        ]
        return [
            {
                "id": prefix.id,
                "prefix": str(prefix.network),
                "vrf": self._show_vrf(prefix.vrf),
                "is_pool": prefix.is_pool,
            }
            for prefix in found
        ]

    def _find_entries(self, request: Request, user: NetBoxUser) -> Sequence[dict[str, Any]]:
        self._check_vrfs(request)
        starts = [text.lower() for text in request.values("description__isw")]
        found = [
            entry
            for entry in self.entries.values()
            if entry.description.startswith(user.grants["view_ipaddress"])
            and _among(entry.description, request.values("description"))
            and (not starts or entry.description.lower().startswith(tuple(starts)))
            and (_among(entry.host, request.values("address")) or entry.address in request.values("address"))
            and _among("null" if entry.vrf is None else str(entry.vrf), request.values("vrf_id"))
        ]
        by_address = sorted(found, key=lambda entry: (ip_address(entry.host).version, ip_address(entry.host), entry.id))
        return [self._show(entry) for entry in by_address]

    def _check_vrfs(self, request: Request) -> None:
        for text in request.values("vrf_id"):
            if text != "null" and not (text.isdigit() and int(text) in self.vrfs):
                problem = f"Select a valid choice. {text} is not one of the available choices."
                raise _Problem(400, {"vrf_id": [problem]})

    def _page(self, request: Request, rows: Sequence[dict[str, Any]]) -> Response:
        ids = request.values("id")
        after = max((int(text) for text in request.values("id__gt")), default=0)
        rows = [row for row in rows if row["id"] > after and _among(str(row["id"]), ids)]
        if request.values("ordering") == ["id"]:
            rows = sorted(rows, key=lambda row: int(row["id"]))
        limit = min(_LARGEST_PAGE, int((request.values("limit") or ["50"])[0]) or _LARGEST_PAGE)
        offset = int((request.values("offset") or ["0"])[0])
        more = None
        if offset + limit < len(rows):
            host = self.elsewhere or f"http://{request.headers['host']}"
            more = f"{host}{request.path}?limit={limit}&offset={offset + limit}"
        page = {"count": len(rows), "next": more, "previous": None, "results": rows[offset : offset + limit]}
        return Response.json(200, page)

    def _show(self, entry: NetBoxEntry) -> dict[str, Any]:
        version = ip_address(entry.host).version
        return {
            "id": entry.id,
            "family": {"value": version, "label": f"IPv{version}"},
            "address": entry.address,
            "vrf": self._show_vrf(entry.vrf),
            "tenant": None,
            "status": {"value": entry.status, "label": entry.status.title()},
            "role": None,
            "dns_name": "",
            "description": entry.description,
            "tags": [],
            "custom_fields": {},
        }

    def _show_vrf(self, number: int | None) -> dict[str, Any] | None:
        return None if number is None else {"id": number, "name": self.vrfs[number][0], "rd": None}


def _permit(user: NetBoxUser, permission: str) -> None:
    if permission not in user.grants or not (user.write_enabled or permission.startswith("view")):
        raise _Problem(403, _FORBIDDEN)


def _permit_description(user: NetBoxUser, permission: str, entry: NetBoxEntry) -> None:
    if not entry.description.startswith(user.grants[permission]):
        raise _Problem(403, _FORBIDDEN)


def _json(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type") != "application/json":
        raise _Problem(415, {"detail": "Unsupported media type in request."})
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise _Problem(400, {"detail": f"JSON parse error - {error}"}) from None
    if not isinstance(body, dict):
        raise _Problem(400, {"non_field_errors": ["Invalid data. Expected a dictionary."]})
    return body


def _among(value: str, wanted: Sequence[str]) -> bool:
    return not wanted or value in wanted


def _filtered(rows: Sequence[Any], request: Request, name: str) -> Sequence[Any]:
    return [row for row in rows if _among(row[name], request.values(name))]


def _usable(prefix: _Prefix) -> Iterator[str]:
    """Yield the addresses that NetBox gives: all of a pool and of the smallest prefixes, else not the outermost."""
    network = prefix.network
    whole = prefix.is_pool or network.max_prefixlen - network.prefixlen <= 1
    first, last = int(network[0]), int(network[-1])
    if not whole:
        first += 1
        last -= network.version == 4
    for value in range(first, last + 1):
        yield str(network[value - int(network[0])])
