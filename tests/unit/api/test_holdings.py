"""Who holds what by the status of a Service."""

from typing import Any

import pytest

from netlb.api.holdings import read_holding
from netlb.api.snapshot import Holding
from netlb.findings import ObjectRef
from netlb.net import parse_address


@pytest.mark.parametrize(
    ("ingress", "held"),
    [
        ([{"ip": "192.0.2.1", "ipMode": "VIP"}], ["192.0.2.1"]),
        ([{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}], ["192.0.2.1", "2001:db8::1"]),
        ([{"hostname": "lb.example.com"}], []),
        ([{"hostname": "lb.example.com"}, {"ip": "192.0.2.1", "hostname": "lb.example.com"}], ["192.0.2.1"]),
        (None, []),
    ],
)
def test_entries_with_a_host_name_only_hold_nothing(ingress: Any, held: list[str]) -> None:
    body = {"metadata": {"namespace": "x", "name": "a"}, "status": {"loadBalancer": {"ingress": ingress}}}
    assert (ObjectRef("Service", "x", "a"), Holding(tuple(map(parse_address, held)))) == read_holding(body)


@pytest.mark.parametrize("ingress", [[{"ip": "here"}], "192.0.2.1", [7]])
def test_a_status_that_cannot_be_understood_says_nothing(ingress: Any) -> None:
    body = {"metadata": {"namespace": "x", "name": "a"}, "status": {"loadBalancer": {"ingress": ingress}}}
    assert None is read_holding(body)


@pytest.mark.parametrize("name", ["netlb.io/allocated-from", "metallb.io/ip-allocated-from-pool"])
def test_the_pool_is_known_under_each_of_its_names(name: str) -> None:
    body = {
        "metadata": {"name": "a", "annotations": {name: "one"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    }
    assert (ObjectRef("Service", "default", "a"), Holding((parse_address("192.0.2.1"),), "one")) == read_holding(body)
