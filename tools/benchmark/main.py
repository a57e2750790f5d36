"""Behind tools/bench: plan, run, check, print."""

import argparse
import os
import signal
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import bars
import conflicts
import driver
import growth
import machine
import marked
import open_loop
import replication
import report
import sites
import size
from arms import Arms
from cases import OPERATIONS, Bench

from pymongo.errors import PyMongoError

DOCUMENTS = 10_000
PLOTS = machine.ROOT / "tools" / "benchmark" / "plots"
README = machine.ROOT / "README.md"
RESULTS = machine.ROOT / "tools" / "benchmark" / "RESULTS.md"
PARTS = ("table", "standalone", "replication", "size", "plot")


class Outcome:
    """What the parts found."""

    def __init__(self):
        self.lines = []
        self.short = []  # of the lines, what README shows
        self.bars = []
        self.void = []   # why ratios mean nothing
        self.wrong = []  # what broke, or was acknowledged and is not there

    def head(self, text):
        self.lines += ["", f"**{text}**", ""]

    def add(self, lines, of_bars):
        self.lines += lines
        self.bars += of_bars


def run_table(options, directory, outcome, replica_set=True):
    forms = ("null", "unix") if replica_set else ()
    with Arms(directory, DOCUMENTS, options.baseline, replica_set, forms) as arms:
        bench = Bench(options, arms, "" if replica_set else "standalone: ")
        if not bench.cases:
            return
        bench.run()
        latencies, latency_bars = open_loop.run(bench) if replica_set else ([], [])
        through_driver = driver.run(arms, options.driver_blocks, options.seconds) \
            if replica_set else []
        outcome.wrong += bench.wrong()
    typical, noise_line = report.noise(bench.results)
    if typical > report.NOISE_MAX:
        outcome.void.append(noise_line)
    outcome.add(report.table(bench.results), [*report.Bars(bench).all(), *latency_bars])
    outcome.short += report.short_rows(bench.results)
    if replica_set:
        outcome.add(["", f"Medians of {options.blocks} interleaved blocks of {options.seconds:g} "
                     "s, with the range over blocks; one raw-socket client, 12 fields a document; "
                     "one hop more each for null and outrigger. Before the next arm's block the "
                     "peer has applied everything and nothing of it is kept any more; CPU of the "
                     "sidecar until then.", "", noise_line, *latencies, *through_driver], [])
    for each in bench.silent:
        print(f"bench: a block was run again, nothing was answered in it: {each}", file=sys.stderr)


def run_part(part, options, directory, outcome):
    if part in ("table", "standalone"):
        outcome.head("One site on a " + ("replica set" if part == "table" else "standalone"))
        run_table(options, directory, outcome, replica_set=part == "table")
    elif part == "replication":
        outcome.head("Replication")
        outcome.add(*replication.run(directory, options))
    elif part == "size":
        outcome.head("Size and conflicts")
        for kind in (size, conflicts):
            outcome.add(*kind.run(directory / kind.__name__, options))
    elif part == "plot":
        outcome.head("Growth")
        outcome.add(growth.run(directory, options), [])


def run_or_tell(part, options, directory, outcome):
    """What breaks in one part is told, and the others are measured all the same."""
    begun = time.monotonic()
    try:
        run_part(part, options, directory / part, outcome)
    except (machine.Void, AssertionError, TimeoutError, OSError, PyMongoError) as error:
        outcome.wrong.append(f"{part}: {error or repr(error)}")
    machine.say(f"{part} took {time.monotonic() - begun:.0f} s")


