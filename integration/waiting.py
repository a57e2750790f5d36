"""Waiting for something to become true, making workers wait, and ports that nobody else will
take."""

import contextlib
import os
import random
import socket
import threading
import time
from pathlib import Path


def wait_until(condition, what, timeout_s=30, interval_s=0.05):
    """Returns the first true value of condition(); raises TimeoutError naming `what`.

    `what` is text, or a function that gives it: what was seen last says more than what was hoped.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            wanted = what() if callable(what) else what
            raise TimeoutError(f"after {timeout_s} s still not: {wanted}")
        time.sleep(interval_s)


def claimed(name):
    """Whether this run is the first to want `name`, of those that share the folder
    OUTRIGGER_CLAIMS; alone: True."""
    folder = os.environ.get("OUTRIGGER_CLAIMS")
    if not folder:
        return True
    try:
        (Path(folder) / name).touch(exist_ok=False)
        return True
    except FileExistsError:
        return False


_given = set()


def free_port():
    """A port below the range from which the kernel takes ports for outgoing connections. Nobody is
    given it twice: who has it may stop listening for a while."""
    while True:
        port = random.randint(15000, 32000)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if not claimed(f"port {port}"):
            continue
        _given.add(port)
        return port


def close_all(clients):
    """Closes PyMongo clients without waiting: with its server gone, one takes 20 s for that."""
    for client in clients:
        threading.Thread(target=client.close, daemon=True).start()
    clients.clear()


class Pause:
    """Lets threads that work step by step be stopped between two steps, all of them, and go on."""

    def __init__(self):
        self._changed = threading.Condition()
        self._workers = 0
        self._waiting = 0
        self._held = False
        self._ended = False

    @contextlib.contextmanager
    def worker(self):
        """For a worker: `with pause.worker() as goes_on: while goes_on(): step()`."""
        with self._changed:
            self._workers += 1
        try:
            yield self._goes_on
        finally:
            with self._changed:
                self._workers -= 1
                self._changed.notify_all()

    def _goes_on(self):
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended or not self._held)
            self._waiting -= 1
            return not self._ended

    @contextlib.contextmanager
    def held(self, timeout_s=120):
        """While it lasts no worker is in a step."""
        with self._changed:
            self._held = True
            if not self._changed.wait_for(lambda: self._waiting == self._workers, timeout_s):
                raise TimeoutError(f"{self._workers - self._waiting} workers are still in a step")
        try:
            yield
        finally:
            with self._changed:
                self._held = False
                self._changed.notify_all()

    def end(self):
        with self._changed:
            self._ended = True
            self._changed.notify_all()
