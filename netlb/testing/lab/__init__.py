"""A small cluster's network in namespaces of this machine, for tests, demonstrations and measurements."""

from netlb.testing.lab.capture import Capture
from netlb.testing.lab.errors import LabError, LabUnavailable
from netlb.testing.lab.host import Host, HttpReply
from netlb.testing.lab.lab import Lab
from netlb.testing.lab.layout import Segment
from netlb.testing.lab.members import Node, Pod
from netlb.testing.lab.question import Answer, Question
from netlb.testing.lab.records import LabRecord, labs, sweep
from netlb.testing.lab.requirements import requirements
from netlb.testing.lab.services import Backend, ServiceRule, render_service_rules

__all__ = [
    "Answer",
    "Backend",
    "Capture",
    "Host",
    "HttpReply",
    "Lab",
    "LabError",
    "LabRecord",
    "LabUnavailable",
    "Node",
    "Pod",
    "Question",
    "Segment",
    "ServiceRule",
    "labs",
    "render_service_rules",
    "requirements",
    "sweep",
]
