"""Messages that apps compress: drivers by each compressor, and, byte by byte, what is none."""

import re
import struct
import zlib
from pathlib import Path

import bson
import pymongo
import pytest
import snappy
import zstandard
from bson import Int64
from pymongo.cursor import CursorType

from differential.raw import MORE_TO_COME, OP_MSG, OP_QUERY, RawClient, body_section
from differential.raw import sequence_section
from real_mongod import RealMongod
from sidecar import Sidecar
from test_drivers import SEEN, Driver, libmongoc, node, python
from test_hostile_client import MEMORY_FACTOR
from test_strangers import LARGEST_MESSAGE_BYTES
from waiting import wait_until

OP_COMPRESSED = 2012
EXHAUST_ALLOWED = 1 << 16
NAMES = {1: "snappy", 2: "zlib", 3: "zstd"}
PACK = {1: snappy.compress, 2: zlib.compress, 3: zstandard.compress}
UNPACK = {1: snappy.uncompress, 2: zlib.decompress,
          3: lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)}
EACH = pytest.mark.parametrize("number", NAMES, ids=NAMES.values())
UNSAID = ("$clusterTime", "operationTime", "topologyVersion")  # of hello, by the sidecar
PING = {"ping": 1, "$db": "admin"}
STRANGER_BYTES_MAX = 128 * 1024


def one_of(number):
    """EACH, but in a short run only this one."""
    each = [other if other == number else pytest.param(other, marks=pytest.mark.long)
            for other in NAMES]
    return pytest.mark.parametrize("number", each, ids=NAMES.values())


class PackedClient(RawClient):
    """Speaks compressed messages by hand."""

    def send_packed(self, number, payload, op_code=OP_MSG, claimed=None):
        pack = PACK.get(number, bytes)
        bytes_claimed = len(payload) if claimed is None else claimed
        return self.send(OP_COMPRESSED,
                         struct.pack("<iiB", op_code, bytes_claimed, number) + pack(payload))

    def send_command(self, number, body, flags=0, sections=()):
        payload = struct.pack("<I", flags) + body_section(body) + b"".join(sections)
        return self.send_packed(number, payload)

    def unpacked(self):
        """(compressor or 0, op code, payload) of the next reply; None: it was closed."""
        try:
            received = self.receive()
        except ConnectionError:
            return None
        if received is None:
            return None
        op_code, payload = received
        if op_code != OP_COMPRESSED:
            return 0, op_code, payload
        inner, length, number = struct.unpack("<iiB", payload[:9])
        plain = UNPACK[number](payload[9:])
        assert len(plain) == length
        return number, inner, plain

    def reply(self):
        """(compressor, body) of the next OP_MSG; None: it was closed."""
        said = self.unpacked()
        return said and (said[0], bson.decode(said[2][5:]))


