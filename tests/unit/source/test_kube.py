"""The client: how it finds its API server, what it says when something fails, and what it never says."""

import asyncio
import ssl
import traceback
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from lightkube.config.kubeconfig import KubeConfig

from netlb.api.core import Service
from netlb.errors import ConfigError, NetlbError, SettingError
from netlb.findings import ObjectRef
from netlb.reasons import EventReason
from netlb.source.kube import KubeClient
from netlb.source.kube_errors import RequestError
from netlb.source.kube_events import EVENTS, Occurrence, event_body
from netlb.source.kube_kinds import NATIVE, SERVICES
from netlb.source.kube_lean import DOORS
from netlb.source.reflector import List, Watch
from netlb.testing.apiserver import ApiServer
from tests.support.certificates import make_certificate

T = TypeVar("T")

SECRET = "s3cret-t0ken"
WEB = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
}
STATUS = {"metadata": {"name": "web"}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
POOLS = NATIVE["AddressPool"]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """A server that wants a token and has a Service."""
    with ApiServer(token=SECRET) as server:
        server.put({"apiVersion": "v1", "kind": "Service", **WEB})
        yield server


def ask(path: Path | None, question: Callable[[KubeClient], Awaitable[T]], *, deadline: float = 10.0) -> T:
    """Ask a server something, as netlb-test."""

    async def asked() -> T:
        client = KubeClient(path, field_manager="netlb-test", deadline=deadline)
        try:
            return await question(client)
        finally:
            await client.close()

    return asyncio.run(asked())


def get_web(client: KubeClient) -> Awaitable[dict[str, Any]]:
    return client.get(SERVICES, "default", "web")


def complaint(path: Path | None, question: Callable[[KubeClient], Awaitable[Any]], **options: float) -> NetlbError:
    """What it says when asked in vain; nobody learns the token from it, nor from a traceback."""
    with pytest.raises(NetlbError) as caught:
        ask(path, question, **options)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


# Finding the server, and credentials


def test_a_token_file_that_changes_is_read_again(server: ApiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    path = server.write_kubeconfig(tmp_path / "kubeconfig", token_file=token)

    async def before_and_after(client: KubeClient) -> tuple[str, str]:
        before = await get_web(client)
        server.rotate_token("another", token)
        return before["metadata"]["uid"], (await get_web(client))["metadata"]["uid"]

    before, after = ask(path, before_and_after)
    assert before == after


def test_a_kubeconfig_that_changes_is_read_again_once_it_is_refused(server: ApiServer, tmp_path: Path) -> None:
    path = server.write_kubeconfig(tmp_path / "kubeconfig")

    async def later(client: KubeClient) -> list[int | None]:
        await get_web(client)
        server.rotate_token("another")
        statuses: list[int | None] = []
        for text in (None, "{half a file", "whole"):
            if text == "whole":
                server.write_kubeconfig(path)
            elif text:
                path.write_text(text)
            try:
                await get_web(client)
                statuses.append(200)
            except RequestError as error:
                statuses.append(error.status)
        return statuses

    assert [401, 401, 200] == ask(path, later)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for 127.0.0.1."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    make_certificate(Path(f"{path}.crt"), path)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_in_a_pod_the_service_account_is_used(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    (tmp_path / "ca.crt").write_text(Path(f"{certificate}.crt").read_text())
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "namespace").write_text("netlb-system")
    with ApiServer(token=SECRET, tls=tls) as server:
        server.put({"apiVersion": "v1", "kind": "Service", **WEB})
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
        monkeypatch.setattr(KubeConfig, "from_env", lambda: KubeConfig.from_service_account(tmp_path))

        async def about(client: KubeClient) -> tuple[str, str]:
            return client.namespace, (await get_web(client))["metadata"]["name"]

        assert ("netlb-system", "web") == ask(None, about)
        (tmp_path / "ca.crt").write_text("no certificate")
        assert isinstance(complaint(None, get_web), SettingError)


def test_without_any_configuration_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    error = complaint(None, get_web)
    assert isinstance(error, SettingError)
    assert "set KUBECONFIG" in str(error)


def kubeconfig(**changes: Any) -> dict[str, Any]:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": SECRET}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return {**config, **changes}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "not found"),
        (f"users:\n- token: {SECRET}: {{", "line 2: it is not YAML"),
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        (yaml.safe_dump(kubeconfig(**{"current-context": "nothing"})), "Context 'nothing' not found"),
        (yaml.safe_dump(kubeconfig(contexts=[{"name": "x", "context": {"cluster": "d"}}])), "cannot be read"),
        (yaml.safe_dump(kubeconfig(users=[{"name": "u", "user": {"token": [SECRET]}}])), "cannot be read"),
        (yaml.safe_dump(kubeconfig(**{"current-context": None})), "No current context"),
        (
            yaml.safe_dump(kubeconfig(users=[{"name": "u", "user": {"client-certificate": f"/nowhere/{SECRET}"}}])),
            "cannot be used",
        ),
        (yaml.safe_dump(kubeconfig(clusters=[{"name": "c", "cluster": {"server": f"http://{SECRET}:x:y"}}])), "cannot"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_a_setting_error(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    error = complaint(path, get_web)
    assert isinstance(error, SettingError)
    assert f"kubeconfig {path}" == error.setting
    assert said in str(error)


@pytest.mark.parametrize(
    "user",
    [
        {"token": f"{SECRET}\n"},
        {"token": f"{SECRET}\N{SNOWMAN}"},
        {"tokenFile": "/nowhere/at/all"},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "/nowhere/at/all"}},
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": "sh",
                "args": ["-c", f"echo {SECRET} >&2; exit 1"],
            }
        },
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": "sh",
                "args": ["-c", f"echo {SECRET}"],
            }
        },
        {"exec": {"apiVersion": "client.authentication.k8s.io/v9", "command": "true"}},
    ],
)
def test_credentials_that_cannot_be_had_are_told_without_them(server: ApiServer, tmp_path: Path, user: Any) -> None:
    path = tmp_path / "kubeconfig"
    clusters = [{"name": "c", "cluster": {"server": server.url}}]
    path.write_text(yaml.safe_dump(kubeconfig(clusters=clusters, users=[{"name": "u", "user": user}])))
    assert "get services default/web: " in str(complaint(path, get_web))


