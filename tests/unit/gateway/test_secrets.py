"""The secret that all endpoints share, as its file changes."""

from pathlib import Path
from typing import Any, cast

from structlog.testing import capture_logs

from netlb.raven.keys import Keys, PrivateKey, SharedKey
from netlb.runtime.log import get_logger
from netlb_gateway.carrier import Carrier
from netlb_gateway.secrets import SharedSecret

OWN = PrivateKey.of(bytes(range(32)))


class Rekeyed:
    """Stands for the carrier."""

    def __init__(self) -> None:
        self.used: list[bytes] = []

    def rekeyed(self, keys: Keys) -> None:
        assert keys.shared is not None
        assert OWN == keys.private
        self.used.append(keys.shared.text)


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_what_changes_is_used_once_and_what_cannot_be_read_changes_nothing_and_is_told_once(tmp_path: Path) -> None:
    path, carrier = tmp_path / "secret", Rekeyed()
    write(path, "first\n")
    secret = SharedSecret(path, Keys(OWN, SharedKey(b"first")), cast(Carrier, carrier), get_logger("test"))
    with capture_logs() as logs:
        secret.look()
        assert [] == carrier.used
        write(path, "second\n")
        secret.look()
        secret.look()
        assert [b"second"] == carrier.used
        for text, mode in (("third", 0o644), ("", 0o600)):
            write(path, text, mode)
            secret.look()
            secret.look()
        path.unlink()
        secret.look()
        assert [b"second"] == carrier.used
        write(path, "first\n")
        secret.look()
        assert [b"second", b"first"] == carrier.used

    def told(event: str) -> list[dict[str, Any]]:
        return [dict(one) for one in logs if one["event"] == event]

    assert 2 == len(told("shared secret changed"))
    assert 3 == len(told("shared secret not read, the last one stays"))
    assert not any(text in str(logs) for text in ("third", "second")), "no secret is told"
