#!/usr/bin/env python3
"""GETs a path over TLS while a folder lacks the file `go`: slowly, then as fast as
it comes.  Writes `begun` there once the first bytes are read.

    slow_get.py HOST:PORT PATH FOLDER      prints "KEY BYTES SHA256"

KEY is the server's (sha256:..., of its public key)."""

import hashlib
import os
import socket
import ssl
import subprocess
import sys
import time

PIECE = 2048
PAUSE_S = 0.05


def key_of(der):
    spki = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-pubkey", "-noout"],
        input=der, capture_output=True, check=True).stdout
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"],
        input=spki, capture_output=True, check=True).stdout
    return "sha256:" + hashlib.sha256(der).hexdigest()


def main(address, path, folder):
    host, port = address.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.socket()
    # As little as possible is on its way when the server is told to reload.
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(30)
    plain.connect((host, int(port)))
    with context.wrap_socket(plain) as server:
        server.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
        head, size, digest = b"", 0, hashlib.sha256()
        while b"\r\n\r\n" not in head:
            head += server.recv(1)
        if b" 200 " not in head.split(b"\r\n")[0]:
            sys.exit(f"{path}: {head.decode()}")
        while True:
            piece = server.recv(PIECE)
            if not piece:
                break
            size += len(piece)
            digest.update(piece)
            if size <= PIECE:
                open(os.path.join(folder, "begun"), "w", encoding="utf-8").close()
            if not os.path.exists(os.path.join(folder, "go")):
                time.sleep(PAUSE_S)
        print(key_of(server.getpeercert(True)), size, digest.hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
