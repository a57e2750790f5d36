"""Forms of messages that drivers of other times and makes send, byte by byte."""

import bson
import pytest
from bson import Int64

from differential.comparing import code_of, comparable, differences
from differential.raw import MORE_TO_COME, RawClient, body_section, sequence_section
from sidecar import Sidecar

UNSUPPORTED_OP_QUERY = 352


@pytest.fixture(scope="module", params=["standalone", "replica_set"])
def addresses(request, tmp_path_factory):
    """(address of a mongod, address of the proxy in front of the same one)."""
    from real_mongod import RealMongod
    directory = tmp_path_factory.mktemp("wire")
    mongod = RealMongod(directory / "mongod", replica_set=request.param == "replica_set")
    sidecar = Sidecar(directory / "sidecar", "oslo", mongod.start().uri())
    try:
        sidecar.start()
        yield mongod.address, sidecar.proxy_address
        sidecar.stop()
    finally:
        sidecar.discard()
        mongod.discard()


@pytest.fixture
def both(addresses):
    clients = [RawClient(address) for address in addresses]
    yield clients
    for client in clients:
        client.close()


_collections = 0


@pytest.fixture
def collection():
    global _collections
    _collections += 1
    return f"c{_collections}"


def equal(both, ask):
    """`ask` gets each client; compares the BSON bytes it returns and gives the proxied ones."""
    direct, proxied = (ask(client) for client in both)
    if direct is None or proxied is None:
        assert direct is proxied, f"closed: direct {direct is None}, proxied {proxied is None}"
        return None
    lines = differences(comparable(direct), comparable(proxied))
    assert not lines, "\n".join(lines)
    return proxied


def without_times(document):
    fields = bson.decode(document)
    for name in ("$clusterTime", "operationTime"):
        fields.pop(name, None)
    return fields


def insert_body(collection, **more):
    return {"insert": collection, "$db": "shop", **more}


def found(client, collection):
    reply = bson.decode(client.command({"find": collection, "$db": "shop"}))
    return [document["_id"] for document in reply["cursor"]["firstBatch"]]


def test_a_sequence_may_come_before_the_body(both, collection):
    sections = [sequence_section("documents", [{"_id": 1}, {"_id": 2}]),
                body_section(insert_body(collection))]
    proxied = both[1]
    proxied.send_msg(sections)
    assert bson.decode(proxied.receive_body())["n"] == 2
    assert found(proxied, collection) == [1, 2]


def test_a_checksum_is_checked(both, collection):
    proxied = both[1]
    proxied.send_msg([body_section(insert_body(collection, documents=[{"_id": 1}]))],
                     checksum="good")
    assert bson.decode(proxied.receive_body())["n"] == 1

    def ask(client):
        client.send_msg([body_section(insert_body(collection, documents=[{"_id": 2}]))],
                        checksum="bad")
        return client.receive_body()
    assert equal(both, ask) is None  # both close


def test_unknown_low_flags_are_refused_and_high_ones_ignored(both):
    def ask(client):
        client.send_msg([body_section({"ping": 1, "$db": "admin"})], flags=1 << 20)
        return client.receive_body()
    assert code_of(equal(both, ask)) == 0

    def refused(client):
        client.send_msg([body_section({"ping": 1, "$db": "admin"})], flags=1 << 5)
        return client.receive_body()
    assert equal(both, refused) is None  # both close


def test_more_than_two_sequences_are_too_many(both):
    def ask(client):
        client.send_msg([body_section({"insert": "x", "$db": "shop"}),
                         *(sequence_section(name, [{}]) for name in ("documents", "b", "c"))])
        return client.receive_body()
    assert equal(both, ask) is None  # both close


@pytest.mark.parametrize("sections, code", [
    ([body_section({"ping": 1, "$db": "admin"})] * 2, 40430),
    ([sequence_section("documents", [{}])], 40587),
    ([body_section({"insert": "x", "$db": "shop"}), sequence_section("documents", [{}]),
      sequence_section("documents", [{}])], 40431),
    ([body_section({"insert": "x", "documents": [{}], "$db": "shop"}),
      sequence_section("documents", [{}])], 40433),
    ([b"\7" + body_section({"ping": 1, "$db": "admin"})[1:]], 40432),
], ids=["two bodies", "no body", "sequence twice", "field in both", "unknown kind"])
def test_malformed_messages_get_mongods_code(both, sections, code):
    for client in both:
        client.send_msg(sections)
        assert code_of(client.receive_body()) == code


def test_an_unacknowledged_write_is_in_order_with_what_follows(both, collection):
    proxied = both[1]
    for number in range(50):
        proxied.send_msg([body_section(insert_body(collection, writeConcern={"w": 0})),
                          sequence_section("documents", [{"_id": number}])], flags=MORE_TO_COME)
    assert found(proxied, collection) == list(range(50))


def test_errors_of_unacknowledged_writes_are_silent(both, collection):
    proxied = both[1]
    for documents in ([{"_id": 1}], [{"_id": 1}], [{"_id": [1]}], [{"_id": 2}]):
        proxied.send_msg([body_section(insert_body(collection, documents=documents,
                                                   writeConcern={"w": 0}))], flags=MORE_TO_COME)
    for broken in ({"insert": collection, "$db": "shop"}, {"update": collection, "updates": 5,
                                                           "$db": "shop"}):
        proxied.send_msg([body_section(broken)], flags=MORE_TO_COME)
    assert found(proxied, collection) == [1, 2]


def test_commands_may_be_pipelined(both, collection):
    proxied = both[1]
    for number in range(20):
        proxied.send_msg([body_section(insert_body(collection, documents=[{"_id": number}]))])
        proxied.send_msg([body_section({"count": collection, "$db": "shop"})])
    answers = [bson.decode(proxied.receive_body())["n"] for _ in range(40)]
    assert answers == [value for number in range(20) for value in (1, number + 1)]


@pytest.mark.parametrize("command", ["isMaster", "ismaster", "hello"])
def test_a_legacy_handshake_is_answered(both, command):
    def ask(client):
        flags, cursor, start, document = client.query(
            "admin.$cmd", {command: 1, "helloOk": True, "compression": ["zlib", "snappy"]})
        assert (flags, cursor, start) == (8, 0, 0)
        # What the proxy says otherwise by design: sizes, nothing of compression, no times.
        fields = without_times(document)
        fields.pop("compression", None)
        assert fields.pop("maxMessageSizeBytes") > 40_000_000
        return bson.encode(fields)
    equal(both, ask)


def test_other_legacy_commands_are_refused(both):
    def ask(client):
        reply = client.query("shop.$cmd", {"insert": "x", "documents": [{"_id": 1}]})
        return bson.encode(without_times(reply[3]))
    assert code_of(equal(both, ask)) == UNSUPPORTED_OP_QUERY


@pytest.mark.parametrize("op_code", [2001, 2002, 2006, 2005, 12345, 2012])
def test_other_opcodes_end_the_connection(both, op_code):
    both[1].send(op_code, bytes(20))
    assert both[1].receive() is None


def test_a_big_cursor_is_read_to_its_end(both, collection):
    documents = [{"_id": number, "text": "x" * 5000} for number in range(1000)]
    both[1].command(insert_body(collection, documents=documents), "documents")

    def ask(client):
        return client.command({"find": collection, "batchSize": 10, "$db": "shop"})
    first = bson.decode(equal(both, ask))["cursor"]
    more = bson.decode(both[1].command(
        {"getMore": Int64(first["id"]), "collection": collection, "$db": "shop"}))["cursor"]
    assert len(first["firstBatch"]) + len(more["nextBatch"]) == 1000 and more["id"] == 0
