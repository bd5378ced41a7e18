"""What the log says when addresses move."""

from ipaddress import ip_address

from structlog.testing import capture_logs

from netlb.findings import ObjectRef
from netlb.plan import NodePlan
from netlb.plan.node import AnnouncedAddress
from netlb.runtime.log import get_logger
from netlb_speaker.telling import tell_plan

WEB = AnnouncedAddress((ObjectRef("Service", "default", "web"),), None)


def plan(count: int) -> NodePlan:
    return NodePlan("n1", {ip_address("192.0.2.0") + number: WEB for number in range(count)}, {}, ())


def test_few_are_named_with_their_services() -> None:
    with capture_logs() as said:
        tell_plan(get_logger("speaker"), plan(1), None)
        tell_plan(get_logger("speaker"), plan(0), plan(1))
    assert [("address taken over", "192.0.2.0", "default/web"), ("address given up", "192.0.2.0", "default/web")] == [
        (one["event"], one["address"], one["services"]) for one in said
    ]


def test_of_many_most_are_counted() -> None:
    with capture_logs() as said:
        tell_plan(get_logger("speaker"), plan(100), None)
    assert ["address taken over"] * 20 + ["more addresses taken over"] == [one["event"] for one in said]
    assert 80 == said[-1]["number"]
