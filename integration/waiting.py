"""Waiting for something to become true, and ports that nobody else will take."""

import random
import socket
import threading
import time


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


_given = set()


def free_port():
    """A port below the range from which the kernel takes ports for outgoing connections."""
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
        _given.add(port)
        return port


def close_all(clients):
    """Closes PyMongo clients without waiting: with its server gone, one takes 20 s for that."""
    for client in clients:
        threading.Thread(target=client.close, daemon=True).start()
    clients.clear()