def test_a_server_without_a_user_in_the_kubeconfig_is_asked_as_nobody(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    with ApiServer() as server:
        clusters = [{"name": "c", "cluster": {"server": server.url}}]
        path.write_text(
            yaml.safe_dump(kubeconfig(clusters=clusters, contexts=[{"name": "x", "context": {"cluster": "c"}}]))
        )
        assert "v1" in {name.partition("/")[2] for name in ask(path, lambda client: client.served())}


# What it says when a request fails


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (401, "give it a token"),
        (403, "grant get on services"),
        (404, "create it"),
        (429, "the API server is busy"),
        (500, "look at the API server's log"),
        (503, "look at the API server's log"),
    ],
)
def test_a_refusal_names_the_object_and_the_remedy(server: ApiServer, tmp_path: Path, code: int, remedy: str) -> None:
    server.faults.fail(code, "Because", verb="get")
    error = complaint(server.write_kubeconfig(tmp_path / "kubeconfig"), get_web)
    assert isinstance(error, RequestError)
    assert code == error.status
    assert f"get services default/web: {code} as told: Because; " in str(error)
    assert remedy in str(error)


def test_retry_after_is_passed_on(server: ApiServer, tmp_path: Path) -> None:
    server.faults.throttle(7, verb="get")
    error = complaint(server.write_kubeconfig(tmp_path / "kubeconfig"), get_web)
    assert isinstance(error, RequestError)
    assert 7.0 == error.retry_after


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("drop", "the connection broke"),
        ("cut", "the connection broke"),
        ("stall", "no answer within 0.3 s"),
        ("garbage", "the answer is none of an API server"),
    ],
)
def test_a_failure_on_the_way_says_so(server: ApiServer, tmp_path: Path, fault: str, said: str) -> None:
    getattr(server.faults, fault)(verb="get")
    path = server.write_kubeconfig(tmp_path / "kubeconfig")
    error = complaint(path, get_web, deadline=0.3 if fault == "stall" else 60)
    assert isinstance(error, RequestError)
    assert error.status is None
    assert f"get services default/web: {said}" in str(error)


def test_what_is_given_up_is_not_carried_out_later(tmp_path: Path) -> None:
    """The server sees a reset in place of an end: what could not be sent by then is discarded."""
    ended: list[bytes | ConnectionResetError] = []

    async def asked() -> None:
        begun, over = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            begun.set()
            try:
                ended.append(await reader.read())
            except ConnectionResetError as error:
                ended.append(error)
            writer.close()
            over.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            _, port = listening.sockets[0].getsockname()
            clusters = [{"name": "one", "cluster": {"server": f"http://127.0.0.1:{port}"}}]
            contexts = [{"name": "one", "context": {"cluster": "one"}}]
            path = tmp_path / "kubeconfig"
            path.write_text(yaml.safe_dump({"clusters": clusters, "contexts": contexts, "current-context": "one"}))
            client = KubeClient(path, field_manager="netlb-test")
            asking = asyncio.ensure_future(get_web(client))
            await begun.wait()
            asking.cancel()
            await over.wait()
            await asyncio.wait([asking])
            await client.close()

    asyncio.run(asked())
    assert [ConnectionResetError] == [type(each) for each in ended]


def test_a_page_that_is_no_json_is_a_failure_whatever_form_its_objects_should_have(
    server: ApiServer, tmp_path: Path
) -> None:
    server.faults.garbage(verb="list")
    path = server.write_kubeconfig(tmp_path / "kubeconfig")
    error = complaint(path, lambda client: client.list_page(SERVICES, List(1), form=DOORS[Service](frozenset()).form))
    assert isinstance(error, RequestError)
    assert "list services: the answer is none of an API server" in str(error)


def test_a_server_that_is_not_there(server: ApiServer, tmp_path: Path) -> None:
    path = server.write_kubeconfig(tmp_path / "kubeconfig")
    server.go_away()
    assert "no connection" in str(complaint(path, get_web))


