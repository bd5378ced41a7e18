"""Other systems' configuration, each translated into native kinds; nothing behind `api` knows of them.

A dialect is a module with `KINDS`, the records of its objects by apiVersion and kind, and `translate`, a pure
function from all of its objects to native records. Objects are translated together because some say something
about others, as a mark that only one may carry.
"""

from collections.abc import Callable, Mapping

from netlb.api.dialects import metallb, metallb_config, openelb, openelb_bgp, purelb, raven
from netlb.api.dialects.base import Compatibility, Foreign, System, Translated, Translation
from netlb.api.meta import Record
from netlb.findings import ObjectRef

__all__ = [
    "DEFAULT",
    "DIALECTS",
    "FOREIGN",
    "KINDS",
    "KINDS_OF",
    "Compatibility",
    "Foreign",
    "System",
    "Translate",
    "Translated",
    "Translation",
]

Translate = Callable[[Mapping[ObjectRef, Foreign], Compatibility], Translation]

_MODULES = {
    # Of MetalLB's objects and its ConfigMap, MetalLB itself reads the objects, from v0.13 on: they come first.
    System.METALLB: (metallb, metallb_config),
    System.OPENELB: (openelb, openelb_bgp),
    System.PURELB: (purelb,),
    System.RAVEN: (raven,),
}

DIALECTS: Mapping[System, tuple[Translate, ...]] = {
    name: tuple(module.translate for module in modules) for name, modules in _MODULES.items()
}
"""By the name of the system: what translates its objects."""

KINDS_OF: Mapping[System, Mapping[tuple[str, str], type[Record]]] = {
    name: {key: kind for module in modules for key, kind in module.KINDS.items()} for name, modules in _MODULES.items()
}
"""By the name of the system: its kinds, by apiVersion and kind."""

KINDS: Mapping[tuple[str, str], type[Record]] = {
    key: kind for kinds in KINDS_OF.values() for key, kind in kinds.items()
}
"""The foreign kinds of all systems."""

DEFAULT = Compatibility()
"""Where the other systems keep their objects unless told otherwise."""

FOREIGN = tuple(frozenset(KINDS.values()))
"""Their records."""
