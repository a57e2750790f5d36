"""tools/bench, very small: that what it prints is what it measured, and that it leaves nothing."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path

import pytest

from sidecar import ROOT
from waiting import wait_until

sys.path.append(str(ROOT / "tools" / "benchmark"))
import svg  # noqa: E402

SMALL = ["--quick", "--blocks", "1", "--seconds", "0.1", "--parts", "table"]
READS_AND_INSERTS = ["--operations", "find,insertOne", "--connections", "1"]


class Run:
    """In a process group and a folder for temporary files of its own."""

    def __init__(self, folder, *arguments):
        self.folder = folder / "temporary"
        self.folder.mkdir()
        self.output_path = folder / "output.txt"
        with open(self.output_path, "wb") as output:
            self.child = subprocess.Popen(
                [sys.executable, ROOT / "tools" / "benchmark" / "main.py", *SMALL, *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, "TMPDIR": str(self.folder)})

    def output(self):
        return self.output_path.read_text()

    def wait_output(self, text):
        def there():
            assert self.child.poll() is None, self.output()
            return text in self.output()
        wait_until(there, lambda: f"{text}\n{self.output()}", timeout_s=120)

    def processes(self, name=""):
        """Ids of those of its group that run and have `name` in their command line."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
                command = (stat.parent / "cmdline").read_text()
            except OSError:
                continue
            if int(group) == self.child.pid and state != "Z" and name in command:
                found.append(int(stat.parent.name))
        return found

    def assert_nothing_left(self):
        assert self.processes() == [], self.output()
        assert list(self.folder.iterdir()) == [], self.output()


@pytest.fixture
def run():
    made = []
    # A test's own folder is too deep for the name of a Unix socket.
    folder = Path(tempfile.mkdtemp(prefix="bench-"))

    def start(*arguments):
        made.append(Run(folder, *arguments))
        return made[0]

    yield start
    for one in made:
        for pid in one.processes():
            os.kill(pid, signal.SIGKILL)
        one.child.wait()
    shutil.rmtree(folder)


def test_a_tiny_run_prints_a_table_and_bars_and_leaves_nothing(run):
    bench = run(*READS_AND_INSERTS)
    code = bench.child.wait(timeout=120)
    output = bench.output()
    assert code == 0, output
    assert re.search(r"^\| find by _id \| 1 \| [\d,]+ \| \d\.\d\d \(", output, re.M), output
    # An insert waits for a disk, a read does not: what is printed comes from different blocks.
    rates = {label: int(rate.replace(",", "")) for label, rate in
             re.findall(r"^\| (find by _id|insert one, w:1) \| 1 \| ([\d,]+) ", output, re.M)}
    assert len(rates) == 2 and min(rates.values()) > 0, output
    for bar in ("T3 find by _id at 1: ops/s / null", "T5 insert one, w:1 at 1: p50 above direct"):
        assert re.search(rf"^\| {re.escape(bar)}.* \| (met.*|MISSED) \|$", output, re.M), output
    assert "Every acknowledged write is at its site and at the peer" in output
    bench.assert_nothing_left()


def test_interrupted_it_ends_what_it_started(run):
    bench = run("--seconds", "60", *READS_AND_INSERTS)
    wait_until(lambda: bench.processes("bench_load"), "a load runs", timeout_s=120)
    bench.child.send_signal(signal.SIGTERM)
    assert bench.child.wait(timeout=60) == 1
    assert "ended by SIGTERM" in bench.output()
    bench.assert_nothing_left()


@pytest.mark.long
def test_a_sidecar_that_dies_makes_the_run_void(run):
    bench = run(*READS_AND_INSERTS, "--blocks", "1000")
    bench.wait_output("block 1 of 1000 done")
    os.kill(bench.processes("outrigger/far")[0], signal.SIGKILL)
    assert bench.child.wait(timeout=120) == 1
    assert "the sidecar of far has ended" in bench.output()
    bench.assert_nothing_left()


def test_a_chart_is_whole_xml_with_a_curve_a_line_and_both_axes_named():
    lines = [svg.Line("one & other", [(1, 5), (10, 7), (100, 0.5)]), svg.Line("flat", [(1, 3)], 1)]
    tree = xml.etree.ElementTree.fromstring(svg.chart("growth", "x < y", "rate", lines, y_log=True))
    texts = [element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")]
    curves = list(tree.iter("{http://www.w3.org/2000/svg}polyline"))
    assert {"growth", "x < y", "rate", "one & other", "flat", "100"} <= set(texts)
    places = [tuple(map(float, place.split(","))) for place in curves[0].get("points").split()]
    assert len(curves) == 2 and len(places) == 3
    # To the right as x grows; upwards is a smaller y; equal factors are equal distances.
    assert places[1][1] < places[0][1] < places[2][1]
    assert abs((places[1][0] - places[0][0]) - (places[2][0] - places[1][0])) < 0.2
