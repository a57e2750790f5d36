"""How fast writes reach other sites, what that takes on the wire, and what each peer costs."""

import contextlib
import ctypes
import statistics

from bson.raw_bson import RawBSONDocument

import lag
from bars import Bar
from machine import Void, cpu_s, forget_peak, memory_bytes, say
from report import over
from sites import DATABASE, Clock, Sites, behind, contents, load

from waiting import wait_until

DOCUMENTS = 10_000
BATCH = 1000
AN_HOUR = 3_600_000  # operations at 1,000 a second
LZ4_BLOCK = 64 * 1024


class Replication:
    def __init__(self, directory, options):
        self.directory = directory
        self.count = 10_000 if options.quick else 30_000
        self.blocks = 2 if options.quick else 3
        self.quick = options.quick
        self.lines, self.bars = [], []

    def run(self):
        """(lines of markdown, bars)"""
        with Sites(self.directory / "one") as sites:
            self.prepare(sites)
            inserts = self.catch_up(sites, "insertOne", "single inserts")
            self.catch_up(sites, "insertMany", "inserts of 1,000")
            updates = self.catch_up(sites, "updateById", "small updates")
            steady, wire = self.steady(sites)
            self.wire(sites, updates, wire)
            self.away(sites, min(updates, key=lambda seen: seen["per_s"]))
            half = 0.5 * min(steady, *(statistics.median(seen["per_s"] for seen in of)
                                       for of in (inserts, updates)))
            self.lag(sites, half, 0)
            self.check(sites, "documents", "live", "markers")
        for rtt_ms in () if self.quick else (20, 100):
            with Sites(self.directory / f"rtt{rtt_ms}", line_ms=rtt_ms // 2) as sites:
                self.prepare(sites)
                self.lag(sites, half, rtt_ms)
        self.peers()
        return self.lines, self.bars

    def prepare(self, sites):
        sites.load("load", "documents", "--documents", DOCUMENTS)
        load(sites.far.mongod.address, "load", "copied", "--documents", DOCUMENTS)
        sites.wait_quiet()

    def arguments(self, operation, seed):
        commands = self.count // BATCH if operation == "insertMany" else self.count
        connections = 1 if operation == "insertMany" else 16
        return ["--commands", commands, "--connections", connections, "--documents", DOCUMENTS,
                "--seed", seed]

    # The peer's sidecar is away while `count` operations go in; from when the link is open again.
    def catch_up(self, sites, operation, label):
        say(f"catch-up with {label}")
        seen = [self.one_catch_up(sites, operation, block) for block in range(self.blocks)]
        ratio = over([one["per_s"] / one["copied_per_s"] for one in seen])
        self.bars.append(Bar(f"T8 catch-up with {self.count:,} {label}: rate / that of an "
                             "unordered bulkWrite of the same by 1,000 into the peer's mongod, "
                             "j: true", ratio.median, 0.9, True, "x", ratio.low, ratio.high))
        middle = {name: statistics.median(one[name] for one in seen) for name in seen[0]}
        self.lines.append(
            f"- Catch-up with {self.count:,} {label}: {middle['per_s']:,.0f}/s at the peer, a "
            f"plain bulkWrite into it {middle['copied_per_s']:,.0f}/s; memory at most "
            f"{middle['near_mib']:.0f} MiB here, {middle['far_mib']:.0f} MiB there; "
            f"{middle['wire']:.1f} B on the wire and {middle['near_us']:.1f} us of CPU here, "
            f"{middle['far_us']:.1f} us there, an operation.")
        return seen

    def one_catch_up(self, sites, operation, block):
        near, far = sites.near, sites.far
        inserts = operation.startswith("insert")
        collection = f"{operation}{block}" if inserts else "documents"
        far.sidecar.stop()
        sites.load(operation, collection, *self.arguments(operation, 10 * block + 1))
        sent_before = near.sidecar.metric("peer_sent_bytes_total")
        far.start(wait_ready=False)
        forget_peak(near.pid)
        sites.wait_linked()
        clock = Clock(near=near.pid, far=far.pid)
        sites.wait_caught_up()
        took = clock.seconds()
        result = {"per_s": self.count / took, "near_mib": memory_bytes(near.pid, "VmHWM") / 2**20,
                  "far_mib": memory_bytes(far.pid, "VmHWM") / 2**20,
                  "near_us": clock.cpu("near") / self.count * 1e6,
                  "far_us": clock.cpu("far") / self.count * 1e6,
                  "wire": (near.sidecar.metric("peer_sent_bytes_total") - sent_before) / self.count}
        sites.wait_quiet()
        if inserts and far.collection(collection).estimated_document_count() != self.count:
            raise Void(f"{collection} is not whole at the peer")
        copier = "insertMany" if inserts else "updateMany"
        copied = load(far.mongod.address, copier, f"copied_{collection}" if inserts else "copied",
                      "--journaled", "--commands", self.count // BATCH, "--documents", DOCUMENTS)
        result["copied_per_s"] = copied["ops_per_s"] * BATCH
        if inserts:
            for site in sites.all:
                site.collection(collection).drop()
            far.collection(f"copied_{collection}").drop()
        return result

    # Beside the oplog of the same updates, made without a sidecar.
    def wire(self, sites, updates, steady):
        entries = sites.far.mongod.client(document_class=RawBSONDocument).local["oplog.rs"]
        found = [entry.raw for entry in entries.find(
            {"op": "u", "ns": f"{DATABASE}.copied"}).sort("$natural", -1).limit(10_000)]
        if not found:  # what came as a batch may be one entry
            raise Void("no updates in the oplog of the peer's mongod")
        raw = sum(map(len, found)) / len(found)
        late = statistics.median(one["wire"] for one in updates)
        for wire, when in ((late, "caught up"), (steady, "steady")):
            self.bars.append(Bar(f"T11 bytes on the wire a small update, {when} ({wire:.1f} B) / "
                                 f"of oplog ({raw:.0f} B)", wire / raw, 0.06, False, "x"))
        packed = compressed(b"".join(reversed(found)))
        if packed:
            self.lines.append(
                f"- Small updates: {late:.1f} B an operation on the wire when caught up, "
                f"{steady:.1f} steady, reports and heartbeats among them; {raw:.0f} B in the oplog "
                f"of a mongod that took them by 1,000, {packed / len(found):.0f} B of that in "
                "blocks of LZ4.")

    # Whether the peer keeps pace with what one core takes.
    def steady(self, sites):
        say("steady updates")
        seconds = 2 if self.quick else 5
        clock = Clock(near=sites.near.pid, far=sites.far.pid)
        sent_before = sites.near.sidecar.metric("peer_sent_bytes_total")
        seen = sites.load("updateById", "documents", "--connections", 64, "--seconds", seconds,
                          "--warmup", 0, "--documents", DOCUMENTS, "--seed", 71)
        late = behind(sites.near.sidecar)
        late_s = sites.wait_caught_up()
        count = seen["acknowledged"]
        applied = count / (seen["seconds"] + late_s)
        self.bars.append(Bar("T8 steady updates, w:1, 64 connections: rate until the peer has all "
                             "/ rate accepted here", applied / seen["ops_per_s"], 0.9, True, "x"))
        self.lines.append(
            f"- Steady updates, w:1, at 64 connections for {seconds} s: {seen['ops_per_s']:,.0f}/s "
            f"accepted, {late:,} records behind at the end; CPU an operation "
            f"{clock.cpu('near') / count * 1e6:.0f} us here, {clock.cpu('far') / count * 1e6:.0f} "
            "us at the peer.")
        wire = (sites.near.sidecar.metric("peer_sent_bytes_total") - sent_before) / count
        return min(applied, seen["ops_per_s"]), wire

    # A minute away at 1,000 a second stands for an hour: 60 times the bytes.
    def away(self, sites, alone):
        say("away, and live writes meanwhile")
        near, far = sites.near, sites.far
        self.lines.append(f"- Away for an hour at 1,000 small updates a second, from "
                          f"{self.count:,} of them: {alone['wire'] * AN_HOUR / 1e6:.0f} MB, caught "
                          f"up at {alone['per_s'] / 1000:.1f} times real time when nobody writes.")
        self.bars.append(Bar("T12 bytes of an hour away at 1,000/s",
                             alone["wire"] * AN_HOUR / 1e6, 60, False, " MB"))
        count = 2 * self.count

        def live(seed, seconds):
            return sites.load("updateById", "live", "--connections", 16, "--seconds", seconds,
                              "--warmup", 0.1, "--documents", DOCUMENTS, "--seed",
                              seed)["ops_per_s"]
        sites.load("load", "live", "--documents", DOCUMENTS)
        sites.wait_quiet()
        before = live(81, 2)
        sites.wait_caught_up()
        far.sidecar.stop()
        sites.load("updateById", "documents", "--connections", 16, "--commands", count,
                   "--documents", DOCUMENTS, "--seed", 82)
        origin, goal = written(near)
        far.start(wait_ready=False)
        sites.wait_linked()
        clock = Clock()
        meanwhile = live(83, 2)
        wait_until(lambda: int(far.status()["vector"].get(origin, 0)) >= goal,
                   "the peer has what it missed", 300, 0.02)
        took = clock.seconds()
        self.bars += [
            Bar(f"T12 catch-up of {count:,} small updates with live writes: times real time at "
                "1,000/s", count / took / 1000, 10, True, "x"),
            Bar("T12 live writes meanwhile / with nothing to catch up", meanwhile / before, 0.9,
                True, "x")]
        sites.wait_caught_up()

    def lag(self, sites, rate, rtt_ms):
        say(f"lag, RTT {rtt_ms} ms")
        samples = lag.measure(sites, rate, 3 if self.quick else 6, DOCUMENTS)
        p50, p99 = (samples[int(len(samples) * share)] * 1000 for share in (0.5, 0.99))
        wire = f", RTT {rtt_ms} ms" if rtt_ms else ""
        what = f"T10 lag at half load ({rate:,.0f}/s{wire}, {len(samples)} markers)"
        self.bars += [Bar(f"{what}, p50", p50, 3 + rtt_ms / 2, False, " ms"),
                      Bar(f"{what}, p99", p99, 20 + rtt_ms / 2, False, " ms")]

    # All there at once, one busy at a time: CPU an operation depends on how many wait for one sync,
    # and that on what else the machine does.
    def peers(self):
        counts = (1, 2) if self.quick else (1, 2, 4)
        cpu = {count: [] for count in counts}
        with contextlib.ExitStack() as stack:
            say(f"{counts[-1]} peers, and fewer")
            groups = {count: stack.enter_context(Sites(
                self.directory / f"peers{count}", peers=count)) for count in counts}
            for sites in groups.values():
                sites.load("load", "documents", "--documents", DOCUMENTS)
            for block in range(self.blocks + 1):
                for count in counts if block % 2 == 0 else reversed(counts):
                    cpu[count].append(self.sent_cpu_us(groups[count], block))
            for sites in groups.values():
                self.check(sites, "documents")
        one = statistics.median(cpu[1])
        for count in counts[1:]:
            more = over([many / few for many, few in zip(cpu[count], cpu[1])])
            self.bars.append(Bar(
                f"T9 sender's CPU an operation with {count} peers "
                f"({statistics.median(cpu[count]):.0f} us) / with one ({one:.0f} us)",
                more.median, 1 + 0.05 * (count - 1), False, "x", more.low, more.high))

    def sent_cpu_us(self, sites, block):
        """CPU an operation, at the same rate for all, until everybody has everything."""
        sites.wait_quiet()
        before = cpu_s(sites.near.pid)
        seen = sites.load("updateById", "documents", "--connections", 16, "--rate", 1500,
                          "--seconds", 2 if self.quick else 3, "--warmup", 0, "--documents",
                          DOCUMENTS, "--seed", 100 + block)
        sites.wait_caught_up(0.25)
        return (cpu_s(sites.near.pid) - before) / seen["acknowledged"] * 1e6

    @staticmethod
    def check(sites, *names):
        sites.wait_quiet()
        for name in names:
            here = contents(sites.near.collection(name))
            for peer in sites.peers:
                if not here or contents(peer.collection(name)) != here:
                    raise Void(f"{peer.name} holds other documents of {name}")


def written(site):
    """The origin of this run of the site, and the stamp of the last it has written."""
    wait_until(lambda: site.status()["open_writes"] == 0, "no open writes", 60, 0.02)
    status = site.status()
    own = {origin: int(stamp) for origin, stamp in status["vector"].items()
           if origin.startswith(status["site_id"])}
    return max(own.items(), key=lambda entry: entry[1])


def compressed(data):
    """Bytes of LZ4 in blocks of 64 KiB; None without the library."""
    try:
        lz4 = ctypes.CDLL("liblz4.so.1")
    except OSError:
        return None
    total = 0
    for at in range(0, len(data), LZ4_BLOCK):
        block = data[at:at + LZ4_BLOCK]
        room = ctypes.create_string_buffer(lz4.LZ4_compressBound(len(block)))
        total += lz4.LZ4_compress_default(block, room, len(block), len(room))
    return total


def run(directory, options):
    return Replication(directory, options).run()
