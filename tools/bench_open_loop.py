"""Latency below saturation: every arm is given the same load, a share of what Outrigger carried in
the closed loop of this very run. Counted from when a command should have begun, so that a stall
counts for everyone who waited behind it."""

import bench_report

CASES = {("find", 16), ("updateByIdMajority", 16)}
SHARES = (0.5, 0.8)
ARMS = ("direct", "null", "outrigger", "unix")
BLOCKS_MAX = 5


def run(bench):
    """Lines of markdown; none when no case of CASES was measured."""
    rows = []
    for case in bench.cases:
        if (case.operation, case.connections) not in CASES:
            continue
        saturated = bench_report.median(bench.results[case.key], "outrigger", "ops_per_s")
        for share in SHARES:
            rows.append((case, share, round(share * saturated)))
    if not rows:
        return []
    blocks = {row: {arm: [] for arm in ARMS} for row in rows}
    for _ in range(min(bench.options.blocks, BLOCKS_MAX)):
        for row in bench.random.sample(rows, len(rows)):
            for arm in bench.random.sample(ARMS, len(ARMS)):
                blocks[row][arm].append(bench.run_one(row[0], arm, rate=row[2]))
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
    return ", ".join(f"{bench_report.median(blocks, arm, field):,.0f}"
                     for field in ("p50_us", "p99_us", "p999_us"))