def test_an_object_that_is_refused_is_a_config_error(server: ApiServer, tmp_path: Path) -> None:
    path = server.write_kubeconfig(tmp_path / "kubeconfig")
    bad = {"metadata": {"name": "web"}, "status": {"loadBalancer": {"ingress": [{"ip": "no address"}]}}}
    error = complaint(path, lambda client: client.apply(SERVICES, "default", bad, subresource="status"))
    assert isinstance(error, ConfigError)
    assert ObjectRef("Service", "default", "web") == error.finding.subject
    assert "status.loadBalancer.ingress[0].ip" in error.finding.problem


# Writing


def test_a_status_is_applied_and_another_appliers_is_left_alone(server: ApiServer, tmp_path: Path) -> None:
    path = server.write_kubeconfig(tmp_path / "kubeconfig")

    async def applied(client: KubeClient) -> None:
        await client.apply(SERVICES, "default", STATUS, subresource="status")
        other = {"metadata": {"name": "web"}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}}}
        rival = KubeClient(path, field_manager="rival")
        try:
            with pytest.raises(RequestError, match="leave these fields to netlb-test") as caught:
                await rival.apply(SERVICES, "default", other, subresource="status")
            assert (409, frozenset({"netlb-test"})) == (caught.value.status, caught.value.owners)
            await rival.apply(SERVICES, "default", other, subresource="status", force=True)
        finally:
            await rival.close()

    ask(path, applied)
    stored = server.get("services", "web", "default")
    assert stored
    assert [{"ip": "192.0.2.2", "ipMode": "VIP"}] == stored["status"]["loadBalancer"]["ingress"]
    assert {"port": 80, "protocol": "TCP"} == stored["spec"]["ports"][0]


def test_an_apply_can_demand_a_version(server: ApiServer, tmp_path: Path) -> None:
    path = server.write_kubeconfig(tmp_path / "kubeconfig")
    old = {**STATUS, "metadata": {"name": "web", "resourceVersion": "1"}}
    error = complaint(path, lambda client: client.apply(SERVICES, "default", old, subresource="status"))
    assert isinstance(error, RequestError)
    assert (409, frozenset()) == (error.status, error.owners)


def test_deleting_what_is_not_there_or_is_another_one(server: ApiServer, tmp_path: Path) -> None:
    path = server.write_kubeconfig(tmp_path / "kubeconfig")

    async def deleted(client: KubeClient) -> None:
        with pytest.raises(RequestError, match="409"):
            await client.delete(SERVICES, "default", "web", uid="another")
        await client.delete(SERVICES, "default", "web", uid=(await get_web(client))["metadata"]["uid"])
        await client.delete(SERVICES, "default", "web")

    ask(path, deleted)
    assert server.get("services", "web", "default") is None


def test_events_are_created(server: ApiServer, tmp_path: Path) -> None:
    body = event_body(
        ObjectRef("Service", "default", "web"),
        Occurrence(EventReason.IP_ALLOCATED, "Allocate", "x" * 5000),
        api_version="v1",
        uid="u",
        reporter="netlb.io/controller",
        instance="pod",
        when=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    )
    ask(server.write_kubeconfig(tmp_path / "kubeconfig"), lambda client: client.create(EVENTS, "default", body))
    ((name, stored),) = server.all("events.events.k8s.io").items()
    assert name.name.startswith("web.")
    assert "2026-01-02T03:04:05.000006Z" == stored["eventTime"]
    assert 1024 == len(stored["note"])


# Reading


def test_pages_and_watches(server: ApiServer, tmp_path: Path) -> None:
    server.put({"apiVersion": "v1", "kind": "Service", **WEB, "metadata": {"name": "two"}})

    async def read(client: KubeClient) -> list[str]:
        first = await client.list_page(SERVICES, List(1))
        second = await client.list_page(SERVICES, List(1, first.continue_token))
        names = [item["metadata"]["name"] for item in (*first.items, *second.items)]
        assert ("", first.resource_version) == (second.continue_token, second.resource_version)
        async with client.watch(SERVICES, Watch(first.resource_version, 5), labels="x=1") as batches:
            noted = {"name": "web", "labels": {"x": "1"}, "annotations": {"a": "line\u0085line\u2028line"}}
            server.put({"apiVersion": "v1", "kind": "Service", **WEB, "metadata": noted})
            async for batch in batches:
                ((kind, body),) = batch
                assert ("ADDED", noted["annotations"]) == (kind, body["metadata"]["annotations"])
                break
        return names

    assert ["two", "web"] == ask(server.write_kubeconfig(tmp_path / "kubeconfig"), read)
    (watch,) = server.seen("watch")
    assert {"allowWatchBookmarks": "true", "labelSelector": "x=1", "timeoutSeconds": "5", "watch": "true"}.items() <= (
        watch.query.items()
    )


def test_a_caller_that_fails_inside_a_watch_fails_as_itself(server: ApiServer, tmp_path: Path) -> None:
    async def read(client: KubeClient) -> None:
        async with client.watch(SERVICES, Watch(str(server.revision), 5)):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ask(server.write_kubeconfig(tmp_path / "kubeconfig"), read)
