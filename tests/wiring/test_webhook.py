"""The admission webhook behind TLS, asked by a client."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from netlb.errors import SettingError
from netlb.runtime.tls import Certificate
from netlb.runtime.webhook import Verdict, Webhook
from tests.support.certificates import make_certificate
from tests.support.waiting import becomes
from tests.wiring.test_runtime_http import free_port

REVIEW = (
    b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1", '
    b'"operation": "CREATE", "resource": {"resource": "addresspools"}}}'
)
Ask = Callable[[ssl.SSLContext | None], Awaitable[str]]


def renew(directory: Path) -> None:
    make_certificate(directory / "tls.crt", directory / "tls.key")


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def serve(directory: Path, scenario: Callable[[Ask], Awaitable[None]], client_ca: Path | None = None) -> None:
    """Play a scenario while a webhook runs."""
    webhook = Webhook("127.0.0.1", free_port(socket.AF_INET, "127.0.0.1"), Certificate(directory, client_ca))

    async def ask(context: ssl.SSLContext | None) -> str:
        reader, writer = await asyncio.open_connection(webhook.host, webhook.port, ssl=context)
        head = f"POST /validate HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(REVIEW)}\r\n\r\n"
        writer.write(head.encode() + REVIEW)
        answer = (await reader.read()).decode()
        writer.close()
        return answer

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection(webhook.host, webhook.port)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    async def main() -> None:
        running = asyncio.create_task(webhook.run(lambda _: Verdict(()), renewal=0.01))
        try:
            await becomes(listens)
            await scenario(ask)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


async def answer_or_nothing(asking: Awaitable[str]) -> str:
    """Return the answer; empty where the connection breaks: by TLS 1.3 a server refuses after the handshake."""
    try:
        return await asking
    except (ssl.SSLError, ConnectionError):
        return ""


def test_it_answers_by_tls_and_not_without(tmp_path: Path) -> None:
    renew(tmp_path)

    async def scenario(ask: Ask) -> None:
        assert '"allowed":true' in await ask(trusting(tmp_path / "tls.crt"))
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(ssl.create_default_context())
        assert "" == await answer_or_nothing(ask(None))

    serve(tmp_path, scenario)


def test_a_renewed_certificate_is_used(tmp_path: Path) -> None:
    renew(tmp_path)

    async def scenario(ask: Ask) -> None:
        (tmp_path / "tls.crt").write_text("half of a certifi")  # a look at the wrong moment changes nothing
        renew(tmp_path)
        context = trusting(tmp_path / "tls.crt")

        async def answers() -> bool:
            try:
                return '"allowed":true' in await ask(context)
            except ssl.SSLCertVerificationError:
                return False

        await becomes(answers)

    serve(tmp_path, scenario)


def test_only_clients_that_are_known_may_ask(tmp_path: Path) -> None:
    renew(tmp_path)
    make_certificate(tmp_path / "client.crt", tmp_path / "client.key")

    async def scenario(ask: Ask) -> None:
        stranger, known = trusting(tmp_path / "tls.crt"), trusting(tmp_path / "tls.crt")
        known.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
        assert '"allowed":true' in await ask(known)
        assert "" == await answer_or_nothing(ask(stranger))

    serve(tmp_path, scenario, tmp_path / "client.crt")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    renew(tmp_path)

    async def scenario(_: Ask) -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SettingError, match=f"--webhook: cannot listen on 127.0.0.1 port {port}"):
            await Webhook("127.0.0.1", port, Certificate(tmp_path)).run(lambda _: Verdict(()))
        server.close()

    serve(tmp_path, scenario)
