"""Where a daemon listens: the setting, and the socket that comes of it."""

import socket
import stat
from pathlib import Path

import pytest

from netlb.errors import SettingError
from netlb.runtime.listen import Listen, TcpListen, UnixListen, bind, parse_listen, release


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("off", None),
        ("127.0.0.1:7481", TcpListen("127.0.0.1", 7481)),
        ("127.1.2.3:0", TcpListen("127.1.2.3", 0)),
        ("[::1]:65535", TcpListen("::1", 65535)),
        ("unix:/run/netlb/speaker.sock", UnixListen(Path("/run/netlb/speaker.sock"))),
    ],
)
def test_what_it_reads(text: str, listen: Listen | None) -> None:
    assert parse_listen(text) == listen
    assert listen is None or str(listen) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "on", "7481", ":7481", "127.0.0.1", "127.0.0.1:", "localhost:1", "unix:", "unix:relative.sock"),
        *("127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:\N{ARABIC-INDIC DIGIT THREE}"),
        *("::1:80", "[127.0.0.1]:80", "[::1"),
    ],
)
def test_what_it_refuses(text: str) -> None:
    with pytest.raises(SettingError, match=r"^--http: ") as caught:
        parse_listen(text)
    assert caught.value.remedy.startswith("write ")


@pytest.mark.parametrize("text", ["0.0.0.0:80", "192.0.2.1:80", "[::]:80", "[fe80::1]:80", "[::ffff:192.0.2.1]:80"])
def test_it_listens_to_nobody_outside_and_says_why(text: str) -> None:
    with pytest.raises(SettingError, match=r"nothing here asks who is calling.*proxy with authentication"):
        parse_listen(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_refused_with_a_remedy(host: str) -> None:
    with bind(TcpListen(host, 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(SettingError, match=r"Address already in use; another process listens there"):
            bind(TcpListen(host, port))


def test_only_the_owner_may_open_the_socket_file(tmp_path: Path) -> None:
    listen = UnixListen(tmp_path / "s")
    with bind(listen):
        assert stat.S_IMODE(listen.path.stat().st_mode) == 0o600
        release(listen)
    assert not listen.path.exists()


def test_the_socket_file_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    listen = UnixListen(tmp_path / "s")
    bind(listen).close()
    assert listen.path.is_socket()
    with bind(listen), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(listen.path))


def test_the_socket_of_a_living_process_is_refused(tmp_path: Path) -> None:
    listen = UnixListen(tmp_path / "s")
    with bind(listen):
        with pytest.raises(SettingError, match=r"another process listens there"):
            bind(listen)
        assert listen.path.is_socket()


def test_the_socket_of_a_living_process_whose_backlog_is_full_is_refused(tmp_path: Path) -> None:
    listen = UnixListen(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client:
        busy.bind(str(listen.path))
        busy.listen(0)
        client.connect(str(listen.path))
        with pytest.raises(SettingError, match=r"another process listens there"):
            bind(listen)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    listen = UnixListen(tmp_path / "precious")
    listen.path.write_text("data")
    with pytest.raises(SettingError, match=r"^--http: cannot listen on unix:"):
        bind(listen)
    assert listen.path.read_text() == "data"


@pytest.mark.parametrize("name", ["missing/s", "s" * 108])
def test_a_path_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match=r"^--http: cannot listen on unix:.*choose an address"):
        bind(UnixListen(tmp_path / name))
