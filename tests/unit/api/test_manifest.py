"""Native records as plain data."""

from netlb.api.manifest import manifest
from netlb.api.meta import LabelSelector, ObjectMeta
from netlb.api.v1alpha1 import (
    AddressPool,
    AddressPoolSpec,
    BFDProfile,
    BFDProfileSpec,
    L2Advertisement,
    ServiceAllocation,
)


def test_defaults_are_left_out() -> None:
    expected = {
        "apiVersion": "netlb.io/v1alpha1",
        "kind": "AddressPool",
        "metadata": {"name": "one"},
        "spec": {"addresses": ["192.0.2.1"]},
    }
    metadata = ObjectMeta(name="one", creation_timestamp="2026-01-01T00:00:00Z")
    assert expected == manifest(AddressPool(metadata=metadata, spec=AddressPoolSpec(addresses=("192.0.2.1",))))
    nothing_said = L2Advertisement(metadata=ObjectMeta(name="all"))
    assert {"name": "all"} == manifest(nothing_said)["metadata"]
    assert "spec" not in manifest(nothing_said)
    said = BFDProfileSpec(receive_interval=int("300"), detect_multiplier=5)  # equal to the default, not the same object
    assert {"detectMultiplier": 5} == manifest(BFDProfile(metadata=ObjectMeta(name="fast"), spec=said))["spec"]


def test_what_is_empty_and_no_default_stays() -> None:
    """Pools with an empty serviceAllocation come before those without; an empty selector selects everything."""
    everyone = ServiceAllocation(namespace_selectors=(LabelSelector(),))
    cases: list[tuple[ServiceAllocation, object]] = [
        (ServiceAllocation(), {}),
        (everyone, {"namespaceSelectors": [{}]}),
    ]
    for allocation, expected in cases:
        spec = AddressPoolSpec(addresses=("192.0.2.1",), service_allocation=allocation)
        metadata = ObjectMeta(name="one", labels={"zone": "a"})
        data = manifest(AddressPool(metadata=metadata, spec=spec))
        assert {"name": "one", "labels": {"zone": "a"}} == data["metadata"]
        assert expected == data["spec"]["serviceAllocation"]
