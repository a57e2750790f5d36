"""A store that freezes, and one that answers what no mongod answers."""

import struct
import time

import bson
import pymongo
import pytest
from bson import SON

from differential.raw import OP_MSG, OP_REPLY, RawClient, body_section
from impostor import Impostor
from waiting import wait_until


def test_a_frozen_store_does_not_keep_the_sidecar_from_ending(two_sites):
    oslo, paris = two_sites.oslo, two_sites.paris
    oslo.app().shop.items.insert_one({"_id": 1, "n": 0})
    oslo.app().shop.items.update_one({"_id": 1}, {"$inc": {"n": 1}})  # what is asked first is known
    two_sites.wait_converged(["shop"])
    clients = [RawClient(oslo.sidecar.proxy_address, timeout_s=60) for _ in range(3)]
    for client in clients[:2]:  # of the third it is not known yet which mongod answers
        client.command(SON({"ping": 1, "$db": "admin"}))
    oslo.mongod.process.freeze()
    try:
        clients[0].send_msg([body_section(SON(
            {"update": "items", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}],
             "$db": "shop"}))])
        clients[1].send_msg([body_section(SON(
            {"insert": "items", "documents": [{"_id": 2}], "$db": "shop"}))])
        clients[2].send_msg([body_section(SON(
            {"update": "items", "updates": [{"q": {"k": 1}, "u": {"$inc": {"n": 1}}}],
             "$db": "shop"}))])
        wait_until(lambda: oslo.status()["open_writes"] >= 1, "writes wait for the store")
        began = time.monotonic()
        oslo.sidecar.stop()
        assert time.monotonic() - began < 12
    finally:
        oslo.mongod.process.thaw()
        for client in clients:
            client.close()
    oslo.sidecar.start()
    two_sites.wait_converged(["shop"])
    paris.app().shop.items.update_one({"_id": 1}, {"$inc": {"n": 10}})
    two_sites.wait_converged(["shop"])


def message(payload, op_code=OP_MSG, length=None):
    return struct.pack("<iiii", 16 + len(payload) if length is None else length, 1, 1,
                       op_code) + payload


def answer(document):
    return message(b"\0\0\0\0" + body_section(document))


def bad_document(size=100):
    return b"\0\0\0\0\0" + struct.pack("<i", size) + b"\x03a\0\xff\xff\xff\x7f"


NOT_A_DOCUMENT = {"cursor": {"firstBatch": [5, "x", None, [1]], "id": bson.Int64(0),
                             "ns": "shop.items"}, "ok": 1.0}
LIES = {
    "no documents in a batch": answer(NOT_A_DOCUMENT),
    "a batch that is none": answer({"cursor": {"firstBatch": {"a": 5}, "id": "x"}, "ok": 1.0}),
    "a cursor that is none": answer({"cursor": 7, "ok": 1.0}),
    "an empty answer": answer({}),
    "counts that are none": answer({"n": "many", "nModified": [], "writeErrors": [5, {"index": -7}],
                                    "upserted": {"0": {"index": 2**40, "_id": 1}}, "ok": 1.0}),
    "an index from nowhere": answer({"n": 1, "writeErrors": [{"index": 77, "code": 11000}],
                                     "upserted": [{"index": 99, "_id": 1}], "ok": 1.0}),
    "an OP_REPLY without a document": message(struct.pack("<iqii", 0, 0, 0, 0), OP_REPLY),
    "an OP_REPLY that is cut off": message(b"\0\0", OP_REPLY),
    "bad BSON": message(bad_document()),
    "an empty message": message(b""),
    "a document longer than its message": message(b"\0\0\0\0\0" + struct.pack("<i", 2**30)),
    "a length of nothing": message(b"", length=0),
    "a length below zero": message(b"", length=-5),
    "a length beyond all": message(b"", length=2**31 - 1),
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 64,
    "an unknown opcode": message(b"\0" * 20, 4711),
}


@pytest.fixture(scope="module")
def lied_to(tmp_path_factory):
    from cluster import Cluster
    directory = tmp_path_factory.mktemp("impostor")
    cluster = Cluster(directory, ("oslo",))
    cluster.oslo.mongod.start()
    impostor = Impostor(cluster.oslo.mongod.port)
    uri = f"mongodb://127.0.0.1:{impostor.port}/?directConnection=true"
    cluster.oslo.sidecar.settings["store"]["uri"] = uri
    cluster.oslo.sidecar.start()
    yield cluster.oslo, impostor
    impostor.close()
    cluster.discard()


REQUESTS = {
    "insert": {"insert": "items", "documents": [{"a": 1}]},
    "increment": {"update": "items", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]},
    "by a field": {"update": "items", "updates": [{"q": {"a": 1}, "u": {"$inc": {"n": 1}},
                                                   "multi": True}]},
    "findAndModify": {"findAndModify": "items", "query": {"a": 1}, "update": {"$inc": {"n": 1}}},
    "find": {"find": "items"},
    "hello": {"hello": 1},
}


def ask(site, request):
    """Sends it, and waits for an answer or the end of the connection."""
    client = RawClient(site.sidecar.proxy_address, timeout_s=30)
    client.send_msg([body_section(SON({**request, "$db": "shop"}))])
    try:
        client.socket.recv(1 << 16)
    except ConnectionError:
        pass
    client.close()