def read_options():
    parser = argparse.ArgumentParser(prog="tools/bench", description=(
        "Compares Outrigger, with live peers on another core, with no proxy, with a relay that "
        "does nothing, and with a plain copier."))
    parser.add_argument("--quick", action="store_true", help="3 short blocks, less of everything")
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    parser.add_argument("--readme", action="store_true",
                        help="write RESULTS.md and the short table of README.md, with all parts")
    parser.add_argument("--parts", type=lambda text: text.split(","),
                        help=f"of {','.join(PARTS)}; all but plot unless --plot or --readme")
    parser.add_argument("--plot", action="store_true", help="draw growth, too")
    parser.add_argument("--plots", metavar="FOLDER", default=PLOTS,
                        help="where plots go: tools/benchmark/plots")
    parser.add_argument("--operations", type=lambda text: text.split(","),
                        default=list(OPERATIONS), help="of the table: " + ",".join(OPERATIONS))
    parser.add_argument("--connections", type=lambda text: [int(n) for n in text.split(",")],
                        help="of the table: these only, of each operation's own")
    parser.add_argument("--blocks", type=int, help="7 (quick: 3)")
    parser.add_argument("--seconds", type=float, help="measured a block: 0.5 (quick: 0.3)")
    parser.add_argument("--long", action="store_true", help="sizes as large as promised")
    parser.add_argument("--baseline", metavar="FILE",
                        help="another outrigger program, as one more arm: before and after")
    parser.add_argument("--site-cores", type=int, default=1, metavar="N",
                        help="of the measured site; its peers have the others")
    parser.add_argument("--workers", type=int, metavar="N", help="event loops of each sidecar")
    parser.add_argument("--seed", type=int, default=1, help="of the order of things")
    options = parser.parse_args()
    for given, known in ((options.operations, OPERATIONS), (options.parts or [], PARTS)):
        unknown = set(given) - set(known)
        if unknown:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    every = options.plot or options.readme
    options.parts = options.parts or [part for part in PARTS if part != "plot" or every]
    options.blocks = options.blocks or (3 if options.quick else 7)
    options.seconds = options.seconds or (0.3 if options.quick else 0.5)
    options.warmup = 0.1 if options.quick else 0.15
    options.driver_blocks = 2 if options.quick else 4
    options.open_blocks = 2 if options.quick else 4
    return options


def end_on_signals():
    """A signal ends it as an error does: what was started is ended, once."""
    def end(number, _):
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(f"bench: ended by {signal.Signals(number).name}")
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, end)


def show(outcome, options):
    """Prints all of it; returns how many bars are missed."""
    outcome.head("What is wanted")
    lines = [*outcome.lines, *bars.rows(outcome.bars), "", f"Machine: {machine.describe()}."]
    print("\n".join(lines))
    for line in outcome.void:
        print(f"bench: VOID: {line}", file=sys.stderr)
    for line in outcome.wrong:
        print(f"bench: WRONG: {line}", file=sys.stderr)
    if not outcome.wrong:
        print("Every acknowledged write is at its site and at the peer, the collections are equal, "
              "and nobody keeps a record or a row of them.")
    missed = sum(not bar.met for bar in outcome.bars)
    count = f"{len(outcome.bars) - missed} bars met, {missed} missed"
    print(count)
    if options.readme and (outcome.void or outcome.wrong):
        print("bench: README.md is left as it is: the run is void", file=sys.stderr)
    elif options.readme:
        marked.write(RESULTS, "bench", lines)
        summary = textwrap.wrap(f"{count}. Machine: {machine.describe()}.", 100)
        marked.write(README, "bench", [*report.SHORT_HEAD, *outcome.short, "", *summary])
    return missed


def main():
    options = read_options()
    if options.readme:
        for path in (README, RESULTS):
            marked.parts(path, "bench")
    end_on_signals()
    started = time.monotonic()
    machine.give_site(options.site_cores)
    os.sched_setaffinity(0, machine.AWAY)
    if options.workers:
        sites.WORKERS.append(options.workers)
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="outrigger-bench-") as directory:
        for part in options.parts:
            run_or_tell(part, options, Path(directory), outcome)
    missed = show(outcome, options)
    print(f"bench: {time.monotonic() - started:.0f} s in all", file=sys.stderr)
    return 1 if outcome.wrong or (options.check and (outcome.void or missed)) else 0


if __name__ == "__main__":
    sys.exit(main())
