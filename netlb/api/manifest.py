"""Native records as plain data: what somebody would have written who wanted them."""

from typing import Any

import msgspec

from netlb.api.meta import ObjectMeta
from netlb.api.v1alpha1 import API_VERSION
from netlb.api.v1alpha1.base import Native

__all__ = ["manifest"]


def manifest(record: Native) -> dict[str, Any]:
    """Return the object that declares a native record, without the fields that have their defaults.

    It decodes to the same record, but for the creation time, which is the API server's to give.
    """
    metadata = ObjectMeta(name=record.metadata.name, labels=record.metadata.labels)
    return {
        "apiVersion": API_VERSION,
        "kind": record.kind(),
        **_plain(msgspec.structs.replace(record, metadata=metadata)),
    }


def _plain(value: Any) -> Any:
    # msgspec's own omit_defaults compares by identity, so that a number such as 300 stays though it is the default.
    match value:
        case msgspec.Struct():
            fields = ((field, getattr(value, field.name)) for field in msgspec.structs.fields(value))
            return {field.encode_name: _plain(inner) for field, inner in fields if inner != _default(field)}
        case tuple():
            return [_plain(inner) for inner in value]
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
    return value


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
