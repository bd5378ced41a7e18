"""Sites whose nodes run netlb-gateway, on one directory of manifests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.plan.raven import Seen, plan_raven
from netlb.raven.dataplane import Numbers
from netlb.raven.inner import inner_addresses
from netlb.testing.lab.namespaces import batch
from netlb.testing.sites import SitesLab
from netlb.testing.sites.declared import cluster_service, manifests
from tests.support.daemons import Daemon
from tests.support.mesh.wire import clear_text, tunnelled
from tests.support.needs import needs, needs_command
from tests.support.site import Site
from tests.support.strongswan import Charon
from tests.support.tunnels import carriers
from tests.support.waiting import eventually

__all__ = ["World"]

_FIRST = ("nice", "-n", "-15")
"""What else runs on this machine must not look like a failure of the network."""
_PROGRAM = (*_FIRST, sys.executable, "-m", "netlb_gateway")


class World:
    """A lab of sites and its daemons, by their nodes' names."""

    ports: tuple[int, ...] = (51820,)
    """The UDP ports of tunnels, of IPsec, too: strongSwan listens where the others do."""

    def __init__(self, root: Path, lab: SitesLab, *, backend: str = "userspace") -> None:
        """Choose what tunnels are made of, as `--backend` does."""
        self.lab = lab
        (root / "site").mkdir()
        self.site = Site(root / "site")
        self.keys = root / "keys"
        self.daemons: dict[str, Daemon] = {}
        self._backend = backend
        self.mtu = 1400 if backend == "ipsec" else 1420
        """Of the ways between sites: what kernel-libipsec takes, or what WireGuard leaves."""
        self._charons: dict[str, Charon] = {}
        if backend == "ipsec":
            (root / "secret").touch(0o600)
            (root / "secret").write_text("a secret of all")
            for name, host in lab.nodes.items():
                (root / f"charon-{name}").mkdir()
                self._charons[name] = Charon(root / f"charon-{name}", host.namespace)

    def declare(self, **gateways: Any) -> None:
        """Declare the nodes and the Gateways, in one file, and serve every pod by a Service; see `declared.gateways`."""
        self.site.write("sites.yaml", manifests(self.lab, **gateways))

    def serve(self) -> None:
        """Have a Service for every pod."""
        self.lab.serve([cluster_service(self.lab, name) for name in self.lab.nodes])

    def device(self, node: str) -> str:
        """Return the name of a node's tunnel device: wireguard-go's sockets are in one directory for all namespaces."""
        return f"{self.lab.name[-6:]}-{node}"

    def key_file(self, node: str) -> Path:
        """Return the file of a node's own key."""
        return self.keys / node

    def options(self, node: str) -> list[str]:
        """Return what a node's daemon is told, and `cleanup` too."""
        vici = ["--vici", str(self._charons[node].vici)] if node in self._charons else []
        return ["--backend", self._backend, *vici, "--number", f"tunnel_device={self.device(node)}"]

    def source(self, node: str) -> list[str]:
        """Return by which options a node's daemon learns what is declared, and of other nodes."""
        return ["--source", f"dir:{self.site.manifests}"]

    def start(self, *names: str) -> None:
        """Start the daemons of some nodes, and wait until they are ready."""
        for name in names:
            self.begin(name)
        self.await_ready(*names)

    def begin(self, name: str) -> Daemon:
        """Start the daemon of a node."""
        more = ["--node-name", name, "--key-file", str(self.key_file(name)), *self.options(name)]
        if name in self._charons:
            more += ["--shared-key-file", str(self.keys.with_name("secret"))]
        command = [*_PROGRAM, *self.source(name), "--http", f"unix:{self.site.root / name}.sock", *more]
        with self.site.log(name) as log:
            process = self.lab.nodes[name].popen(
                command, stdout=log, stderr=log, env={"TMPDIR": str(self.site.temporary)}
            )
        self.daemons[name] = self.site.enrol(name, process)
        return self.daemons[name]

    def await_ready(self, *names: str) -> None:
        """Wait until the daemons of some nodes are ready: their tunnels are up."""
        for name in names:
            self.site.await_ready(self.daemons[name])

    def is_ready(self, name: str) -> bool:
        """Whether the daemon of a node is ready now."""
        page = self.daemons[name].get("/readyz")
        return page is not None and page.status == 200

    def cleanup(self, *names: str) -> dict[str, str]:
        """Run `netlb-gateway cleanup` in some nodes; return what it printed, and an error if it does not succeed."""

        def clean_up(name: str) -> str:
            command = [*_PROGRAM, "cleanup", *self.options(name)]
            done = self.lab.nodes[name].run(command, check=False, timeout=60.0)
            return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stdout}{done.stderr}"

        with ThreadPoolExecutor(max_workers=4) as pool:
            return dict(zip(names, pool.map(clean_up, names), strict=True))

    def status(self, node: str) -> dict[str, Any]:
        """Return what a node says of itself; nothing as long as it says nothing."""
        path = self.site.status.root / "gatewaynodestatuses" / f"{node}.yaml"
        try:
            document = yaml.safe_load(path.read_text())
        except FileNotFoundError:
            return {}
        return dict(document["status"])

    def active(self, site: str, asked: Iterable[str] = ()) -> list[list[str]]:
        """Return who is active at a site by the word of its nodes, or of some."""
        places = self.lab.sites[site].nodes
        names = list(asked) or [node.name for node in places]
        return [list(self.status(name).get("active", ())) for name in names]

    def await_active(self, site: str, node: str, asked: Iterable[str] = ()) -> None:
        """Wait until the nodes of a site, or some, take one endpoint for the active one."""
        names = list(asked)
        eventually(lambda: all(found == [node] for found in self.active(site, names)), f"{node} is active at {site}")

    def agreed(self, site: str) -> str:
        """Wait until all nodes of a site take one endpoint for the active one, and return it."""

        def one() -> str | None:
            (first, *others) = self.active(site)
            return first[0] if len(first) == 1 and all(other == first for other in others) else None

        return eventually(one, f"the nodes of {site} agree")

    def unrest(self) -> int:
        """Return how often somebody was taken for dead, or others became active, by the word of all nodes."""
        words = ("node dead", "active endpoint elected")
        return sum(len(daemon.lines(word)) for daemon in self.daemons.values() for word in words)

    def carriers(self, node: str) -> list[int]:
        """Return the processes that carry a node's tunnels."""
        return carriers(self.lab.nodes[node].namespace)

    def join_strangers(self, one: str, other: str) -> None:
        """Have a connection between two nodes of one site that is not ours, if there is a strongSwan."""
        if one not in self._charons:
            return
        inner = {one: "172.26.0.1", other: "172.26.0.2"}
        for here, there in ((one, other), (other, one)):
            batch([f"address add {inner[here]}/32 dev lo"], self.lab.nodes[here].namespace)
            self._charons[here].give("theirs", inner[here], inner[there], str(self.lab.nodes[there].ipv4))
        self._charons[one].ask("initiate", {"ike": "theirs", "child": "theirs"})

    def ipsec(self, node: str) -> set[str]:
        """Return what a node's strongSwan has; nothing where there is none."""
        return self._charons[node].has() if node in self._charons else set()

    def lose_tunnels(self, *names: str) -> None:
        """End what carries the tunnels of some nodes; the daemons must not run, or it is there again."""
        for name in names:
            if name in self._charons:
                self._charons[name].forget("netlb-")
                ended = lambda name=name: not any("SA netlb-" in line for line in self.ipsec(name))  # noqa: E731
                eventually(ended, f"{name} has no SA of ours")
            for carrier in self.carriers(name):
                os.kill(carrier, signal.SIGKILL)
        eventually(lambda: not any(map(self.carriers, names)), "nothing carries tunnels")

    @contextmanager
    def unseen(self, *, tunnels: bool = True) -> Iterator[None]:
        """See to it that nothing but tunnels passes between the sites; and that something does, unless there are none."""
        with ExitStack() as opened:
            wires = {name: opened.enter_context(self.lab.wire(name)) for name in self.lab.sites}
            yield
            for name, wire in wires.items():
                frames = wire.frames()
                if found := clear_text(frames, self.ports):
                    raise AssertionError(f"clear text between {name} and the others: {found}")
                assert not tunnels or tunnelled(frames, self.ports) > 0, name

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let nobody write to the directories by which daemons learn of each other, root neither."""
        root = self.site.status.root
        directories = [str(path) for path in (self.site.manifests, root, *root.rglob("*")) if path.is_dir()]
        chattr = needs_command("chattr", "e2fsprogs")
        try:
            done = subprocess.run([chattr, "+i", *directories], capture_output=True, text=True, check=False)
            needs([] if done.returncode == 0 else [f"directories that nobody may change: {done.stderr.strip()}"])
            yield
        finally:
            subprocess.run([chattr, "-i", *directories], capture_output=True, check=False)

    def kill_all(self) -> None:
        """End all daemons as crashes would, so fast that none hears of another one's end."""
        for daemon in self.daemons.values():
            daemon.process.kill()
        for daemon in self.daemons.values():
            daemon.wait()

    def stop(self) -> None:
        """End the daemons in order."""
        for name, daemon in self.daemons.items():
            if not daemon.running():  # whoever was killed could not remove its socket
                (self.site.root / f"{name}.sock").unlink(missing_ok=True)
        self.site.stop()

    def start_charons(self) -> None:
        """Start a strongSwan on every node, each with the addresses that kernel-libipsec wants.

        It takes a prefix where the node has an address in it on some other device than its own: those of all pods, since
        a hub stands for other sites, and the node's own inside the tunnels.
        """
        intake = Intake()
        intake.declare("sites.yaml", parse_documents(manifests(self.lab), "sites.yaml"))
        sites = plan_raven(intake.snapshot({}), Seen()).mesh.sites.values()
        inner = inner_addresses(sites, Numbers().inner_network)
        for name, charon in self._charons.items():
            others = [place for place in self.lab.places.values() if place.name != name]
            lines = [f"address add {place.pods4[255]}/32 dev lo" for place in others]
            lines += [f"address add {place.pods6[0xFFFF]}/128 dev lo nodad" for place in others]
            lines += [f"address add {inner[name]}/32 dev lo"] if name in inner else []
            batch(lines, self.lab.nodes[name].namespace)
            charon.start()

    def kill(self) -> None:
        """End whatever still runs."""
        for charon in self._charons.values():
            charon.kill()
        self.site.kill()
        self.site.show_logs()
