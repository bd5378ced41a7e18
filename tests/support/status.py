"""What a test reads from the status tree."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["StatusReader", "load"]


def load(path: Path) -> Any:
    """Return a YAML file's value; None while there is no such file."""
    try:
        return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    except FileNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class StatusReader:
    """Reads the tree as anybody may: file by file, while it is being written."""

    root: Path

    def address(self, service: str) -> str | None:
        """Return the first address of a Service in the namespace default."""
        return next(iter(self.addresses_of(load(self.root / f"services/default.{service}.yaml"))), None)

    def held(self) -> dict[str, tuple[str, ...]]:
        """Return the addresses of every Service that has any, by name."""
        found = {path: self.addresses_of(load(path)) for path in (self.root / "services").glob("[!.]*.yaml")}
        return {path.stem.removeprefix("default."): addresses for path, addresses in found.items() if addresses}

    def pool(self, name: str) -> dict[str, dict[str, int]]:
        """Return a pool's use by family: total, used and free, each written as text."""
        document = load(self.root / f"addresspools/{name}.yaml") or {"status": {}}
        assert all(isinstance(count, str) for counts in document["status"].values() for count in counts.values())
        return {
            family: {what: int(count) for what, count in counts.items()}
            for family, counts in document["status"].items()
        }

    def node(self, name: str) -> dict[str, Any]:
        """Return what a node's speaker reports; empty while it reports nothing."""
        return load(self.root / f"nodes/{name}.yaml") or {}

    def l2(self, node: str, service: str) -> dict[str, Any]:
        """Return what a speaker says of a Service in the namespace default; empty while it says nothing."""
        document = load(self.root / f"servicel2statuses/{node}/default.{service}.yaml")
        return document["status"] if document else {}

    def announced(self, node: str, service: str) -> tuple[str, str]:
        """Return status and reason of a Service's condition; empty while its speaker says nothing."""
        [condition] = self.l2(node, service).get("conditions", [{"status": "", "reason": ""}])
        return condition["status"], condition["reason"]

    def announcers(self, address: str) -> list[str]:
        """Return the nodes whose speakers say that they answer for an address."""
        return [
            path.stem
            for path in sorted((self.root / "nodes").glob("[!.]*.yaml"))
            for entry in (load(path) or {"announcing": ()})["announcing"]
            if entry["address"] == address and entry["interfaces"]
        ]

    def findings(self, file: str) -> list[dict[str, str]]:
        """Return what a file of the tree says is wrong with the manifests."""
        document = load(self.root / file)
        return document["findings"] if document else []

    @staticmethod
    def addresses_of(document: Any) -> tuple[str, ...]:
        """Return the addresses in a Service's status."""
        ingress = document["status"]["loadBalancer"]["ingress"] if document else ()
        return tuple(entry["ip"] for entry in ingress)
