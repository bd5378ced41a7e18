"""Speakers with a key believe each other and nobody else, and the key changes without anybody being taken for dead."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netlb.bfd.authentication import SEQUENCE_MASK
from netlb.bfd.packet import ControlPacket, Key, State, decode, encode, sign
from netlb.reasons import BfdVerdict
from netlb.testing.lab import Host
from tests.manifests import PATIENT, advertisement, pool, service
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.forged import forge
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ADDRESS = "192.168.122.90"
SECRET = b"of the speakers"
KEY = Key(1, SECRET)


class Keys:
    """A file with the key for each node; here they are on one machine, and each has its own all the same."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, node: str) -> Path:
        return self._root / node

    def write(self, node: str, secret: bytes) -> None:
        """Put a key in place, as a Secret's volume does: by a rename."""
        fresh = self._root / f".{node}"
        fresh.write_bytes(secret + b"\n")
        fresh.chmod(0o400)
        fresh.rename(self.path(node))


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Keys]:
    made = Keys(tmp_path_factory.mktemp("keys"))
    for name in cluster.lab.nodes:
        made.write(name, SECRET)
    yield made
    for path in cluster.root.rglob("*"):
        assert not path.is_file() or SECRET not in path.read_bytes(), path


def declare(cluster: Cluster) -> None:
    cluster.write_nodes(watched=True)
    cluster.write("pool.yaml", pool("one", ADDRESS, bfdProfile="patient"), advertisement())
    cluster.write("profile.yaml", PATIENT)
    cluster.write("web.yaml", service("web"))
    cluster.write_endpoints("web")
    cluster.await_ready(cluster.controller())


def begin(cluster: Cluster, keys: Keys, *arguments: str) -> dict[str, Daemon]:
    """Start a speaker on every node, with its key."""
    return {
        name: cluster.speaker(name, "--bfd-key-file", str(keys.path(name)), *arguments, patient=True)
        for name in cluster.lab.nodes
    }


def all_heard(cluster: Cluster) -> Callable[[], bool]:
    return lambda: all(
        {"alive"} == set(cluster.status.node(name).get("nodes", {"": ""}).values()) for name in cluster.lab.nodes
    )


def verdicts(daemon: Daemon) -> dict[str, float]:
    """Return what became of a speaker's BFD packets, by its metrics."""
    page = daemon.get("/metrics")
    assert page is not None
    begin = 'netlb_bfd_packets_total{verdict="'
    found = (line.removeprefix(begin).split('"} ') for line in page.text.splitlines() if line.startswith(begin))
    return {verdict: float(number) for verdict, number in found}


def deaths(daemons: dict[str, Daemon]) -> list[str]:
    """Return who was missed."""
    return [line for daemon in daemons.values() for line in (*daemon.lines("node dead"), *daemon.lines("node left"))]


def never_heard(daemons: dict[str, Daemon]) -> list[str]:
    """Return who was given up without a sign of life."""
    return [line for daemon in daemons.values() for line in daemon.lines("node never heard")]


def heard(victim: Host, peer: Host) -> bytes:
    """Return the octets of a packet that a node gets from another."""
    with victim.capture(lambda frame: frame[23:24] == b"\x11" and frame[26:30] == peer.ipv4.packed) as capture:
        [frame, *_] = capture.wait(timeout=20.0)
    return frame[42:]


def told_of(cluster: Cluster, daemon: Daemon, forged: str, wanted: set[BfdVerdict]) -> None:
    """Wait until a speaker has counted every sort of packet, and its log and its file say in whose name they came."""
    name = daemon.log.stem
    eventually(lambda: wanted <= verdicts(daemon).keys(), "every sort is counted")
    warning = ("packets of node dropped", f"node={forged}", "WrongDigest 1", "--bfd-key-file")
    eventually(lambda: daemon.lines(*warning), "it is logged")
    begin = "packets in the name of node " + forged
    eventually(lambda: any(begin in note for note in cluster.status.node(name)["notes"]), "it is noted")


def await_change(daemon: Daemon) -> None:
    """Wait until a speaker uses its new key, and has believed many packets since."""
    eventually(lambda: daemon.lines("BFD key changed"), "the new key is in use")
    before = verdicts(daemon)["Accepted"]
    eventually(lambda: verdicts(daemon)["Accepted"] > before + 50, "packets are accepted")


def await_disbelief(daemon: Daemon) -> None:
    eventually(lambda: daemon.lines("packets of node dropped", "WrongDigest"), "it is told")