def assert_well(site, value):
    process = site.sidecar.process
    assert process.is_running(), process.log_tail()
    assert "Sanitizer" not in process.log_text(), process.log_tail(100)
    app = pymongo.MongoClient(f"mongodb://{site.sidecar.proxy_address}/?directConnection=true",
                              serverSelectionTimeoutMS=20000)
    app.shop.after.replace_one({"_id": 1}, {"lie": value}, upsert=True)
    assert site.direct().shop.after.find_one() == {"_id": 1, "lie": value}
    app.close()


@pytest.mark.short
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.replace(" ", "_"))
def test_a_store_that_answers_an_app_with_nonsense_is_left_and_the_sidecar_lives(lied_to, lie):
    site, impostor = lied_to
    for asked in (b"find", b"update", b"insert", b"findAndModify", b"hello"):
        impostor.lie = lambda request, is_own, asked=asked: (
            LIES[lie] if not is_own and asked + b"\0" in request[:60] else None)
        for request in REQUESTS.values():
            ask(site, request)
        impostor.lie = None
        assert_well(site, lie)


@pytest.fixture(scope="module")
def deceived(tmp_path_factory):
    """Two sites; what the sidecar of oslo hears from its store on its own connections may be a lie.
    """
    from cluster import Cluster
    cluster = Cluster(tmp_path_factory.mktemp("deceived"))
    for site in cluster:
        site.mongod.start()
    impostor = Impostor(cluster.oslo.mongod.port)
    uri = f"mongodb://127.0.0.1:{impostor.port}/?directConnection=true"
    cluster.oslo.sidecar.settings["store"]["uri"] = uri
    for site in cluster:
        site.sidecar.start()
    yield cluster, impostor
    impostor.close()
    cluster.discard()


def write_at_both(cluster, lie):
    """At paris, so that oslo has to apply it; and at oslo what makes it look and ask."""
    paris = cluster.paris.app().shop
    paris.peers.replace_one({"_id": 1}, {"lie": lie}, upsert=True)
    paris.peers.update_one({"_id": 2}, {"$inc": {"n": 1}}, upsert=True)
    paris.peers.delete_one({"_id": lie})
    paris.peers.insert_one({"_id": lie})
    for request in REQUESTS.values():
        ask(cluster.oslo, request)


def assert_applies(cluster, lie):
    """What the store said of may be anything; what comes now arrives."""
    cluster.paris.app().shop.after.insert_one({"lie": lie})
    oslo = cluster.oslo.direct().shop.after
    wait_until(lambda: oslo.find_one({"lie": lie}), lambda: cluster.oslo.status()["held"])


# What is no message at all ends libmongoc 1.23 itself, and the process with it.
MESSAGES = ("no documents in a batch", "a batch that is none", "a cursor that is none",
            "an empty answer", "counts that are none", "an index from nowhere")
OWN_LIES = {**{name: LIES[name] for name in MESSAGES},
            "a cursor of numbers": answer({"cursor": {
    "firstBatch": [{"_id": 1}], "nextBatch": [5], "id": bson.Int64(7), "ns": 5}, "ok": 1.0}),
    "an error that is none": answer({"ok": 0.0, "code": "many", "errmsg": 5}),
    "bad BSON in a document": message(b"\0\0\0\0\0" + struct.pack("<i", 27) + b"\x01ok\0" +
                                      struct.pack("<d", 1.0) + b"\x02a\0\xff\xff\xff\x7f\0\0\0\0")}


@pytest.mark.parametrize("lie", OWN_LIES, ids=lambda lie: lie.replace(" ", "_"))
def test_a_store_that_tells_the_sidecar_itself_nonsense_is_asked_again(deceived, lie):
    cluster, impostor = deceived
    lied = []

    def tell(request, is_own):
        if not is_own:
            return None
        lied.append(request[16:60])
        return OWN_LIES[lie]

    impostor.lie = tell
    write_at_both(cluster, lie)
    wait_until(lambda: lied, "the sidecar asked its store")
    impostor.lie = None
    assert_well(cluster.oslo, lie)
    assert_applies(cluster, lie)


@pytest.mark.parametrize("lie", OWN_LIES, ids=lambda lie: lie.replace(" ", "_"))
def test_a_sidecar_that_starts_at_such_a_store_waits_or_ends_with_a_reason(deceived, lie):
    cluster, impostor = deceived
    sidecar = cluster.oslo.sidecar
    sidecar.stop()
    lied = []

    def tell(request, is_own):
        lied.append(request[16:60])
        return OWN_LIES[lie] if is_own else None

    impostor.lie = tell
    sidecar.start(wait_ready=False)
    wait_until(lambda: len(lied) > 3 or not sidecar.process.is_running(), "it asked its store")
    impostor.lie = None
    if not sidecar.process.is_running():
        assert sidecar.process.wait_exit() > 0, sidecar.process.log_tail()  # no signal
        sidecar.start(wait_ready=False)
    sidecar.wait_ready()
    assert_well(cluster.oslo, lie)
    assert_applies(cluster, lie)
