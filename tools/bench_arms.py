"""The arms of tools/bench: ways from the load generator to one mongod, all running at once."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from process import Process  # noqa: E402
from real_mongod import RealMongod  # noqa: E402
from sidecar import Sidecar, program  # noqa: E402
from waiting import free_port, wait_until  # noqa: E402

DATABASE = "bench"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    """User and system time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


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
        self.write_commands = 0  # acknowledged
        self.collection = f"documents_{name}"

    def load(self):
        """The same documents for every arm, through the arm itself."""
        self.database()[self.collection].create_index("sku")
        block = self.run(["--operation", "load"], self.collection)
        self.write_commands += block.acknowledged

    def database(self):
        return self.mongod.client()[DATABASE]

    def run(self, arguments, collection, keep_state=False):
        command = [program("bench_load"), "--target", self.address, "--namespace",
                   f"{DATABASE}.{collection}", "--documents", self.documents, *arguments]
        if keep_state:
            command += ["--state", self.state_path]
        hop_before = cpu_s(self.process.pid) if self.process else 0
        mongod_before = cpu_s(self.mongod.process.pid)
        result = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        if result.returncode != 0:
            raise SystemExit(f"bench: void: errors in {self.name}: {' '.join(map(str, command))}")
        seen = json.loads(result.stdout)
        hop = cpu_s(self.process.pid) - hop_before if self.process else 0
        mongod = cpu_s(self.mongod.process.pid) - mongod_before
        each = max(seen["acknowledged"], 1)
        return Block(seen["ops_per_s"], seen["p50_us"], seen["p99_us"], seen["p999_us"],
                     seen["acknowledged"], seen["client_cpu_us_per_op"], hop / each * 1e6,
                     mongod / each * 1e6)

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
    """With a member that never comes, so that every record stays in the outbox and is counted."""

    def __init__(self, name, binary, store_uri, mongod, directory, documents):
        self.sidecar = Sidecar(directory / name, "bench", store_uri, {
            "log": {"level": "info"}, "peers": {"sites": [{"site": "away"}]}})
        self.sidecar.process.arguments[0] = str(binary)
        self.sidecar.start()
        super().__init__(name, self.sidecar.proxy_address, self.sidecar.process, mongod, directory,
                         documents)

    def wrong(self):
        def settled():
            return self.sidecar.status()["open_writes"] == 0
        wait_until(settled, f"{self.name}: every write settled", timeout_s=10)
        status = self.sidecar.status()
        if "outbox_failed" in status:
            return f"{self.name}: outbox failed: {status['outbox_failed']}"
        records = status["outbox"]["records"]
        if records != self.write_commands:
            return f"{self.name}: {records} records of {self.write_commands} acknowledged writes"
        return super().wrong()


class Arms:
    """direct, null and outrigger on one mongod; unix: outrigger that reaches it by a Unix socket;
    baseline: another binary of outrigger."""

    def __init__(self, directory, documents, baseline=None):
        self.mongod = RealMongod(directory / "mongod", unix_socket=True)
        self.null = None
        self.sidecars = []
        self.directory = directory
        self.documents = documents
        self.baseline = baseline
        self.all = {}

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        self.mongod.start()
        port = free_port()
        self.null = Process([program("bench_null"), port, self.mongod.port],
                            self.directory / "null.log")
        self.null.start()
        plain = [("direct", self.mongod.address, None), ("null", f"127.0.0.1:{port}", self.null)]
        arms = [Arm(name, address, process, self.mongod, self.directory, self.documents)
                for name, address, process in plain]
        sidecars = {"outrigger": (program(), self.mongod.uri()),
                    "unix": (program(), self.mongod.store_uri())}
        if self.baseline:
            sidecars["baseline"] = (Path(self.baseline).resolve(), self.mongod.uri())
        for name, (binary, store_uri) in sidecars.items():
            self.sidecars.append(SidecarArm(name, binary, store_uri, self.mongod, self.directory,
                                            self.documents))
        self.all = {arm.name: arm for arm in [*arms, *self.sidecars]}
        for arm in self.all.values():
            arm.load()

    def __exit__(self, *_):
        for arm in self.sidecars:
            arm.sidecar.discard()
        if self.null:
            self.null.kill()
        self.mongod.discard()
