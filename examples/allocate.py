"""Use netlb's address management as a library: no cluster, no daemon, no root.

python examples/allocate.py
"""

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.plan import plan_cluster, render_cluster

MANIFESTS = """
apiVersion: netlb.io/v1alpha1
kind: AddressPool
metadata: {name: public}
spec: {addresses: [198.51.100.10-198.51.100.11, "2001:db8::/120"]}
---
apiVersion: netlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: public}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer}
---
apiVersion: v1
kind: Service
metadata: {name: dual}
spec: {type: LoadBalancer, ipFamilies: [IPv4, IPv6]}
---
apiVersion: v1
kind: Service
metadata: {name: late}
spec: {type: LoadBalancer}
"""

intake = Intake()
intake.declare("example.yaml", parse_documents(MANIFESTS, "example.yaml"))
first = plan_cluster(intake.snapshot(holdings={}))
print(render_cluster(first))

# What was given stays given: plan again with what is held, and one Service fewer.
intake.declare("example.yaml", parse_documents(MANIFESTS.replace("name: dual", "name: other"), "example.yaml"))
print(render_cluster(plan_cluster(intake.snapshot(first.holdings))))
