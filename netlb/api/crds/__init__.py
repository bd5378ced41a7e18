"""CustomResourceDefinitions of the native kinds, made from their records; `tools/generate_crds.py` writes them."""

from netlb.api.crds.definition import definitions, render

__all__ = ["definitions", "render"]
