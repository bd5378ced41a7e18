"""The import policy in a gobgpd that is ours alone: nothing that is learned comes in."""

from typing import Self

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.imports import IMPORT, encode_import_policy
from netlb.bgp.messages import Message
from netlb.bgp.owner import Owner

__all__ = ["Imports"]


class Imports:
    """The import policies of one gobgpd. Ours is asked first, so that nobody else's lets in what it rejects."""

    def __init__(self, client: GobgpClient, owner: Owner, policies: list[Message], assigned: Message) -> None:
        self._client = client
        self._policy = encode_import_policy(owner)
        self._policies = {each.name for each in policies}
        self._assigned = [each.name for each in assigned.policies]
        self._default = assigned.default_action

    @classmethod
    async def found(cls, client: GobgpClient, owner: Owner) -> Self:
        """List what is there now."""
        return cls(client, owner, await client.list_policies(), await client.get_assignment(IMPORT))

    @property
    def closed(self) -> bool:
        """Whether our policy is in force."""
        return self._assigned[:1] == [self._policy.name]

    async def close(self) -> None:
        """Let nothing in any more, and drop what is in already. No session begins anew."""
        name = self._policy.name
        if name not in self._policies:
            await self._client.add_policy(self._policy)
        if not self.closed:
            strangers = [each for each in self._assigned if each != name]
            await self._client.set_assignment(IMPORT, [name, *strangers], self._default)
        # Also where it was in force: whoever made it may have died before this.
        await self._client.import_anew()
