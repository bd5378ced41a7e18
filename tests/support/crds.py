"""The committed definitions, and the two that judge a manifest: the decoder and the API server."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from netlb.api.crds.table import KINDS
from netlb.api.decode import decode
from netlb.api.documents import Document
from netlb.api.v1alpha1 import API_VERSION
from netlb.errors import ConfigError
from netlb.testing.apiserver.schema import defaulted, problems, unknown_fields

__all__ = ["FOLDER", "decoder_refusal", "load", "refusals", "schema_of"]

FOLDER = Path(__file__).parents[2] / "deploy" / "crds"


@cache
def load(kind: str) -> dict[str, Any]:
    """Return the definition of a kind; not to be changed."""
    return dict(yaml.load((FOLDER / f"{KINDS[kind].plural}.yaml").read_text(), Loader=yaml.CSafeLoader))


def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of a kind; not to be changed."""
    return dict(load(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def decoder_refusal(kind: str, spec: Mapping[str, Any]) -> str:
    """Return why the decoder refuses an object with this spec; empty if it does not."""
    try:
        assert decode(Document("x.yaml#1", _manifest(kind, spec))) is not None
    except ConfigError as error:
        return str(error)
    return ""


def refusals(kind: str, spec: Mapping[str, Any]) -> list[str]:
    """Return why the API server refuses an object with this spec; empty if it does not."""
    schema = schema_of(kind)
    manifest = defaulted(schema, _manifest(kind, spec))
    return [*unknown_fields(schema, manifest), *problems(schema, manifest)]


def _manifest(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "x"}, "spec": dict(spec)}
