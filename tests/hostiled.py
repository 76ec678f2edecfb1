#!/usr/bin/env python3
"""An HTTPS server that serves a repository and does as its rules say, wrong.

usage: hostiled.py --identity DIR --repo DIR [--client CERT.pem]
                   [--listen ADDRESS:PORT] [--other DIR] RULES LOG

Prints "ready ADDRESS:PORT" and ends when its standard input closes.  RULES is
read again at each request: lines "PREFIX ACTION...", the first one whose PREFIX
begins the request's path counts; no rule: as an honest server.  LOG gets a line
a request: "GET PATH", with " from=N" when only the rest was asked for, and
" certificate" when the client showed its own (CERT.pem says which one that is).
Actions:

  file=PATH      that file's bytes
  status=N       that status with a short text
  redirect=URL   302
  flip[=N]       a bit in byte N (half way) is another
  append=N       N bytes more, Content-Length says so
  cut=N          true Content-Length, N bytes, then the end
  stall=N        true Content-Length, N bytes, then nothing
  hold=N         true Content-Length, N bytes, the rest when RULES says so no more
  late=N         N seconds before it says anything
  drip           true Content-Length, a byte a second
  long=N short=N Content-Length says N more or less than there is
  unsized        no Content-Length, the end says it
  endless        a chunked body without an end
  raw=HEX        these bytes for the whole answer
  noise          random bytes for the whole answer
  header=N       N bytes of header
  rate=N         N bytes a second
  once           this rule counts for one request only
  switch         from then on new connections get the identity of --other
  last           the server ends with this answer

Actions for /v1/objects, of each object (with /v1/objects/ it is for those that are
asked for by number, which are not answered without a rule that has "numbers"):

  frame=PATH     that file's bytes for its frame
  lacks          says that it is not there
  swap           in the other order
  fewer          the last one is left out
  more           the first one again behind the last
  huge           a length of 2^62
"""
import argparse
import gzip
import os
import socket
import ssl
import sys
import threading
import time

ABSENT = (1 << 64) - 1


SPENT = set()


def rule_for(args, path):
    with open(args.rules, encoding="ascii") as rules:
        for line in rules:
            words = line.split()
            if words and path.startswith(words[0]) and line not in SPENT:
                if "once" in words:
                    SPENT.add(line)
                return dict((word.partition("=")[0], word.partition("=")[2])
                            for word in words[1:])
    return {}


def read_file(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def numbers_of(body):
    """Those of runs that are passed over and taken, by turns."""
    values, value, shift = [], 0, 0
    for byte in body:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value)
            value = shift = 0
    at = 0
    for gap, count in zip(values[::2], values[1::2]):
        yield from range(at + gap, at + gap + count)
        at += gap + count


def files_of(args, manifest):
    """The digests of a manifest's regular files, in its order."""
    path = os.path.join(args.repo, "v1/manifest", manifest)
    with gzip.open(path, "rt", encoding="latin-1") as lines:
        return [bytes.fromhex(line.split(" ")[6]) for line in lines if line.startswith("f ")]


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def frames(args, rule, path, body):
    manifest = path.removeprefix("/v1/objects").lstrip("/")
    if manifest:
        files = files_of(args, manifest)
        wanted = [files[number] for number in numbers_of(body)]
    else:
        wanted = [body[at:at + 32] for at in range(0, len(body), 32)]
    if "swap" in rule:
        wanted.reverse()
    if "fewer" in rule:
        wanted.pop()
    if "more" in rule:
        wanted.append(wanted[0])
    out = []
    for digest in wanted:
        name = digest.hex()
        frame = read_file(os.path.join(args.repo, "v1/object", name[:2], name))
        if "frame" in rule:
            frame = read_file(rule["frame"])
        size = ABSENT if frame is None or "lacks" in rule else len(frame)
        said = 1 << 62 if "huge" in rule else size
        if manifest:
            out.append(varint((said + 1) & ABSENT))
        else:
            out.append(digest + said.to_bytes(8, "big"))
        if size != ABSENT:
            out.append(frame)
    return b"".join(out)


