"""What a node concludes from what it hears: who is dead, who was active."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from netlb.raven.election import elect
from netlb.raven.hello import Claim
from netlb.raven.model import Election, Endpoint, Node, Site
from netlb.raven.views import FIRST_CONTACT_SECONDS, UNFIT_SECONDS, Evidence, Published, View, Views

NODES = ("a1", "a2", "a3", "a4")


def site(name: str = "a", *, ready: bool = True, hold_down: float = 30.0) -> Site:
    """A site of four nodes, of which the first three can be its gateway."""
    nodes = [f"{name}{number}" for number in range(1, 5)]
    return Site(
        name=name,
        nodes={node: Node(node, (ip_address(f"192.0.2.{place}"),), (), ready) for place, node in enumerate(nodes, 1)},
        endpoints=tuple(Endpoint(site=name, node=node) for node in nodes[:3]),
        hold_down=hold_down,
    )


A, B = site(), site("b")


def claim(*active: str, hears: int = 3, **more: object) -> Claim:
    return Claim(active=active, hears=hears, **more)  # type: ignore[arg-type]


def active(view: View, of: Site = A) -> tuple[str, ...]:
    return elect(of, view.incumbents[of.name], view.health).active


def heard(*dead: str, **claims: Claim) -> Evidence:
    return Evidence(alive=frozenset({*NODES} - {*dead}), dead=frozenset(dead), claims=claims)


@pytest.mark.parametrize("node", NODES)
def test_all_nodes_of_a_site_that_hear_the_same_conclude_the_same(node: str) -> None:
    views = Views(node)
    assert ("a2",) == active(views.conclude([A], heard("a1", a2=claim("a1"), a3=claim("a1")), 0.0))


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"a1": claim("a1"), "a2": claim("a2", hears=4)}, ("a2",)),
        ({"a1": claim("a1"), "a2": claim("a2")}, ("a1",)),
        ({"a1": claim("a1", hears=0), "a2": claim("a2", hears=1)}, ("a2",)),
        ({"a1": Claim(hears=9), "a2": claim("a2")}, ("a2",)),
        ({"a1": claim("a1", leaving=True), "a2": claim("a1")}, ("a1",)),
        ({"a1": claim("a1", leaving=True), "a2": claim("a2")}, ("a2",)),
        ({"a2": claim("nobody-of-us", "a3")}, ("a3",)),
    ],
    ids=[
        "who hears more",
        "a tie",
        "who is cut off",
        "who does not know yet",
        "who leaves",
        "who has left",
        "who is none",
    ],
)
def test_of_claims_that_differ_one_counts(claims: dict[str, Claim], expected: tuple[str, ...]) -> None:
    assert expected == active(Views("a4").conclude([A], heard(**claims), 0.0))


def test_who_starts_believes_what_was_published_until_somebody_claims_something() -> None:
    views = Views("a1")
    published = {"a2": Published(("a2",)), "a1": Published(("a2",)), "b1": Published(("b1",), hub="b")}
    evidence = replace(heard(), published=published)
    assert ("a2",) == active(views.conclude([A, B], evidence, 0.0))
    assert "b" == views.conclude([A, B], evidence, 0.0).hub
    assert ("a3",) == active(views.conclude([A], replace(evidence, claims={"a3": claim("a3")}), 0.0))


def test_who_was_active_is_remembered() -> None:
    views = Views("a4")
    views.remember({"a": elect(A, ("a2",))}, "b")
    view = views.conclude([A], heard(), 0.0)
    assert (("a2",), "b") == (active(view), view.hub)
    assert ("a1",) == active(views.conclude([A], heard("a2"), 1.0))


def test_who_was_lost_is_held_down_for_as_long_as_its_site_says() -> None:
    views, own = Views("a4"), replace(site(hold_down=10), revertive=True)
    assert ("a1",) == active(views.conclude([own], heard(), 0.0), own)
    assert ("a2",) == active(views.conclude([own], heard("a1"), 1.0), own)
    views.remember({"a": Election(("a2",))}, "")
    assert ("a2",) == active(views.conclude([own], heard(), 2.0), own)
    assert 12.0 == views.next_change(2.0)
    assert ("a1",) == active(views.conclude([own], heard(), 12.0), own)


def test_where_all_seem_dead_who_was_active_stays_and_the_site_is_lost() -> None:
    views = Views("a4")
    views.remember({"a": elect(A, ("a2",))}, "")
    view = views.conclude([A], heard("a1", "a2", "a3"), 0.0)
    assert (("a2",), frozenset({"a"})) == (active(view), view.lost)


def test_nodes_that_the_cluster_has_lost_sight_of_go_on() -> None:
    dark = site("b", ready=False)
    view = Views("a1").conclude([dark], Evidence(), 0.0)
    assert (("b1",), frozenset()) == (active(view, dark), view.lost)


def test_of_another_site_who_is_near_knows_better_than_who_is_far() -> None:
    views = Views("a1")
    far = Evidence(unheard=frozenset({"b1"}), claims={"b2": claim("b1")})
    assert ("b1",) == active(views.conclude([B], far, 0.0), B)
    near = Evidence(alive=frozenset({"b1", "b2"}), claims={"b2": claim("b2", dead=("b1",))})
    assert ("b2",) == active(views.conclude([B], near, 0.0), B)
    alone = Evidence(unheard=frozenset({"b1"}))
    assert ("b2",) == active(views.conclude([B], alone, 0.0), B)


def test_who_reaches_nobody_is_passed_over_after_a_while_if_another_one_does() -> None:
    views = Views("a4")
    views.conclude([A], heard(a1=claim("a1", reaches=1), a2=claim("a1", reaches=2)), 0.0)
    evidence = heard(a1=claim("a1"), a2=claim("a1", reaches=2))
    assert ("a1",) == active(views.conclude([A], evidence, 1.0))
    assert 1.0 + UNFIT_SECONDS == views.next_change(1.0)
    assert ("a2",) == active(views.conclude([A], evidence, 1.0 + UNFIT_SECONDS))
    new = Views("a4")
    assert ("a1",) == active(new.conclude([A], evidence, 0.0))
    assert FIRST_CONTACT_SECONDS == new.next_change(0.0)
    assert ("a1",) == active(new.conclude([A], evidence, FIRST_CONTACT_SECONDS - 1))
    assert ("a2",) == active(new.conclude([A], evidence, FIRST_CONTACT_SECONDS))
    neither = Views("a4")
    evidence = heard(a1=claim("a1"), a2=claim("a1"))
    neither.conclude([A], evidence, 0.0)
    assert ("a1",) == active(neither.conclude([A], evidence, 9.0))


def after(*steps: Evidence) -> frozenset[str]:
    """Return who has fallen by the word of somebody far away, to whom a1 was the active one, after all of these."""
    views = Views("b1")
    for now, evidence in enumerate(steps):
        view = views.conclude([A], evidence, float(now))
        views.remember({"a": elect(A, view.incumbents["a"], view.health)}, "")
    return view.fallen


ACTIVE = Evidence(claims={"a1": claim("a1")})
TAKEN_OVER = Evidence(unheard=frozenset({"a1"}), claims={"a2": claim("a2", dead=("a1",))})


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([ACTIVE], set()),
        ([ACTIVE, TAKEN_OVER], {"a1"}),
        ([ACTIVE, TAKEN_OVER, TAKEN_OVER], {"a1"}),
        ([ACTIVE, Evidence(claims={"a2": claim("a2", dead=("a1",))})], {"a1"}),
        ([ACTIVE, TAKEN_OVER, Evidence(claims={"a2": claim("a2")})], {"a1"}),
        ([ACTIVE, TAKEN_OVER, Evidence(claims={"a1": claim("a2"), "a2": claim("a2")})], set()),
        ([ACTIVE, Evidence(claims={"a1": Claim(leaving=True), "a2": claim("a1")}), TAKEN_OVER], set()),
        ([ACTIVE, replace(TAKEN_OVER, left=frozenset({"a1"})), TAKEN_OVER], set()),
        ([ACTIVE, TAKEN_OVER, replace(TAKEN_OVER, left=frozenset({"a1"}))], set()),
        ([ACTIVE, Evidence(unheard=frozenset({"a2"}), claims={"a1": claim("a1", dead=("a2",))})], set()),
    ],
    ids=[
        "who is active",
        "who fell silent",
        "for good",
        "who is said to be dead",
        "who has said nothing yet",
        "who has said that another one is active",
        "who left on purpose",
        "who left by the word of BFD",
        "who left, as it is heard later",
        "who was not active",
    ],
)
def test_who_fell_silent_while_active_is_remembered_until_it_says_something(
    steps: list[Evidence], expected: set[str]
) -> None:
    assert expected == after(*steps)
