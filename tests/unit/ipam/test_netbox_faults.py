"""What goes wrong on the way to NetBox has one of two names, and is mended by asking again."""

import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest

from netlb.errors import NetlbError, SettingError, TransientError
from netlb.ipam.adapter import netbox_api
from netlb.ipam.adapter.netbox import NetBox
from netlb.ipam.source import SourceRefusedError
from netlb.testing.http_double import Fault, HttpDouble, Request, Response
from tests.support.certificates import make_certificate
from tests.unit.ipam.netbox_rig import EDGE, NetBoxRig, claim

WEB, API = claim(), claim("api")
NOT_NETBOX = [Fault.REDIRECT, Fault.LOGIN_PAGE, Fault.WRONG_HOST]
PASSING = [fault for fault in Fault if fault not in NOT_NETBOX]
HANGING = [Fault.HANG, Fault.HANG_DONE, Fault.DRIP]


@pytest.fixture
def rig(tmp_path: Path) -> NetBoxRig:
    return NetBoxRig(tmp_path)


def shows_no_secret(rig: NetBoxRig, error: BaseException | None) -> None:
    while error is not None:
        assert rig.token not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("wanted", [None, "192.0.2.5"])
@pytest.mark.parametrize("fault", PASSING)
def test_a_lease_that_failed_is_asked_for_again(rig: NetBoxRig, fault: Fault, wanted: str | None, method: str) -> None:
    async def scenario() -> None:
        address = ip_address(wanted) if wanted else None
        async with rig.source(timeout=0.5 if fault in HANGING else 30.0) as source:
            rig.http.fail_next(fault, method)
            with pytest.raises(TransientError, match=r"^NetBox at http://127\.0\.0\.1:\d+: ") as raised:
                await source.lease(WEB, address)
            rig.http.heal()
            shows_no_secret(rig, raised.value)
            assert (7.0 if fault is Fault.BUSY else None) == raised.value.retry_after
        async with rig.source() as source:
            given = await source.lease(WEB, address)
            rig.http.finish_late()
            assert {WEB: given} == await source.leases()
            assert {str(given): EDGE.tag(WEB)} == rig.entries()
            assert address in (None, given)

    rig.run(scenario)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("fault", PASSING)
def test_a_release_that_failed_is_asked_for_again(rig: NetBoxRig, fault: Fault, method: str) -> None:
    async def scenario() -> None:
        rig.netbox.add_entry("192.0.2.1/29", "the printer")
        async with rig.source(timeout=0.5 if fault in HANGING else 30.0) as source:
            rig.netbox.add_entry("192.0.2.2/29", EDGE.tag(WEB))
            rig.http.fail_next(fault, method)
            with pytest.raises(TransientError):
                await source.release(WEB)
            rig.http.heal()
        async with rig.source() as source:
            await source.release(WEB)
            rig.http.finish_late()
            assert {"192.0.2.1": "the printer"} == rig.entries()

    rig.run(scenario)


@pytest.mark.parametrize("fault", PASSING)
def test_a_list_that_failed_is_an_error_and_not_a_short_list(rig: NetBoxRig, fault: Fault) -> None:
    async def scenario() -> None:
        for number in range(1, 6):
            rig.netbox.add_entry(f"192.0.2.{number}/29", EDGE.tag(claim(f"web-{number}")))
        async with rig.source(page_size=2, timeout=0.5 if fault in HANGING else 30.0) as source:
            rig.netbox.before = lambda request: rig.http.fail_next(fault) if request.values("id__gt") == ["0"] else None
            with pytest.raises(TransientError):
                await source.leases()
            rig.netbox.before = lambda _: None
            rig.http.heal()
        async with rig.source(page_size=2) as source:
            assert 5 == len(await source.leases())

    rig.run(scenario)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("fault", NOT_NETBOX)
def test_somebody_else_who_answers_in_netbox_place_is_refused(rig: NetBoxRig, fault: Fault, method: str) -> None:
    async def scenario() -> None:
        async with rig.source() as source:
            await source.lease(API)
            rig.http.fail_next(fault, method)
            with pytest.raises(SourceRefusedError, match="NetBox at http://"):
                await (source.release(API) if method == "DELETE" else source.lease(WEB))
            rig.http.heal()
            await source.release(API)
            assert set((await source.leases()).values()) == {ip_address(host) for host in rig.entries()}

    rig.run(scenario)


