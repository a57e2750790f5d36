"""A client that sends what it likes, as much as it likes, and reads nothing: the process lives, its
memory is bounded, another client goes on, and nothing is left locked."""

import os
import random
import socket
import struct
import threading
import time

import bson
import pytest

from test_resources import rss_bytes
from test_strangers import LARGEST_MESSAGE_BYTES, message
from waiting import wait_until

SECONDS = 6
# Sanitizers keep what was freed for a while, and shadow all of it.
MEMORY_FACTOR = 4 if os.environ.get("OUTRIGGER_BUILD") == "asan" else 1
RSS_BYTES_MAX = MEMORY_FACTOR * (3 * LARGEST_MESSAGE_BYTES + 200 * 2**20)
SLOWER_MAX = 40
SLOWEST_S = 1.0


def legal_messages():
    wide = {f"f{i}": {"a": [i] * 5} for i in range(500)}
    for body in (
            {"hello": 1, "$db": "admin"}, {"isMaster": 1, "helloOk": True, "$db": "admin"},
            {"insert": "hostile", "documents": [{"_id": 1, "n": 1}, wide], "$db": "shop"},
            {"update": "hostile", "$db": "shop", "updates": [
                {"q": {"_id": 1}, "u": {"$inc": {"n": 1}, "$set": wide}, "upsert": True},
                {"q": {"n": {"$gt": 0}}, "u": [{"$set": {"m": "$n"}}], "multi": True}]},
            {"delete": "hostile", "deletes": [{"q": {"n": 9}, "limit": 0}], "$db": "shop"},
            {"findAndModify": "hostile", "query": {"_id": 1}, "update": {"$min": wide},
             "$db": "shop"},
            {"find": "hostile", "filter": {}, "$db": "shop"},
            {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": b"n,,n=u,r=x",
             "$db": "admin"},
            {"createIndexes": "hostile", "$db": "shop",
             "indexes": [{"key": {"n": 1}, "name": "n"}]}):
        yield message(body)
    query = bson.encode({"isMaster": 1})
    yield struct.pack("<iiiii", 16 + 4 + 11 + 8 + len(query), 1, 0, 2004, 0) \
        + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + query
    yield struct.pack("<iiiiiib", 16 + 9 + 4, 1, 0, 2012, 2013, 2**31 - 1, 2) + b"abcd"


def mutate(chance, data):
    data = bytearray(data)
    kind = chance.randrange(5)
    if kind == 0:
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 1:
        struct.pack_into("<i", data, 0, chance.choice(
            [0, -1, 15, 16, 21, len(data) - 1, len(data) + 1, 48_000_000, 48_000_001, 2**31 - 1]))
    elif kind == 2:
        at = chance.randrange(16, len(data) - 4)
        struct.pack_into("<i", data, at, chance.choice([-1, 0, 1, 5, 2**31 - 1, len(data)]))
    elif kind == 3:
        del data[chance.randrange(len(data)):]
    else:
        at = chance.randrange(len(data))
        data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 64)))
    return bytes(data)


class Attack:
    """Threads that each do one thing again and again until it is over."""

    def __init__(self, site, seed):
        host, port = site.sidecar.proxy_address.rsplit(":", 1)
        self._target = (host, int(port))
        self._seed = seed
        self._over = threading.Event()
        self._kept = []
        acts = [self.send_mutated, self.send_mutated, self.send_halves, self.read_nothing,
                self.flood, self.write_widely]
        self._threads = [threading.Thread(target=self._repeat, args=(act, i), daemon=True)
                         for i, act in enumerate(acts)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(30)
        for one in self._kept:
            one.close()

    def _repeat(self, act, number):
        chance = random.Random(f"{self._seed} {number}")
        legal = list(legal_messages())
        while not self._over.is_set():
            try:
                with socket.create_connection(self._target, timeout=2) as one:
                    act(one, chance, legal)
            except OSError:
                pass

    def send_mutated(self, one, chance, legal):
        for _ in range(20):
            one.sendall(mutate(chance, chance.choice(legal)))
        one.settimeout(0.05)
        one.recv(65536)

    def send_halves(self, one, chance, legal):
        kept = socket.create_connection(self._target, timeout=2)
        self._kept.append(kept)
        kept.settimeout(0.2)
        kept.sendall(legal[0])
        kept.recv(65536)
        kept.sendall(struct.pack("<iiii", LARGEST_MESSAGE_BYTES, 1, 0, 2013) + bytes(2_000_000))
        if len(self._kept) > 60:
            self._kept.pop(0).close()

    def read_nothing(self, one, chance, legal):
        kept = socket.create_connection(self._target, timeout=2)
        self._kept.append(kept)
        kept.settimeout(0.1)
        for _ in range(200):
            kept.sendall(chance.choice(legal[1:7]))
        self._over.wait(0.1)

    def flood(self, one, chance, legal):
        one.settimeout(0.2)
        piece = b"".join(chance.choice(legal) for _ in range(200))
        for _ in range(20):
            one.sendall(piece)

    def write_widely(self, one, chance, legal):
        update = {f"f{i}": i for i in range(20_000)}
        one.sendall(message({"update": "hostile", "$db": "shop", "updates": [
            {"q": {"_id": 2}, "u": {"$min": update}, "upsert": True}]}))
        one.settimeout(1)
        one.recv(65536)


def p99(app, count, first):
    times = []
    for i in range(first, first + count):
        started = time.monotonic()
        app.shop.carts.update_one({"_id": i % 50}, {"$inc": {"n": 1}}, upsert=True)
        assert app.shop.carts.find_one({"_id": i % 50})
        times.append(time.monotonic() - started)
    return sorted(times)[int(count * 0.99)]


@pytest.mark.short
@pytest.mark.parametrize("auth", [False, True], ids=["open", "auth"])
def test_others_go_on_beside_a_client_that_sends_what_it_likes(make_cluster, auth):
    seed = int(os.environ.get("OUTRIGGER_SEED", random.randrange(1 << 32)))
    print(f"OUTRIGGER_SEED={seed}")
    oslo = make_cluster(("oslo",), auth=auth, settings={"log": {"level": "warn"}}).start().oslo
    pid = oslo.sidecar.process.pid
    app = oslo.app()
    quiet = p99(app, 300, 0)
    peak, slowest, done = 0, 0, 0
    with Attack(oslo, seed):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            slowest = max(slowest, p99(app, 100, done))
            done += 100
            peak = max(peak, rss_bytes(pid))
    print(f"p99 {quiet * 1e3:.1f} ms, then {slowest * 1e3:.1f} of {done}; {peak / 2**20:.0f} MiB")
    assert oslo.sidecar.process.is_running(), oslo.sidecar.process.log_tail()
    assert peak < RSS_BYTES_MAX, f"{peak / 2**20:.0f} MiB"
    assert slowest < max(SLOWER_MAX * quiet, SLOWEST_S), f"{quiet} s, then {slowest} s"
    # Nothing is left locked: neither documents nor the namespace.
    hostile = app.shop.hostile
    hostile.update_one({"_id": 1}, {"$set": {"after": 1}}, upsert=True)
    hostile.create_index("after")
    app.shop.carts.create_index("n")
    assert app.shop.carts.update_many({}, {"$inc": {"n": 1}}).matched_count == 50
    wait_until(lambda: oslo.status()["open_writes"] == 0, "no write is open")
    assert "invariant broken" not in oslo.sidecar.process.log_text()
    oslo.sidecar.stop()
