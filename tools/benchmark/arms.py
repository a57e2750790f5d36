"""The arms of the table: ways from the load generator to one mongod, all there at once, one of them
busy at a time.

Every arm with a sidecar has a live peer: a sidecar with a mongod of its own, on another core, that
applies everything. An arm's run is over for the others when its peer has applied all of it and
neither keeps a row or a record of it any more, so that nothing of it runs beside another arm's
block. The sidecar's CPU is counted until then: to forget is part of what a write costs."""

import json
from dataclasses import dataclass
from pathlib import Path

from machine import AWAY, HERE, Void, cpu_s, on, run_pinned
from sites import DATABASE, Site, contents, wait_quiet

from process import Process
from real_mongod import RealMongod
from sidecar import program
from waiting import free_port, wait_until


@dataclass
class Block:
    """One arm, one case, one run of the load generator."""
    ops_per_s: float
    p50_us: float
    p99_us: float
    p999_us: float
    acknowledged: int  # commands, warm-up included
    client_us: float   # CPU an operation, like the two below
    hop_us: float      # of the relay or the sidecar
    mongod_us: float


class Arm:
    """A way to the mongod: `address` for the load generator, `process` of what lies between."""

    def __init__(self, name, address, process, mongod, directory, documents):
        self.name = name
        self.address = address
        self.process = process
        self.mongod = mongod
        self.documents = documents
        self.state_path = directory / f"{name}.state"
        self.collection = f"documents_{name}"

    def load(self):
        """The same documents for every arm, through the arm itself."""
        self.database()[self.collection].create_index("sku")
        self.run(["--operation", "load"], self.collection)

    def database(self):
        return self.mongod.client()[DATABASE]

    def settle(self):
        """Waits until nothing is left to do of what was written."""

    def run(self, arguments, collection, keep_state=False, documents=None):
        command = [program("bench_load"), "--target", self.address, "--namespace",
                   f"{DATABASE}.{collection}", "--documents", documents or self.documents,
                   *arguments]
        if keep_state:
            command += ["--state", self.state_path]
        hop_before = cpu_s(self.process.pid) if self.process else 0
        mongod_before = cpu_s(self.mongod.process.pid)
        said = run_pinned(command)
        if said is None:
            raise Void(f"errors in {self.name}: {' '.join(map(str, command))}")
        seen = json.loads(said)
        mongod = cpu_s(self.mongod.process.pid) - mongod_before
        self.settle()
        hop = cpu_s(self.process.pid) - hop_before if self.process else 0
        each = max(seen["acknowledged"], 1)
        return Block(seen["ops_per_s"], seen["p50_us"], seen["p99_us"], seen["p999_us"],
                     seen["acknowledged"], seen["client_cpu_us_per_op"], hop / each * 1e6,
                     mongod / each * 1e6)

    def drop(self, collection):
        self.database()[collection].drop()

    def check_inserted(self, collection, count):
        found = self.database()[collection].count_documents({})
        if found != count:
            raise Void(f"{self.name}: {found} documents of {count} acknowledged")

    def wrong(self):
        """What the collection lacks of what was acknowledged; nothing when all is there."""
        expected = [0] * self.documents
        if self.state_path.exists():
            kept = memoryview(self.state_path.read_bytes()).cast("q")
            expected[:len(kept)] = kept.tolist()
        found = {document["_id"]: document["value"] for document in
                 self.database()[self.collection].find({}, {"value": 1})}
        if len(found) != self.documents:
            return f"{self.name}: {len(found)} documents instead of {self.documents}"
        bad = [i for i, value in enumerate(expected) if found.get(i) != value]
        return f"{self.name}: {len(bad)} documents without their last write" if bad else None


