"""The page about the lab tells the truth."""

import re
from pathlib import Path

import pytest

from netlb.testing.lab import requirements
from netlb.testing.lab.layout import Role, Segment, member, pod_place

PAGE = (Path(__file__).parents[2] / "docs" / "lab.md").read_text()


@pytest.mark.root
@pytest.mark.skipif(bool(requirements()), reason="; ".join(requirements()))
def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    exec(compile(example, "docs/lab.md", "exec"), {})
    assert capsys.readouterr().out in {
        f'{{"pod": "{node}-pod-1", "node": "{node}", "client": "{client}"}}\n\n'
        for node, client in (("node-1", "10.244.1.1"), ("node-2", "192.168.122.11"))
    }


def test_the_table_of_members_is_what_the_layout_says() -> None:
    for role in Role:
        first = member(Segment(), role, 1)
        assert f"| `{first.name}`, … | {first.ipv4.ip}, … | {first.ipv6.ip}, … | {first.mac}, … |" in PAGE
    pod = pod_place(Segment(), member(Segment(), Role.NODE, 1), 1)
    assert f"| `{pod.name}`, … | {pod.ipv4}, … | {pod.ipv6}, … | {pod.mac}, … |" in PAGE
