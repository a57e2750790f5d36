"""Latency below saturation: every arm is given the same load, a share of what Outrigger carried in
the closed loop of this very run. Counted from when a command should have begun, so that a stall
counts for everyone who waited behind it."""

import report
from bars import Bar

CASES = {("find", 1), ("find", 16), ("updateByIdMajority", 16)}
SHARES = (0.5, 0.8)
ARMS = ("direct", "null", "outrigger", "unix")


def run(bench):
    """(lines of markdown, bars); none when no case of CASES was measured."""
    rows = []
    for case in bench.cases:
        if (case.operation, case.connections) not in CASES:
            continue
        saturated = report.median(bench.results[case.key], "outrigger", "ops_per_s")
        for share in SHARES[:1] if case.connections == 1 or bench.options.quick else SHARES:
            rows.append((case, share, round(share * saturated)))
    blocks = {row: {arm: [] for arm in ARMS} for row in rows}
    for _ in range(min(bench.options.blocks, bench.options.open_blocks)):
        for row in bench.random.sample(rows, len(rows)):
            for arm in bench.random.sample(ARMS, len(ARMS)):
                blocks[row][arm].append(bench.run_one(row[0], arm, rate=row[2]))
    return (table(blocks) if rows else []), [bar for row in rows if row[0].operation == "find"
                                             and row[1] == 0.5 for bar in bars(row, blocks[row])]


def table(blocks):
    heads = ["p50, p99, p99.9 us", "connections", "load", "ops/s", *ARMS[:-1], "by Unix socket"]
    lines = ["", "| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for row, of_arms in blocks.items():
        case, share, rate = row
        label, connections = case.key
        cells = [label, str(connections), f"{share:.0%}", f"{rate:,}",
                 *(percentiles(of_arms, arm) for arm in ARMS)]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", "Open loop: the load is a share of what Outrigger carries at saturation, "
            "the same for every arm; latency counts from when a command should have begun."]


def percentiles(blocks, arm):
    return ", ".join(f"{report.median(blocks, arm, field):,.0f}"
                     for field in ("p50_us", "p99_us", "p999_us"))


def bars(row, blocks):
    case = row[0]
    for field, base, limit in (("p50_us", "null", 1.05), ("p99_us", "null", 1.05),
                               ("p50_us", "direct", 1.25)):
        seen = report.ratio(blocks, "outrigger", base, field)
        yield Bar(f"T1 {case.of.label} at {case.connections}, {row[1]:.0%} load: "
                  f"{field.removesuffix('_us')} / {base}", seen.median, limit, False, "x",
                  seen.low, seen.high)
