"""The HTTP server of a pod: answers every GET with who it is and whom it sees, as one line of JSON.

Run as a program, with `python -I -S`, on a listening socket that it inherits: connections that come before
it is ready wait in the socket's queue, so nobody needs to wait for it.
"""

import json
import socket
import socketserver
import sys

__all__: list[str] = []


class _Exchange(socketserver.StreamRequestHandler):
    """One connection, one answer."""

    timeout = 5.0
    server: "_Server"

    def handle(self) -> None:
        try:
            while self.rfile.readline(4096).strip():  # the request line and the headers, up to the empty line
                pass
        except (TimeoutError, ConnectionError):
            return
        client = self.client_address[0].removeprefix("::ffff:")
        body = json.dumps({**self.server.identity, "client": client}).encode() + b"\n"
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.wfile.write(head.encode() + body)


class _Server(socketserver.ThreadingTCPServer):
    """Serves a socket that listens already."""

    address_family = socket.AF_INET6
    daemon_threads = True

    def __init__(self, listening: socket.socket, identity: dict[str, str]) -> None:
        super().__init__(("::", 0), _Exchange, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.identity = identity


def main(descriptor: int, pod: str, node: str) -> None:
    """Serve until killed."""
    _Server(socket.socket(fileno=descriptor), {"pod": pod, "node": node}).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
