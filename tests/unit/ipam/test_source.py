"""Tags that tell whose an address is, and where a token may be sent."""

from pathlib import Path
from typing import Any

import pytest

from netlb.errors import SettingError
from netlb.findings import ObjectRef
from netlb.ipam.adapter.settings import NetBoxSettings, Token, TokenFile
from netlb.ipam.source import Claim, Lessee, check_url
from netlb.net import Family

EDGE = Lessee("edge", "default")
WEB = Claim(ObjectRef("Service", "default", "web"), Family.IPV4)


def test_a_tag_says_what_it_is() -> None:
    assert "netlb:edge:default:default/web:IPv4" == EDGE.tag(WEB)
    assert WEB == EDGE.claim("netlb:edge:default:default/web:IPv4")


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "web",
        "netlb:edge:default:",
        "netlb:edge:default:default/web:IPv5",
        "netlb:edge:default:default/web:ipv4",
        "netlb:edge:default:default/web:IPv4\n",
        " netlb:edge:default:default/web:IPv4",
        "netlb:edge:default:web:IPv4",
        "netlb:edge:default:default/web/x:IPv4",
        "netlb:edge:default:Default/web:IPv4",
        "netlb:edge:default:/web:IPv4",
        "netlb:edge:other:default/web:IPv4",
        "netlb:edge2:default:default/web:IPv4",
        "NETLB:edge:default:default/web:IPv4",
        f"netlb:edge:default:default/{'w' * 64}:IPv4",
    ],
)
def test_what_is_no_tag_of_ours(tag: str) -> None:
    assert EDGE.claim(tag) is None


@pytest.mark.parametrize(
    "service",
    [
        ObjectRef("Node", "", "web"),
        ObjectRef("Service", "", "web"),
        ObjectRef("Service", "default", "a:b"),
        ObjectRef("Service", "default", "w" * 64),
        ObjectRef("Service", "default/x", "web"),
    ],
)
def test_what_cannot_be_tagged(service: ObjectRef) -> None:
    with pytest.raises(ValueError, match="is not a Service that an address can be reserved for"):
        EDGE.tag(Claim(service, Family.IPV6))


@pytest.mark.parametrize(
    ("installation", "pool", "setting"),
    [
        ("", "default", "installation"),
        ("Edge", "default", "installation"),
        ("a:b", "default", "installation"),
        ("-a", "default", "installation"),
        ("a\n", "default", "installation"),
        ("edge", "", "pool"),
        ("edge", "a b", "pool"),
        ("e" * 31, "p" * 30, "installation"),
    ],
)
def test_names_that_cannot_be_part_of_a_tag(installation: str, pool: str, setting: str) -> None:
    with pytest.raises(SettingError) as raised:
        Lessee(installation, pool)
    assert setting == raised.value.setting


@pytest.mark.parametrize(
    "url",
    [
        "https://netbox.example.com",
        "https://netbox.example.com:8443/netbox/",
        "https://[2001:db8::1]/",
        "http://127.0.0.1:8000",
        "http://127.8.8.8",
        "http://[::1]:8000",
        "http://localhost/netbox",
    ],
)
def test_where_a_token_may_be_sent(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://netbox.example.com", "in clear text"),
        ("http://192.0.2.1", "in clear text"),
        ("http://127.0.0.1.example.com", "in clear text"),
        ("http://localhost.example.com", "in clear text"),
        ("http://[::ffff:127.0.0.1]", "in clear text"),
        ("https://me:hunter2@netbox.example.com", "a user or a password"),
        ("http://hunter2@localhost", "a user or a password"),
        ("https://netbox.example.com/?token=hunter2", "a query"),
        ("https://netbox.example.com/#hunter2", "a query or a fragment"),
        ("", "not a URL"),
        ("netbox.example.com", "not a URL"),
        ("ftp://netbox.example.com", "not a URL"),
        ("https://", "not a URL"),
        ("https:///api", "not a URL"),
        ("https://netbox:port", "not a URL"),
        ("https://netbox:99999", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://netbox example", "not a URL"),
        ("https://nétbox", "not a URL"),
        ("https://netbox\r\nX: y", "not a URL"),
    ],
)
def test_where_a_token_must_not_be_sent(url: str, problem: str) -> None:
    with pytest.raises(SettingError, match=problem) as raised:
        check_url(url)
    assert "url" == raised.value.setting
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"url": "http://netbox.example.com"}, "url"),
        ({"addresses": ()}, "addresses"),
        ({"addresses": ("192.0.2.0/24", "192.0.2.1")}, "addresses[1]"),
        ({"addresses": ("192.0.2.1-192.0.2.9",)}, "addresses[0]"),
        ({"timeout": 0.0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"page_size": -1}, "pageSize"),
    ],
)
def test_settings_that_cannot_work_are_named(changes: dict[str, Any], setting: str) -> None:
    good: dict[str, Any] = {
        "url": "https://netbox.example.com",
        "token": TokenFile(Path("/etc/netlb/netbox-token")),
        "addresses": ("192.0.2.0/24",),
    }
    NetBoxSettings(**good)
    with pytest.raises(SettingError) as raised:
        NetBoxSettings(**(good | changes))
    assert setting == raised.value.setting


def test_a_token_does_not_show_itself(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hunter2\n")
    token = TokenFile(file).read()
    assert "Token hunter2" == token.header()
    assert "Bearer nbt_a.b" == Token("nbt_a.b").header()
    assert "hunter2" not in f"{token} {token!r} {TokenFile(file)!r} {[token]}"
    assert "you sent ***" == token.hide("you sent hunter2")
