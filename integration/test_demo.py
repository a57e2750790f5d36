"""tools/demo, as a stranger runs it."""

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import pymongo
import pytest

from sidecar import ROOT
from waiting import wait_until


class Demo:
    """One run of tools/demo in a process group of its own, as a terminal would start it."""

    def __init__(self, tmp_path, *arguments):
        self.directory = Path(tempfile.mkdtemp(dir=tmp_path, prefix="demo"))
        self.output_path = tmp_path / (self.directory.name + ".txt")
        with open(self.output_path, "wb") as output:
            self.child = subprocess.Popen(
                [ROOT / "tools" / "demo", *arguments], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True,
                env={**os.environ, "TMPDIR": str(self.directory), "NO_COLOR": "1"})

    def output(self):
        return self.output_path.read_text()

    def wait_output(self, text):
        def there_or_dead():
            assert self.child.poll() is None or text in self.output(), self.output()
            return text in self.output()
        wait_until(there_or_dead, lambda: f"{text}\n{self.output()}", timeout_s=600)

    def interrupt(self):
        """Ctrl-C: a terminal sends it to everyone."""
        os.killpg(self.child.pid, signal.SIGINT)

    def wait_exit(self):
        return self.child.wait(timeout=600)

    def left(self):
        """The processes of its group that still run, and what it left on disk."""
        running = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == self.child.pid and state != "Z":
                running.append(stat.parent.name)
        return running + [str(path) for path in self.directory.iterdir()]

    def discard(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()


@pytest.fixture
def start_demo(tmp_path):
    made = []

    def start(*arguments):
        made.append(Demo(tmp_path, *arguments))
        return made[-1]

    yield start
    for demo in made:
        demo.discard()


def test_the_demo_tells_its_story_and_leaves_nothing(start_demo):
    demo = start_demo()
    assert demo.wait_exit() == 0, demo.output()
    for line in ["equal after", "none lost, none doubled", "the ledger holds what lost",
                 "Fjords on foot, Thursday, with Ada, Bob, Cid", "6 tent, 1 lamp, 4 rope",
                 "paris  which day the tour starts is open: 'Tuesday' or 'Thursday'",
                 "the title is 'Fjords by boat' again, at both sites",
                 "the tour starts on Tuesday, at both sites", "oslo   nothing is open any more",
                 "Done in"]:
        assert line in demo.output()
    assert re.search(r"NO Oslo, note +set_set +'the opera roof' of oslo", demo.output())
    assert demo.left() == []


@pytest.mark.parametrize("moment", ["1. Two sites", "inserts", "3. The line"])
def test_ctrl_c_ends_everything_and_it_works_again(start_demo, moment):
    demo = start_demo()
    demo.wait_output(moment)
    demo.interrupt()
    assert demo.wait_exit() == 130, demo.output()
    assert "nothing it started is left" in demo.output()
    assert demo.left() == []


def test_keep_leaves_it_running_until_it_is_stopped(start_demo):
    demo = start_demo("--keep")
    demo.wait_output("to stop:")
    uri = re.search(r"app: (mongodb://\S+)", demo.output()).group(1)
    with pymongo.MongoClient(uri) as client:
        assert client.guide.places.count_documents({}) > 5000
    status = re.search(r"read it: (.+)", demo.output()).group(1)
    assert "paris" in subprocess.run(status.split(), check=True, text=True,
                                     stdout=subprocess.PIPE).stdout
    demo.child.send_signal(signal.SIGTERM)
    assert demo.wait_exit() == 0, demo.output()
    assert demo.left() == []
