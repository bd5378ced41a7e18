"""The labs of this machine: which are up, whose they are, and the removal of those that nobody owns.

A lab's name is NAME.OWNER.RANDOM, where OWNER is the process that made it; its file adds when that process
began, so that a reused pid is not taken for the owner, and whether the lab was left up on purpose.
"""

import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from netlb.testing.lab.errors import LabError
from netlb.testing.lab.janitor import NAMESPACES, STATE, namespaces_of, remove_lab

__all__ = ["LabRecord", "labs", "new_lab_name", "sweep", "write_record"]

_LAB = re.compile(r"[a-z][a-z0-9]*\.(\d+)\.[0-9a-f]{6}")
_NAMESPACE = re.compile(rf"netlb-({_LAB.pattern})-.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRecord:
    """One lab of this machine."""

    name: str
    owner: int
    """The pid of the process that made it."""
    owned: bool
    """Whether that process is still there."""
    kept: bool
    """Whether it was left up on purpose."""
    namespaces: tuple[str, ...]


def new_lab_name(word: str) -> str:
    """A name that no other lab of this machine has; `word` is the part that people recognise."""
    name = f"{word}.{os.getpid()}.{secrets.token_hex(3)}"
    if not _LAB.fullmatch(name) or len(word) > 20:
        raise ValueError(f"{word!r} is no name for a lab: a-z and 0-9, at most 20")
    return name


def write_record(lab: str, *, kept: bool) -> None:
    """Write down that this process owns the lab."""
    text = json.dumps({"began": _began(os.getpid()), "kept": kept})
    for _ in range(3):  # another lab's removal may take the empty directory away in between
        STATE.mkdir(exist_ok=True)
        try:
            (STATE / lab).write_text(text)
        except FileNotFoundError:
            continue
        return
    raise LabError(f"{STATE / lab}: cannot be written")


def labs() -> list[LabRecord]:
    """Every lab of this machine, by name: those with a namespace, and those with only a file left."""
    found = {match[1] for name in _listing(NAMESPACES) if (match := _NAMESPACE.fullmatch(name))}
    found |= {name for name in _listing(STATE) if _LAB.fullmatch(name)}
    return [_record(name) for name in sorted(found)]


def sweep(name: str | None = None) -> list[str]:
    """Remove the labs whose owner is gone, kept or not; `name` is one lab's, whole or only its first word.

    LabError if a lab that is asked for by name is still owned, or there is none of that name.
    """
    chosen = [lab for lab in labs() if name is None or name in {lab.name, lab.name.split(".")[0]}]
    removed = [lab.name for lab in chosen if not lab.owned]
    for lab in removed:
        remove_lab(lab)
    if name is not None and not removed:
        owned = [f"{lab.name} belongs to process {lab.owner}, which still runs" for lab in chosen]
        raise LabError("; ".join(owned) or f"no lab is called {name}")
    return removed


def _record(name: str) -> LabRecord:
    owner = int(name.split(".")[1])
    began = _began(owner)
    try:
        written = json.loads((STATE / name).read_text())
    except (OSError, ValueError):
        written = {}
    return LabRecord(
        name=name,
        owner=owner,
        owned=began is not None and written.get("began", began) == began,
        kept=bool(written.get("kept")),
        namespaces=tuple(namespaces_of(name)),
    )


def _began(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None if there is none (proc(5), field 22 of stat)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return None


def _listing(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