def test_no_redirect_is_followed(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        other = HttpDouble(lambda _: Response.json(200, {"next": None, "results": []}))
        async with other.serving() as rig.http.elsewhere, rig.source() as source:
            rig.http.fail_next(Fault.REDIRECT)
            with pytest.raises(SourceRefusedError, match="redirect"):
                await source.leases()
        assert [] == other.requests

    rig.run(scenario)


def test_a_page_that_says_409_is_not_netbox_that_has_no_address_left(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        netbox = rig.http.answer
        rig.http.answer = lambda one: netbox(one) if one.method == "GET" else Response(409, b"<html>Conflict</html>")
        async with rig.source() as source:
            with pytest.raises(SourceRefusedError, match="is refused"):
                await source.lease(WEB)

    rig.run(scenario)


def test_a_server_that_nobody_listens_at(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        url = rig.url
        async with rig.http.serving() as gone:
            pass
        async with rig.source(url=gone) as source:
            with pytest.raises(TransientError, match=r"connection attempts failed|refused"):
                await source.leases()
        async with rig.source(url=url) as source:
            assert {} == await source.leases()

    rig.run(scenario)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((("Retry-After", "0"),), 0.0),
        ((("Retry-After", "99999999999999999999"),), 3600.0),
        ((("Retry-After", "soon"),), None),
        ((), None),
        ((("Date", "Wed, 21 Oct 2026 07:28:00 GMT"), ("Retry-After", "Wed, 21 Oct 2026 07:29:30 GMT")), 90.0),
        ((("Date", "Wed, 21 Oct 2026 07:28:00 GMT"), ("Retry-After", "Wed, 21 Oct 2026 07:00:00 GMT")), 0.0),
        ((("Retry-After", "Wed, 21 Oct 2026 07:29:30 GMT"),), None),
    ],
)
def test_how_long_to_wait(rig: NetBoxRig, headers: tuple[tuple[str, str], ...], seconds: float | None) -> None:
    async def scenario() -> None:
        rig.http.answer = lambda _: Response(503, b"", headers)
        async with rig.source() as source:
            with pytest.raises(TransientError) as raised:
                await source.leases()
            assert seconds == raised.value.retry_after

    rig.run(scenario)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"results": {}}',
        b'{"results": [{"id": "1"}]}',
        b'{"results": [{"id": 1, "address": "192.0.2.1/29"}]}',
        b'{"next": 5, "results": []}',
        b"\xff",
        b'{"results": [], "x": ' + b"[" * 100_000,
        b"[" * 100_000,
        b'"\xff"',
    ],
)
def test_a_body_that_is_not_netbox_own(rig: NetBoxRig, body: bytes) -> None:
    async def scenario() -> None:
        for status in (400, 403, 404):
            rig.http.answer = lambda _, status=status: Response(status, body)  # type: ignore[misc]
            async with rig.source() as source:
                with pytest.raises(SourceRefusedError, match=f"{status}"):
                    await source.leases()
        rig.http.answer = lambda _: Response(200, body)
        async with rig.source() as source:
            with pytest.raises(SourceRefusedError, match="something that is not NetBox's"):
                await source.leases()

    rig.run(scenario)


def endless(request: Request) -> Response:
    first = int(request.values("id__gt")[0]) + 1
    rows = [
        {"id": first + n, "address": "192.0.2.1/29", "status": {"value": "active"}, "description": "x"}
        for n in range(10)
    ]
    return Response.json(200, {"next": "http://127.0.0.1/more", "results": rows})


def test_what_has_no_end_is_given_up(rig: NetBoxRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with rig.source() as source:
            monkeypatch.setattr(netbox_api, "_MOST_ROWS", 35)
            rig.http.answer = endless
            with pytest.raises(SourceRefusedError, match="more than 35 objects"):
                await source.leases()
            monkeypatch.setattr(netbox_api, "_LARGEST_BODY", 100)
            with pytest.raises(SourceRefusedError, match="more than 100 bytes"):
                await source.leases()
            rig.http.answer = lambda _: Response.json(200, {"next": "more", "results": []})
            with pytest.raises(SourceRefusedError, match="empty page before its last"):
                await source.leases()
            row = {"id": 1, "address": "192.0.2.1/29", "status": {"value": "active"}}
            monkeypatch.undo()
            rig.http.answer = lambda _: Response.json(200, {"next": "more", "results": [row]})
            with pytest.raises(SourceRefusedError, match="not in the order of ids"):
                await source.leases()

    rig.run(scenario)


def test_words_of_the_server_are_short_and_without_the_token(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        said = f"you said {rig.token}\n" + "x" * 1000
        async with rig.source() as source:
            for status in (403, 404, 400, 500):
                rig.http.answer = lambda _, status=status: Response.json(status, {"detail": said})  # type: ignore[misc]
                with pytest.raises(NetlbError, match=r"you said \*\*\* x") as raised:
                    await source.leases()
                shows_no_secret(rig, raised.value)
                assert len(str(raised.value)) < 700

    rig.run(scenario)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    make_certificate(cert, key)
    return key, cert


def test_certificates_are_checked(rig: NetBoxRig, certificate: tuple[Path, Path]) -> None:
    key, cert = certificate
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)

    async def scenario() -> None:
        async with rig.http.serving(tls) as url:
            async with rig.source(url=url) as source:
                with pytest.raises(SourceRefusedError, match=r"certificate is not trusted: self-signed.*caFile"):
                    await source.leases()
            assert [] == rig.http.requests
            async with rig.source(url=url, ca_file=str(cert)) as source:
                assert {} == await source.leases()

    rig.run(scenario)


@pytest.mark.parametrize("content", [None, "", "not a certificate"])
def test_a_file_of_certificates_that_cannot_be_used(rig: NetBoxRig, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingError, match=rf"^caFile: {file}: "):
        NetBox(rig.settings(url="https://netbox.example.com", ca_file=str(file)), EDGE)
