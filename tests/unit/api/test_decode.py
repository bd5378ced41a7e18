"""Every message names the object, the field and the remedy."""

import pytest

from netlb.api.core import Service
from netlb.api.decode import decode
from netlb.api.documents import parse_documents
from netlb.errors import ConfigError
from tests.manifests import pool


def decode_one(text: str) -> object:
    (document,) = parse_documents(text, "x.yaml")
    return decode(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            pool("a", "192.0.2.9-192.0.2.1"),
            "error: x.yaml#1: AddressPool a: spec.addresses[0]: range '192.0.2.9-192.0.2.1' is turned round: its "
            "first address is above its last (InvalidRange); write an address, a prefix (192.0.2.0/24) or a range "
            "(192.0.2.10-192.0.2.20)",
        ),
        (
            pool("a", "192.0.2.9", autoAsign=True),
            "error: x.yaml#1: AddressPool a: spec.autoAsign: there is no such field (UnknownField); did you mean "
            "'autoAssign'?",
        ),
        (
            pool("a", "192.0.2.9", colour="red"),
            "error: x.yaml#1: AddressPool a: spec.colour: there is no such field (UnknownField); remove it",
        ),
        (
            pool("a", "192.0.2.9", autoAssign="1"),
            "error: x.yaml#1: AddressPool a: spec.autoAssign: expected bool, got int (InvalidObject); correct the "
            "value's type",
        ),
        (
            pool("a", "192.0.2.0/24", "192.0.2.9"),
            "error: x.yaml#1: AddressPool a: spec.addresses: 192.0.2.0/24 and 192.0.2.9 overlap within the pool",
        ),
        (
            "apiVersion: netlb.io/v1alpha1\nkind: AddressPool\nmetadata: {name: a}",
            "error: x.yaml#1: AddressPool a: spec: the field is required and missing (InvalidObject); add it",
        ),
        (
            "apiVersion: netlb.io/v1alpha1\nkind: AdressPool\nmetadata: {name: a}",
            "kind: netlb.io/v1alpha1 AdressPool is not a kind of netlb (InvalidObject); netlb.io/v1alpha1 has",
        ),
        (
            "apiVersion: netlb.io/v1\nkind: AddressPool\nmetadata: {name: a}",
            "apiVersion: netlb.io/v1 AddressPool is not a kind of netlb",
        ),
        (
            "apiVersion: v1\nkind: Service\nspec: {}",
            "Service (no name): metadata.name: the object has no name",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: ../../etc/passwd}",
            "metadata.name: '../../etc/passwd' is not a name that Kubernetes accepts",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {a: 1}}",
            "Service default/a: metadata.labels[...]: expected str, got int (InvalidObject); put the value in quotes",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: Loadbalancer}",
            "spec.type: Invalid enum value 'Loadbalancer'",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_one(text)
    assert message in str(caught.value)


def test_other_peoples_kinds_and_fields_are_ignored() -> None:
    assert decode_one("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}") is None
    decoded = decode_one("apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: , uid: x}\nspec: {sessions: 1}")
    assert isinstance(decoded, Service)
    assert ("default", {}) == (decoded.metadata.namespace, decoded.metadata.labels)
