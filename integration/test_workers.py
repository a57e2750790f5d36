"""Several event loops serve apps: what they share is shared, and what is one stays one."""

import threading
from pathlib import Path

import pymongo
import pytest

from test_strangers import Stranger, message, strangers  # noqa: F401
from waiting import wait_until

WORKERS = 3
CLIENTS = 2 * WORKERS
TICKS_OF_WORK = 5
PING = message({"ping": 1, "$db": "admin"})


@pytest.fixture
def site(make_cluster):
    cluster = make_cluster(("oslo", "paris"), settings={"proxy": {"workers": WORKERS}})
    cluster.start()
    return cluster.oslo


def alone(site, **options):
    """A client with one connection for its commands."""
    return site.client(maxPoolSize=1, **options)


def ticks_by_thread(pid):
    """CPU each thread has used, in clock ticks."""
    used = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        fields = (thread / "stat").read_text().rpartition(")")[2].split()
        used[thread.name] = int(fields[11]) + int(fields[12])
    return used


class Busy:
    """Threads that each do the same again and again, on a client of their own."""

    def __init__(self, clients, work):
        self._ends = threading.Event()
        self.errors = []
        self._threads = [threading.Thread(target=self._run, args=(client, number, work))
                         for number, client in enumerate(clients)]

    def _run(self, client, number, work):
        count = 0
        while not self._ends.is_set():
            try:
                work(client, number, count)
            except pymongo.errors.PyMongoError as error:
                self.errors.append(error)
                return
            count += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        for thread in self._threads:
            thread.join()


def test_every_loop_serves_its_part(site):
    clients = [alone(site) for _ in range(CLIENTS)]
    for client in clients:
        client.shop.carts.find_one()
    pid = site.sidecar.process.pid
    before = ticks_by_thread(pid)

    def busy_threads():
        now = ticks_by_thread(pid)
        return [name for name in now if now[name] - before.get(name, 0) >= TICKS_OF_WORK]

    with Busy(clients, lambda client, *_: client.shop.carts.find_one()) as busy:
        wait_until(lambda: len(busy_threads()) == WORKERS, lambda: f"{busy_threads()} work")
    assert busy.errors == []


def test_increments_on_every_loop_add_up(site):
    clients = [alone(site) for _ in range(CLIENTS)]
    clients[0].shop.hits.insert_one({"_id": 1, "n": 0})
    done = [0] * CLIENTS

    def hit(client, number, count):
        client.shop.hits.update_one({"_id": 1}, {"$inc": {"n": 1}})
        client.shop.seen.insert_one({"by": number, "count": count})
        done[number] = count + 1

    with Busy(clients, hit) as busy:
        wait_until(lambda: min(done) >= 50, lambda: f"{done} were counted")
    assert busy.errors == []
    assert site.direct().shop.hits.find_one()["n"] == sum(done)
    assert site.direct().shop.seen.count_documents({}) == sum(done)


def test_a_collection_made_anew_on_one_loop_is_another_one_on_all(site):
    clients = [alone(site) for _ in range(CLIENTS)]
    for number in range(20):
        for client in clients:
            client.shop.carts.insert_one({"of": number})
        first = clients[number % CLIENTS].shop
        site.direct().shop.drop_collection("carts")
        first.create_collection("carts", timeseries={"timeField": "at"})
        for client in clients:
            with pytest.raises(pymongo.errors.OperationFailure, match="must be present"):
                client.shop.carts.insert_one({"of": number})
        site.direct().shop.drop_collection("carts")
        first.create_collection("carts")


def test_the_limit_on_connections_is_one_for_all_loops(make_cluster, strangers):  # noqa: F811
    oslo = make_cluster(("oslo",), settings={
        "proxy": {"workers": WORKERS, "limits": {"connections": 9}}}).oslo
    oslo.mongod.start()
    oslo.sidecar.start()
    address = oslo.sidecar.proxy_address

    def command(stranger):
        stranger.say_hello()
        stranger.socket.sendall(PING)
        assert stranger.answer()["ok"] == 1

    silent = [Stranger(address) for _ in range(9)]
    strangers += silent
    wait_until(lambda: oslo.sidecar.metric("connections") == 9, "nine are connected")
    known = [Stranger(address) for _ in range(9)]
    strangers += known
    for one in known:
        command(one)  # from now on it is no stranger
    wait_until(lambda: all(one.is_closed() for one in silent), "the silent ones have gone")
    wait_until(lambda: oslo.sidecar.metric("connections") == 9, "nine are connected")
    late = Stranger(address)
    strangers.append(late)
    wait_until(late.is_closed, "there is no place left")
    known[4].close()
    wait_until(lambda: oslo.sidecar.metric("connections") == 8, "one has left")
    last = Stranger(address)
    strangers.append(last)
    command(last)


def test_sigterm_lets_every_loop_finish(site):
    clients = [alone(site, retryWrites=False, serverSelectionTimeoutMS=2000)
               for _ in range(CLIENTS)]
    told = [[] for _ in range(CLIENTS)]

    def insert(client, number, count):
        client.shop.carts.insert_one({"_id": f"{number}/{count}"})
        told[number].append(f"{number}/{count}")

    with Busy(clients, insert) as busy:
        wait_until(lambda: min(map(len, told)) >= 10, "all have written")
        site.sidecar.stop()
    assert len(busy.errors) == CLIENTS  # each has met the end
    assert "closing" not in site.sidecar.process.log_text()
    there = {document["_id"] for document in site.direct().shop.carts.find()}
    assert {key for keys in told for key in keys} <= there
