"""Growth, as plots: where does a line bend, and does it bend where MongoDB's own does?"""

import random
import statistics
from pathlib import Path

import svg
from arms import Arms
from machine import say
from sites import Sites, load

DOCUMENTS = 10_000
HERE = Path(__file__).resolve().parent
ARMS = ("direct", "outrigger")
BACKLOG_STEPS = (0, 1_000, 10_000, 100_000)
READ_BYTES = 16 * 2**20  # of a collection for reads, as far as it needs


class Growth:
    def __init__(self, directory, options):
        self.directory = Path(directory)
        self.quick = options.quick
        self.blocks = 1 if options.quick else 2
        self.seconds = 0.3 if options.quick else 0.5
        self.plots = Path(options.plots)
        self.random = random.Random(options.seed)
        self.runs = 10_000  # seeds of its own
        self.lines = []

    def run(self):
        """Lines of markdown that show the plots."""
        self.plots.mkdir(parents=True, exist_ok=True)
        with Arms(self.directory / "arms", DOCUMENTS, forms=()) as arms:
            self.connections(arms)
            self.document_size(arms)
            self.fields(arms)
        self.peers()
        self.backlog()
        return self.lines

    def draw(self, name, title, x_label, lines, **options):
        path = self.plots / f"{name}.svg"
        path.write_text(svg.chart(title, x_label, "operations a second", lines, **options))
        shown = path.resolve()
        if shown.is_relative_to(HERE):  # as RESULTS.md names it
            shown = shown.relative_to(HERE)
        self.lines.append(f"![{title}]({shown})")

    def measure(self, arms, steps):
        """steps: {(series, x): run(arm, seed) -> ops/s} -> [svg.Line] of both arms, in blocks."""
        seen = {}
        for _ in range(self.blocks):
            for step in self.random.sample(list(steps), len(steps)):
                for name in self.random.sample(ARMS, len(ARMS)):
                    self.runs += 1
                    rate = steps[step](arms.all[name], self.runs)
                    seen.setdefault((*step, name), []).append(rate)
        lines = []
        for colour, series in enumerate(dict.fromkeys(series for series, _ in steps)):
            for name in ARMS:
                points = [(x, statistics.median(seen[series, x, name]))
                          for of, x in steps if of == series]
                label = f"{series}, {name}"
                lines.append(svg.Line(label, points, colour, name == "direct"))
        return lines

    def runner(self, operation, connections, *arguments, collection=None, documents=None):
        """Inserts go into a collection that is gone afterwards."""
        def run(arm, seed):
            fresh = operation.startswith("insert")
            into = f"new_{seed}" if fresh else f"{collection or 'documents'}_{arm.name}"
            block = arm.run(["--operation", operation, "--connections", connections, "--seconds",
                             self.seconds, "--warmup", 0.1, "--seed", seed, *arguments], into,
                            documents=documents)
            if fresh:
                arm.drop(into)
            return max(block.ops_per_s, 0.1)
        return run

    def connections(self, arms):
        say("growth: connections")
        counts = (1, 16, 256) if self.quick else (1, 4, 16, 64, 128, 256)
        steps = {}
        for label, operation, *more in (("find", "find"), ("update w:1", "updateById"),
                                        ("update majority", "updateById", "--majority")):
            for count in counts:
                steps[label, count] = self.runner(operation, count, *more)
        self.draw("connections", "Operations against connections", "connections",
                  self.measure(arms, steps), x_ticks=counts)

    def document_size(self, arms):
        say("growth: document size")
        steps = {}
        sizes = (100, 10_000, 1_000_000) if self.quick else (100, 1_000, 10_000, 100_000, 1_000_000)
        for size in sizes:
            shape = ("--fields", 4, "--document-bytes", size)
            count = self.load(arms, f"size{size}", READ_BYTES // size, shape)
            steps["find", size] = self.runner("find", 16, *shape, collection=f"size{size}",
                                              documents=count)
            steps["insert one w:1", size] = self.runner("insertOne", 16, *shape)
        self.draw("document_size", "Operations against document size, 16 connections",
                  "bytes of a document", self.measure(arms, steps), x_ticks=sizes, y_log=True)

    def fields(self, arms):
        say("growth: fields")
        steps = {}
        counts = (5, 500) if self.quick else (5, 50, 150, 500)
        for fields in counts:
            shape = ("--fields", fields)
            count = self.load(arms, f"fields{fields}", 2_000, shape)
            for label, operation in (("update w:1", "updateById"), ("replace w:1", "replaceById")):
                steps[label, fields] = self.runner(operation, 16, *shape, documents=count,
                                                   collection=f"fields{fields}")
            steps["insert one w:1", fields] = self.runner("insertOne", 16, *shape)
        self.draw("fields", "Operations against fields, 16 connections", "fields of a document",
                  self.measure(arms, steps), x_ticks=counts)

    @staticmethod
    def load(arms, name, count, shape):
        count = max(64, min(2_000, count))
        for arm in arms.all.values():
            arm.run(["--operation", "load", *shape], f"{name}_{arm.name}", documents=count)
        return count

    def peers(self):
        accepted, everywhere, direct = [], [], []
        counts = (1, 2) if self.quick else (1, 2, 3, 4)
        for count in counts:
            say(f"growth: {count} peers")
            with Sites(self.directory / f"peers{count}", peers=count) as sites:
                sites.load("load", "documents", "--documents", DOCUMENTS)
                load(sites.near.mongod.address, "load", "bare", "--documents", DOCUMENTS)
                sites.wait_quiet()
                seen = [self.to_peers(sites, block) for block in range(self.blocks)]
                for points, values in zip((direct, accepted, everywhere), zip(*seen)):
                    points.append((count, statistics.median(values)))
        self.draw("peers", "Updates w:1 against peers, 16 connections", "peers, all on one core", [
            svg.Line("accepted here, direct", direct, 0, True),
            svg.Line("accepted here, outrigger", accepted, 0),
            svg.Line("applied by all peers", everywhere, 1)], x_ticks=counts, x_log=False)

    def to_peers(self, sites, block):
        """(direct, accepted, applied everywhere), all a second."""
        arguments = ("--connections", 16, "--seconds", 2 * self.seconds, "--warmup", 0,
                     "--documents", DOCUMENTS, "--seed", block + 1)
        bare = load(sites.near.mongod.address, "updateById", "bare", *arguments)
        seen = sites.load("updateById", "documents", *arguments)
        late_s = sites.wait_caught_up()
        sites.wait_quiet()
        return (bare["ops_per_s"], seen["ops_per_s"],
                seen["acknowledged"] / (seen["seconds"] + late_s))

    def backlog(self):
        """Of records a peer that is away has not had yet."""
        direct, ours = [], []
        with Sites(self.directory / "backlog", away=True) as sites:
            sites.load("load", "documents", "--documents", DOCUMENTS)
            load(sites.near.mongod.address, "load", "bare", "--documents", DOCUMENTS)
            self.pair(sites, 0)  # the first one finds nothing warm
            waiting = sites.near.status()["outbox"]["records"]
            for step in BACKLOG_STEPS[:3] if self.quick else BACKLOG_STEPS:
                say(f"growth: a backlog of {step:,}")
                if step > waiting:
                    sites.load("updateById", "documents", "--connections", 64, "--commands",
                               step - waiting, "--documents", DOCUMENTS, "--seed", step)
                waiting = sites.near.status()["outbox"]["records"]
                seen = [self.pair(sites, waiting + block) for block in range(self.blocks)]
                for points, values in zip((direct, ours), zip(*seen)):
                    points.append((max(waiting, 1), statistics.median(values)))
        self.draw("backlog", "Updates w:1 against a backlog, 16 connections, the peer away",
                  "records that wait", [svg.Line("direct", direct, 0, True),
                                        svg.Line("outrigger", ours, 0)])

    def pair(self, sites, seed):
        arguments = ("--connections", 16, "--seconds", self.seconds, "--warmup", 0.1,
                     "--documents", DOCUMENTS, "--seed", seed)
        return (load(sites.near.mongod.address, "updateById", "bare", *arguments)["ops_per_s"],
                sites.load("updateById", "documents", *arguments)["ops_per_s"])


def run(directory, options):
    return Growth(directory, options).run()