def memory_of(site, which):
    said = Path(f"/proc/{site.process.pid}/status").read_text()
    found = int(re.search(rf"{which}:\s+(\d+) kB", said)[1]) * 1024
    print(f"{which} {found / 2**20:.0f} MiB")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A running sidecar, with its mongod."""
    directory = tmp_path_factory.mktemp("compression")
    mongod = RealMongod(directory / "mongod").start()
    sidecar = Sidecar(directory / "sidecar", "oslo", mongod.uri())
    sidecar.mongod = mongod
    try:
        yield sidecar.start()
        sidecar.stop()
    finally:
        sidecar.discard()
        mongod.discard()


@pytest.fixture
def both(site):
    """Clients of the mongod and of the sidecar."""
    clients = [PackedClient(site.mongod.address), PackedClient(site.proxy_address)]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def client(site):
    with PackedClient(site.proxy_address) as made:
        yield made


# ---- drivers

@pytest.mark.long
@EACH
def test_a_driver_that_compresses_sees_what_others_see(pair, number, tmp_path_factory):
    name = NAMES[number]
    uri = f"{pair.oslo.uri()}&compressors={name}"
    assert Driver("pymongo", *python("pymongo_sync.py")(None)).run(uri, name, "work") == SEEN
    # Node's module for zstd is compiled where it is installed.
    other = libmongoc(tmp_path_factory) if name == "zstd" else node("6.")(None)
    assert Driver("other", *other).run(uri, f"other_{name}", "work") == SEEN
    pair.wait_converged([name, f"other_{name}"])


@one_of(1)
def test_large_messages_and_cursors_of_all_kinds_come_whole(pair, number):
    name = NAMES[number]
    with pymongo.MongoClient(pair.oslo.uri(), compressors=name) as app:
        things = app[f"large_{name}"].things
        things.insert_many([{"_id": i, "text": f"{i} " * 50_000} for i in range(100)])
        for cursor_type in (CursorType.NON_TAILABLE, CursorType.EXHAUST):
            found = things.find(cursor_type=cursor_type, batch_size=7)
            assert [(each["_id"], len(each["text"])) for each in found] == [
                (i, len(f"{i} ") * 50_000) for i in range(100)]
        capped = app[f"large_{name}"].create_collection("capped", capped=True, size=10_000)
        capped.insert_one({"_id": 0})
        tail = capped.find(cursor_type=CursorType.TAILABLE_AWAIT)
        assert tail.next()["_id"] == 0
        capped.insert_one({"_id": 1})
        assert tail.next()["_id"] == 1
        tail.close()
    pair.wait_converged([f"large_{name}"])


# ---- what is agreed on

@pytest.mark.parametrize("asked", [
    [["zlib", "snappy", "nope"], None, ["zstd"], ["nope"], None], [[]], [["zstd", "zlib"]],
    ["zlib"], [[5]], [None]], ids=str)
def test_hello_says_what_mongod_says_of_compression(both, asked):
    for compression in asked:
        said = [bson.decode(client.command({
            "hello": 1, "$db": "admin",
            **({} if compression is None else {"compression": compression})}))
            for client in both]
        for field in ("ok", "code", "errmsg", "compression"):
            assert said[0].get(field) == said[1].get(field), field
        direct, proxied = ([field for field in each if field not in UNSAID] for each in said)
        assert direct == proxied


def test_what_is_not_in_the_settings_is_not_spoken(site, tmp_path):
    for compressors, spoken in (([], None), (["zstd"], ["zstd"])):
        site.stop()
        site.write_settings({"proxy": {"compressors": compressors}})
        site.start()
        with PackedClient(site.proxy_address) as client:
            said = bson.decode(client.command(
                {"hello": 1, "compression": ["snappy", "zstd"], "$db": "admin"}))
            assert said.get("compression") == spoken
            client.send_command(1, PING)
            assert client.reply() is None
    site.stop()
    site.write_settings({"proxy": {"compressors": None}})
    site.start()


# ---- byte by byte

@EACH
def test_a_reply_is_packed_as_its_request_was(both, number):
    for client in both:
        client.send_command(number, PING)
        assert client.reply()[0] == number
        assert bson.decode(client.command(PING))["ok"] == 1  # plain again
        client.send_command(number, {"hello": 1, "$db": "admin"})
        assert client.reply()[0] == number
        query = struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1)
        client.send_packed(number, query + bson.encode({"isMaster": 1}), OP_QUERY)
        assert client.unpacked()[:2] == (number, 1)
        client.send_command(number, {"nonsense": 1, "$db": "admin"})
        said = client.reply()
        assert (said[0], said[1]["code"]) == (number, 59)


@EACH
def test_writes_are_captured(site, client, number):
    name = f"packed_{number}"
    documents = [{"_id": i, "text": "x" * 100} for i in range(3)]
    client.send_command(number, {"insert": name, "$db": "shop"},
                        sections=[sequence_section("documents", documents)])
    assert client.reply()[1]["n"] == 3
    unacknowledged = {"update": name, "$db": "shop", "writeConcern": {"w": 0}, "updates": [
        {"q": {"_id": 0}, "u": {"$inc": {"n": 1}}}]}
    client.send_command(number, unacknowledged, MORE_TO_COME)
    client.send_command(number, {"find": name, "filter": {"_id": 0}, "$db": "shop"})
    assert client.reply()[1]["cursor"]["firstBatch"][0]["n"] == 1


@EACH
def test_exhaust_replies_are_packed_one_by_one(site, client, number):
    with pymongo.MongoClient(site.proxy_address, directConnection=True) as app:
        app.shop.exhaust.drop()
        app.shop.exhaust.insert_many([{"_id": i} for i in range(10)])
    client.send_command(number, {"find": "exhaust", "batchSize": 2, "$db": "shop"})
    cursor = client.reply()[1]["cursor"]
    client.send_command(number, {"getMore": Int64(cursor["id"]), "collection": "exhaust",
                                 "batchSize": 2, "$db": "shop"}, EXHAUST_ALLOWED)
    found, more = [], True
    while more:
        packed_by, _, payload = client.unpacked()
        assert packed_by == number
        more = struct.unpack("<I", payload[:4])[0] & MORE_TO_COME
        found += [each["_id"] for each in bson.decode(payload[5:])["cursor"]["nextBatch"]]
    assert found == list(range(2, 10))
    client.send_command(number, PING)
    assert client.reply()[1]["ok"] == 1


PAYLOAD = struct.pack("<I", 0) + body_section(PING)


@EACH
@pytest.mark.parametrize("claimed", [-1, 0, 1, len(PAYLOAD) - 1, len(PAYLOAD) + 1,
                                     LARGEST_MESSAGE_BYTES - 16, LARGEST_MESSAGE_BYTES - 15,
                                     2**31 - 1])
def test_a_length_that_is_a_lie_ends_the_connection(client, number, claimed):
    client.send_packed(number, PAYLOAD, claimed=claimed)
    assert client.unpacked() is None


@pytest.mark.parametrize("payload", [
    b"", b"abcdefgh", struct.pack("<iiB", OP_MSG, len(PAYLOAD), 0) + PAYLOAD,
    struct.pack("<iiB", OP_MSG, len(PAYLOAD), 4) + PAYLOAD,
    struct.pack("<iiB", OP_MSG, len(PAYLOAD), 2) + b"no zlib at all",
    struct.pack("<iiB", OP_MSG, len(PAYLOAD), 2),
    struct.pack("<iiB", OP_COMPRESSED, len(PAYLOAD), 2) + zlib.compress(PAYLOAD),
    struct.pack("<iiB", 2002, len(PAYLOAD), 2) + zlib.compress(PAYLOAD)],
    ids=["nothing", "short", "unpacked", "unknown", "garbage", "cut", "twice", "old_opcode"])
def test_what_is_no_packed_message_ends_the_connection(client, payload):
    client.send(OP_COMPRESSED, payload)
    assert client.unpacked() is None


def test_a_strangers_message_is_bounded_by_what_comes_out_of_it(tmp_path):
    mongod = RealMongod(tmp_path / "mongod", auth=True).start()
    sidecar = Sidecar(tmp_path / "sidecar", "oslo", mongod.uri())
    try:
        sidecar.start()
        for number in NAMES:
            for text_bytes, is_answered in ((STRANGER_BYTES_MAX - 1000, True),
                                            (STRANGER_BYTES_MAX, False)):
                with PackedClient(sidecar.proxy_address) as stranger:
                    stranger.send_command(
                        number, {"hello": 1, "x": "x" * text_bytes, "$db": "admin"})
                    assert (stranger.unpacked() is not None) == is_answered
    finally:
        sidecar.discard()
        mongod.discard()


def test_what_comes_out_of_many_messages_is_bounded_together(site):
    payload = struct.pack("<I", 0) + body_section(
        {"ping": 1, "text": "x" * (LARGEST_MESSAGE_BYTES - 1000), "$db": "admin"})
    packed = struct.pack("<iiB", OP_MSG, len(payload), 3) + zstandard.compress(payload)
    clients = [PackedClient(site.proxy_address) for _ in range(12)]
    for client in clients:
        client.send(OP_COMPRESSED, packed)
    for client in clients:
        assert client.reply() is not None  # it is more than a command may be
    # What is expanded, and twice that again while it is served.
    assert memory_of(site, "VmHWM") < MEMORY_FACTOR * (9 * LARGEST_MESSAGE_BYTES + 128 * 2**20)
    # They stay, and hold nothing.
    wait_until(lambda: memory_of(site, "VmRSS") < MEMORY_FACTOR * 256 * 2**20, "it to be freed")
    for client in clients:
        client.close()


# ---- towards the store

@pytest.fixture
def packing_site(tmp_path):
    """Makes a sidecar that speaks by this compressor with its mongod."""
    made = []

    def make(name):
        mongod = RealMongod(tmp_path / "mongod").start()
        made.append(mongod)
        sidecar = Sidecar(tmp_path / "sidecar", "oslo", f"{mongod.uri()}&compressors={name}")
        made.append(sidecar)
        sidecar.mongod = mongod
        sidecar.app_uri = f"mongodb://{sidecar.proxy_address}/?replicaSet=rs0"
        return sidecar.start()

    yield make
    for each in reversed(made):
        each.discard()


class Packed:
    """What mongod has heard and said of compressed messages, in the block."""

    def __init__(self, site, name):
        self.site, self.name = site, name

    def _now(self):
        with self.site.mongod.client() as direct:
            said = direct.admin.command("serverStatus")["network"]["compression"][self.name]
        return said["decompressor"]["bytesOut"], said["compressor"]["bytesIn"]

    def __enter__(self):
        self._before = self._now()
        return self

    def __exit__(self, *_):
        self.heard, self.said = (now - was for now, was in zip(self._now(), self._before))


@one_of(3)
def test_what_goes_to_the_store_is_packed_as_its_uri_says(packing_site, number):
    name = NAMES[number]
    site = packing_site(name)
    for options in ("", "&compressors=zlib"):
        with pymongo.MongoClient(f"{site.app_uri}{options}") as app:
            things = app.shop[f"things{options[-4:]}"]
            for part in range(3):  # the first one makes the collection
                with Packed(site, name) as packed:
                    things.insert_many([{"_id": 8 * part + i, "text": "x" * 100_000}
                                        for i in range(8)])
                assert packed.heard > 800_000, part
            with Packed(site, name) as packed:
                things.update_one({"_id": 3}, {"$set": {"text": "y" * 800_000}})
            assert packed.heard > 800_000
            for cursor_type in (CursorType.NON_TAILABLE, CursorType.EXHAUST):
                with Packed(site, name) as packed:
                    assert sum(len(each["text"]) for each in
                               things.find(batch_size=4, cursor_type=cursor_type)) == 3_100_000
                assert packed.said > 3_100_000
    assert Driver("pymongo", *python("pymongo_sync.py")(None)).run(
        site.app_uri, "a", "work") == SEEN
    site.stop()


@pytest.mark.long
def test_who_takes_nothing_of_packed_replies_keeps_no_other_from_theirs(packing_site):
    site = packing_site("zstd")
    with pymongo.MongoClient(site.app_uri) as app:
        app.shop.large.insert_many([{"_id": i, "text": "x" * 8_000_000} for i in range(2)])
    ask = {"find": "large", "batchSize": 2, "$db": "shop"}

    def asking():
        client = PackedClient(site.proxy_address)
        client.command({"hello": 1, "$db": "admin"})  # agrees on it with the store
        client.send_msg([body_section(ask)])
        return client

    with Packed(site, "zstd") as packed:
        stuck = [asking() for _ in range(20)]
        with asking() as last:
            last.socket.settimeout(120)
            assert len(last.reply()[1]["cursor"]["firstBatch"]) == 2
    assert packed.said > 20 * 16_000_000
    # Not 20 * 16 MB beside all else.
    assert memory_of(site, "VmHWM") < MEMORY_FACTOR * 320 * 2**20
    for client in stuck:
        client.close()
    site.stop()
