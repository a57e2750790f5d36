"""What Outrigger keeps, on disk and in memory, and how long a start takes with much of it."""

import contextlib
import json
import resource
import time

import pymongo
from pymongo import UpdateOne

from bars import Bar
from lag import Raw
from machine import Void, forget_peak, memory_bytes, run_pinned, say
from sites import DATABASE, Sites, load

from sidecar import program
from waiting import wait_until

MIB = 2**20
CONNECTIONS = 1000
DESCRIPTORS = 8192
STEP = 50_000  # updates at once
SMALL = 4_000  # documents that rows are counted of
STABLE = 1_000_000  # documents that none may be left of, in a run that is not quick
ROWS = {  # collection: (what each document is given, what it is called)
    "one": ({"$set": {"value": 7}}, "one field set"),
    "five": ({"$set": {f"f{i}": i for i in range(5)}}, "five fields set"),
    "counter": ({"$inc": {"quantity": 1}}, "one field incremented")}


class Size:
    def __init__(self, directory, options):
        self.directory = directory
        self.quick = options.quick
        self.documents = 10_000_000 if options.long else 100_000 if options.quick else 1_000_000
        self.patience_s = 3600 if options.long else 90
        self.backlog = 100 * MIB if options.quick else 1024 * MIB
        self.lines, self.bars = [], []

    def run(self):
        """(lines of markdown, bars)"""
        with Sites(self.directory) as sites:
            self.connections(sites.near)
            self.stable(sites)
            sites.far.sidecar.stop()
            self.rows(sites.near)
            self.many(sites)
            self.start_with_backlog(sites)
        return self.lines, self.bars

    def connections(self, near):
        say("idle connections")
        with many_descriptors(), contextlib.ExitStack() as stack:
            address = near.sidecar.proxy_address
            hello(stack, address, 50)  # what the first ones bring is not theirs
            before = memory_bytes(near.pid)
            hello(stack, address, CONNECTIONS)
            each = (memory_bytes(near.pid) - before) / CONNECTIONS
        self.bars.append(Bar(f"T15 memory of an idle connection, of {CONNECTIONS:,}", each / 1024,
                             4, False, " KiB"))

    def kept(self, site):
        """What its outbox keeps, by family; the sidecar is stopped for that and started again."""
        site.sidecar.stop()
        said = run_pinned([program("bench_outbox"), site.sidecar.data_dir])
        if said is None:
            raise Void("the outbox cannot be read")
        site.start()
        return json.loads(said)

    def stable(self, sites):
        say("stable documents")
        for name in ("documents", *ROWS):
            sites.load("load", name, "--documents", SMALL)
        sites.load("updateById", "documents", "--connections", 16, "--commands", SMALL,
                   "--documents", SMALL)
        more = 0 if self.quick else STABLE
        if more:
            sites.load("load", "stable", "--documents", more, "--fields", 4, "--document-bytes", 60)
        sites.wait_quiet()
        rows = sites.near.status()["rows"]
        kept = self.kept(sites.near)
        sizes = {family: of["key_bytes"] + of["value_bytes"] for family, of in kept.items()
                 if family.split()[0] in ("versions", "cohorts", "entries", "prepares")}
        count = SMALL * (1 + len(ROWS)) + more
        self.bars += [Bar("T13 metadata of a stable document", sum(sizes.values()) / count, 0,
                          False, " B"),
                      Bar(f"T13 rows that {count:,} stable documents leave", rows, 0, False)]
        self.lines.append(f"- What {count:,} stable documents leave, by family: " + (", ".join(
            f"{family} {each:,} B" for family, each in sizes.items() if each) or "nothing") + ".")

    def rows(self, near):
        say("rows of unstable documents")
        with pymongo.MongoClient(near.sidecar.proxy_address, directConnection=True) as client:
            for name, (change, _) in ROWS.items():
                client[DATABASE][name].bulk_write(
                    [UpdateOne({"_id": i}, change) for i in range(SMALL)], ordered=False)
        kept = self.kept(near)
        each = {}
        for name in ROWS:
            of = kept.get(f"versions {DATABASE}.{name}", {"keys": 0})
            if of["keys"] != SMALL:
                raise Void(f"{of['keys']} rows of {SMALL} documents of {name}")
            each[name] = of["value_bytes"] / SMALL
            key = of["key_bytes"] / SMALL
        self.bars += [
            Bar("T13 metadata of an unstable document with one field set", each["one"], 25, False,
                " B"),
            Bar("T13 of each further field", (each["five"] - each["one"]) / 4, 8, False, " B"),
            Bar("T13 of one with a counter that one site counts in", each["counter"], 26, False,
                " B")]
        self.lines.append("- Metadata of an unstable document, its key aside (" + f"{key:.0f} B, "
                          "mostly the namespace, which the disk holds once a block): " + ", ".join(
                              f"{each[name]:.1f} B with {label}" for name, (_, label)
                              in ROWS.items()) + ".")

    # Loaded around the sidecar, which would keep 1,000 of them as one item; then each updated once,
    # on average, while the peer is away. Small ones: mongod's cache is small, too.
    def many(self, sites):
        near = sites.near
        say(f"{self.documents:,} documents updated while the peer is away")
        load(near.mongod.address, "load", "many", "--documents", self.documents, "--fields", 4,
             "--document-bytes", 60)
        forget_peak(near.pid)
        small = min(self.documents, 100_000 if self.quick else 1_000_000)
        few = self.update(sites, 0, small)
        memory = memory_bytes(near.pid)
        self.bars.append(Bar(f"T15 memory with {few:,} documents updated", memory / MIB, 64, False,
                             " MiB", note=f"{memory_bytes(near.pid, 'VmHWM') / MIB:.0f} at most "
                             "meanwhile"))
        if self.documents > small:
            many = self.update(sites, few, self.documents)
            self.bars.append(Bar(f"T15 memory with {many:,} / with {few:,}",
                                 memory_bytes(near.pid) / memory, 1.2, False, "x"))

    def update(self, sites, done, until):
        """How many have been updated; not all of them where that takes too long."""
        deadline = time.monotonic() + self.patience_s
        while done < until and time.monotonic() < deadline:
            sites.load("updateMany", "many", "--commands", STEP // 1000, "--documents",
                       self.documents, "--seed", done + 1)
            done += STEP
        return done

    def start_with_backlog(self, sites):
        near = sites.near
        say(f"a backlog of {self.backlog // MIB:,} MiB")
        seed = 1
        while (status := near.status())["outbox"]["bytes"] < self.backlog:
            missing = self.backlog - status["outbox"]["bytes"]
            sites.load("insertMany", "backlog", "--document-bytes", 4096, "--commands",
                       max(1, min(100, missing // (4096 * 1000) + 1)), "--seed", seed)
            seed += 1
        outbox = status["outbox"]
        what = f"{outbox['bytes'] / MIB:,.0f} MiB, {outbox['records']:,} records"
        for how in ("a clean end", "kill -9"):
            near.sidecar.stop() if how == "a clean end" else near.sidecar.kill()
            started = time.monotonic()
            near.start(wait_ready=False)
            wait_until(near.sidecar.is_ready, "the sidecar serves", 300, 0.01)
            self.bars.append(Bar(f"T17 start after {how} with a backlog of {what}",
                                 time.monotonic() - started, 2, False, " s"))


def hello(stack, address, count):
    for _ in range(count):
        client = Raw(address)
        stack.callback(client.close)
        client.ask({"hello": 1})


@contextlib.contextmanager
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run(directory, options):
    return Size(directory, options).run()
