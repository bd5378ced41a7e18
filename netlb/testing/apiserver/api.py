"""Requests to answers: what the API server does with each verb. No sockets: `server.py` carries them."""

import base64
import copy
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from netlb.testing.apiserver.admission import born, changed, checked, now
from netlb.testing.apiserver.apply import Owner, apply, updated
from netlb.testing.apiserver.request import Request, Watching
from netlb.testing.apiserver.resources import BUILT_IN, CRDS, Resource, defined, discovery
from netlb.testing.apiserver.selectors import Matches, parse_fields, parse_labels
from netlb.testing.apiserver.status import Refused, not_found
from netlb.testing.apiserver.store import Body, Name, Store
from netlb.testing.apiserver.texts import Texts, page_of

__all__ = ["Api"]

_PATCHES = ("application/apply-patch+yaml", "application/merge-patch+json")
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class Api:
    """Resources over a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._texts = Texts()
        self._names: dict[str, tuple[int, list[Name]]] = {}
        self._defined: dict[int, tuple[Body, list[Resource]]] = {}
        for name in _NAMESPACES:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            resource = next(one for one in BUILT_IN if one.kind == "Namespace")
            self.store.put("namespaces", Name("", name), born(resource, body))

    def resources(self) -> list[Resource]:
        """Return every resource that is served now."""
        known, self._defined = self._defined, {}
        for body in self.store.all(CRDS.name).values():
            self._defined[id(body)] = known.get(id(body)) or (body, defined(body))
        return [*BUILT_IN, *(one for _, resources in self._defined.values() for one in resources)]

    def handle(self, request: Request) -> tuple[int, Body | bytes] | Watching:
        """Carry out a request; a list is JSON already. Refused says why not."""
        if request.resource is None:
            found = discovery(list(request.path), self.resources())
            if found is None or request.method != "GET":
                raise Refused(404, "NotFound", "404 page not found")
            return 200, dict(found)
        if request.subresource not in ("", "status") or (request.subresource and not request.resource.status):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        match request.verb:
            case "get":
                return 200, self._present(request)
            case "list":
                return 200, self._list(request)
            case "watch":
                return self._watch(request)
            case "create":
                return 201, self._create(request, self._body(request))
            case "update":
                return 200, self._update(request, self._body(request))
            case "patch":
                return self._patch(request)
            case "delete":
                return 200, self._delete(request)
            case "deletecollection":
                items = self._selected(request, self.store.all(request.resource.name))
                for name in items:
                    self._remove(request.resource, name)
                return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    # Reading

    def _present(self, request: Request) -> Body:
        assert request.resource is not None
        body = self.store.get(request.resource.name, Name(request.namespace, request.name))
        if body is None:
            raise not_found(request.resource.name, request.name)
        return self._as(request.resource, body)

    @staticmethod
    def _matches(request: Request) -> Matches:
        assert request.resource is not None
        labels = parse_labels(request.query.get("labelSelector", ""))
        fields = parse_fields(request.query.get("fieldSelector", ""), request.resource.selectable)
        return lambda body: labels(body) and fields(body)

    def _selects(self, request: Request) -> Callable[[Name, Body], bool]:
        matches = self._matches(request)
        return lambda name, body: request.namespace in ("", name.namespace) and matches(body)

    def _selected(self, request: Request, objects: Mapping[Name, Body]) -> dict[Name, Body]:
        return page_of(objects, sorted(objects), self._selects(request), Name("", ""), 0)[0]

    def _revision(self, request: Request) -> int:
        text = request.query.get("resourceVersion", "") or "0"
        if not text.isdecimal():
            raise Refused(400, "BadRequest", f'invalid resource version "{text}"')
        return int(text)

    def _list(self, request: Request) -> bytes:
        assert request.resource is not None
        resource, store = request.resource, self.store
        revision, start = store.revision, Name("", "")
        asked = self._revision(request)
        if asked > store.revision:
            causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
            said = f"Timeout: Too large resource version: {asked}, current: {store.revision}"
            raise Refused(504, "Timeout", said, causes=causes, retry_after=1)
        if request.query.get("resourceVersionMatch") == "Exact":
            revision = asked
        if token := request.query.get("continue"):
            try:
                revision, *name = json.loads(base64.urlsafe_b64decode(token))
                start = Name(*name)
            except (ValueError, TypeError):
                raise Refused(400, "BadRequest", "continue key is not valid") from None
        try:
            objects = store.at(resource.name, revision)
        except Refused as refused:
            if not token:
                raise
            said = "The provided continue parameter is too old to display a consistent list result."
            fresh = base64.urlsafe_b64encode(json.dumps([store.revision, *start]).encode()).decode()
            raise Refused(410, "Expired", said, continue_token=fresh) from refused
        if self._names.get(resource.name, (None,))[0] != revision:
            self._names[resource.name] = (revision, sorted(objects))
        names = self._names[resource.name][1]
        limit = int(request.query.get("limit") or 0)
        items, remaining = page_of(objects, names, self._selects(request), start, limit)
        metadata: Body = {"resourceVersion": str(revision)}
        if remaining:
            if not request.query.keys() & {"labelSelector", "fieldSelector"} and not request.namespace:
                metadata["remainingItemCount"] = remaining
            token = json.dumps([revision, *list(items)[-1]])
            metadata["continue"] = base64.urlsafe_b64encode(token.encode()).decode()
        head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
        texts = (
            self._texts.of(resource.name, resource.version, name, body, partial(self._listed, resource))
            for name, body in items.items()
        )
        return self._texts.listed(head, texts)

    def _listed(self, resource: Resource, body: Body) -> Body:
        """Return an object as it stands in a list: of its own kinds, the real one leaves out what they are."""
        if resource.schema is not None:
            return self._as(resource, body)
        return {name: value for name, value in body.items() if name not in ("apiVersion", "kind")}

    def _watch(self, request: Request) -> Watching:
        assert request.resource is not None
        asked = self._revision(request)
        initial: tuple[Body, ...] = ()
        if not asked:
            objects = self._selected(request, self.store.all(request.resource.name))
            initial = tuple(self._as(request.resource, body) for body in objects.values())
            asked = self.store.revision
        elif asked < self.store.compacted:
            raise self.store.expired(asked)
        seconds = request.query.get("timeoutSeconds")
        return Watching(
            request.resource,
            request.namespace,
            self._matches(request),
            asked,
            initial,
            request.query.get("allowWatchBookmarks") in ("1", "true"),
            float(seconds) if seconds else None,
        )

    @staticmethod
    def _as(resource: Resource, body: Body) -> Body:
        """Return an object in the version that was asked for (conversion strategy None)."""
        return {**body, "apiVersion": resource.api_version, "kind": resource.kind}

    # Writing

    @staticmethod
    def _body(request: Request) -> Body:
        assert request.resource is not None
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("metadata", {}), dict):
            raise Refused(400, "BadRequest", "the object provided is unrecognized")
        expected = (request.resource.api_version, request.resource.kind)
        for given, wanted in zip((body.get("apiVersion"), body.get("kind")), expected, strict=True):
            if given not in (None, wanted):
                raise Refused(400, "BadRequest", f"{given} does not match the expected {wanted}")
        namespace = body.setdefault("metadata", {}).get("namespace", request.namespace)
        if request.resource.namespaced and namespace != request.namespace:
            raise Refused(400, "BadRequest", "the namespace of the object does not match the namespace on the request")
        body |= {"apiVersion": request.resource.api_version, "kind": request.resource.kind}
        if request.resource.namespaced:
            body["metadata"]["namespace"] = request.namespace
        return body

    def _create(self, request: Request, body: Body, owner: Owner | None = None) -> Body:
        assert request.resource is not None
        resource = request.resource
        if resource.namespaced and self.store.get("namespaces", Name("", request.namespace)) is None:
            raise not_found("namespaces", request.namespace)
        if body["metadata"].get("resourceVersion"):
            raise Refused(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        fields = body["metadata"].get("managedFields")
        new = checked(resource, born(resource, body), strict=request.query.get("fieldValidation") == "Strict")
        name = Name(request.namespace, new["metadata"]["name"])
        if self.store.get(resource.name, name) is not None:
            raise Refused(409, "AlreadyExists", f'{resource.name} "{name.name}" already exists')
        if owner:
            new["metadata"]["managedFields"] = fields
        else:
            new = updated({"metadata": {}}, new, self._owner(request, "Update"), resource.keys)
        return self._as(resource, self.store.put(resource.name, name, new))

    def _update(self, request: Request, body: Body) -> Body:
        assert request.resource is not None
        live = self._present(request)
        given = body["metadata"]
        if given.setdefault("name", request.name) != request.name:
            raise Refused(400, "BadRequest", "the name of the object does not match the name on the URL")
        if not given.get("resourceVersion") and not request.resource.unconditional:
            causes = [{"field": "metadata.resourceVersion", "message": "must be specified for an update"}]
            raise Refused(422, "Invalid", "metadata.resourceVersion: must be specified for an update", causes=causes)
        return self._store(request, live, copy.deepcopy(body), self._owner(request, "Update"))

    def _patch(self, request: Request) -> tuple[int, Body]:
        assert request.resource is not None
        if request.content_type not in _PATCHES:
            raise Refused(
                415, "UnsupportedMediaType", f"the body of the request was in an unknown format, not {_PATCHES}"
            )
        if request.content_type == _PATCHES[1]:
            live = self._present(request)
            patch = json.loads(request.body)
            return 200, self._store(request, live, _merge_patch(live, patch), self._owner(request, "Update"))
        config = self._body(request)
        config["metadata"].setdefault("name", request.name)
        if not request.query.get("fieldManager"):
            said = "fieldManager: Required value: is required for apply patch"
            raise Refused(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {said}')
        owner = self._owner(request, "Apply")
        wanted = {**config} if not request.resource.status else _part(request, config)
        force = request.query.get("force") in ("1", "true")
        if self.store.get(request.resource.name, Name(request.namespace, request.name)) is None:
            if request.subresource:
                raise not_found(request.resource.name, request.name)
            if config["metadata"].get("resourceVersion"):
                raise Refused(409, "Conflict", "the object is to be changed, and does not exist")
            request.may_create(request)
            empty: Body = {"metadata": {}}
            return 201, self._create(request, apply(empty, wanted, owner, request.resource.keys, force=force), owner)
        live = self._present(request)
        applied = apply(live, wanted, owner, request.resource.keys, force=force)
        if not config["metadata"].get("resourceVersion"):
            applied["metadata"].pop("resourceVersion", None)
        return 200, self._store(request, live, applied, None)

    def _owner(self, request: Request, operation: str) -> Owner:
        assert request.resource is not None
        return Owner(
            manager=request.manager,
            operation=operation,
            api_version=request.resource.api_version,
            subresource=request.subresource,
        )

    def _store(self, request: Request, live: Body, body: Body, owner: Owner | None) -> Body:
        """Write over an object, if it is still the one that the writer saw; who applied has settled who owns what."""
        assert request.resource is not None
        resource, given, there = request.resource, body["metadata"], live["metadata"]
        if given.get("uid", there["uid"]) != there["uid"]:
            said = f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {there['uid']}"
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {resource.name} "{request.name}": {said}')
        if given.get("resourceVersion", there["resourceVersion"]) != there["resourceVersion"]:
            said = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {resource.name} "{request.name}": {said}')
        strict = request.query.get("fieldValidation") == "Strict"
        new = checked(resource, changed(resource, live, body, request.subresource), strict=strict)
        if owner is None:
            new["metadata"]["managedFields"] = body["metadata"]["managedFields"]
        else:
            new = updated(live, new, owner, resource.keys)
        new["metadata"]["resourceVersion"] = there["resourceVersion"]
        if new == live:
            return live
        name = Name(request.namespace, request.name)
        stored = self.store.put(resource.name, name, new)
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self.store.drop(resource.name, name)
        return self._as(resource, stored)

    def _delete(self, request: Request) -> Body:
        assert request.resource is not None
        live = self._present(request)
        options = json.loads(request.body) if request.body else {}
        for key, value in options.get("preconditions", {}).items():
            if live["metadata"].get(key) != value:
                said = f"the {key} in the precondition ({value}) does not match the {key} in record"
                raise Refused(409, "Conflict", f'Operation cannot be fulfilled on "{request.name}": {said}')
        return self._remove(request.resource, Name(request.namespace, request.name))

    def _remove(self, resource: Resource, name: Name) -> Body:
        """Delete an object, and all of a namespace or CRD with it; mark it where finalizers are to run first."""
        live = self.store.all(resource.name)[name]
        if live["metadata"].get("finalizers"):
            if "deletionTimestamp" not in live["metadata"]:
                live = {**live, "metadata": {**live["metadata"], "deletionTimestamp": now()}}
                live = self.store.put(resource.name, name, live)
            return self._as(resource, live)
        for other in self.resources():
            inside = resource.kind == "Namespace" or (resource is CRDS and other.name == name.name)
            for inner in list(self.store.all(other.name)) if inside else ():
                if name.name in (other.name, inner.namespace):
                    self.store.drop(other.name, inner)
        self.store.drop(resource.name, name)
        details = {"name": name.name, "kind": resource.plural, "uid": live["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _part(request: Request, config: Body) -> Body:
    """Return what an apply at this path may set."""
    assert request.resource is not None
    if not request.subresource:
        return {name: value for name, value in config.items() if name != "status"}
    kept = ("apiVersion", "kind", "metadata", "status")
    part = {name: value for name, value in config.items() if name in kept}
    if request.resource.schema is not None:
        identity = ("name", "namespace", "resourceVersion", "uid")
        part["metadata"] = {name: value for name, value in config["metadata"].items() if name in identity}
    return part


def _merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_patch(merged.get(name), value)
    return merged
