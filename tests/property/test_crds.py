"""Whatever the manifest: the decoder and the schema of deploy/crds agree on it, as far as a schema can say it."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from netlb.api.v1alpha1 import KINDS
from tests.support.crds import decoder_refusal, refusals, schema_of

PARTS = ["192.0.2.1", "192.0.2.9", "198.51.100.0", "2001:db8::1", "2001:db8:0:0::ff", "::ffff:192.0.2.1", "10.0.0", ""]
PREFIXES = ["192.0.2.0/24", "192.0.2.77/29", "0.0.0.0/0", "2001:db8::/64", "::/0", "192.0.2.0/33", "192.0.2.0/", "/24"]
RANGES = [f"{first}{dash}{last}" for first in PARTS for dash in ("-", " - ", "--") for last in PARTS]
TIMES = [
    "",
    "0",
    "0s",
    "1s",
    "3s",
    "90s",
    "1m30s",
    "1.5s",
    ".5s",
    "5.s",
    "65535s",
    "65536s",
    "2000ms",
    "90",
    "s",
    "-3s",
    "1d",
]
NAMES = ["", "a", "b", "65000:100", "65000:65536", "large:1:2:3", "large:1:2", "https://x", "http://", "ftp://x", "é"]
TEXTS = {"ip": st.sampled_from([*PARTS, *PREFIXES, *RANGES]), "pattern": st.sampled_from([*TIMES, *NAMES])}
JUNK = st.sampled_from([None, 7, 1.5, True, "x", [], {}, [None], ["x"], {"x": "x"}])

BASES: Mapping[str, dict[str, Any]] = {
    "AddressPool": {"addresses": ["203.0.113.0/28"]},
    "BGPPeer": {"peerASN": 64512, "peerAddress": "192.0.2.1"},
}

BEYOND_A_SCHEMA = [
    "overlap within the pool",
    "holds no address that a single station can have",
    "nothing is left of the pool's addresses",
    "is turned round",
    "begins in IPv[46] and ends in",
    "is an IPv4 address in IPv6 clothes",
    r"addresses\[\d\]: '.*' is not an IPv4 or IPv6 address",  # in a range: a schema sees only what it is made of
    r"exclude\[\d\]: '.*' is not an IPv4 or IPv6 address",
    "is not the address of a station",
    "a second address of IPv[46]",
    r"electors\[\d\]: the same as",  # an empty list or mapping in a selector is the same as none
]
"""What only the decoder can see."""


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema's type: at its bounds, in its forms, and just beside them."""
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], "x"])
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            lowest, highest = schema.get("minimum", -1), schema.get("maximum", 1)
            return st.sampled_from([lowest - 1, lowest, lowest + 1, highest, highest, highest + 1])
        case "string":
            return TEXTS["ip"] if "anyOf" in schema else TEXTS["pattern"]
        case "array":
            return st.lists(values(schema["items"]), max_size=3)
    if "additionalProperties" in schema:
        return st.dictionaries(st.sampled_from(["a", "b"]), values(schema["additionalProperties"]), max_size=2)
    fields = {name: values(inner) for name, inner in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=fields)


@st.composite
def specs(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """A good spec with a few fields changed, one in ten of them to something of another type."""
    properties = schema_of(kind)["properties"]["spec"]["properties"]
    names = draw(st.lists(st.sampled_from(sorted(properties)), max_size=4, unique=True))
    changes = {name: draw(JUNK if draw(st.integers(0, 9)) == 9 else values(properties[name])) for name in names}
    return BASES.get(kind, {}) | changes


@pytest.mark.parametrize("kind", [kind.kind() for kind in KINDS])
@given(data=st.data())
def test_decoder_and_schema_agree(kind: str, data: st.DataObject) -> None:
    spec = data.draw(specs(kind))
    decoder, schema = decoder_refusal(kind, spec), refusals(kind, spec)
    event("accepted" if not decoder else "refused")
    if not decoder:
        assert [] == schema
    elif not schema:
        assert [] != [pattern for pattern in BEYOND_A_SCHEMA if re.search(pattern, decoder)], decoder
