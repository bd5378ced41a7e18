"""How sites reach each other, by the word of a node, when one of them becomes reachable from outside and is not any more."""

from netlb.testing.sites import Nat
from tests.support.mesh.pairs import unreachable
from tests.support.mesh.world import World
from tests.support.waiting import eventually

__all__ = ["change_ways"]


def change_ways(world: World) -> None:
    """Have site `a` reached directly instead of through the hub, and back; everybody is reached each time."""

    def ways() -> set[str]:
        return {way["link"].split()[0] for way in world.status("a1")["ways"]}

    eventually(lambda: ways() == {"direct", "relay"}, "b is reached through the hub")
    world.lab.set_nat("a", Nat.NONE)
    world.declare(direct=("a",))
    eventually(lambda: ways() == {"direct"}, "a is reached directly")
    assert {} == unreachable(world.lab)
    world.declare()
    world.lab.set_nat("a", Nat.MASQUERADE)
    eventually(lambda: ways() == {"direct", "relay"}, "a is reached through the hub again")
    assert {} == unreachable(world.lab)
