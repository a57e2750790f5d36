"""The tests' own tools: if these lie, every test above them lies."""

import socket
import threading
import time

import pymongo
import pymongo.errors
import pytest
from bson import Int64

from documents import canonical, difference, dump
from line import Line
from waiting import wait_until


def test_a_replica_set_keeps_journaled_writes_over_kill_and_restart(mongod):
    mongod.client().shop.carts.with_options(
        write_concern=pymongo.WriteConcern("majority", j=True)).insert_one({"_id": 1})
    mongod.kill()
    mongod.start()
    assert mongod.client().shop.carts.find_one() == {"_id": 1}
    assert mongod.client().admin.command("hello")["setName"] == "rs0"


def test_a_standalone_is_one(standalone_mongod):
    assert "setName" not in standalone_mongod.client().admin.command("hello")
    assert standalone_mongod.stop() == 0


def test_authentication_asks_for_a_user(make_mongod):
    mongod = make_mongod(auth=True)
    mongod.add_user("reader", "secret", [{"role": "read", "db": "shop"}])
    mongod.client().shop.carts.insert_one({"_id": 1})
    reader = pymongo.MongoClient(mongod.uri("reader", "secret"))
    nobody = pymongo.MongoClient(mongod.address, directConnection=True)
    with reader, nobody:
        assert reader.shop.carts.count_documents({}) == 1
        with pytest.raises(pymongo.errors.OperationFailure):
            reader.shop.carts.insert_one({})
        with pytest.raises(pymongo.errors.OperationFailure):
            nobody.shop.carts.find_one()


def test_dumps_tell_types_apart_but_not_field_orders(mongod):
    collection = mongod.client().shop.carts
    collection.insert_one({"_id": 1, "a": 1, "b": {"x": 1.0, "y": [True]}})
    before = dump(mongod.client(), ["shop"])
    collection.replace_one({"_id": 1}, {"b": {"y": [True], "x": 1.0}, "a": 1})
    assert dump(mongod.client(), ["shop"]) == before
    collection.replace_one({"_id": 1}, {"b": {"y": [True], "x": 1.0}, "a": Int64(1)})
    after = dump(mongod.client(), ["shop"])
    assert after != before
    assert "shop.carts: 1 documents differ" in difference(before, after)


def test_canonical_values_of_different_types_differ():
    values = [1, Int64(1), 1.0, True, "1", -0.0, 0.0, None, float("nan"), [1], {"a": 1}]
    assert len({canonical(value) for value in values}) == len(values)
    assert canonical(float("nan")) == canonical(float("nan"))


@pytest.fixture
def echo():
    """The port of a server that sends back what it gets, and a Line in front of it."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    def talk(peer):
        with peer:
            while data := peer.recv(4096):
                peer.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    line = Line(server.getsockname()[1])
    yield line
    line.close()
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def dial(line):
    return socket.create_connection(("127.0.0.1", line.port), timeout=10)


def test_a_line_carries_both_ways_and_counts(echo):
    with dial(echo) as client:
        client.sendall(b"hello")
        assert client.recv(10) == b"hello"
        wait_until(lambda: (echo.bytes_forward, echo.bytes_backward) == (5, 5), "counted")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_cut_holds_bytes_back_and_healing_delivers_them(echo, direction):
    with dial(echo) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        echo.cut(**{"forward": direction == "forward", "backward": direction == "backward"})
        client.sendall(b"b")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert echo.bytes_forward == (1 if direction == "forward" else 2)
        echo.heal()
        client.settimeout(10)
        assert client.recv(1) == b"b"


def test_a_broken_line_resets_and_refuses_until_healed(echo):
    with dial(echo) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        echo.break_off()
        with pytest.raises(ConnectionError):
            if client.recv(1) == b"":
                raise ConnectionResetError
    with pytest.raises(ConnectionError):
        with dial(echo) as refused:
            if refused.recv(1) == b"":
                raise ConnectionResetError
    echo.heal()
    with dial(echo) as again:
        again.sendall(b"c")
        assert again.recv(1) == b"c"


def test_waiting_names_what_did_not_happen():
    before = time.monotonic()
    with pytest.raises(TimeoutError, match="the moon"):
        wait_until(lambda: False, "the moon", timeout_s=0.1)
    assert time.monotonic() - before < 5
