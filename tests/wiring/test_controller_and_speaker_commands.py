"""What the two commands print without becoming daemons."""

from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from netlb_controller.__main__ import main as controller
from netlb_speaker.__main__ import main as speaker
from tests.manifests import advertisement, node, pool, service, slice_of
from tests.support.wired import allocate, common, write

COMMANDS = pytest.mark.parametrize("command", [controller, speaker], ids=["controller", "speaker"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    common(tmp_path)
    write(tmp_path, "nodes.yaml", [node("node-1"), node("node-2")])
    write(tmp_path, "pool.yaml", [pool("one", "192.0.2.1", "2001:db8::1"), advertisement(spec="{interfaces: [eth1]}")])
    write(tmp_path, "a.yaml", [service("a", externalTrafficPolicy="Local"), slice_of("a", "node-1")])
    write(tmp_path, "b.yaml", [service("b")])
    return tmp_path


def printed(command: click.Command, root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(command, ["--source", f"dir:{root / 'cluster'}", "--print-plan", *arguments])
    assert (0, "") == (result.exit_code, result.stderr)
    return result.stdout


def test_the_controllers_plan(root: Path) -> None:
    plan = yaml.safe_load(printed(controller, root))
    assert [{"service": "default/a", "addresses": ["192.0.2.1"], "pool": "one"}] == plan["allocations"]
    assert [("default/b", "PoolExhausted")] == [(each["service"], each["reason"]) for each in plan["refusals"]]
    assert [] == plan["findings"]
    assert not (root / "cluster.status").exists()


def test_the_controllers_plan_begins_with_what_services_hold(root: Path) -> None:
    """As the controller does: what a manifest's status says counts where the status tree says nothing."""
    held = "\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}"
    (root / "cluster" / "b.yaml").write_text(service("b") + held)
    plan = yaml.safe_load(printed(controller, root))
    assert ["default/b"] == [each["service"] for each in plan["allocations"]]
    allocate(root)
    plan = yaml.safe_load(printed(controller, root))
    assert ["default/a"] == [each["service"] for each in plan["allocations"]]


def test_a_speakers_plan(root: Path) -> None:
    allocate(root)
    announced = {"address": "192.0.2.1", "services": ["default/a"], "interfaces": ["eth1"]}
    assert [announced] == yaml.safe_load(printed(speaker, root, "--node-name", "node-1"))["announce"]
    other = yaml.safe_load(printed(speaker, root, "--node-name", "node-2"))
    assert [] == other["announce"]
    assert [("192.0.2.1", "NotOwner", "node-1")] == [
        (silent["address"], silent["reason"], silent["owner"]) for silent in other["silent"]
    ]
    assert not (root / "cluster.status" / "nodes").exists()


def test_a_speakers_plan_leaves_nodes_out_that_are_not_ready_where_that_is_wanted(root: Path) -> None:
    not_ready = node("node-1") + "status: {conditions: [{type: Ready, status: 'False'}]}"
    write(root, "nodes.yaml", [not_ready, node("node-2")])
    allocate(root)
    assert 1 == len(yaml.safe_load(printed(speaker, root, "--node-name", "node-1"))["announce"])
    plan = yaml.safe_load(printed(speaker, root, "--node-name", "node-1", "--withdraw-not-ready"))
    assert [] == plan["announce"]
    assert ["NoCandidate"] == [silent["reason"] for silent in plan["silent"]]


def test_a_plan_tells_what_is_wrong(root: Path) -> None:
    (root / "cluster" / "broken.yaml").write_text("kind: [")
    for command in (controller, speaker):
        [finding] = yaml.safe_load(printed(command, root))["findings"]
        assert ("InvalidYAML", "broken.yaml") == (finding["reason"], finding["file"])


@COMMANDS
def test_a_plan_of_nothing_is_refused(command: click.Command, root: Path) -> None:
    result = CliRunner().invoke(command, ["--source", f"dir:{root / 'nowhere'}", "--print-plan"])
    assert (64, "") == (result.exit_code, result.stdout)
    assert result.stderr.endswith("nowhere: there is no such directory; create it\n")


@COMMANDS
def test_settings_come_from_the_environment_too(command: click.Command, root: Path) -> None:
    environment = {"NETLB_SOURCE": f"dir:{root / 'cluster'}"}
    assert 0 == CliRunner(env=environment).invoke(command, ["--print-plan"]).exit_code
    refused = CliRunner(env=environment | {"NETLB_HTTP": "0.0.0.0:1"}).invoke(command, ["--print-plan"])
    assert (64, True) == (refused.exit_code, "--http: 0.0.0.0 can be reached" in refused.stderr)


@COMMANDS
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_option(command: click.Command, flag: str) -> None:
    result = CliRunner().invoke(command, [flag])
    assert 0 == result.exit_code
    for parameter in command.params:
        assert parameter.opts[0] in result.stdout, parameter.name