class SidecarArm(Arm):
    """Through a sidecar; `far` is the site of its live peer."""

    def __init__(self, name, near, far, directory, documents):
        self.near, self.far = near, far
        near.knows([far])
        far.knows([near])
        super().__init__(name, near.sidecar.proxy_address, near.sidecar.process, near.mongod,
                         directory, documents)

    def start(self):
        # Both need stores without documents: before anybody loads.
        self.near.start()
        self.far.start()
        wait_until(lambda: self.near.peer(self.far.name)["state"] == "open",
                   f"{self.name}: linked to its peer", 60)

    def settle(self):
        try:
            wait_quiet([self.near, self.far], interval_s=0.1)  # to ask costs, too
        except (AssertionError, TimeoutError) as error:
            raise Void(f"{self.name}: {error}") from None

    def drop(self, collection):
        """Around the sidecars, which remember nothing of it any more."""
        super().drop(collection)
        self.far.collection(collection).drop()

    def check_inserted(self, collection, count):
        super().check_inserted(collection, count)
        found = self.far.collection(collection).count_documents({})
        if found != count:
            raise Void(f"{self.name}: {found} documents of {count} at the peer")

    def wrong(self):
        """As of any arm; and the peer holds the same, and nothing of it is kept any more."""
        try:
            wait_quiet([self.near, self.far])
            for site in (self.near, self.far):
                status = site.status()
                if "outbox_failed" in status or status["alarms"] or status["not_applied"]:
                    return f"{self.name}: not well: {status}"
        except (AssertionError, TimeoutError) as error:
            return f"{self.name}: {error}"
        here = contents(self.near.collection(self.collection))
        there = contents(self.far.collection(self.collection))
        if here != there:
            differ = sum(here.get(key) != there.get(key) for key in here.keys() | there.keys())
            return f"{self.name}: {differ} documents differ at the peer"
        return super().wrong()

    def discard(self):
        self.near.discard()
        self.far.discard()


class Arms:
    """direct and outrigger on one mongod, and of `forms`: null; unix, which is outrigger that
    reaches it by a Unix socket. baseline: another binary of outrigger."""

    def __init__(self, directory, documents, baseline=None, replica_set=True,
                 forms=("null", "unix")):
        self.directory = Path(directory)
        self.documents = documents
        self.replica_set = replica_set
        self.mongod = RealMongod(self.directory / "mongod", unix_socket=True,
                                 replica_set=replica_set)
        self.forms = forms
        self.null = None
        self.binaries = {"outrigger": program()}
        if "unix" in forms:
            self.binaries["unix"] = program()
        if baseline:
            self.binaries["baseline"] = Path(baseline).resolve()
        self.sidecars = []
        self.all = {}

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        with on(HERE):
            self.mongod.start()
        arms = [Arm("direct", self.mongod.address, None, self.mongod, self.directory,
                    self.documents)]
        if "null" in self.forms:
            arms.append(self._null())
        for name, binary in self.binaries.items():
            arm = SidecarArm(name, self._site(name, "near", binary, HERE),
                             self._site(name, "far", binary, AWAY), self.directory, self.documents)
            self.sidecars.append(arm)
            arm.start()
        self.all = {arm.name: arm for arm in [*arms, *self.sidecars]}
        for arm in self.all.values():
            arm.load()

    def _null(self):
        port = free_port()
        self.null = Process([program("bench_null"), port, self.mongod.port],
                            self.directory / "null.log")
        with on(HERE):
            self.null.start()
        return Arm("null", f"127.0.0.1:{port}", self.null, self.mongod, self.directory,
                   self.documents)

    def _site(self, name, which, binary, cores):
        options = {}
        if which == "near":
            uri = self.mongod.store_uri if name == "unix" else self.mongod.uri
            options = {"mongod": self.mongod, "store_uri": uri}
        return Site(self.directory / name / which, which, cores, self.replica_set, binary,
                    **options)

    def __exit__(self, *_):
        for arm in self.sidecars:
            arm.discard()
        if self.null:
            self.null.kill()
        self.mongod.discard()
