"""How sites reach each other through encrypted tunnels. Pure, but for `adapter`.

What OpenYurt's Raven does, from the same objects. In order: `subnets` (what belongs to which site), `election` (which
endpoints are active), `mesh` (which of them reach each other, and how), `node` (what one node has to have for that),
`backend` (what keeps its tunnels).
"""
