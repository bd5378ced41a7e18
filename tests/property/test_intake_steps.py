"""A snapshot that follows from the one before is the snapshot that reading everything anew would give."""

from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.api.decode import decode
from netlb.api.documents import Document, parse_documents
from netlb.api.intake import Intake
from netlb.api.snapshot import Holding
from netlb.findings import Finding, ObjectRef
from netlb.net import parse_address
from netlb.reasons import ManifestProblem
from tests.manifests import advertisement, metallb_object, node, pool, service, slice_of

ORIGINS = st.sampled_from(["a", "b", "c"])
NAMES = st.sampled_from(["one", "two"])
ODD = "apiVersion: v1\nkind: Service\nmetadata: {name: one}\nspec: {type: Nothing}\n"
NAMELESS = "apiVersion: v1\nkind: Service\nmetadata: {name: One!}\nspec: {}\n"
MANIFESTS = st.one_of(
    st.builds(service, NAMES),
    st.builds(lambda name: service(name, externalTrafficPolicy="Local"), NAMES),
    st.builds(slice_of, NAMES, st.sampled_from(["n1", "n2"])),
    st.builds(lambda name: slice_of(name, "n1", ready=False).replace(f"name: {name}", "name: same", 1), NAMES),
    st.builds(pool, NAMES, st.sampled_from(["192.0.2.0/24", "192.0.2.0/28", "nonsense"])),
    st.sampled_from([advertisement(), node("n1"), ODD, NAMELESS]),
    st.builds(lambda name: metallb_object("IPAddressPool", name, "addresses: [198.51.100.0/24]"), NAMES),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["declare", "declare", "declare", "withdraw", "unreadable", "look"]),
        ORIGINS,
        st.lists(MANIFESTS, max_size=3),
    ),
    max_size=14,
)
BROKEN = Finding(origin="x", reason=ManifestProblem.INVALID_YAML, problem="it is broken", remedy="mend it")
HELD = {ObjectRef("Service", "default", "one"): Holding((parse_address("192.0.2.1"),), "one")}


def documents(origin: str, manifests: list[str]) -> tuple[Document, ...]:
    return tuple(document for text in manifests for document in parse_documents(text, origin))


@settings(max_examples=400)
@given(STEPS)
def test_steps_give_what_reading_everything_gives(steps: list[tuple[str, str, list[str]]]) -> None:
    by_steps, anew = Intake(), Intake()
    for what, origin, manifests in steps:
        for intake in (by_steps, anew):
            if what == "declare":
                intake.declare(origin, documents(origin, manifests))
            elif what == "withdraw":
                intake.withdraw(origin)
            elif what == "unreadable":
                intake.unreadable(origin, BROKEN)
        if what == "look":
            anew.unreadable("x", BROKEN)  # whoever cannot read an origin has to look at everything
            anew.withdraw("x")
            assert anew.snapshot(HELD) == by_steps.snapshot(HELD)
            assert anew.copy().snapshot({}) == by_steps.copy().snapshot({})
    anew.unreadable("x", BROKEN)
    anew.withdraw("x")
    assert anew.snapshot({}) == by_steps.snapshot({})


LEAN = st.one_of(
    st.builds(service, NAMES),
    st.builds(slice_of, NAMES, st.sampled_from(["n1", "n2"])),
    st.builds(lambda name: slice_of(name, "n1").replace(f"name: {name}", "name: same", 1), NAMES),
)
WAYS = st.lists(
    st.tuples(st.sampled_from(["adopt", "adopt", "declare", "odd", "gone", "look"]), st.booleans(), LEAN), max_size=14
)


@settings(max_examples=400)
@given(WAYS)
def test_what_is_adopted_is_what_would_be_declared(steps: list[tuple[str, bool, str]]) -> None:
    by_turns, declaring = Intake(), Intake()
    for intake in (by_turns, declaring):
        intake.declare("nodes", documents("nodes", [node("n1"), node("n2")]))
    before = by_turns.snapshot(HELD)
    for what, looks, text in steps:
        (document,) = documents("x", [text])
        record = decode(document)
        assert record is not None
        origin = str(record.ref)
        odd = Document(origin, {**document.body, "spec": {"type": "Nothing"}, "endpoints": "none"})
        if what == "odd":  # the last good version is one that was in force
            before = by_turns.snapshot(HELD)
            assert declaring.snapshot(HELD) == before
        match what:
            case "adopt":
                by_turns.adopt(origin, record)
                declaring.declare(origin, (Document(origin, document.body),))
            case "declare" | "odd":
                for intake in (by_turns, declaring):
                    intake.declare(origin, (Document(origin, document.body) if what == "declare" else odd,))
            case "gone":
                for intake in (by_turns, declaring):
                    intake.withdraw(origin)
                by_turns.dismiss(record.ref)
        if looks:
            after = by_turns.snapshot(HELD)
            assert declaring.snapshot(HELD) == after
            for one, other in ((before.services, after.services), (before.endpoint_slices, after.endpoint_slices)):
                differing = {ref for ref in one.keys() | other.keys() if one.get(ref) != other.get(ref)}
                assert differing <= by_turns.touched
            before = after
    assert declaring.snapshot({}) == by_turns.snapshot({})
