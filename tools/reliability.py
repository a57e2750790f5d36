"""Tries the product harder than each change is, and writes into README.md what that came to: worlds
and histories, how many, for how long, and how many were not as they had to be.

    python3 tools/reliability.py [PART...]

It builds what it runs. Rows of parts that were not run stay as they were. The first thing that is
wrong is shown and ends it, with nothing written.
"""

import argparse
import datetime
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import marked

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PART = "reliability"  # of README.md
HEAD = ["| what was tried | how much of it | wrong | in | on |", "|---|---|---:|---:|---|"]
RANDOM_WORLDS = 6_250  # of each kind
SITE_HOURS = 300
HISTORIES = 300  # of each number of sites


@dataclass(frozen=True)
class Part:
    title: str
    command: tuple
    environment: dict
    counted: str  # a regular expression of what it prints, once or more: its numbers add up
    text: str     # of their sums


def worlds(*arguments):
    return ("build/release/merge_world_test", *arguments)


PARTS = {
    "small": Part(
        "every short sequence of operations on a document, at two and three sites",
        worlds("--gtest_filter=EverySmallWorld.*"), {"OUTRIGGER_SMALL_WORLDS": "1"},
        r"(\d+) small worlds", "{0} worlds"),
    "random": Part(
        "random small worlds of ten kinds, held against their histories or run twice, once "
        "without forgetting",
        worlds("--gtest_filter=MergeWorld.*"), {"OUTRIGGER_WORLDS": str(RANDOM_WORLDS)},
        r"(\d+) random worlds", "{0} worlds"),
    "sites": Part(
        "whole sites in virtual time, with crashes, lost lines and disks that forget",
        ("build/release/outrigger_world", "--seed", "1", "--hours", str(SITE_HOURS)), {},
        r"(\d+) worlds, [\d.]+ site-hours, (\d+) acknowledged writes",
        f"{SITE_HOURS} site-hours, {{0}} worlds, {{1}} acknowledged writes"),
    "histories": Part(
        "random histories of two and three sites on real MongoDBs",
        (sys.executable, "-m", "pytest", "-q", "-s", "integration/test_histories.py", "-k",
         "many"),
        {"OUTRIGGER_HISTORIES": str(HISTORIES), "OUTRIGGER_TEST_ALL": "1"},
        r"(\d+) documents, (\d+) writes", "{0} documents, {1} writes"),
    "mutants": Part(
        "faults planted in the product, each of which must be found",
        (sys.executable, "tools/mutants.py"), {},
        r"(\d+) passed, \d+ failed", "{0} faults, all found"),
}


def run(part):
    """Its row; what is wrong ends everything."""
    started = time.monotonic()
    done = subprocess.run(part.command, cwd=ROOT, env={**os.environ, **part.environment},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    seconds = time.monotonic() - started
    found = re.findall(part.counted, done.stdout)
    if done.returncode != 0 or not found:
        sys.exit(f"reliability: {part.title}: wrong, or nothing was tried:\n{done.stdout[-4000:]}")
    found = [each if isinstance(each, tuple) else (each,) for each in found]
    sums = [f"{sum(int(number) for number in column):,}" for column in zip(*found)]
    return (f"| {part.title} | {part.text.format(*sums)} | 0 | {seconds:,.0f} s | "
            f"{datetime.date.today()} |")


def write(rows):
    """Each row in the place of that of its title."""
    kept = marked.parts(README, PART)[1].splitlines()
    by_title = {line.split("|")[1].strip(): line
                for line in [*kept, *rows] if line.startswith("| ") and line not in HEAD}
    lines = [by_title[part.title] for part in PARTS.values() if part.title in by_title]
    marked.write(README, PART, [*HEAD, *lines])


def main():
    parser = argparse.ArgumentParser(prog="tools/test --reliability",
                                     description=__doc__.partition("\n\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=", ".join(PARTS) + "; all of them unless some are named")
    chosen = parser.parse_args().parts or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error("there is no part " + ", ".join(sorted(unknown)))
    os.environ["OUTRIGGER_BUILD"] = "release"
    subprocess.run(["tools/build", "release", "outrigger", "outriggerctl", "outrigger_world",
                    "merge_world_test"], cwd=ROOT, check=True)
    rows = []
    for name in chosen:
        rows.append(run(PARTS[name]))
        print(rows[-1], flush=True)
    write(rows)


if __name__ == "__main__":
    main()
