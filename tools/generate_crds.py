#!/usr/bin/env python3
"""Write deploy/crds/*.yaml from the records of the native kinds; with --check only say which files differ."""

import argparse
import sys
from pathlib import Path

from netlb.api.crds import definitions, render

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy" / "crds"
KUSTOMIZATION = "Kustomization"
"""What deploy/overlays refer to. By this name `kubectl apply -f deploy/crds` and Helm pass it over."""


def wanted() -> dict[str, str]:
    """Return the text of each file, by name."""
    api = ROOT / "netlb" / "api"
    sources = [path.read_text() for path in (api / "meta.py", *sorted((api / "v1alpha1").glob("*.py")))]
    texts = {name: render(definition) for name, definition in definitions(sources).items()}
    return {KUSTOMIZATION: "".join(["resources:\n", *(f"- {name}\n" for name in sorted(texts))]), **texts}


def differing(texts: dict[str, str]) -> list[str]:
    """Return the names of files that are not as they should be; one that no kind has made is among them."""
    found = {path.name: path.read_text() for path in FOLDER.glob("*")}
    return sorted(name for name in texts.keys() | found.keys() if texts.get(name) != found.get(name))


def main() -> None:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file differs")
    texts = wanted()
    if parser.parse_args().check:
        if names := differing(texts):
            sys.exit(f"{', '.join(names)}: not what the records say; run tools/generate_crds.py")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in differing(texts):
        if name in texts:
            (FOLDER / name).write_text(texts[name])
        else:
            (FOLDER / name).unlink()


if __name__ == "__main__":
    main()
