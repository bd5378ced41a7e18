"""The double of the API server as a process of its own, with a whole cluster in it.

Run inside a host: DIRECTORY ADDRESS SERVICES. It listens at the address, writes DIRECTORY/kubeconfig and prints
"ready". Every line of its input is a JSON list of objects, which are created or replaced; it answers "done".
"""

import json
import socket
import sys
from pathlib import Path

from benchmarks.watch.objects import cluster
from netlb.testing.apiserver import ApiServer

__all__: list[str] = []

_CRDS = Path(__file__).parents[2] / "deploy" / "crds"
_BOOKMARKS = 60.0  # seconds: as often as the real one sends them


def main(directory: str, address: str, services: str) -> None:
    """Serve until the input ends."""

    def listening() -> socket.socket:
        return socket.create_server((address, server.port))

    with ApiServer(token="bench", bookmark_interval=_BOOKMARKS) as server:
        server.put_files(_CRDS)
        server.put(*cluster(int(services)))
        server.compact()
        server.listen_at(listening)
        path = server.write_kubeconfig(Path(directory, "kubeconfig"))
        path.write_text(path.read_text().replace("127.0.0.1", address))
        print("ready", flush=True)
        for line in sys.stdin:
            server.put(*json.loads(line))
            print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
