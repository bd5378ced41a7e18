"""PureLB's LBNodeAgent (`purelb.io/v2`): on which nodes and interfaces local addresses are announced."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from netlb.api.convert import convert
from netlb.api.dialects.base import Foreign
from netlb.api.meta import LabelSelector, Record
from netlb.api.v1alpha1.base import Spec
from netlb.findings import Finding

__all__ = ["Agent", "LBNodeAgent", "Where", "place", "read_agent"]


class LBNodeAgent(Record, frozen=True, kw_only=True):
    """How nodes announce. Its spec is read where the agent counts: in PureLB's own namespace."""

    spec: dict[str, Any]


class _Garp(Spec, frozen=True, kw_only=True):
    enabled: bool = True
    initial_delay: str = ""
    count: int = 3
    interval: str = ""
    verify_before_send: bool = True


class _Lifetimes(Spec, frozen=True, kw_only=True):
    valid_lifetime: int | None = None
    preferred_lifetime: int | None = None
    no_prefix_route: bool | None = None


class _AddressConfig(Spec, frozen=True, kw_only=True):
    local_interface: _Lifetimes | None = None
    dummy_interface: _Lifetimes | None = None


class _Announcer(Spec, frozen=True, kw_only=True):
    local_interface: str = "default"
    dummy_interface: str = "kube-lb0"
    garp_config: _Garp | None = None
    address_config: _AddressConfig | None = None
    interfaces: tuple[str, ...] = ()


class _AgentSpec(Spec, frozen=True, kw_only=True):
    node_selector: LabelSelector | None = None
    local: _Announcer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent in which nothing is wrong."""

    foreign: Foreign
    announces: bool
    """False: without `local` PureLB passes it over."""
    node_selector: LabelSelector
    interfaces: tuple[str, ...]
    """Names of interfaces; none: every interface."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Where:
    """The nodes and interfaces of every L2Advertisement; none: all of them."""

    node_selectors: tuple[LabelSelector, ...] = ()
    interfaces: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_agent(foreign: Foreign, declared: dict[str, Any]) -> Agent:
    """Read one agent; ConfigError says what is wrong with it."""
    spec = convert(declared, _AgentSpec, subject=foreign.record.ref, origin=foreign.origin, field="spec")
    local = spec.local or _Announcer()
    name = _plain_name(local.local_interface)
    return Agent(
        foreign=foreign,
        announces=spec.local is not None,
        node_selector=spec.node_selector or LabelSelector(),
        interfaces=tuple(dict.fromkeys((name, *local.interfaces))) if name else (),
        findings=tuple(_findings(foreign, local, name)) if spec.local is not None else (),
    )


# PureLB takes it for a regular expression. Letters, digits, and the dot of a VLAN's number are a name all the same.
_NAME = re.compile(r"\^?([A-Za-z0-9_-]+(?:\\?\.[0-9]+)?)\$?")


def _plain_name(pattern: str) -> str:
    """Return the name of the one interface that is meant, or nothing if it is not said by name."""
    matched = _NAME.fullmatch(pattern)
    return matched[1].replace("\\", "") if matched and pattern != "default" else ""


def _findings(foreign: Foreign, local: _Announcer, name: str) -> Iterable[Finding]:
    limit = "name one interface, or limit netlb-speaker with --interface"
    if local.local_interface in ("", "default"):
        problem = "addresses are announced on every interface of the speaker, not only on the default route's"
        yield foreign.warning("spec.local.localInterface", problem, limit)
    elif not name:
        problem = "a pattern of names is not searched for: addresses are announced on every interface of the speaker"
        yield foreign.warning("spec.local.localInterface", problem, limit)
    if local.dummy_interface != _Announcer().dummy_interface:
        problem = "no address is put on an interface, so none is made"
        yield foreign.warning("spec.local.dummyInterface", problem, "remove it")
    if local.garp_config is not None:
        problem = "an address that comes to a node is announced five times, 1.1 s apart, whatever is said here"
        yield foreign.warning("spec.local.garpConfig", problem, "remove it")
    if local.address_config is not None:
        problem = "no address is put on an interface, so none has lifetimes or flags"
        yield foreign.warning("spec.local.addressConfig", problem, "remove it")


def place(agents: Iterable[Agent]) -> Where:
    """Return where local addresses are announced, by all agents together."""
    announcing = [agent for agent in agents if agent.announces]
    selectors: list[LabelSelector] = []
    for agent in announcing:
        if agent.node_selector not in selectors:
            selectors.append(agent.node_selector)
    nodes = () if LabelSelector() in selectors else tuple(selectors)
    if len({agent.interfaces for agent in announcing}) <= 1:
        return Where(nodes, announcing[0].interfaces if announcing else ())
    findings = [
        agent.foreign.warning(
            "spec.local",
            "agents name different interfaces for different nodes: addresses are announced on every interface",
            "declare an L2Advertisement with nodeSelectors and interfaces for each, or give each speaker --interface",
        )
        for agent in announcing
        if agent.interfaces
    ]
    return Where(nodes, (), tuple(findings))