def test_what_an_attacker_sends_is_dropped_and_counted_and_moves_nothing(cluster: Cluster, keys: Keys) -> None:
    declare(cluster)
    daemons = begin(cluster, keys)
    eventually(all_heard(cluster), "all are heard")
    owner = cluster.await_owner(ADDRESS)
    victims = [host for host in cluster.lab.nodes.values() if host.name != owner.name]
    leaves = ControlPacket(77, 0, State.ADMIN_DOWN, 255, 1_000_000, 1_000_000)
    wanted = set[BfdVerdict]()
    for victim in victims:
        replayed = heard(victim, owner)
        seen = decode(replayed)
        assert isinstance(seen, ControlPacket)
        assert seen.authentication is not None
        known = leaves._replace(your_discriminator=seen.your_discriminator)
        elsewhere = leaves._replace(your_discriminator=seen.your_discriminator ^ 1)
        ahead = seen.authentication.sequence + 400 & SEQUENCE_MASK  # and in the window, however long this takes
        for verdict, octets, ttl in (
            (BfdVerdict.UNAUTHENTICATED, encode(leaves), 255),
            (BfdVerdict.UNAUTHENTICATED, encode(known), 255),
            (BfdVerdict.WRONG_DIGEST, sign(encode(known), Key(1, b"a guess"), ahead), 255),
            (BfdVerdict.UNKNOWN_KEY, sign(encode(known), Key(2, SECRET), ahead), 255),
            (BfdVerdict.REPLAYED, replayed, 255),
            (BfdVerdict.LOW_TTL, sign(encode(known), KEY, ahead), 254),
            (BfdVerdict.UNKNOWN_DISCRIMINATOR, sign(encode(elsewhere), KEY, ahead), 255),
        ):
            wanted.add(verdict)
            forge(cluster.client, owner.ipv4, victim.ipv4, octets, ttl)
    for name in (victim.name for victim in victims):
        told_of(cluster, daemons[name], owner.name, wanted)
    assert [] == deaths(daemons)
    eventually(lambda: [owner.mac] == cluster.answerers(ADDRESS), "it answers alone")
    eventually(all_heard(cluster), "all are heard")


def test_a_key_is_changed_on_one_node_after_another(cluster: Cluster, keys: Keys) -> None:
    declare(cluster)
    daemons = begin(cluster, keys)
    eventually(all_heard(cluster), "all are heard")
    owner = cluster.await_owner(ADDRESS)
    for name, daemon in daemons.items():
        keys.write(name, b"another")
        await_change(daemon)
    assert [] == deaths(daemons)
    eventually(lambda: [owner.mac] == cluster.answerers(ADDRESS), "it answers alone")
    # Who starts now has no key but the new one.
    last = next(name for name in daemons if name != owner.name)
    assert 0 == daemons[last].stop()
    cluster.await_ready(cluster.speaker(last, "--bfd-key-file", str(keys.path(last))))
    eventually(all_heard(cluster), "it is heard again")


def test_a_node_with_another_key_is_not_believed_and_mended_by_the_right_one(cluster: Cluster, keys: Keys) -> None:
    declare(cluster)
    owner = "node-1"
    keys.write(owner, b"not the same")
    daemons = begin(cluster, keys)
    for daemon in daemons.values():
        await_disbelief(daemon)
    eventually(lambda: 2 == len(cluster.answerers(ADDRESS)), "the address is answered for on both sides")
    keys.write(owner, SECRET)
    eventually(all_heard(cluster), "all are heard")
    eventually(lambda: 1 == len(cluster.answerers(ADDRESS)), "one answers")


def test_the_first_key_is_given_to_one_speaker_after_another(cluster: Cluster, keys: Keys) -> None:
    declare(cluster)
    daemons = {name: cluster.speaker(name) for name in cluster.lab.nodes}
    eventually(all_heard(cluster), "all are heard")
    before = never_heard(daemons)  # the first may have waited for the last to start
    for arguments in (("--bfd-unauthenticated", "accept"), ()):
        for name in cluster.lab.nodes:
            assert 0 == daemons[name].stop()
            daemons[name] = cluster.speaker(name, "--bfd-key-file", str(keys.path(name)), *arguments)
            cluster.await_ready(daemons[name])
            eventually(all_heard(cluster), "all are heard")
    assert before == never_heard(daemons)
    eventually(lambda: 1 == len(cluster.answerers(ADDRESS)), "one answers")
