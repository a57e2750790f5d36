"""Who runs on which cores, and what it costs: CPU time, memory, a sync of the disk.

The measured site (its mongod, its sidecar or relay, and the load) has one core for itself; every
other site, and this program, have the others, so that they cost what they would cost from
elsewhere. With one core there is nothing to part, and `apart()` says so."""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
for folder in ("integration", "tools"):
    sys.path.insert(0, str(ROOT / folder))

CORES = sorted(os.sched_getaffinity(0))
HERE = {CORES[0]}               # the measured site
AWAY = set(CORES[1:] or CORES)  # its peers
APPEND = b"r" * 400


class Void(Exception):
    """What was measured means nothing, and why."""


_started = time.monotonic()


def say(text):
    """How far it is, for who waits."""
    print(f"bench: {time.monotonic() - _started:4.0f} s: {text}", file=sys.stderr, flush=True)


def give_site(cores):
    """The measured site has so many cores, from the first on."""
    HERE.clear()
    HERE.update(CORES[:cores])
    AWAY.clear()
    AWAY.update(CORES[cores:] or CORES)


def apart():
    return not HERE & AWAY


def describe():
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    parted = (f"load, relay, sidecar and mongod of the measured site share {len(HERE)} of them, "
              f"its live peers and the harness have {len(AWAY)}"
              if apart() else "NOT APART: the peers share them with the measured site")
    return (f"{len(CORES)} cores ({model.group(1) if model else 'unknown CPU'}), "
            f"{int(memory.group(1)) / 2**20:.0f} GiB of memory; {parted}")


@contextlib.contextmanager
def on(cores):
    """What is started meanwhile runs on these cores alone, with all its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_s(pid):
    """User and system time of a process so far, threads that ended included; to a microsecond."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid() gives
    except OSError:
        raise Void(f"process {pid} has ended") from None


def memory_bytes(pid, field="VmRSS"):
    """VmRSS: resident now; VmHWM: the most that was, since the start or since forget_peak()."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{field}:\s*(\d+)", status).group(1)) * 1024


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def sync_us(directory, times=50):
    """Median of writing 400 bytes behind the last ones and fdatasync, alone, on the core of the
    measured site, into a file that need not grow: the cheapest way to log anything."""
    path = Path(directory) / "appended"
    took = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(file, bytes(times * len(APPEND)))
        os.fsync(file)
        os.lseek(file, 0, os.SEEK_SET)
        with on(HERE):
            for _ in range(times):
                started = time.perf_counter()
                os.write(file, APPEND)
                os.fdatasync(file)
                took.append(time.perf_counter() - started)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(took) * 1e6


def run_pinned(command, cores=None):
    """Output of a program that has to succeed; None when it did not."""
    with on(HERE if cores is None else cores):
        result = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    return result.stdout if result.returncode == 0 else None
