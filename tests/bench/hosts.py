"""Hosts of the benchmark: network namespaces, what runs in them, what it costs."""
import contextlib
import os
import signal
import subprocess
import sys
import time

SERVER, CLIENT = "10.78.0.1", "10.78.0.2"
PAGES_MIB = 1000  # written before a command that writes: a tree, and what it is made from


def sh(*args, **kw):
    return subprocess.run([str(a) for a in args], check=True, **kw)


def text_of(*args):
    return sh(*args, stdout=subprocess.PIPE, text=True).stdout


def wait_for(what, until=30):
    end = time.monotonic() + until
    while not what():
        if time.monotonic() > end:
            sys.exit("bench: a server did not start")
        time.sleep(0.02)


def machine():
    with open("/proc/cpuinfo") as f:
        model = next((x.split(":")[1].strip() for x in f if x.startswith("model name")), "?")
    return f"{os.cpu_count()} processors ({model}), Linux {os.uname().release}, TCP reno"


class Host:
    """A network namespace and what is started in it."""

    def __init__(self, name):
        self.name = f"pecia-bench-{os.getpid()}-{name}"
        self.started = []
        sh("ip", "netns", "add", self.name)
        sh("ip", "-n", self.name, "link", "set", "lo", "up")
        # Nothing is lost here, so cubic would do the same; what paces by estimates (bbr) does
        # something else each time.
        sh(*self.command("sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno"))

    def command(self, *args):
        return ["ip", "netns", "exec", self.name, *map(str, args)]

    def start(self, log, *args, **kw):
        with open(log, "w") as out:
            child = subprocess.Popen(self.command(*args), stdout=out, stderr=subprocess.STDOUT,
                                     stdin=subprocess.DEVNULL, **kw)
        self.started.append(child)
        return child

    def address(self, device, address):
        sh("ip", "-n", self.name, "addr", "add", address, "dev", device)
        sh("ip", "-n", self.name, "link", "set", device, "up")

    def counter(self, device, which):
        return int(text_of(*self.command(
            "cat", f"/sys/class/net/{device}/statistics/{which}_bytes")))

    def stop(self):
        for child in self.started:
            child.send_signal(signal.SIGTERM)
        for child in self.started:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.started = []

    def end(self):
        self.stop()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def join_by_cable(server, client):
    """eth0 of both."""
    sh("ip", "-n", server.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0",
       "netns", client.name)
    server.address("eth0", f"{SERVER}/24")
    client.address("eth0", f"{CLIENT}/24")
    return "eth0"


def join_by_line(build, work, server, client, round_trip_ms):
    """A line of that round trip, in place of the cable."""
    sh("ip", "-n", server.name, "link", "del", "eth0")
    log = f"{work}/line.log"
    # It runs when a packet is due, whoever else would: a real line does not wait for its turn.
    line = subprocess.Popen(
        ["chrt", "-f", "10", f"{build}/tool_wanem", "--delay", str(round_trip_ms * 500), "--gso", "--rate", "0",
         "--queue", "67108864", server.name, client.name, "line"],
        stdout=open(log, "w"), stderr=subprocess.STDOUT)
    server.started.append(line)
    wait_for(lambda: "ready" in open(log).read())
    server.address("line", f"{SERVER}/24")
    client.address("line", f"{CLIENT}/24")
    return "line"


def descendants(pid):
    found = [pid]
    for p in found:
        try:
            with open(f"/proc/{p}/task/{p}/children") as f:
                found += map(int, f.read().split())
        except OSError:
            pass
    return found


def peak_of_tree(pid):
    """The largest VmHWM of a process and its descendants, in bytes."""
    peak = 0
    for p in descendants(pid):
        try:
            with open(f"/proc/{p}/status") as f:
                peak = max([peak] + [int(line.split()[1]) * 1024 for line in f
                                     if line.startswith("VmHWM")])
        except OSError:
            pass
    return peak


