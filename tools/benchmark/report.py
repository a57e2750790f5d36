"""The table of tools/bench: ratios as medians over blocks, with their range."""

import statistics
from dataclasses import dataclass

from bars import Bar
from cases import AGAIN, MANY, OPERATIONS

NOISE_MAX = 0.15


@dataclass
class Ratio:
    median: float
    low: float
    high: float

    def __str__(self):
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def over(values):
    return Ratio(statistics.median(values), min(values), max(values))


def ratio(blocks, arm, base, field="ops_per_s"):
    """In the same block: what slowed the machine down slowed both down."""
    return over([getattr(a, field) / max(getattr(b, field), 1e-9)
                 for a, b in zip(blocks[arm], blocks[base])])


def median(blocks, arm, field):
    return statistics.median(getattr(block, field) for block in blocks[arm])


def mean_cpu(blocks, arm, field):
    """Weighted by operations."""
    total = sum(block.acknowledged for block in blocks[arm])
    return sum(getattr(block, field) * block.acknowledged for block in blocks[arm]) / total


def table(results):
    """Lines of markdown."""
    baseline = any("baseline" in blocks for blocks in results.values())
    heads = ["operation", "connections", "direct ops/s", "null / direct", "outrigger / direct",
             "by Unix socket / direct", "p50 us: direct, null, outrigger",
             "p99 us: direct, outrigger", "CPU us/op: null, outrigger", "mongod: direct, outrigger"]
    if baseline:
        heads += ["outrigger / baseline", "CPU baseline"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for (label, connections), blocks in results.items():
        def share(arm, base="direct"):
            return str(ratio(blocks, arm, base)) if arm in blocks else ""

        def each(show, field, *arms):
            return ", ".join(f"{show(blocks, arm, field):,.0f}" for arm in arms if arm in blocks)
        cells = [label, str(connections), f"{median(blocks, 'direct', 'ops_per_s'):,.0f}",
                 share("null"), share("outrigger"), share("unix"),
                 each(median, "p50_us", "direct", "null", "outrigger"),
                 each(median, "p99_us", "direct", "outrigger"),
                 each(mean_cpu, "hop_us", "null", "outrigger"),
                 each(mean_cpu, "mongod_us", "direct", "outrigger")]
        if baseline:
            cells += [share("outrigger", "baseline"), each(mean_cpu, "hop_us", "baseline")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


SHORT_HEAD = ["| operation | connections | outrigger / direct | p50 ms: direct, outrigger |",
              "|---|---:|---:|---:|"]


def short_rows(results):
    """Lines of markdown under SHORT_HEAD: what README shows of the table."""
    return [f"| {label} | {connections} | {ratio(blocks, 'outrigger', 'direct')} | "
            + ", ".join(f"{median(blocks, arm, 'p50_us') / 1000:.2f}"
                        for arm in ("direct", "outrigger")) + " |"
            for (label, connections), blocks in results.items()
            if "outrigger" in blocks and "direct" in blocks]


def noise(results):
    """(how far two equal arms are apart in a typical block, a line that says so)."""
    apart = []
    ratios = []
    for key, blocks in results.items():
        if AGAIN not in blocks:
            continue
        each = [a.ops_per_s / b.ops_per_s for a, b in zip(blocks[AGAIN], blocks["direct"])]
        apart += [abs(value - 1) for value in each]
        ratios.append(f"{key[0]} at {key[1]}: {over(each)}")
    if not apart:
        return 0, "Noise floor: not measured."
    typical = statistics.median(apart)
    verdict = ("the run is void" if typical > NOISE_MAX else
               "differences below that mean nothing")
    return typical, (f"Noise floor, direct against direct: {typical:.0%} in a typical block "
                     f"({'; '.join(ratios)}); {verdict}.")


class Bars:
    """The bars of the table: of those cases that were measured."""

    def __init__(self, bench):
        self.results = bench.results
        self.sync_us = min(bench.sync_us)  # what disturbs a sync makes it longer
        self.store = bench.store
        self.bars = []

    def blocks(self, operation, connections):
        return self.results.get((self.store + OPERATIONS[operation].label, connections))

    def add(self, target, operation, connections, what, base, limit, field="ops_per_s"):
        blocks = self.blocks(operation, connections)
        if not blocks or base not in blocks:
            return
        seen = ratio(blocks, "outrigger", base, field)
        note = ""
        if field == "hop_us":  # of blocks together: they are short
            value = mean_cpu(blocks, "outrigger", field) / mean_cpu(blocks, base, field)
            seen = Ratio(value, None, None)
        self.bars.append(Bar(
            f"{target} {self.store}{OPERATIONS[operation].label} at {connections}: {what} / {base}",
            seen.median, limit, field == "ops_per_s", "x", seen.low, seen.high, note))

    def reads(self):
        for connections in (1, 16, 64):
            self.add("T3", "find", connections, "ops/s", "null", 0.95)
        for connections in (1, 16):
            self.add("T1", "find", connections, "p50", "null", 1.05, "p50_us")
        self.add("T2", "find", 1, "CPU", "null", 1.25, "hop_us")
        self.add("T2", "find", 16, "CPU", "null", 1.25, "hop_us")

    def majority(self):
        self.add("T4", "updateByIdMajority", 1, "p50", "direct", 1.5, "p50_us")
        for connections in (16, 64):
            self.add("T4", "updateByIdMajority", connections, "ops/s", "direct", 0.9)
        for connections in (16, 64):
            self.add("T4", "findAndModify", connections, "ops/s", "direct", 0.65)

    def transactions(self):
        for operation in ("transactionOf1", "transactionOf5"):
            for connections in (1, 16):
                self.add("T4", operation, connections, "ops/s", "direct", 0.6)

    def durable(self):
        for operation in ("updateById", "insertOne"):
            self.one_client(operation)
            self.add("T5", operation, 16, "ops/s", "direct", 0.6)
            self.add("T5", operation, 64, "ops/s", "direct", 0.75)

    def one_client(self, operation):
        blocks = self.blocks(operation, 1)
        if not blocks:
            return
        more = over([(ours.p50_us - direct.p50_us) / self.sync_us
                     for ours, direct in zip(blocks["outrigger"], blocks["direct"])])
        self.bars.append(Bar(
            f"T5 {self.store}{OPERATIONS[operation].label} at 1: p50 above direct, in syncs of 400 "
            f"B ({self.sync_us:,.0f} us)", more.median, 1.5, False, "", more.low, more.high))

    def group_commit(self):
        for operation in ("updateById", "insertOne"):
            one, many = self.blocks(operation, 1), self.blocks(operation, 64)
            if one and many:
                seen = over([b.ops_per_s / a.ops_per_s
                             for a, b in zip(one["outrigger"], many["outrigger"])])
                self.bars.append(Bar(
                    f"T6 {self.store}{OPERATIONS[operation].label}: ops/s at 64 / at 1",
                    seen.median, 10, True, "x", seen.low, seen.high))

    def other_forms(self):
        self.add("T7", "insertMany", 1, "documents/s", "direct", 0.85)
        blocks = self.blocks("insertMany", 1)
        if blocks:
            self.bars.append(Bar("T7 insert 1,000, w:1 at 1: sidecar's CPU a document",
                                 mean_cpu(blocks, "outrigger", "hop_us") / MANY, 3, False, " us"))
        self.add("T7", "updateByField", 16, "ops/s", "direct", 0.55)
        self.add("T7", "replaceById", 16, "ops/s", "direct", 0.65)
        self.add("T7", "pipelineById", 16, "ops/s", "direct", 0.4)

    def all(self):
        if not self.store:
            self.reads()
            self.majority()
            self.transactions()
        self.durable()
        self.group_commit()
        self.other_forms()
        return self.bars
