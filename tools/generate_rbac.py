#!/usr/bin/env python3
"""Write the RBAC objects in deploy/ from what the daemons do; with --check only say which files differ."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from netlb.api.dialects import DEFAULT
from netlb.source.kube_rights import controller_rights, gateway_rights, lease_rights, role_rules, speaker_rights

FOLDER = Path(__file__).parent.parent / "deploy"
NAMESPACE = "netlb-system"
CONTROLLER, SPEAKER, GATEWAY = "netlb-controller", "netlb-speaker", "netlb-gateway"
HEADER = "# Written by tools/generate_rbac.py from netlb.source.kube_rights: what the daemons do, and nothing else.\n"
GROUP = "rbac.authorization.k8s.io"


def wanted() -> dict[str, str]:
    """Return the text of each file, by path below deploy/.

    The roles of one namespace are apart where only some installations need them: Secrets are read for BGP's passwords.
    """
    controller, speaker = role_rules(controller_rights(NAMESPACE)), role_rules(speaker_rights(NAMESPACE))
    leases = role_rules(lease_rights(NAMESPACE))
    gateway = role_rules(gateway_rights())
    metallb = DEFAULT.metallb_namespace
    found = [set(roles) for roles in (controller, speaker, gateway)]
    if found != [{"", NAMESPACE}, {"", NAMESPACE, metallb}, {""}]:
        sys.exit("a daemon has rights in a namespace that no overlay is about")
    files = {
        "base/rbac.yaml": [
            *_granted(CONTROLLER, "", controller[""]),
            *_granted(CONTROLLER, NAMESPACE, controller[NAMESPACE]),
            *_granted(SPEAKER, "", speaker[""]),
        ],
        "overlays/bgp/rbac.yaml": _granted(SPEAKER, NAMESPACE, speaker[NAMESPACE]),
        "overlays/leases/rbac.yaml": _granted(SPEAKER, NAMESPACE, leases[NAMESPACE], role=f"{SPEAKER}-leases"),
        "overlays/compat-metallb/rbac.yaml": _granted(SPEAKER, metallb, speaker[metallb]),
        "gateway/rbac.yaml": _granted(GATEWAY, "", gateway[""]),
    }
    return {path: HEADER + yaml.safe_dump_all(objects, sort_keys=False, width=120) for path, objects in files.items()}


def differing(texts: Mapping[str, str]) -> list[str]:
    """Return the paths of files that are not as they should be."""
    return sorted(
        path for path, text in texts.items() if not (FOLDER / path).exists() or (FOLDER / path).read_text() != text
    )


def _granted(daemon: str, namespace: str, rules: list[dict[str, Any]], *, role: str = "") -> list[dict[str, Any]]:
    """Return a role in a namespace, or everywhere, and what gives it to the daemon's account.

    It is named as the daemon is, unless it is one of several in a namespace.
    """
    everywhere = "" if namespace else "Cluster"
    labels = {"app.kubernetes.io/name": "netlb", "app.kubernetes.io/component": daemon.removeprefix("netlb-")}
    metadata = {"name": role or daemon, **({"namespace": namespace} if namespace else {}), "labels": labels}
    return [
        {"apiVersion": f"{GROUP}/v1", "kind": f"{everywhere}Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": f"{everywhere}RoleBinding",
            "metadata": {**metadata, "labels": {**labels}},
            "roleRef": {"apiGroup": GROUP, "kind": f"{everywhere}Role", "name": role or daemon},
            "subjects": [{"kind": "ServiceAccount", "name": daemon, "namespace": NAMESPACE}],
        },
    ]


def main() -> None:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file differs")
    texts = wanted()
    names = differing(texts)
    if parser.parse_args().check:
        if names:
            sys.exit(f"{', '.join(names)}: not what the daemons do; run tools/generate_rbac.py")
        return
    for name in names:
        (FOLDER / name).write_text(texts[name])


if __name__ == "__main__":
    main()
