"""The installations of other systems under examples/migrate, what their own systems make of them, and what we do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netlb.api.dialects import KINDS, Compatibility, System
from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.plan import plan_cluster, plan_node, validate
from netlb.plan.translation import Translation, render_translation
from tests.support.status import load

__all__ = ["INSTALLATIONS", "MIGRATE", "Installation", "declare_converted", "declare_texts", "import_texts", "outcome"]

MIGRATE = Path("examples") / "migrate"


@dataclass(frozen=True, slots=True)
class Installation:
    """One directory of manifests. Services are named as kubectl does: namespace/name."""

    name: str
    system: str
    """The dialect's name."""

    @property
    def folder(self) -> Path:
        """Where the manifests are, from the root of the repository."""
        return MIGRATE / self.name

    def texts(self) -> dict[str, str]:
        """Return the manifests by their files' names."""
        return {str(path): path.read_text() for path in sorted(self.folder.glob("*.yaml"))}

    def addresses(self) -> dict[str, tuple[str, ...]]:
        """Return what each Service has from its own system; empty for one that has nothing."""
        expected = load(MIGRATE / "expected" / f"{self.name}.yaml")["addresses"]
        return {service: tuple(addresses) for service, addresses in expected.items()}

    def nodes(self) -> dict[str, str]:
        """Return the node that announces a Service, where the manifests leave no other."""
        nodes: dict[str, str] = load(MIGRATE / "expected" / f"{self.name}.yaml")["nodes"]
        return nodes


INSTALLATIONS = tuple(
    Installation(name, system)
    for name, system in (
        ("metallb-v0.11", "metallb"),
        ("metallb", "metallb"),
        ("openelb", "openelb"),
        ("purelb", "purelb"),
    )
)


def declare_texts(intake: Intake, texts: Mapping[str, str]) -> Intake:
    """Declare manifests, and return the intake."""
    for origin, text in texts.items():
        intake.declare(origin, parse_documents(text, origin))
    return intake


def declare_converted(system: str, texts: Mapping[str, str]) -> Intake:
    """Declare the same with what `netlb import` prints in the place of the foreign objects."""
    intake = Intake()
    for origin, text in texts.items():
        documents = parse_documents(text, origin)
        kept = [each for each in documents if (each.body.get("apiVersion"), each.body.get("kind")) not in KINDS]
        intake.declare(origin, kept)
    intake.declare("native.yaml", parse_documents(import_texts(system, texts).text, "native.yaml"))
    return intake


def import_texts(system: str, texts: Mapping[str, str]) -> Translation:
    """Return what `netlb import` makes of manifests."""
    intake = declare_texts(Intake(Compatibility(systems=frozenset({System(system)}))), texts)
    findings = validate(intake.snapshot({}))
    return render_translation(intake.counterparts, findings)


def outcome(intake: Intake) -> dict[str, Any]:
    """Return who has which address, why others have none, and what each node announces."""
    before = intake.snapshot({})
    cluster = plan_cluster(before)
    after = intake.snapshot(cluster.holdings)
    nodes = {name: plan_node(after, name) for name in before.nodes}
    return {
        "allocations": dict(cluster.addresses.allocations),
        "refusals": dict(cluster.addresses.refusals),
        "usage": cluster.addresses.usage,
        "announced": {name: plan.l2 for name, plan in nodes.items()},
        "silent": {name: plan.silent for name, plan in nodes.items()},
    }