class Disk:
    """A fresh ext4: what was there before, or its removal, costs nothing here.  (After many files
    were removed, ext4 makes new ones slowly for minutes; a machine's own disk may bring what was
    never read before from far away.)  Not cached twice."""

    def __init__(self, work, inodes, block_bytes):
        self.image, self.path = f"{work}/image", f"{work}/disk"
        os.mkdir(self.path)
        with open(self.image, "wb") as f:
            f.truncate(60 << 30)
        sh("mkfs.ext4", "-q", "-F", "-N", inodes, "-m", "0", "-b", block_bytes,
           "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        self.device = text_of("losetup", "--find", "--show", self.image).strip()
        # A file system in memory has no such thing.
        subprocess.run(["losetup", "--direct-io=on", self.device], stderr=subprocess.DEVNULL,
                       check=False)
        sh("mount", "-o", "noatime", self.device, self.path)

    def end(self):
        sh("umount", self.path)
        sh("losetup", "--detach", self.device)
        os.rmdir(self.path)
        os.unlink(self.image)


class Meter:
    """Runs commands on the client and says what they cost."""

    def __init__(self, build, work, server, client):
        self.build, self.work = build, work
        self.server, self.client = server, client
        self.device = join_by_cable(server, client)

    def slow_down(self, round_trip_ms):
        self.device = join_by_line(self.build, self.work, self.server, self.client, round_trip_ms)

    def speed_up(self):
        line = self.server.started.pop()
        line.terminate()
        line.wait()
        self.device = join_by_cable(self.server, self.client)

    def pull(self, args, synced):
        return self.run(self.client, args, synced, True)

    def look(self, args, synced):
        """What writes next to nothing."""
        return self.run(self.client, args, synced, False)

    def publish(self, args):
        """On the server's side; not synced: nobody's publishing is timed with a sync but ours,
        which is not done before it has synced."""
        return self.run(self.server, args, True, True)

    def run(self, host, args, synced, writes):
        os.sync()  # nobody pays for what another left
        if writes:
            touch_pages(self.work)
        before = [self.client.counter(self.device, w) for w in ("rx", "tx")]
        start = time.monotonic()
        sh(*host.command(f"{self.build}/tool_measure", f"{self.work}/usage", *args),
           stdout=subprocess.DEVNULL, stderr=open(f"{self.work}/stderr", "w"))
        if not synced:
            os.sync()
        wall = time.monotonic() - start
        with open(f"{self.work}/usage") as f:
            _, cpu, peak, status = f.read().split()
        if status != "0":
            with open(f"{self.work}/stderr") as f:
                sys.exit(f"bench: {' '.join(map(str, args))}: exit status {status}\n{f.read()}")
        down, up = (self.client.counter(self.device, w) - b
                    for w, b in zip(("rx", "tx"), before))
        return {"wall": wall, "cpu": float(cpu), "peak": int(peak), "down": down, "up": up}


def look_at(tree, files):
    """Warms a client's tree, as far as an update reads it: all names, and the content of some."""
    if not os.path.isdir(tree):
        return
    subprocess.run(["find", tree, "-size", "-1"], stdout=subprocess.DEVNULL, check=True)
    for path in files:
        with contextlib.suppress(FileNotFoundError), open(f"{tree}/{path}", "rb") as f:
            while f.read(1 << 20):
                pass


def forget_inodes():
    """Who looks at names then reads the disk's tables of inodes, too: these are evicted when they
    are idle, while the inodes made from them stay, and whoever changes an inode needs them."""
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("2\n")


def warm(*trees):
    """Idle page cache is evicted: before the clock runs."""
    for tree in filter(os.path.exists, trees):
        subprocess.run(f"tar -P -cf - '{tree}' | cat >/dev/null", shell=True, check=True)


def touch_pages(directory):
    """Memory that a virtual machine has not used for a while costs a fault of its host a page: so
    that it is not the first writer who pays, as many pages as a tree needs are written and let
    go.  By the page cache, as they are wanted: what a process frees does not come back first."""
    path = f"{directory}/pages"
    block = bytes(1 << 20)
    with open(path, "wb", buffering=0) as f:
        for _ in range(PAGES_MIB):
            f.write(block)
    os.unlink(path)
