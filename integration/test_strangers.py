"""What clients can do to a sidecar before anybody has let them in, and to other clients."""

import socket
import struct
import threading

import bson
import pymongo
import pytest

from test_resources import RawClient, descriptors, many_descriptors, rss_bytes  # noqa: F401
from waiting import wait_until

SILENT_CONNECTIONS = 1000
LARGEST_MESSAGE_BYTES = 48_000_000
# Three of the largest messages at once, and what the process has of its own.
RSS_BYTES_MAX = 3 * LARGEST_MESSAGE_BYTES + 128 * 2**20


def message(body, length=None):
    payload = struct.pack("<IB", 0, 0) + bson.encode(body)
    return struct.pack("<iiii", length or 16 + len(payload), 1, 0, 2013) + payload


class Stranger(RawClient):
    """A connection that says what it likes."""

    def __init__(self, address, hello=False):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        if hello:
            self.say_hello()

    def say_hello(self):
        self.socket.sendall(message({"hello": 1, "$db": "admin"}))
        assert self.answer()["ok"] == 1

    def begin_message(self, bytes_sent):
        """Sends so much of the largest message there is, and no more, in a thread of its own."""
        head = message({"insert": "carts", "$db": "shop"}, LARGEST_MESSAGE_BYTES)
        threading.Thread(target=self._send, args=(head + bytes(bytes_sent - len(head)),),
                         daemon=True).start()
        return self

    def _send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def is_closed(self):
        """Whether the other end has closed it; a byte that came would be an error here."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


def greet(address):
    """A stranger that said hello, unless its place went to another newcomer before that: the app's
    driver connects its monitors anew whenever they lose theirs."""
    stranger = Stranger(address)
    try:
        stranger.say_hello()
    except (OSError, struct.error):
        pass
    return stranger


@pytest.fixture
def strangers():
    made = []
    yield made
    for one in made:
        one.close()


def limit_descriptors(site, count):
    """The process `site`'s sidecar will be started as may open so many files, and no more."""
    process = site.sidecar.process
    process.arguments = ["sh", "-c", f'ulimit -n {count}; exec "$0" "$@"', *process.arguments]


def app_of(site, **options):
    return site.client(serverSelectionTimeoutMS=15000, **options)


@pytest.fixture(params=[False, True], ids=["open", "auth"])
def site(request, make_cluster, many_descriptors):  # noqa: F811
    """One site; its mongod asks for a login, or does not."""
    cluster = make_cluster(("oslo",), auth=request.param, settings={"log": {"level": "info"}})
    cluster.oslo.mongod.start()
    return cluster.oslo


def assert_app_works(site, key):
    """A new client logs in, writes and reads."""
    with app_of(site) as app:
        app.shop.carts.insert_one({"_id": key})
        assert app.shop.carts.find_one({"_id": key}) == {"_id": key}
    assert "outbox_failed" not in site.status()


def test_unfinished_messages_are_bounded_together_and_others_go_on(site, strangers):
    site.sidecar.start()
    pid = site.sidecar.process.pid
    peak = 0
    for _ in range(20):
        strangers.append(Stranger(site.sidecar.proxy_address, hello=not site.mongod.auth))
        strangers[-1].begin_message(LARGEST_MESSAGE_BYTES - 1_000_000)
    with app_of(site) as app:
        for i in range(20):
            app.shop.carts.insert_one({"_id": i})
            app.shop.carts.insert_one({"_id": f"larger{i}", "text": "x" * 300_000})
            peak = max(peak, rss_bytes(pid))
        app.shop.carts.insert_one({"_id": "large", "text": "x" * 10_000_000})
        peak = max(peak, rss_bytes(pid))
    limit = RSS_BYTES_MAX if not site.mongod.auth else 192 * 2**20
    assert peak < limit, f"{peak / 2**20:.0f} MiB"


def test_silent_connections_do_not_take_the_places_of_those_who_log_in(site, strangers):
    site.sidecar.settings["proxy"]["limits"] = {"connections": 200}
    site.sidecar.start()
    pid = site.sidecar.process.pid
    for i in range(SILENT_CONNECTIONS):
        strangers.append(Stranger(site.sidecar.proxy_address))
        if i % 500 == 0:
            assert_app_works(site, i)
    assert descriptors(pid) < 600
    assert_app_works(site, "last")
    with app_of(site) as app:  # whoever is in stays in
        app.shop.carts.find_one()
        strangers += [greet(site.sidecar.proxy_address) for _ in range(300)]
        assert app.shop.carts.find_one({"_id": "last"})
    assert site.sidecar.metric("strangers_closed_total") > SILENT_CONNECTIONS - 200


