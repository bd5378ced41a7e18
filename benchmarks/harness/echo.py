"""Answer every datagram to an address with the same datagram and a name behind it.

Run with `python -I -S` inside a node that has the address: ADDRESS PORT NAME. Prints "ready".
"""

import socket
import sys

__all__: list[str] = []

if __name__ == "__main__":
    address, port, name = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind((address, int(port)))
        print("ready", flush=True)
        while True:
            datagram, client = opened.recvfrom(2048)
            opened.sendto(datagram + name.encode(), client)
