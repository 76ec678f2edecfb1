#!/usr/bin/env python3
"""A DNS server that does what its rules say, right or wrong.

usage: dnsd.py [--address ADDR] [--port PORT] RULES LOG

Serves UDP and TCP on one port (0: any free one), prints "ready PORT" when both
are open, and ends when its standard input closes.  Every query becomes one
line of LOG: "udp NAME TYPE".

A rule is a line "NAME TYPE ACTION...".  NAME may start with "*.", TYPE may be
"*"; the first rule that matches counts; no rule: REFUSED.  Actions:

  nxdomain servfail refused rcode=N nodata    that answer
  a=ADDR aaaa=ADDR cname=NAME srv=P,W,PORT,TARGET   records, owned by NAME
  own=NAME              records that follow are owned by NAME instead
  raw=TYPE,HEX          a record of that type with these bytes
  many=N                N address records, 10.0.x.y
  lame                  no data, neither authoritative nor recursive
  delay=MS              answer later
  drop                  no answer over UDP
  tc                    over UDP an empty, truncated answer
  mute                  over TCP accept and read, then say nothing
  cut                   over TCP close after half of the answer
  stale                 a wrong id and a wrong question come before the answer
  wrongid wrongname     only that
  garbage               right id and question, then random bytes
  loop                  an owner name that points at itself
  counts                65535 answers announced, those given sent
  chop=N                without the last N bytes
"""
import os
import random
import selectors
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "CNAME": 5, "AAAA": 28, "SRV": 33}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = {"servfail": 2, "nxdomain": 3, "refused": 5}


def wire(name):
    labels = [part.encode() for part in name.rstrip(".").split(".") if part]
    return b"".join(bytes([len(part)]) + part for part in labels) + b"\0"


def record(owner, kind, data):
    return wire(owner) + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def rdata(action, value):
    if action == "a":
        return TYPES["A"], socket.inet_pton(socket.AF_INET, value)
    if action == "aaaa":
        return TYPES["AAAA"], socket.inet_pton(socket.AF_INET6, value)
    if action == "cname":
        return TYPES["CNAME"], wire(value)
    if action == "srv":
        priority, weight, port, target = value.split(",")
        head = struct.pack("!HHH", int(priority), int(weight), int(port))
        return TYPES["SRV"], head + wire(target)
    if action == "raw":
        kind, data = value.split(",")
        return int(kind), bytes.fromhex(data)
    return None


def parse_question(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    kind = struct.unpack("!H", query[at + 1:at + 3])[0]
    return ".".join(labels).lower(), kind, query[12:at + 5]


def load(path):
    with open(path, encoding="ascii") as rules:
        lines = [line.split("#")[0].split() for line in rules]
    return [(line[0].lower(), line[1], line[2:]) for line in lines if line]


def find(rules, name, kind):
    for pattern, wanted, actions in rules:
        named = pattern == name or (
            pattern.startswith("*.") and name.endswith(pattern[1:]))
        if named and wanted in ("*", NAMES.get(kind)):
            return actions
    return ["refused"]


def answer(query, name, question, actions, udp):
    """The messages to send for one query, or nothing."""
    flags, owner, records, count = 0x8180, name, b"", 0
    for action in actions:
        key, _, value = action.partition("=")
        if key in RCODES or key == "rcode":
            flags |= RCODES.get(key) or int(value)
        elif key == "own":
            owner = value
        elif key == "many":
            for i in range(int(value)):
                address = bytes([10, 0, i >> 8, i & 255])
                records += record(owner, 1, address)
            count += int(value)
        elif rdata(key, value):
            records += record(owner, *rdata(key, value))
            count += 1
            if key == "cname":
                owner = value
    ident = query[:2]
    if "lame" in actions:
        flags = 0x8000
    if "counts" in actions:
        count = 65535
    if "loop" in actions:
        records = struct.pack("!HHHIH", 0xc000 | (12 + len(question)), 1, 1,
                              60, 4) + b"\x0a\0\0\1"
        count = 1
    if udp and "tc" in actions:
        flags, records, count = flags | 0x200, b"", 0

    def message(number, asked):
        return number + struct.pack("!HHHHH", flags, 1, count, 0, 0) + \
            asked + records

    good = message(ident, question)
    other_id = bytes([ident[0] ^ 1]) + ident[1:]
    wrong_id = message(other_id, question)
    wrong_name = message(ident, wire("www." + name) + question[-4:])
    if "wrongid" in actions:
        return [wrong_id]
    if "wrongname" in actions:
        return [wrong_name]
    if "stale" in actions:
        return [b"", b"\0", wrong_id, wrong_name, query, good]
    if "garbage" in actions:
        return [ident + b"\x81\x80\0\1\0\x09\0\0\0\0" + question +
                random.randbytes(60)]
    for action in actions:
        if action.startswith("chop="):
            good = good[:-int(action[5:])]
    return [good]


class Server:
    def __init__(self, rules, log):
        self.rules, self.log, self.lock = rules, log, threading.Lock()

    def record(self, how, query):
        name, kind, _ = parse_question(query)
        with self.lock:
            self.log.write(f"{how} {name} {NAMES.get(kind, kind)}\n")
            self.log.flush()

    def handle(self, how, query, send, end):
        name, kind, question = parse_question(query)
        actions = find(self.rules, name, kind)
        for action in actions:
            if action.startswith("delay="):
                time.sleep(int(action[6:]) / 1000)
        if "drop" in actions and how == "udp":
            return
        if "mute" in actions and how == "tcp":
            end()
            return
        for data in answer(query, name, question, actions, how == "udp"):
            send(data, actions)

    def udp(self, sock):
        query, peer = sock.recvfrom(65535)
        if len(query) < 17:
            return
        # Here, so that the log has the order of arrival.
        self.record("udp", query)
        threading.Thread(daemon=True, target=self.handle, args=(
            "udp", query, lambda data, _: sock.sendto(data, peer),
            None)).start()

    def tcp(self, listener):
        conn, _ = listener.accept()
        threading.Thread(daemon=True, target=self.connection,
                         args=(conn,)).start()

    def connection(self, conn):
        def send(data, actions):
            whole = struct.pack("!H", len(data)) + data
            conn.sendall(whole[:len(whole) // 2] if "cut" in actions
                         else whole)

        with conn:
            size = struct.unpack("!H", conn.recv(2, socket.MSG_WAITALL))[0]
            query = conn.recv(size, socket.MSG_WAITALL)
            self.record("tcp", query)
            self.handle("tcp", query, send, lambda: conn.recv(1))


def listen(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(50):
        listener = socket.socket(family, socket.SOCK_STREAM)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        try:
            udp.bind((address, listener.getsockname()[1]))
        except OSError:
            if port:
                raise
            listener.close()
            udp.close()
            continue
        listener.listen(64)
        return listener, udp
    raise OSError("no port is free for both UDP and TCP")


def main():
    args, address, port = sys.argv[1:], "127.0.0.1", 0
    while args and args[0] in ("--address", "--port"):
        if args[0] == "--address":
            address = args[1]
        else:
            port = int(args[1])
        args = args[2:]
    if len(args) != 2:
        sys.exit(__doc__)
    with open(args[1], "a", encoding="ascii", errors="replace") as log:
        server = Server(load(args[0]), log)
        listener, udp = listen(address, port)
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ, server.tcp)
        selector.register(udp, selectors.EVENT_READ, server.udp)
        selector.register(sys.stdin, selectors.EVENT_READ, None)
        print("ready", udp.getsockname()[1], flush=True)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    os._exit(0)
                key.data(key.fileobj)


if __name__ == "__main__":
    main()
