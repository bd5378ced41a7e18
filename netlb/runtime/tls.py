"""Certificates of a server, read from files that somebody renews."""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

from netlb.errors import SettingError

__all__ = ["Certificate"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A directory as a Secret of type kubernetes.io/tls is mounted: `tls.crt`, with its chain, and `tls.key`.

    With `client_ca`, a file of certificates, only clients whose certificate one of these signed may speak.
    """

    directory: Path
    client_ca: Path | None = None

    def context(self, setting: str) -> ssl.SSLContext:
        """Return a context for a server. SettingError names the setting, and what cannot be read."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._load(context)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            problem = f"the certificate in {self.directory} cannot be used: {error}"
            raise SettingError(setting, problem, "put tls.crt and tls.key there, readable for this process") from error
        return context

    async def follow(self, context: ssl.SSLContext, seconds: float) -> None:
        """Use a renewed certificate for new connections; one that cannot be read yet is left for the next look."""
        seen = self._stamp()
        while True:
            await asyncio.sleep(seconds)
            if (now := self._stamp()) != seen:
                try:
                    self._load(context)
                except (OSError, ssl.SSLError):
                    continue
                seen = now

    def _load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self.directory / "tls.crt", self.directory / "tls.key")

    def _stamp(self) -> tuple[int, ...]:
        try:
            stats = [(self.directory / name).stat() for name in ("tls.crt", "tls.key")]
        except OSError:
            return ()
        return tuple(value for stat in stats for value in (stat.st_ino, stat.st_mtime_ns))
