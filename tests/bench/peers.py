"""What is measured: pecia, and what a user would pick instead.

Each peer can `publish` tree A and B (commands; the n-th time from nothing), `serve` them, `prepare` the n-th client and
give the commands of that client: `pull` (from nothing), `again` (nothing changed) and `update`
(from A to B).  `root(n)` is where the client's tree is afterwards.
"""
import contextlib
import os
import re
import shutil
import subprocess

from hosts import SERVER, sh, text_of, wait_for


def shell(script):
    return ["sh", "-ec", script]


class Peer:
    needs = ()
    synced = False       # its commands sync by themselves
    same = "-rlptgoHXA"  # what of a tree it keeps, in rsync's letters
    rounds = None        # fewer, for slow ones
    again_too = True

    def __init__(self, bench):
        self.bench = bench
        self.build, self.trees, self.server = bench.build, bench.trees, bench.server
        self.work = f"{bench.work}/{re.sub('[^a-z]+', '-', self.name)}"
        os.mkdir(self.work)

    @classmethod
    def missing(cls):
        return [tool for tool in cls.needs if not shutil.which(tool)]

    def root(self, n):
        return f"{self.work}/root{n}"

    def source(self, which):
        """The tree that the client's is to be like."""
        return self.trees[which]

    def stores(self, which):
        """What its server reads, or the client itself."""
        return [self.source(which)]

    def memory(self, n):
        """What the n-th client remembers beside its tree."""
        return []

    def prepare(self, n):
        os.mkdir(self.root(n))

    def publish(self, which, n):
        return None

    def republish(self, n):
        return self.publish(0, n)

    def serve(self):
        pass

    def again(self, n):
        return self.pull(n)

    def update(self, n):
        return self.pull(n)


