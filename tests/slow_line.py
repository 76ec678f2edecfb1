#!/usr/bin/env python3
"""A slow line to a server on loopback.

usage: slow_line.py PORT BYTES_PER_SECOND

Prints the port that it listens on, and passes connections on to PORT; what
comes back is held to that rate.
"""
import socket
import sys
import threading
import time

PIECE = 16384


def carry(source, target, rate):
    try:
        while data := source.recv(PIECE):
            target.sendall(data)
            if rate:
                time.sleep(len(data) / rate)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def main():
    port, rate = int(sys.argv[1]), int(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        near = listener.accept()[0]
        far = socket.create_connection(("127.0.0.1", port))
        for ends in ((near, far, 0), (far, near, rate)):
            threading.Thread(target=carry, args=ends, daemon=True).start()


main()
