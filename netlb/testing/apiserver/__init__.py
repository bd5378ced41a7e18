"""A public double of the Kubernetes API server: real HTTP on loopback, kubectl speaks to it. Needs `netlb[test]`.

    with ApiServer(bookmark_interval=60) as server:
        server.put_files(Path("deploy/crds"))
        server.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        server.write_kubeconfig(Path("kubeconfig"))
        server.faults.drop(verb="watch", times=3)

What it does as the real one: resourceVersions, conflicts, pagination and watches over one history that is compacted
(410), bookmarks, label and field selectors, status subresources, generations, finalizers, server-side apply with
ownership of single fields, schemas with CEL of CustomResourceDefinitions, discovery, tokens and what RBAC allows each.
What it does not: no controllers (nothing allocates cluster addresses), no conversion between versions, no protobuf, no
strategic merge patches, and of Kubernetes' own kinds only those that a load balancer meets, hardly validated.

`tests/contract/apiserver` passes with it and with a real API server.
"""

from netlb.testing.apiserver.faults import Faults
from netlb.testing.apiserver.server import ApiServer, Seen

__all__ = ["ApiServer", "Faults", "Seen"]
