"""Hello that waits for news: drivers hear of an election when it happens, and whoever waits keeps
nobody from anything."""

import socket
import struct
import threading
import time

import bson
import pymongo
import pymongo.monitoring
import pytest
from bson import Int64, ObjectId

from differential.raw import MORE_TO_COME, OP_QUERY, RawClient, body_section
from real_mongod import RealMongod
from sidecar import Sidecar
from waiting import wait_until

EXHAUST_ALLOWED = 1 << 16
LONG_MS = 120_000
SOON_S = 5


class Waiter(RawClient):
    """Says hello and waits."""

    def say(self, flags=0, command="hello", **fields):
        self.send_msg([body_section({command: 1, "$db": "admin", **fields})], flags)
        return self

    def heard(self):
        """(request id, response to, flags, body) of the next reply; None: it was closed."""
        try:
            header = self._read(16)
        except ConnectionError:
            header = None
        if header is None:
            return None
        length, request_id, response_to, _ = struct.unpack("<iiii", header)
        payload = self._read(length - 16)
        return (request_id, response_to, struct.unpack("<I", payload[:4])[0],
                bson.decode(payload[5:]))

    def version(self):
        return self.say().heard()[3]["topologyVersion"]

    def wait_for_news(self, ms=LONG_MS, flags=0):
        return self.say(flags, topologyVersion=self.version(), maxAwaitTimeMS=ms)

    def is_quiet(self):
        """Nothing has come yet."""
        self.socket.setblocking(False)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return False
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(20)


def made_site(directory, settings=None, **options):
    """A running sidecar, with its mongod."""
    mongod = RealMongod(directory / "mongod", **options).start()
    sidecar = Sidecar(directory / "sidecar", "oslo", mongod.uri(), settings)
    sidecar.mongod = mongod
    return sidecar.start()


def discard(site):
    site.discard()
    site.mongod.discard()


@pytest.fixture
def make_site(tmp_path):
    """made_site, for one test."""
    made = []

    def make(*arguments, **options):
        made.append(made_site(tmp_path / str(len(made)), *arguments, **options))
        return made[-1]

    yield make
    for site in made:
        discard(site)


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def site(request, tmp_path_factory):
    site = made_site(tmp_path_factory.mktemp("site"), replica_set=request.param)
    yield site
    discard(site)


def test_what_is_asked_wrongly_is_answered_as_mongod_does(site):
    with RawClient(site.mongod.address) as client:
        version = bson.decode(client.command({"hello": 1, "$db": "admin"}))["topologyVersion"]
    other = {**version, "processId": ObjectId()}
    for flags in (0, EXHAUST_ALLOWED):
        for fields in ({}, {"topologyVersion": version}, {"maxAwaitTimeMS": 10},
                       {"topologyVersion": version, "maxAwaitTimeMS": -1},
                       {"topologyVersion": version, "maxAwaitTimeMS": 10},
                       {"topologyVersion": other, "maxAwaitTimeMS": LONG_MS},
                       {"topologyVersion": {**version, "counter": Int64(0)},
                        "maxAwaitTimeMS": LONG_MS if version["counter"] else 10},
                       {"topologyVersion": {**version, "counter": Int64(-1)},
                        "maxAwaitTimeMS": 10},
                       {"topologyVersion": {**version, "counter": Int64(99)},
                        "maxAwaitTimeMS": 10},
                       {"topologyVersion": 5, "maxAwaitTimeMS": 10}):
            said = []
            for address in (site.mongod.address, site.proxy_address):
                with Waiter(address) as waiter:
                    _, _, answered, body = waiter.say(flags, **fields).heard()
                    said.append((answered, [body.get(field) for field in (
                        "ok", "code", "errmsg", "topologyVersion", "isWritablePrimary")]))
            assert said[0] == said[1], (flags, fields)


def test_a_stream_of_answers_is_chained_and_takes_its_time(site):
    with Waiter(site.proxy_address) as waiter:
        began = time.monotonic()
        waiter.wait_for_news(200, EXHAUST_ALLOWED)
        said = [waiter.heard() for _ in range(3)]
        assert time.monotonic() - began >= 0.6
    assert all(flags == MORE_TO_COME for _, _, flags, _ in said)
    assert [one[1] for one in said[1:]] == [one[0] for one in said[:-1]]
    assert len({one[0] for one in said}) == 3


def test_an_old_hello_may_wait_too(site):
    with Waiter(site.proxy_address) as waiter:
        query = bson.encode({"isMaster": 1, "topologyVersion": waiter.version(),
                             "maxAwaitTimeMS": 200})
        began = time.monotonic()
        waiter.send(OP_QUERY, struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1)
                    + query)
        assert waiter.receive()[0] == 1
        assert time.monotonic() - began >= 0.2


def test_drivers_stream(site):
    awaited = threading.Event()

    class Listener(pymongo.monitoring.ServerHeartbeatListener):
        def started(self, event):
            if event.awaited:
                awaited.set()

        def succeeded(self, event):
            pass

        def failed(self, event):
            pass

    with pymongo.MongoClient(site.proxy_address, event_listeners=[Listener()],
                             directConnection=True) as app:
        app.admin.command("ping")
        assert awaited.wait(20)


@pytest.mark.parametrize("flags", [pytest.param(0, marks=pytest.mark.long), EXHAUST_ALLOWED],
                         ids=["once", "stream"])
def test_who_waits_is_let_go_when_something_ends(make_site, flags):
    site = make_site(replica_set=False)
    waiters = [Waiter(site.proxy_address) for _ in range(20)]
    with pymongo.MongoClient(site.mongod.address, directConnection=True) as direct:
        def connections():
            return direct.admin.command("serverStatus")["connections"]["current"]
        before = connections()
        for waiter in waiters:
            waiter.wait_for_news(flags=flags)
        wait_until(lambda: connections() >= before + 20, "all to be at mongod")
        for waiter in waiters[:15]:
            waiter.close()
        wait_until(lambda: connections() < before + 10, "those that left to be gone from mongod")
    assert waiters[15].is_quiet()
    site.mongod.kill()
    assert all(waiter.heard() is None for waiter in waiters[15:])
    site.mongod.start()
    with Waiter(site.proxy_address) as waiter:
        waiter.wait_for_news(flags=flags)
        began = time.monotonic()
        site.stop()
        assert time.monotonic() - began < SOON_S
        assert waiter.heard() is None


def test_a_stranger_that_waits_gives_its_place_to_a_newcomer(make_site):
    site = make_site({"proxy": {"limits": {"connections": 20}}}, auth=True)
    waiting = [Waiter(site.proxy_address).wait_for_news(flags=EXHAUST_ALLOWED) for _ in range(20)]
    with Waiter(site.proxy_address) as newcomer:
        assert newcomer.say().heard()[3]["ok"] == 1
    for waiter in waiting:
        waiter.close()


@pytest.mark.long
def test_a_stranger_that_listens_is_not_taken_for_one_that_is_stuck(make_site):
    site = make_site(auth=True)
    with Waiter(site.proxy_address) as waiter:
        waiter.wait_for_news(10_000, EXHAUST_ALLOWED)
        for _ in range(7):
            assert waiter.heard()[2] == MORE_TO_COME
