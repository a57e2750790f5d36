"""What the demo's story plays on: two sites that leave nothing, signals that stop them cleanly."""

import shutil
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
from cluster import Cluster  # noqa: E402


class Stopped(BaseException):
    """A signal asked for the end. Not an Exception, so that nobody on the way swallows it."""


class Signals:
    """Raises Stopped once, in the main thread; later signals do not disturb the cleaning up."""

    def __init__(self):
        self.received = None
        self._held = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, number, _frame):
        if self.received is None:
            self.received = number
            if not self._held:
                raise Stopped

    def ignore(self):
        self.received = self.received or 0

    @contextmanager
    def held(self):
        """A process must not be started without anyone noting that it was."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self.received is not None:
            raise Stopped


class Stage:
    """Two sites under a temporary directory; close() ends and removes all of it."""

    def __init__(self, names, rules, signals):
        self.directory = None
        self.cluster = None
        self.started = time.monotonic()
        with signals.held():
            self.directory = Path(tempfile.mkdtemp(prefix="outrigger-demo-"))
            self.cluster = Cluster(self.directory, names, settings={
                "log": {"level": "info"}, "replicate": rules})
            for process in self.processes():
                process.start = hold(signals, process.start)

    def processes(self):
        if self.cluster is None:
            return []
        return [part.process for site in self.cluster for part in (site.mongod, site.sidecar)]

    def elapsed(self):
        return time.monotonic() - self.started

    def wire_bytes(self):
        lines = self.cluster.lines.values()
        return sum(line.bytes_forward + line.bytes_backward for line in lines)

    def log_tails(self):
        """The last lines of every log; mongod says much and rarely why."""
        tails = []
        for process in self.processes():
            lines = 3 if "mongod" in process.log_path.name else 15
            tails += [line[:300] for line in process.log_tail(lines).splitlines()]
        return "\n".join(tails)

    def close(self):
        if self.cluster is not None:
            self.cluster.discard()
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)


def hold(signals, start):
    def started():
        with signals.held():
            start()
    return started