def test_few_descriptors_make_few_connections_and_the_outbox_keeps_its_own(site, strangers):
    limit_descriptors(site, 300)
    site.sidecar.start()
    site.sidecar.wait_log("limit of open files is 300")
    for i in range(400):
        strangers.append(Stranger(site.sidecar.proxy_address))
    assert_app_works(site, 1)
    strangers += [Stranger(site.sidecar.proxy_address) for _ in range(400)]
    with app_of(site) as app:
        for i in range(50):
            app.shop.carts.insert_one({"_id": f"n{i}", "text": "x" * 200_000})
    assert descriptors(site.sidecar.process.pid) < 300
    assert_app_works(site, 2)
    assert "Too many open files" not in site.sidecar.process.log_text()


def test_too_few_descriptors_to_serve_anybody_are_refused_at_start(one_site):
    one_site.oslo.mongod.start()
    limit_descriptors(one_site.oslo, 128)
    said = one_site.oslo.sidecar.start_refused()
    assert "128 descriptors" in said and "ulimit -n" in said


def test_a_long_message_before_the_login_is_refused_and_after_it_is_served(make_cluster):
    oslo = make_cluster(("oslo",), auth=True).oslo
    oslo.mongod.start()
    oslo.mongod.add_user("app", "app-secret", [{"role": "readWrite", "db": "shop"}])
    oslo.mongod.add_user("sidecar", "planted", ["root"])
    oslo.sidecar.start()
    document = {"_id": 1, "text": "x" * 500_000}
    with pymongo.MongoClient(oslo.sidecar.proxy_address, directConnection=True,
                             serverSelectionTimeoutMS=10000, retryWrites=False) as nobody:
        with pytest.raises(pymongo.errors.AutoReconnect):
            nobody.shop.carts.insert_one(document)
        with pytest.raises(pymongo.errors.OperationFailure):
            nobody.shop.carts.insert_one({"_id": 2})
    for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
        uri = oslo.mongod.uri("app", "app-secret").replace(
            oslo.mongod.address, oslo.sidecar.proxy_address)
        with pymongo.MongoClient(uri, authMechanism=mechanism) as app:
            app.shop.carts.replace_one({"_id": 1}, document, upsert=True)
            assert app.shop.carts.find_one({"_id": 1}) == document


def test_a_connection_that_never_speaks_is_closed_and_one_that_watches_is_not(
        one_site, strangers):
    site = one_site.oslo
    site.mongod.start()
    site.sidecar.start()
    silent = Stranger(site.sidecar.proxy_address)
    stuck = Stranger(site.sidecar.proxy_address)
    watching = Stranger(site.sidecar.proxy_address, hello=True)
    strangers += [silent, stuck, watching]
    stuck.socket.sendall(b"\x40\0\0\0")
    wait_until(silent.is_closed, "the silent connection is closed")
    wait_until(stuck.is_closed, "the unfinished message is closed")
    assert not watching.is_closed()
    watching.socket.setblocking(True)
    watching.socket.sendall(message({"hello": 1, "$db": "admin"}))
    assert watching.answer()["ok"] == 1


def test_a_site_gets_in_past_silent_connections_to_the_peers_port(make_cluster, strangers):
    sites = make_cluster(tls=True)
    # oslo never dials, so paris must get in.
    sites.oslo.sidecar.settings["peers"]["sites"] = [{"site": "paris"}]
    for site in sites:
        site.mongod.start()
    sites.oslo.sidecar.start()
    address = f"127.0.0.1:{sites.oslo.sidecar.peer_port}"
    strangers += [Stranger(address) for _ in range(120)]
    sites.paris.sidecar.start()
    wait_until(lambda: sites.oslo.peer("paris")["state"] == "open", "paris is linked", timeout_s=4)
    assert sum(not one.is_closed() for one in strangers) > 20  # and they are still there