class Connection:
    def __init__(self, args, tls):
        self.args, self.tls, self.pending, self.start = args, tls, b"", 0
        self.certificate = tls.getpeercert(binary_form=True)

    def read_request(self):
        while b"\r\n\r\n" not in self.pending:
            more = self.tls.recv(65536)
            if not more:
                return None
            self.pending += more
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields = {line.split(":")[0].lower(): line.split(":", 1)[1].strip()
                  for line in lines[1:]}
        length = int(fields.get("content-length", 0))
        while len(self.pending) < length:
            self.pending += self.tls.recv(65536)
        body, self.pending = self.pending[:length], self.pending[length:]
        return method, target.split("?")[0], fields, body

    def content(self, rule, method, path, body):
        if "status" in rule:
            return int(rule["status"]), b"as it was told to\n"
        if "redirect" in rule:
            return 302, b""
        if method == "POST":
            data = frames(self.args, rule, path, body)
        elif "file" in rule:
            data = read_file(rule["file"])
        else:
            data = read_file(self.args.repo + path)
        if data is None:
            return 404, b"not here\n"
        if "flip" in rule:
            at = int(rule["flip"] or len(data) // 2)
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        if "append" in rule:
            data += bytes(int(rule["append"]))
        if self.start:
            return (206, data[self.start:]) if self.start < len(data) else (416, b"")
        return 200, data

    def send_head(self, status, rule, length):
        head = f"HTTP/1.1 {status} Said\r\n"
        if "redirect" in rule:
            head += f"Location: {rule['redirect']}\r\n"
        if "header" in rule:
            head += "X-Long: " + "x" * int(rule["header"]) + "\r\n"
        if status == 206:
            end = self.start + length
            head += f"Content-Range: bytes {self.start}-{end - 1}/{end}\r\n"
        if "endless" in rule:
            head += "Transfer-Encoding: chunked\r\n"
        elif "unsized" not in rule:
            length += int(rule.get("long", 0)) - int(rule.get("short", 0))
            head += f"Content-Length: {length}\r\n"
        self.tls.sendall((head + "\r\n").encode())

    def send_endless(self):
        block = b"10000\r\n" + bytes(65536) + b"\r\n"
        while True:
            self.tls.sendall(block)

    def wait_for_rules(self, path):
        while "hold" in rule_for(self.args, path):
            time.sleep(0.02)

    def wait_for_end(self):
        while self.tls.recv(65536):
            pass

    def answer(self, method, path, body):
        """Whether the connection goes on."""
        rule = rule_for(self.args, path)
        if path.startswith("/v1/objects/") and "numbers" not in rule:
            self.send_head(404, {}, 0)
            return True
        time.sleep(int(rule.get("late", 0)))
        if "raw" in rule or "noise" in rule:
            self.tls.sendall(bytes.fromhex(rule["raw"]) if "raw" in rule
                             else os.urandom(5000))
            return False
        status, data = self.content(rule, method, path, body)
        self.send_head(status, rule, len(data))
        if "endless" in rule:
            self.send_endless()
        if "drip" in rule:
            for at in range(len(data)):
                self.tls.sendall(data[at:at + 1])
                time.sleep(1)
        if "cut" in rule or "stall" in rule:
            data = data[:int(rule.get("cut") or rule.get("stall"))]
        if "hold" in rule:
            at = int(rule["hold"])
            self.tls.sendall(data[:at])
            self.wait_for_rules(path)
            data = data[at:]
        self.send_data(rule, data)
        if "stall" in rule:
            self.wait_for_end()
        if "switch" in rule:
            self.args.switched = True
        if "last" in rule:
            os._exit(0)
        return not rule.keys() & {"cut", "long", "short", "unsized", "stall"}

    def send_data(self, rule, data):
        if "rate" not in rule:
            self.tls.sendall(data)
            return
        for at in range(0, len(data), 4096):
            self.tls.sendall(data[at:at + 4096])
            time.sleep(4096 / int(rule["rate"]))

    def log(self, method, path):
        with open(self.args.log, "a", encoding="ascii") as log:
            shown = " certificate" if self.certificate else ""
            start = f" from={self.start}" if self.start else ""
            log.write(f"{method} {path}{start}{shown}\n")

    def serve(self):
        while True:
            request = self.read_request()
            if request is None:
                return
            method, path, fields, body = request
            wanted = fields.get("range", "bytes=0-")
            self.start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.log(method, path)
            if not self.answer(method, path, body):
                return


def serve(args, contexts, plain):
    try:
        context = contexts[1 if args.switched else 0]
        with context.wrap_socket(plain, server_side=True) as tls:
            Connection(args, tls).serve()
    except (OSError, ValueError):
        pass
    finally:
        plain.close()


def accept_all(args, contexts, listener):
    while True:
        plain, _ = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(args, contexts, plain), daemon=True).start()


def context_of(args, identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(identity + "/cert.pem", identity + "/key.pem")
    if args.client:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(args.client)
    return context


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--identity", required=True)
    parser.add_argument("--other")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--client")
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("rules")
    parser.add_argument("log")
    args = parser.parse_args()
    args.switched = False
    contexts = [context_of(args, identity)
                for identity in (args.identity, args.other or args.identity)]
    host, _, port = args.listen.rpartition(":")
    listener = socket.create_server((host, int(port)), backlog=64)
    threading.Thread(target=accept_all, args=(args, contexts, listener), daemon=True).start()
    print(f"ready {host}:{listener.getsockname()[1]}", flush=True)
    sys.stdin.read()


main()
