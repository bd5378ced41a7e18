"""A node's plan that follows from the one before is the plan that planning at once would give."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.api.snapshot import Holding, Snapshot
from netlb.findings import ObjectRef
from netlb.net import parse_address
from netlb.plan import NodePlanner, plan_node
from tests.manifests import advertisement, node, pool, service, slice_of

NODES = ["n1", "n2", "n3"]
SPECS = st.sampled_from(
    [
        "{}",
        "{announce: address}",
        "{revertive: false}",
        "{group: g, revertive: false}",
        "{interfaces: [eth0], preferredNodeSelectors: [{matchLabels: {name: n2}}]}",
        "{announce: address, nodeSelectors: [{matchLabels: {name: n1}}]}",
    ]
)
NAMES = st.sampled_from(["one", "two", "three"])
ADDRESSES = st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1"]), max_size=2, unique=True)
LOCAL = {"externalTrafficPolicy": "Local"}
SERVICES = st.sampled_from(
    [service("NAME"), service("NAME", **LOCAL), service("NAME").replace("LoadBalancer", "NodePort")]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("service"), NAMES, SERVICES),
        st.tuples(st.just("no service"), NAMES, st.none()),
        st.tuples(st.just("slice"), NAMES, st.tuples(st.sampled_from(NODES), st.booleans())),
        st.tuples(st.just("no slice"), NAMES, st.none()),
        st.tuples(st.just("held"), NAMES, ADDRESSES),
        st.tuples(st.just("dead"), st.just(""), st.sets(st.sampled_from(NODES))),
        st.tuples(st.just("node"), st.sampled_from(NODES), st.booleans()),
        st.tuples(st.just("advertised"), st.sampled_from(["a", "b"]), SPECS),
        st.tuples(st.just("present"), st.sampled_from(NODES), ADDRESSES),
        st.tuples(st.just("look"), st.just(""), st.none()),
    ),
    max_size=25,
)


def declared_node(name: str) -> str:
    return node(name, f"{{name: {name}}}", addresses=[f"10.0.0.{NODES.index(name) + 1}"])


GROUND = [
    pool("p", "192.0.2.0/24"),
    advertisement(),
    *map(declared_node, NODES),
]


def ref(name: str) -> ObjectRef:
    return ObjectRef("Service", "default", name)


@settings(max_examples=400)
@given(STEPS)
def test_steps_give_what_planning_at_once_gives(steps: list[tuple[str, str, object]]) -> None:
    intake = Intake()

    def declare(origin: str, *manifests: str) -> None:
        intake.declare(origin, tuple(each for text in manifests for each in parse_documents(text, origin)))

    for number, text in enumerate(GROUND):
        declare(f"ground-{number}", text)
    for name in ("one", "two"):
        declare(f"service-{name}", service(name))
        declare(f"slice-{name}", slice_of(name, "n1"))
    held = {ref("one"): Holding((parse_address("192.0.2.1"),)), ref("two"): Holding((parse_address("192.0.2.1"),))}
    dead = frozenset[str]()
    present: dict[str, list[str]] = {}
    told, untold = NodePlanner("n1"), NodePlanner("n1")
    touched: set[ObjectRef] = set()

    def look() -> None:
        snapshot: Snapshot = replace(intake.snapshot(dict(held)))
        holders = {
            address: frozenset(name for name, some in present.items() if str(address) in some)
            for address in map(parse_address, {address for some in present.values() for address in some})
        }
        expected = plan_node(snapshot, "n1", dead, holders=holders)
        assert expected == told.plan(snapshot, dead, touched | intake.touched, holders=holders)
        assert expected == untold.plan(snapshot, dead, holders=holders)
        touched.clear()

    for what, name, how in steps:
        match what:
            case "service":
                assert isinstance(how, str)
                declare(f"service-{name}", how.replace("NAME", name))
            case "slice":
                assert isinstance(how, tuple)
                declare(f"slice-{name}", slice_of(name, how[0], ready=how[1]))
            case "no service" | "no slice":
                intake.withdraw(f"{what.removeprefix('no ')}-{name}")
            case "held":
                assert isinstance(how, list)
                held[ref(name)] = Holding(tuple(map(parse_address, how)))
                touched.add(ref(name))
            case "advertised":
                assert isinstance(how, str)
                declare(f"advertised-{name}", advertisement(name, how))
            case "present":
                assert isinstance(how, list)
                present[name] = how
            case "dead":
                assert isinstance(how, set)
                dead = frozenset(how)
            case "node":
                declare(f"ground-{2 + NODES.index(name)}", *([declared_node(name)] if how else []))
            case "look":
                look()
    look()
