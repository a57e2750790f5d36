"""What tools/bench prints: ratios as medians over blocks with their range, and the machine."""

import os
import re
import statistics
from dataclasses import dataclass
from pathlib import Path

NOISE_MAX = 0.15
MARKS = ("<!-- bench:start -->", "<!-- bench:end -->")


@dataclass
class Ratio:
    median: float
    low: float
    high: float

    def __str__(self):
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


@dataclass
class Bar:
    """`arm` reaches at least `least` times the rate of `base`."""
    label: str
    connections: int
    arm: str
    base: str
    least: float


BARS = [
    Bar("find by _id", 16, "outrigger", "null", 0.9),
    Bar("update by _id, majority", 16, "outrigger", "direct", 0.8),
]


def ratio(blocks, arm, base):
    """Of the rates in the same block: what slowed the machine down slowed both down."""
    each = [a.ops_per_s / b.ops_per_s for a, b in zip(blocks[arm], blocks[base])]
    return Ratio(statistics.median(each), min(each), max(each))


def median(blocks, arm, field):
    return statistics.median(getattr(block, field) for block in blocks[arm])


def mean_cpu(blocks, arm, field):
    """Weighted by operations: clock ticks are coarse, blocks are short."""
    total = sum(block.acknowledged for block in blocks[arm])
    return sum(getattr(block, field) * block.acknowledged for block in blocks[arm]) / total


def table(results):
    """results: {(label, connections): {arm: [Block]}} -> lines of markdown."""
    baseline = any("baseline" in blocks for blocks in results.values())
    heads = ["operation", "connections", "direct ops/s", "null / direct", "outrigger / null",
             "outrigger / direct", "by Unix socket / direct", "p50 us: direct, null, outrigger",
             "CPU us/op: null, outrigger, by Unix socket",
             "mongod: direct, outrigger, by Unix socket", "client"]
    if baseline:
        heads += ["outrigger / baseline", "CPU baseline"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for (label, connections), blocks in results.items():
        cells = [label, str(connections), f"{median(blocks, 'direct', 'ops_per_s'):,.0f}",
                 str(ratio(blocks, "null", "direct")), str(ratio(blocks, "outrigger", "null")),
                 str(ratio(blocks, "outrigger", "direct")), str(ratio(blocks, "unix", "direct")),
                 ", ".join(f"{median(blocks, arm, 'p50_us'):,.0f}"
                           for arm in ("direct", "null", "outrigger")),
                 ", ".join(f"{mean_cpu(blocks, arm, 'hop_us'):,.0f}"
                           for arm in ("null", "outrigger", "unix")),
                 ", ".join(f"{mean_cpu(blocks, arm, 'mongod_us'):,.0f}"
                           for arm in ("direct", "outrigger", "unix")),
                 f"{mean_cpu(blocks, 'outrigger', 'client_us'):,.0f}"]
        if baseline:
            cells += [str(ratio(blocks, "outrigger", "baseline")),
                      f"{mean_cpu(blocks, 'baseline', 'hop_us'):,.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def noise(results):
    """(how far two equal arms are apart in a typical block, a line that says so)."""
    apart = []
    ratios = []
    for key, blocks in results.items():
        if "direct again" not in blocks:
            continue
        each = [a.ops_per_s / b.ops_per_s
                for a, b in zip(blocks["direct again"], blocks["direct"])]
        apart += [abs(value - 1) for value in each]
        ratios.append(f"{key[0]} at {key[1]}: {ratio(blocks, 'direct again', 'direct')}")
    if not apart:
        return 0, "Noise floor: not measured."
    typical = statistics.median(apart)
    verdict = ("the run is void" if typical > NOISE_MAX else
               "differences below that mean nothing")
    return typical, (f"Noise floor, direct against direct: {typical:.0%} in a typical block "
                     f"({'; '.join(ratios)}); {verdict}.")


def bars(results):
    """(all that were measured are met, lines)"""
    lines = []
    met = True
    for bar in BARS:
        blocks = results.get((bar.label, bar.connections))
        if blocks is None:
            continue
        seen = ratio(blocks, bar.arm, bar.base)
        if seen.median < bar.least:
            word, met = "MISSED", False
        else:
            word = "met" if seen.low >= bar.least else "met, though not in every block"
        lines.append(f"- {bar.label} at {bar.connections} connections: {seen} of {bar.base}, "
                     f"bar {bar.least}: {word}")
    return met, lines


def machine():
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return (f"{len(os.sched_getaffinity(0))} cores ({model.group(1) if model else 'unknown CPU'}), "
            f"{int(memory.group(1)) / 2**20:.0f} GiB of memory, shared by load generator, sidecar "
            "and mongod")


def write_readme(path, lines):
    text = path.read_text()
    start, end = (text.find(mark) for mark in MARKS)
    if start < 0 or end < start:
        raise SystemExit(f"bench: {path.name} has no lines {MARKS[0]} and {MARKS[1]}")
    path.write_text(text[:start + len(MARKS[0])] + "\n" + "\n".join(lines) + "\n" + text[end:])
