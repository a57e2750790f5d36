"""Behind tools/bench: plan, run, check, print."""

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import bench_driver
import bench_insert
import bench_open_loop
import bench_report
from bench_arms import Arms

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = 10_000
AGAIN = "direct again"

# name: (label, arguments of bench_load)
OPERATIONS = {
    "find": ("find by _id", ["--operation", "find"]),
    "insertOne": ("insert one, w:1", ["--operation", "insertOne"]),
    "insertMany": ("insert 1,000, w:1", ["--operation", "insertMany"]),
    "updateByIdMajority": ("update by _id, majority", ["--operation", "updateById", "--majority"]),
    "updateByIdRetryable": ("update by _id, majority, retryable",
                            ["--operation", "updateById", "--majority", "--retryable"]),
    "updateById": ("update by _id, w:1", ["--operation", "updateById"]),
    "updateByField": ("update by another field, w:1", ["--operation", "updateByField"]),
}
# Where two equal arms are compared: the cases the bars are about.
NOISE_CASES = {("find", 16), ("updateByIdMajority", 16)}


@dataclass(frozen=True)
class Case:
    operation: str
    connections: int

    @property
    def key(self):
        return OPERATIONS[self.operation][0], self.connections

    @property
    def inserts(self):
        return self.operation.startswith("insert")


class Bench:
    def __init__(self, options, arms):
        self.options = options
        self.arms = arms
        self.random = random.Random(options.seed)
        self.runs = 0
        self.cases = [Case(operation, connections) for operation in options.operations
                      for connections in options.connections
                      if operation != "insertMany" or connections <= 16]
        self.silent = []  # blocks in which nothing was answered
        noisy = [case for case in self.cases
                 if (case.operation, case.connections) in NOISE_CASES] or self.cases[:1]
        self.results = {case.key: {name: [] for name in self.arms_of(case, noisy)}
                        for case in self.cases}

    def arms_of(self, case, noisy):
        return [*self.arms.all, AGAIN] if case in noisy else list(self.arms.all)

    def run(self):
        orders = {}
        for block in range(self.options.blocks):
            for case in self.random.sample(self.cases, len(self.cases)):
                # Every second block goes back the way the one before came: A B C, C B A.
                if block % 2 == 0:
                    names = list(self.results[case.key])
                    orders[case] = self.random.sample(names, len(names))
                else:
                    orders[case].reverse()
                for name in orders[case]:
                    self.results[case.key][name].append(self.run_answered(case, name))
            print(f"block {block + 1} of {self.options.blocks} done", file=sys.stderr, flush=True)

    def run_answered(self, case, name):
        """A block in which nothing is answered has no rate. It is run again, and told of."""
        for _ in range(3):
            block = self.run_one(case, name)
            if block.acknowledged > 0:
                return block
            self.silent.append(f"{name}, {case.operation} at {case.connections}")
        raise SystemExit(f"bench: void: nothing is answered in {self.options.seconds:g} s: "
                         f"{self.silent[-1]}")

    def run_one(self, case, name, rate=0):
        """`rate`: commands a second, open loop; 0: as many as it takes."""
        arm = self.arms.all["direct" if name == AGAIN else name]
        self.runs += 1
        arguments = [*OPERATIONS[case.operation][1], "--connections", case.connections,
                     "--seconds", self.options.seconds, "--warmup", self.options.warmup,
                     "--rate", rate, "--seed", self.runs]
        if not case.inserts:
            block = arm.run(arguments, arm.collection, keep_state=case.operation != "find")
        else:
            # A collection of its own, gone afterwards: the tenth run is as cheap as the first.
            collection = f"new_{self.runs}"
            block = arm.run(arguments, collection)
            each = 1000 if case.operation == "insertMany" else 1
            found = arm.database()[collection].count_documents({})
            if found != block.acknowledged * each:
                raise SystemExit(f"bench: void: {arm.name}: {found} documents of "
                                 f"{block.acknowledged * each} acknowledged")
            arm.database()[collection].drop()
        if case.operation != "find":
            arm.write_commands += block.acknowledged
        return block

    def wrong(self):
        return [wrong for arm in self.arms.all.values() if (wrong := arm.wrong())]


def read_options():
    parser = argparse.ArgumentParser(prog="tools/bench", description=(
        "Compares Outrigger with no proxy and with a relay that does nothing, on one mongod."))
    parser.add_argument("--quick", action="store_true", help="3 short blocks, some 2 minutes")
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    parser.add_argument("--operations", type=lambda text: text.split(","),
                        default=list(OPERATIONS), help=",".join(OPERATIONS))
    parser.add_argument("--connections", type=lambda text: [int(n) for n in text.split(",")],
                        help="1,16,64 (quick: 1,16)")
    parser.add_argument("--blocks", type=int, help="7 (quick: 3)")
    parser.add_argument("--seconds", type=float, help="measured a block: 0.7 (quick: 0.35)")
    parser.add_argument("--baseline", metavar="FILE",
                        help="another outrigger program, as one more arm: before and after")
    parser.add_argument("--seed", type=int, default=1, help="of the order of things")
    options = parser.parse_args()
    unknown = set(options.operations) - set(OPERATIONS)
    if unknown:
        parser.error(f"no operation {', '.join(unknown)}; there are {', '.join(OPERATIONS)}")
    options.connections = options.connections or ([1, 16] if options.quick else [1, 16, 64])
    options.blocks = options.blocks or (3 if options.quick else 7)
    options.seconds = options.seconds or (0.35 if options.quick else 0.7)
    options.warmup = 0.1 if options.quick else 0.2
    options.driver_blocks = 2 if options.quick else 5
    return options


def main():
    options = read_options()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="outrigger-bench-") as directory:
        with Arms(Path(directory), DOCUMENTS, options.baseline) as arms:
            bench = Bench(options, arms)
            bench.run()
            open_loop = bench_open_loop.run(bench)
            driver = bench_driver.run(arms, options.driver_blocks, options.seconds)
            wrong = bench.wrong()
        insert_met, insert_line, insert_bar = bench_insert.run(directory, options.seconds)
    typical, noise_line = bench_report.noise(bench.results)
    met, bar_lines = bench_report.bars(bench.results)
    bar_lines.append(insert_bar)
    lines = bench_report.table(bench.results)
    lines += ["", f"Machine: {bench_report.machine()}. Medians of {options.blocks} interleaved "
              f"blocks of {options.seconds:g} s, with the range over blocks; one raw-socket "
              "client, 12 fields a document; one hop more each for null and outrigger.",
              "", noise_line, *open_loop, *driver, "", insert_line]
    print("\n".join([*lines, "", *bar_lines]))
    for each in bench.silent:
        print(f"bench: a block was run again, nothing was answered in it: {each}", file=sys.stderr)
    print(f"{bench.runs} runs in {time.monotonic() - started:.0f} s", file=sys.stderr)
    void = typical > bench_report.NOISE_MAX or bool(wrong)
    for line in wrong:
        print(f"bench: VOID: {line}", file=sys.stderr)
    if not wrong:
        print("Every acknowledged write is in its collection; the outbox holds one record each.")
    if options.readme and void:
        print("bench: README.md is left as it is: the run is void", file=sys.stderr)
    elif options.readme:
        bench_report.write_readme(ROOT / "README.md", lines)
    if wrong or (options.check and (void or not met or not insert_met)):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
