"""Nothing that a router says enters the table: an import policy of GoBGP's API.

A node needs no route from anybody. One to a prefix of its own that is better than its own would win, and gobgpd would
withdraw the node's from every router. An assignment that rejects by default would reject our own routes, too; a policy
that asks where a route is from does not.
"""

from typing import Final

from netlb.bgp.messages import Message, message
from netlb.bgp.owner import Owner

__all__ = ["IMPORT", "encode_import_policy"]

IMPORT: Final = 1
"""The direction of a policy assignment."""
_REJECT: Final = 2
_LEARNED: Final = {"internal": 1, "external": 2}
"""Types of routes that are not local, the same numbers in both dialects; together they are all that is learned."""


def encode_import_policy(owner: Owner) -> Message:
    """Return the policy that rejects what is learned, over iBGP and over eBGP; what is local passes on."""
    statements = [
        message("Statement")(
            name=f"{owner.import_name}:{name}",
            conditions=message("Conditions")(route_type=number),
            actions=message("Actions")(route_action=_REJECT),
        )
        for name, number in _LEARNED.items()
    ]
    return message("Policy")(name=owner.import_name, statements=statements)
