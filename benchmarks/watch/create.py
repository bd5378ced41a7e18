"""Create Services one after the other, and ask the segment by ARP for the address of each until it is answered.

Run with `python -I -S` inside a client: INTERFACE MAC SOURCE HOST:PORT TOKEN. Prints "ready". Every line of its input
is [service, endpoints, address]; for each it prints one line: the time from before the Service is sent to the API
server until the kernel received the first answer, in ns, or null if there was none.
"""

import http.client
import json
import select
import socket
import struct
import sys
import time

__all__: list[str] = []

_ETH_P_ARP = 0x0806
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
_ARP = struct.pack("!HHBB", 1, 0x0800, 6, 4)
_INTERVAL = 0.001  # seconds between two questions
_PATIENCE = 10.0


def main(interface: str, mac: str, source: str, server: str, token: str) -> None:
    """Do so until the input ends."""
    station = bytes.fromhex(mac.replace(":", ""))
    api = http.client.HTTPConnection(server, timeout=_PATIENCE)
    api.connect()
    api.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(path: str, body: object) -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        api.request("POST", path, json.dumps(body), headers)
        response = api.getresponse()
        said = response.read()
        if response.status != 201:
            raise SystemExit(said.decode())

    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as opened:
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.bind((interface, _ETH_P_ARP))
        opened.setblocking(False)
        print("ready", flush=True)
        for line in sys.stdin:
            service, endpoints, address = json.loads(line)
            namespace = service["metadata"]["namespace"]
            post(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", endpoints)
            begin = time.time_ns()  # the kernel stamps frames with the time of day
            post(f"/api/v1/namespaces/{namespace}/services", service)
            when = _asked(opened, station, socket.inet_aton(source), socket.inet_aton(address))
            print(json.dumps(None if when is None else when - begin), flush=True)


def _asked(opened: socket.socket, station: bytes, source: bytes, asked: bytes) -> int | None:
    """Ask until it is answered; return when."""
    question = b"\xff" * 6 + station + struct.pack("!H", _ETH_P_ARP) + _ARP + b"\x00\x01" + station
    question += source + bytes(6) + asked
    due = time.monotonic()
    end = due + _PATIENCE
    while (now := time.monotonic()) < end:
        if now >= due:
            opened.send(question)
            due = now + _INTERVAL
        select.select([opened], [], [], max(0.0, due - now))
        while True:
            try:
                frame, ancillary, _, _ = opened.recvmsg(256, 64)
            except BlockingIOError:
                break
            if frame[:6] == station and frame[14:22] == _ARP + b"\x00\x02" and frame[28:32] == asked:
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                return int(seconds * 1_000_000_000 + nanoseconds)
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
