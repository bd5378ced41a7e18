"""Where a gobgpd's API is, and how it is reached."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

__all__ = ["Target"]

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),  # one message has the paths of a whole table: 10 MB for 50,000
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),  # a channel that is made anew shares no back-off with an earlier one
    ("grpc.enable_http_proxy", 0),
    # No keepalive: gobgpd answers it with GOAWAY "too_many_pings", and the watch is torn.
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A gobgpd's API: a unix socket, or TCP with or without TLS.

    GoBGP's API has no authentication: whoever can connect can announce anything. A unix socket is protected by the
    permissions of its directory; TCP belongs on the loopback interface.
    """

    address: str
    """`unix:/run/gobgp/api.sock`, `127.0.0.1:50051` or `[::1]:50051`."""
    root_certificates: bytes | None = None
    """PEM of those who may have signed the server's certificate; None: no TLS."""
    server_name: str = ""
    """The name in the server's certificate, where it is not the address."""

    @classmethod
    def unix(cls, path: Path) -> "Target":
        """Return the API on a unix socket."""
        return cls(address=f"unix:{path.absolute()}")

    def channel(self) -> Any:
        """Open a grpc.aio channel, which belongs to the running event loop; it connects at the first call."""
        options = list(_OPTIONS)
        if self.root_certificates is None:
            return grpc.aio.insecure_channel(self.address, options=options)
        named = [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []
        credentials = grpc.ssl_channel_credentials(self.root_certificates)
        return grpc.aio.secure_channel(self.address, credentials, options=[*options, *named])
