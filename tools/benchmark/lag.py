"""Convergence lag: from when a write is acknowledged here until it is read there.

One machine, one monotonic clock. A marker is written through the near sidecar while a load runs,
and its document is asked for at the peer's mongod until it shows. Raw sockets: a driver would take
longer than what is measured. Asking takes a fraction of a millisecond, which is the resolution;
nothing is asked while no marker is under way."""

import random
import socket
import struct
import subprocess
import time

import bson

from machine import HERE, Void, on
from sites import DATABASE

from sidecar import program

GIVE_UP_S = 30
PAUSE_S = 0.0002  # between two questions


class Raw:
    """One connection that speaks OP_MSG."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=GIVE_UP_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, command):
        body = bson.encode({**command, "$db": DATABASE})
        self.socket.sendall(struct.pack("<iiiiIB", 21 + len(body), 1, 0, 2013, 0, 0) + body)
        head = self.socket.recv(16, socket.MSG_WAITALL)
        rest = self.socket.recv(struct.unpack("<i", head[:4])[0] - 16, socket.MSG_WAITALL)
        reply = bson.decode(rest[5:])
        if reply["ok"] != 1 or "writeErrors" in reply:
            raise Void(f"marker: {reply}")
        return reply

    def close(self):
        self.socket.close()


def write(near, number, first=False):
    near.ask({"update": "markers", "writeConcern": {"w": 1}, "updates": [
        {"q": {"_id": 1}, "u": {"$set": {"n": number}}, "upsert": first}]})


def shows(far, number):
    batch = far.ask({"find": "markers", "filter": {"_id": 1}, "limit": 1,
                     "singleBatch": True})["cursor"]["firstBatch"]
    return bool(batch) and batch[0]["n"] >= number


def one(near, far, number, first=False):
    """Seconds from the acknowledgement until it shows."""
    write(near, number, first)
    acknowledged = time.monotonic()
    while not shows(far, number):
        if time.monotonic() - acknowledged > GIVE_UP_S:
            raise Void(f"a marker did not show in {GIVE_UP_S} s")
        time.sleep(PAUSE_S)
    return time.monotonic() - acknowledged


def measure(sites, rate, seconds, documents):
    """Sorted lags in seconds, under `rate` small updates a second."""
    near, far = Raw(sites.near.sidecar.proxy_address), Raw(sites.far.mongod.address)
    number = time.monotonic_ns()  # larger than in any measurement before
    one(near, far, number, first=True)
    with on(HERE):
        load = subprocess.Popen(
            [str(part) for part in (
                program("bench_load"), "--target", sites.near.sidecar.proxy_address, "--operation",
                "updateById", "--namespace", f"{DATABASE}.documents", "--documents", documents,
                "--connections", 16, "--rate", rate, "--warmup", 0, "--seconds", seconds,
                "--seed", 91)], stdout=subprocess.DEVNULL)
    chance = random.Random(1)
    samples = []
    try:
        while load.poll() is None:
            samples.append(one(near, far, number + len(samples) + 1))
            time.sleep(chance.uniform(0.002, 0.01))  # not in step with any timer of the sidecars
        if load.returncode != 0:
            raise Void("errors in the load beside the markers")
    finally:
        load.kill()
        load.wait()
        near.close()
        far.close()
    sites.wait_caught_up()
    return sorted(samples)
