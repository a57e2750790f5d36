"""What the sidecar may use: memory of idle connections, and nothing more after minutes of load."""

import os
import resource
import socket
import struct
import subprocess
import time
from pathlib import Path

import bson
import pymongo
import pytest

from sidecar import program
from waiting import wait_until

IDLE_CONNECTIONS = 1000
RSS_BYTES_MAX = 64 * 2**20
GROWTH_MAX = 1.10
SLACK_BYTES = 8 * 2**20  # what an allocator may hold back


@pytest.fixture
def many_descriptors():
    """1,000 clients, and as many connections to the store, must fit into each process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"ulimit -n cannot be raised above {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def site(many_descriptors, make_cluster):
    """One sidecar that logs little; its only peer is counted but never there."""
    cluster = make_cluster(("paris", "away"), links=[], settings={"log": {"level": "info"}})
    paris = cluster.paris
    paris.mongod.start()
    paris.sidecar.start()
    return paris


def rss_bytes(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class RawClient:
    """A socket that says hello and then nothing: what a pooled connection of a driver does."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        body = bson.encode({"hello": 1, "$db": "admin"})
        self.socket.sendall(struct.pack("<iiiiIB", 21 + len(body), 1, 0, 2013, 0, 0) + body)

    def answer(self):
        head = self.socket.recv(16, socket.MSG_WAITALL)
        length, _, response_to, opcode = struct.unpack("<iiii", head)
        rest = self.socket.recv(length - 16, socket.MSG_WAITALL)
        assert (response_to, opcode) == (1, 2013)
        return bson.decode(rest[5:])

    def close(self):
        self.socket.close()


def store_connections(site):
    return site.direct().admin.command("serverStatus")["connections"]["current"]


def test_a_thousand_idle_connections_fit_into_64_megabytes(site):
    pid = site.sidecar.process.pid
    before_bytes, before_descriptors = rss_bytes(pid), descriptors(pid)
    clients = [RawClient(site.sidecar.proxy_address) for _ in range(IDLE_CONNECTIONS)]
    try:
        assert all(client.answer()["ok"] == 1 for client in clients)
        # One connection to the store for each: nothing was pooled or refused.
        assert store_connections(site) >= IDLE_CONNECTIONS
        used = rss_bytes(pid)
        print(f"resident: {before_bytes / 2**20:.1f} MiB, then {used / 2**20:.1f}")
        assert used < RSS_BYTES_MAX, f"{used / 2**20:.1f} MiB, {before_bytes / 2**20:.1f} before"
    finally:
        for client in clients:
            client.close()
    wait_until(lambda: descriptors(pid) <= before_descriptors + 5,
               lambda: f"descriptors closed: {before_descriptors} before, {descriptors(pid)} now")


def load(site, operation, seconds, seed, documents=5000, namespace="shop.carts"):
    """bench_load through the sidecar; errors fail the test."""
    command = [program("bench_load"), "--target", site.sidecar.proxy_address, "--operation",
               operation, "--namespace", namespace, "--documents", documents, "--connections", 8,
               "--seconds", seconds, "--warmup", 0, "--seed", seed]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def fill_buffers(site):
    """The outbox keeps 32 MiB in memory before it writes tables: no leak, and it comes first.
    Returns the most that was resident."""
    peak_bytes = 0
    for part in range(5):
        load(site, "load", 0, seed=1, documents=30_000, namespace=f"shop.filling{part}")
        peak_bytes = max(peak_bytes, rss_bytes(site.sidecar.process.pid))
    return peak_bytes


def assert_no_growth(site, warm_up_s, seconds):
    """Reads and updates of the same documents, over new connections again and again. Peaks are
    compared: what is resident rises and falls with the tables in memory, by those 32 MiB."""
    pid = site.sidecar.process.pid
    before_bytes = fill_buffers(site)
    site.direct().shop.carts.create_index("sku")
    load(site, "load", 0, seed=1)
    slice_s = 1
    seed = 1

    def work(duration_s):
        nonlocal seed
        until = time.monotonic() + duration_s
        peak_bytes = 0
        while time.monotonic() < until:
            for operation in ("find", "updateById", "updateByField"):
                seed += 1
                load(site, operation, slice_s, seed)
                peak_bytes = max(peak_bytes, rss_bytes(pid))
        return peak_bytes

    before_bytes = max(before_bytes, work(warm_up_s))
    before_descriptors = descriptors(pid)
    after_bytes = work(seconds)
    print(f"resident at most: {before_bytes / 2**20:.1f} MiB, then {after_bytes / 2**20:.1f}")
    assert after_bytes < before_bytes * GROWTH_MAX + SLACK_BYTES, (
        f"{before_bytes / 2**20:.1f} MiB before, {after_bytes / 2**20:.1f} after")
    # Tables and logs of the outbox come and go; a connection leaked would be hundreds.
    wait_until(lambda: descriptors(pid) <= before_descriptors + 24,
               lambda: f"descriptors: {before_descriptors} before, {descriptors(pid)} now")


def test_twenty_seconds_of_load_leave_no_memory_or_descriptors_behind(site):
    assert_no_growth(site, warm_up_s=9, seconds=12)


def most_resident_bytes(pid):
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("form", ["one for many", "one each"])
def test_documents_read_around_a_write_are_few_at_a_time(site, form):
    documents = site.direct().shop.large
    for start in range(0, 200, 20):
        documents.insert_many([{"_id": i, "n": i, "text": "x" * 2**20}
                               for i in range(start, start + 20)])
    pid = site.sidecar.process.pid
    before_bytes = rss_bytes(pid)
    app = site.app().shop.large
    if form == "one for many":
        changed = app.update_many({}, {"$mul": {"n": 2}}).modified_count
    else:
        changed = app.bulk_write([pymongo.UpdateOne({"_id": i}, {"$mul": {"n": 2}})
                                  for i in range(200)]).modified_count
    assert changed == 199  # 0 stays 0
    assert sum(d["n"] for d in documents.find({}, {"n": 1})) == 2 * sum(range(200))
    used = most_resident_bytes(pid) - before_bytes
    assert used < 120 * 2**20, f"{used / 2**20:.1f} MiB for 200 documents of 1 MiB"


@pytest.mark.long
def test_five_minutes_of_load_leave_no_memory_or_descriptors_behind(site):
    assert_no_growth(site, warm_up_s=60, seconds=300)
