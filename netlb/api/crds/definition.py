"""The CustomResourceDefinition of each kind of ours, as `kubectl apply` takes it (Kubernetes 1.29 or later)."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from netlb.api.crds.schema import record_schema
from netlb.api.crds.source import Text, read
from netlb.api.crds.status import REPORTS, report_schema, status_schema
from netlb.api.crds.table import KINDS, Column, Names
from netlb.api.meta import Record
from netlb.api.v1alpha1 import API_VERSION
from netlb.api.v1alpha1 import KINDS as RECORDS

__all__ = ["definitions", "render"]

_GROUP, _, _VERSION = API_VERSION.partition("/")
_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_HEAD = "# Made by tools/generate_crds.py from the records in netlb/api/v1alpha1; do not edit.\n"


class _Plain(yaml.SafeDumper):
    """Writes what stands in several places in full there, not as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def definitions(sources: Iterable[str]) -> Mapping[str, dict[str, Any]]:
    """Return the definitions by name of file; `sources` are the texts of the modules that hold the records.

    LookupError names a kind that has no line in the table.
    """
    texts = read(sources)
    native = {
        f"{_names(kind).plural}.yaml": _definition(
            kind.kind(), _names(kind), _root(kind, texts), namespaced=kind.NAMESPACED, status=True
        )
        for kind in RECORDS
    }
    # Without the status subresource one request writes an object, which is nothing but a status.
    reports = {
        f"{report.names.plural}.yaml": _definition(
            kind, report.names, report_schema(kind), namespaced=report.namespaced, status=False
        )
        for kind, report in REPORTS.items()
    }
    return native | reports


def render(definition: dict[str, Any]) -> str:
    """Return a definition as the text of its file."""
    text = yaml.dump(definition, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=118)
    return f"{_HEAD}{text}"


def _names(kind: type[Record]) -> Names:
    try:
        return KINDS[kind.kind()]
    except KeyError:
        raise LookupError(
            f"{kind.kind()}: the kind has no names; add them to KINDS in netlb/api/crds/table.py"
        ) from None


def _definition(
    kind: str, names: Names, schema: Mapping[str, Any], *, namespaced: bool, status: bool
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "names": {
                "plural": names.plural,
                "singular": kind.lower(),
                "kind": kind,
                "listKind": f"{kind}List",
                "shortNames": [names.short],
                "categories": ["netlb"],
            },
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [
                {
                    "name": _VERSION,
                    "served": True,
                    "storage": True,
                    **({"subresources": {"status": {}}} if status else {}),
                    "additionalPrinterColumns": [_column(column) for column in (*names.columns, _AGE)],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    priority = {"priority": column.priority} if column.priority else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path, **priority}


def _root(kind: type[Record], texts: Mapping[str, Text]) -> dict[str, Any]:
    schema = record_schema(kind, texts)
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": schema["properties"]["spec"],
        "status": status_schema(kind.kind()),
    }
    schema["required"] = [name for name in schema["required"] if name != "metadata"]
    return {key: value for key, value in schema.items() if value}