class Pecia(Peer):
    name = "pecia"
    synced = True

    def __init__(self, bench):
        super().__init__(bench)
        self.pid = None
        for n in range(bench.rounds):
            self.anchor = text_of(*self.ctl(n, "init")).split()[-1]

    def ctl(self, n, *args):
        return [f"{self.build}/peciactl", "--repo", f"{self.work}/repo{n}", "--keys",
                f"{self.work}/keys{n}", *args]

    def publish(self, which, n):
        return self.ctl(n, "publish", f"tree={self.trees[which]}:/", "--exact")

    def stores(self, which):
        return [f"{self.work}/repo{self.bench.rounds - 1}"]

    def memory(self, n):
        return [f"{self.work}/state{n}"]

    def serve(self):
        """The last one."""
        log, last = f"{self.work}/peciad.log", self.bench.rounds - 1
        self.pid = self.server.start(
            log, f"{self.build}/peciad", "--repo", f"{self.work}/repo{last}", "--identity",
            f"{self.work}/keys{last}/identity", "--listen", f"{SERVER}:7440").pid
        wait_for(lambda: "ready" in open(log).read())

    def prepare(self, n):
        super().prepare(n)
        sh(*self.client(n, "init", "--anchor", self.anchor), stdout=subprocess.DEVNULL)

    def client(self, n, *args):
        return [f"{self.build}/pecia", "--root", self.root(n), "--state",
                f"{self.work}/state{n}", *args]

    def pull(self, n):
        return self.client(n, "run", "--server", f"{SERVER}:7440")

    def again(self, n):
        """With a full handshake: no session is kept of the run before."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.work}/state{n}/tickets")
        return self.pull(n)


class Rsync(Peer):
    needs = ("rsync",)
    flags = "-a"
    name = "rsync -a"
    served = False

    def source(self, which):
        return f"{self.bench.work}/served"

    def serve(self):
        """One daemon for both."""
        if Rsync.served:
            return
        Rsync.served = True
        conf, link = f"{self.work}/rsyncd.conf", f"{self.bench.work}/served"
        with open(conf, "w") as f:
            f.write(f"use chroot = no\nuid = root\ngid = root\nport = 873\naddress = {SERVER}\n"
                    f"[tree]\npath = {link}/\n")
        self.server.start(f"{self.work}/log", "rsync", "--daemon", "--no-detach",
                          f"--config={conf}")
        wait_for(lambda: subprocess.run(self.server.command("rsync", f"rsync://{SERVER}/"),
                                        capture_output=True).returncode == 0)

    def pull(self, n):
        return ["rsync", *self.flags.split(), "--delete", f"rsync://{SERVER}/tree/",
                self.root(n) + "/"]


class RsyncZ(Rsync):
    name = "rsync -az"
    flags = "-az"


class Copy(Peer):
    """No network at all: what the disk allows."""
    name = "cp -a"
    again_too = False

    def pull(self, n):
        return ["cp", "-a", f"{self.trees[0]}/.", self.root(n)]

    def update(self, n):
        return None


class Web:
    """nginx for those that are served as files; one for all."""
    started = False

    @classmethod
    def serve(cls, bench):
        if cls.started:
            return
        cls.started = True
        conf = f"{bench.work}/nginx.conf"
        with open(conf, "w") as f:
            f.write(f"pid {bench.work}/nginx.pid;\nerror_log {bench.work}/nginx.err;\n"
                    "daemon off;\nuser root;\nworker_processes 2;\nevents {}\n"
                    f"http {{ access_log off; sendfile on; client_body_temp_path {bench.work};\n"
                    f"proxy_temp_path {bench.work}; fastcgi_temp_path {bench.work};\n"
                    f"uwsgi_temp_path {bench.work}; scgi_temp_path {bench.work};\n"
                    f"server {{ listen {SERVER}:80; root {bench.work}; }} }}\n")
        bench.server.start(f"{bench.work}/nginx.log", "nginx", "-c", conf)
        wait_for(lambda: os.path.exists(f"{bench.work}/nginx.pid"))


class TarZstd(Peer):
    needs = ("tar", "zstd", "curl", "nginx")
    name = "tar+zstd"
    again_too = False  # it cannot know

    def publish(self, which, n):
        if which == 0:
            return shell(f"tar -C {self.trees[0]} -cf - . | zstd -q -f -1 -T2 -o {self.work}/A.zst")
        # What clients hold is the archive before.
        return None if n else shell(f"tar -C {self.trees[1]} -cf - . >{self.work}/B.tar; "
                     f"zstd -q -f -3 -T2 --long=30 --patch-from={self.work}/A.tar "
                     f"-o {self.work}/B.zst {self.work}/B.tar")

    def republish(self, n):
        return None

    def serve(self):
        Web.serve(self.bench)
        sh("sh", "-ec", f"zstd -q -f -d -o {self.work}/A.tar {self.work}/A.zst")

    def stores(self, which):
        return [f"{self.work}/{'AB'[which]}.zst", f"{self.work}/A.tar"]

    def url(self, which):
        return f"http://{SERVER}/{os.path.basename(self.work)}/{which}.zst"

    def pull(self, n):
        return shell(f"curl -fsS '{self.url('A')}' | zstd -q -dc | tar -C {self.root(n)} -xf -")

    def update(self, n):
        new = self.root(n) + ".new"
        return shell(f"mkdir {new}; curl -fsS '{self.url('B')}' | zstd -q -dc --long=30 "
                     f"--patch-from={self.work}/A.tar | tar -C {new} -xf -; "
                     f"mv {self.root(n)} {self.root(n)}.old; mv {new} {self.root(n)}")


class Git(Peer):
    needs = ("git",)
    name = "git"
    rounds = 1
    same = "-rl"  # neither owners nor times

    def git(self, which):
        return (f"git -c gc.auto=0 -c core.looseCompression=1 --git-dir={self.work}/repo.git "
                f"--work-tree={self.trees[which]}")

    def publish(self, which, n):
        return shell(f"{self.git(which)} add -A; "
                     f"{self.git(which)} -c user.name=b -c user.email=b@b commit -qm {which}")

    def republish(self, n):
        return shell(f"{self.git(0)} status --porcelain")

    def stores(self, which):
        return [f"{self.work}/repo.git"]

    def __init__(self, bench):
        super().__init__(bench)
        sh("git", "init", "-q", "--bare", "-b", "main", f"{self.work}/repo.git")

    def serve(self):
        # As whoever serves it would, in idle time: else each clone packs it anew.  Loose objects
        # stay: for minutes after so many files were removed, ext4 makes new ones slowly.
        sh("git", f"--git-dir={self.work}/repo.git", "repack", "-aq")
        self.server.start(f"{self.work}/log", "git", "daemon", "--export-all", "--reuseaddr",
                          f"--listen={SERVER}", f"--base-path={self.work}")
        wait_for(lambda: subprocess.run(
            self.server.command("git", "ls-remote", f"git://{SERVER}/repo.git"),
            capture_output=True).returncode == 0)

    def memory(self, n):
        return [f"{self.root(n)}/.git"]

    def pull(self, n):
        return ["git", "-c", "gc.auto=0", "clone", "-q", f"git://{SERVER}/repo.git", self.root(n)]

    def again(self, n):
        return shell(f"cd {self.root(n)}; git -c gc.auto=0 pull -q; git status --porcelain")

    def update(self, n):
        return shell(f"cd {self.root(n)}; git -c gc.auto=0 pull -q")


class Ostree(Peer):
    needs = ("ostree", "nginx")
    name = "ostree"
    rounds = 1
    synced = True
    same = "-rlpgo"

    def __init__(self, bench):
        super().__init__(bench)
        self.tool = f"ostree --repo={self.work}/repo"
        sh("sh", "-ec", f"{self.tool} init --mode=archive")

    def publish(self, which, n):
        return shell(f"{self.tool} commit -b tree --tree=dir={self.trees[which]}; "
                     f"{self.tool} summary -u")

    def stores(self, which):
        return [f"{self.work}/repo"]

    def serve(self):
        Web.serve(self.bench)

    def prepare(self, n):
        repo = f"{self.work}/client{n}"
        sh("sh", "-ec", f"ostree --repo={repo} init --mode=bare; ostree --repo={repo} "
           f"remote add --no-gpg-verify o http://{SERVER}/ostree/repo")

    def memory(self, n):
        return [f"{self.work}/client{n}"]

    def pull(self, n):
        repo = f"ostree --repo={self.work}/client{n}"
        return shell(f"{repo} pull o tree; {repo} checkout -H tree {self.root(n)}.new; "
                     f"rm -rf {self.root(n)}; mv {self.root(n)}.new {self.root(n)}")

    def again(self, n):
        return shell(f"ostree --repo={self.work}/client{n} pull o tree")


class Casync(Peer):
    needs = ("casync", "nginx")
    name = "casync"
    rounds = 1

    def publish(self, which, n):
        return ["casync", "make", "--store", f"{self.work}/store.castr",
                f"{self.work}/{which}.caidx", self.trees[which]]

    def serve(self):
        Web.serve(self.bench)

    def stores(self, which):
        return [f"{self.work}/store.castr"]

    def extract(self, n, which):
        return ["casync", "extract", "--store", f"http://{SERVER}/casync/store.castr",
                f"http://{SERVER}/casync/{which}.caidx", self.root(n)]

    def pull(self, n):
        return self.extract(n, 0)

    def update(self, n):
        return self.extract(n, 1)


class Unison(Peer):
    needs = ("unison",)
    name = "unison"
    rounds = 1
    same = "-rlp"

    def source(self, which):
        return f"{self.bench.work}/served"

    def serve(self):
        os.mkdir(f"{self.work}/there")
        env = dict(os.environ, UNISON=f"{self.work}/there", HOME=self.work)
        self.server.start(f"{self.work}/log", "unison", "-socket", "5555", env=env)
        wait_for(lambda: subprocess.run(self.server.command(
            "sh", "-c", "ss -ltn | grep -q :5555")).returncode == 0)

    def memory(self, n):
        return [f"{self.work}/here{n}"]

    def pull(self, n):
        here = f"{self.work}/here{n}"
        return shell(f"mkdir -p {here}; export UNISON={here} HOME={self.work}; unison -batch -ui "
                     f"text -silent -times -owner -group -force socket://{SERVER}:5555/"
                     f"{self.bench.work}/served {self.root(n)} "
                     f"socket://{SERVER}:5555/{self.bench.work}/served")


ALL = (Pecia, Rsync, RsyncZ, Copy, TarZstd, Git, Ostree, Casync, Unison)
