"""Sites for measuring: `near`, on the core of the measured site, and its live peers on the others.
They are joined directly: what stands between sites of a test would be measured too."""

import json
import time
from pathlib import Path

from machine import AWAY, HERE, Void, cpu_s, on, run_pinned

# From integration/, which machine.py makes known.
from documents import canonical
from process import Process
from real_mongod import RealMongod
from sidecar import Sidecar, merged, program
from waiting import free_port, wait_until

DATABASE = "bench"
CAUGHT_UP_S = 300
WORKERS = []  # event loops of a sidecar, where asked for


class Site:
    """A mongod and a sidecar on `cores`. `mongod`: one that several sites of one name share."""

    def __init__(self, directory, name, cores, replica_set=True, binary=None, mongod=None,
                 store_uri=None):
        self.name = name
        self.cores = cores
        self.shared = mongod is not None
        directory = Path(directory)
        self.mongod = mongod or RealMongod(directory / "mongod", replica_set=replica_set)
        self.sidecar = Sidecar(directory, name, store_uri or self.mongod.store_uri, {
            "log": {"level": "info"}, "proxy": {"workers": WORKERS[0]} if WORKERS else {}})
        if binary:
            self.sidecar.process.arguments[0] = str(binary)

    def knows(self, others, port=0):
        """Dials them at their own ports, at `port`, or (None) not at all."""
        sites = [{"site": other.name} if port is None else
                 {"site": other.name, "address": f"127.0.0.1:{port or other.sidecar.peer_port}"}
                 for other in others]
        self.sidecar.settings = merged(self.sidecar.settings, {"peers": {"sites": sites}})

    def start(self, wait_ready=True):
        with on(self.cores):
            if not self.shared and not self.mongod.process.is_running():
                self.mongod.start()
            self.sidecar.start(wait_ready=wait_ready)

    def check_running(self):
        for what, process in (("sidecar", self.sidecar.process), ("mongod", self.mongod.process)):
            if not process.is_running():
                raise Void(f"the {what} of {self.name} has ended\n{process.log_tail(12)}")

    @property
    def pid(self):
        self.check_running()
        return self.sidecar.process.pid

    def status(self):
        return self.sidecar.status()

    def peer(self, name):
        return next(peer for peer in self.status()["peers"] if peer["site"] == name)

    def collection(self, name):
        return self.mongod.client()[DATABASE][name]

    def discard(self):
        self.sidecar.discard()
        if not self.shared:
            self.mongod.discard()


class Sites:
    """near, and as many peers as asked for: all dial each other.

    away: the first peer is a member that is counted, and never started. line_ms: near and its one
    peer are joined by a line that can be cut, and takes so long each way."""

    def __init__(self, directory, peers=1, away=False, line_ms=None, **options):
        directory = Path(directory)
        self.near = Site(directory / "near", "near", HERE, **options)
        self.peers = [Site(directory / f"peer{i}", f"peer{i}", AWAY, **options)
                      for i in range(1, peers + 1)]
        self.away = away
        self.all = [self.near, *self.peers]
        for site in self.all:
            site.knows([other for other in self.all if other is not site])
        self.line = None
        if line_ms is not None:
            port = free_port()
            self.line = Process([program("bench_null"), port, self.far.sidecar.peer_port, line_ms],
                                directory / "line.log")
            self.near.knows([self.far], port)
            self.far.knows([self.near], None)

    @property
    def far(self):
        return self.peers[0]

    def __enter__(self):
        try:
            if self.line:
                with on(AWAY):
                    self.line.start()
            for site in self.all:
                if not (self.away and site is self.far):
                    site.start()
            wait_until(self._linked, "every site linked to every other one", 60)
        except BaseException:
            self.discard()
            raise
        return self

    def _linked(self):
        running = [site for site in self.all if site.sidecar.process.is_running()]
        names = {site.name for site in running}
        return all(peer["state"] == "open" for site in running for peer in site.status()["peers"]
                   if peer["site"] in names)

    def __exit__(self, *_):
        self.discard()

    def discard(self):
        for site in self.all:
            site.discard()
        if self.line:
            self.line.kill()

    def cut(self):
        self.line.freeze()

    def heal(self):
        """Returns once both talk again."""
        self.line.thaw()
        self.wait_linked()

    def wait_linked(self):
        """As near sees it: the peer may have begun this moment."""
        wait_until(lambda: self.near.peer(self.far.name)["state"] == "open",
                   "near and its peer linked", 60, 0.01)

    def wait_caught_up(self, interval_s=0.02):
        return wait_caught_up(self.all, interval_s)

    def wait_quiet(self):
        """All have all, and nobody remembers anything of it."""
        wait_quiet(self.all)

    def load(self, *arguments, **options):
        """bench_load through the near sidecar."""
        return load(self.near.sidecar.proxy_address, *arguments, **options)


def load(address, operation, collection, *arguments, cores=None):
    """One run of bench_load: what it says, as a dictionary."""
    command = [program("bench_load"), "--target", address, "--operation", operation,
               "--namespace", f"{DATABASE}.{collection}", *arguments]
    said = run_pinned(command, cores)
    if said is None:
        raise Void("errors in " + " ".join(map(str, command)))
    return json.loads(said)


def behind(sidecar):
    """Records that some peer of it has not applied, and writes that are not settled."""
    status = sidecar.status()
    return status["open_writes"] + sum(peer["records_behind"] for peer in status["peers"])


def wait_caught_up(sites, interval_s=0.02):
    """Returns once all have applied what the first of `sites` has written so far: how many seconds
    that took. All must be running. To ask costs the first one 0.3 ms of CPU."""
    started = time.monotonic()

    def caught_up():
        for site in sites:
            site.check_running()
        return behind(sites[0].sidecar) == 0

    wait_until(caught_up, f"everything of {sites[0].name} applied by its peers", CAUGHT_UP_S,
               interval_s)
    return time.monotonic() - started


def wait_quiet(sites, interval_s=0.02):
    """Returns once none of them keeps a row or a record, nor has one to apply."""
    seen = {}

    def quiet():
        for site in sites:
            site.check_running()
            status = site.status()
            seen[site.name] = (status["rows"], status["outbox"]["records"], status["open_writes"],
                               status["inbox"]["records"])
            if any(seen[site.name]):
                return False
        return True

    wait_until(quiet, lambda: f"no rows, records, open writes and inbox: {seen}", CAUGHT_UP_S,
               interval_s)


def contents(collection):
    """{_id: the document, canonical}: types count, the order of fields does not."""
    return {document["_id"]: canonical(document) for document in collection.find()}


class Clock:
    """CPU of some processes from here on, and the time."""

    def __init__(self, **pids):
        self.pids = pids
        self.before = {name: cpu_s(pid) for name, pid in pids.items()}
        self.started = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.started

    def cpu(self, name):
        return cpu_s(self.pids[name]) - self.before[name]


def directory_bytes(path):
    total = 0
    for file in Path(path).rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:
            pass  # tables come and go
    return total


