"""A document travels as its bytes: what repeats a name, what counts as equal but is not the same,
what is very wide or very deep stands at the peer as it stands here."""

import struct
import threading

import bson
import pytest
from bson import Decimal128, Int64
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne
from pymongo.errors import PyMongoError

from waiting import wait_until


@pytest.fixture
def shop(pair, request):
    """The test's collection through the sidecar of oslo, and through that of paris."""
    return pair.collections(request.node.originalname or request.node.name)


def test_a_delete_of_what_can_be_no_id_keeps_no_other_from_the_peer(pair, shop):
    shop[0].insert_many([{"_id": 1}, {"_id": 2}])
    pair.wait_converged(["shop"])
    shop[0].bulk_write([DeleteOne({"_id": 1}), DeleteOne({"_id": {"$eq": {"$a": 1}}}),
                        DeleteOne({"_id": 2})])
    shop[0].delete_one({"_id": {"$eq": {"$a": 1}}})
    pair.wait_converged(["shop"])
    assert shop[1].find_one() is None
    assert pair.paris.status()["quarantined"] == 0


# ---- names that repeat

def raw(*fields):
    """A document of (name, value) pairs, whose names may repeat."""
    elements = b"".join(bson.encode({name: value})[4:-1] for name, value in fields)
    return RawBSONDocument(struct.pack("<i", len(elements) + 5) + elements + b"\0")


def elements(document):
    """The fields of a raw document in order, values as bytes."""
    found, at, end = [], 4, len(document) - 1
    while at < end:
        name_end = document.index(b"\0", at + 1)
        size = {0x10: 4, 0x12: 8, 0x01: 8, 0x08: 1, 0x0A: 0}.get(document[at])
        if size is None:
            size = struct.unpack_from("<i", document, name_end + 1)[0]
            size += 4 if document[at] == 0x02 else 0
        found.append((document[at + 1:name_end].decode(), bytes([document[at]]) +
                      document[name_end + 1:name_end + 1 + size]))
        at = name_end + 1 + size
    return found


def as_stored(site, name, id_value):
    codec = bson.CodecOptions(document_class=RawBSONDocument)
    found = site.direct().shop.get_collection(name, codec_options=codec).find_one({"_id": id_value})
    return sorted(elements(found.raw)) if found else None


def wait_same_bytes(pair, name, id_value):
    """Both sites hold the same fields, bit for bit; returns them."""
    seen = {}

    def same():
        if len({str(site.vector()) for site in pair}) != 1:
            return None
        for site in pair:
            seen[site.name] = as_stored(site, name, id_value)
        first, second = seen.values()
        return (first,) if first == second else None

    return wait_until(same, lambda: f"the same bytes: {seen}")[0]


TWICE = {
    "at the root": [("_id", 1), ("a", 1), ("a", 2), ("b", 0)],
    "below": [("_id", 1), ("b", 0), ("s", raw(("a", 1), ("a", 2)))],
}
THEN = {
    "set": {"$set": {"a": 9}},
    "unset": {"$unset": {"a": ""}},
    "unset twice": [{"$unset": {"a": ""}}, {"$unset": {"a": ""}}],
    "inc": {"$inc": {"a": 5}},
    "set beside": {"$set": {"b": 3}},
    "push": {"$push": {"l": 1}},
    "max": {"$max": {"a": 7}},
    "set below": {"$set": {"s.a": 4}},
    "inc below": {"$inc": {"s.a": 4}},
    "unset the part": {"$unset": {"s": ""}},
}


@pytest.mark.parametrize("where", TWICE)
def test_a_document_that_repeats_a_name_is_whole_at_every_site(pair, shop, where):
    oslo, paris = shop
    name = oslo.name
    oslo.insert_one(raw(*TWICE[where]))
    for what in [None, *THEN]:
        oslo.delete_many({})
        oslo.insert_one(raw(*TWICE[where]))
        before = wait_same_bytes(pair, name, 1)
        assert len(before) == len(TWICE[where])
        updates = [] if what is None else THEN[what]
        for update in updates if isinstance(updates, list) else [updates]:
            # Each of the two sites does its share.
            for collection in (oslo, paris):
                try:
                    collection.update_one({"_id": 1}, update)
                except PyMongoError as error:  # "s" is no document here
                    assert error.code in (28, 40), error
                wait_same_bytes(pair, name, 1)
    oslo.replace_one({"_id": 1}, raw(("x", 1), ("x", 2)))
    assert len(wait_same_bytes(pair, name, 1)) == 3
    paris.replace_one({"_id": 1}, {"n": 1})
    assert len(wait_same_bytes(pair, name, 1)) == 2
    for collection in shop:  # it counts again
        collection.update_one({"_id": 1}, {"$inc": {"n": 1}})
    wait_same_bytes(pair, name, 1)
    oslo.delete_one({"_id": 1})
    assert wait_same_bytes(pair, name, 1) is None


def test_a_value_that_repeats_a_name_is_whole_wherever_an_update_puts_it(pair, shop):
    oslo, paris = shop
    twice = raw(("a", 1), ("a", 2))
    for i, update in enumerate([{"$set": {"s": twice}}, {"$min": {"s": twice}},
                                [{"$set": {"s": {"$literal": twice}}}],
                                {"$set": {"d.s": twice}}]):
        oslo.insert_one({"_id": i, "b": 1})
        oslo.update_one({"_id": i}, update)
        wait_same_bytes(pair, oslo.name, i)
        paris.update_one({"_id": i}, {"$set": {"b": 2}})
        wait_same_bytes(pair, oslo.name, i)
        paris.update_one({"_id": i}, {"$set": {"s.a": 5}})
        wait_same_bytes(pair, oslo.name, i)


def test_two_sites_that_write_such_a_document_apart_agree_on_one_of_the_two(pair, shop):
    oslo, paris = shop
    oslo.insert_one(raw(("_id", 1), ("a", 1), ("a", 2)))
    wait_same_bytes(pair, oslo.name, 1)
    pair.cut("oslo", "paris")
    oslo.update_one({"_id": 1}, {"$set": {"b": 1}})
    paris.update_one({"_id": 1}, {"$unset": {"a": ""}})
    pair.heal("oslo", "paris")
    assert len(wait_same_bytes(pair, oslo.name, 1)) in (2, 4)


# ---- equal, and not the same

def test_the_form_of_an_id_is_that_of_the_latest_replacement(pair, shop):
    oslo, paris = shop
    forms = [1.0, Int64(1), Decimal128("1"), Decimal128("1.00"), 1]
    oslo.insert_one({"_id": 1})
    for i, form in enumerate(forms):
        shop[i % 2].replace_one({"_id": 1}, {"_id": form, "r": i})
        pair.wait_converged(["shop"])
        assert repr(shop[1].find_one({"r": i})["_id"]) == repr(form)
    oslo.insert_one({"_id": {"x": 1, "y": [2]}})
    pair.wait_converged(["shop"])
    paris.replace_one({"_id": {"x": 1, "y": [2]}}, {"_id": {"x": 1.0, "y": [Int64(2)]}, "r": 9})
    pair.wait_converged(["shop"])


@pytest.mark.parametrize("given, other, nothing", [
    (1, 1.0, {"$max": {"_id": 1}}), ({"k": 1}, {"k": 1.0}, {"$bit": {"_id.k": {"or": 0}}})],
    ids=["number", "document"])
def test_an_update_that_names_the_id_stops_nothing(pair, shop, given, other, nothing):
    oslo, paris = shop
    oslo.insert_one({"_id": given, "a": 1})
    oslo.update_one({"_id": given}, [{"$set": {"_id": {"$literal": other}}}])
    fields = wait_same_bytes(pair, oslo.name, given)
    assert fields == elements(bson.encode({"_id": other, "a": 1}))
    for number, collection in enumerate((oslo, paris), 2):
        try:
            collection.update_one({"_id": given}, {**nothing, "$set": {"a": number}})
        except PyMongoError as error:  # bits of a double
            assert error.code == 2, error
            collection.update_one({"_id": given}, {"$set": {"a": number}})
        assert len(wait_same_bytes(pair, oslo.name, given)) == 2


def test_two_forms_of_an_id_written_apart_become_one(pair, shop):
    oslo, paris = shop
    pair.cut("oslo", "paris")
    oslo.insert_one({"_id": 1, "of": "oslo"})
    paris.insert_one({"_id": 1.0, "of": "paris"})
    paris.update_one({"_id": 2.0}, {"$set": {"p": 1}}, upsert=True)
    oslo.update_one({"_id": 2}, {"$set": {"o": 1}}, upsert=True)
    pair.heal("oslo", "paris")
    pair.wait_converged(["shop"])


ZEROS = [0, Int64(0), 0.0, -0.0, Decimal128("0"), Decimal128("0.000"), Decimal128("-0")]
NUMBERS = [-0.0, 0.0, 1.5, 0, 7, Int64(7), Decimal128("1"), Decimal128("1.00"), Decimal128("-0"),
           1e300, float("inf"), Decimal128("1E+30")]


def test_an_increment_by_nothing_beside_one_that_counts_leaves_the_same_bytes(pair, shop):
    oslo, _ = shop
    cases = [(number, zero) for number in NUMBERS for zero in ZEROS]
    oslo.insert_many([{"_id": i, "v": number} for i, (number, _) in enumerate(cases)])
    for i, (_, zero) in enumerate(cases):
        oslo.update_one({"_id": i}, {"$inc": {"v": zero, "w": 1}})
    oslo.insert_many([{"_id": 1000 + i, "v": 1e300, "d": Decimal128("1E+40")} for i in range(2)])
    for i in range(2):
        oslo.update_one({"_id": 1000 + i}, {"$inc": {"v": 1, "d": Decimal128("1"), "w": 1}})
    pair.wait_converged(["shop"])


# ---- upserts that count

def test_an_upsert_that_counts_from_its_own_filter_is_the_same_everywhere(pair, shop):
    oslo, paris = shop
    for i, (start, delta) in enumerate([(5, 1), (0, 1), (1.5, 2), (Int64(5), -5), (-0.0, 0),
                                        (Decimal128("1.10"), Decimal128("0.2"))]):
        oslo.update_one({"_id": i, "n": start}, {"$inc": {"n": delta}}, upsert=True)
        oslo.update_one({"k": i, "d.n": start}, {"$inc": {"d.n": delta}}, upsert=True)
    pair.wait_converged(["shop"])
    assert paris.find_one({"_id": 0})["n"] == 6
    paris.update_one({"_id": 0}, {"$inc": {"n": 1}})
    oslo.update_one({"_id": 0}, {"$inc": {"n": 1}})
    pair.wait_converged(["shop"])
    assert oslo.find_one({"_id": 0})["n"] == 8


def test_two_upserts_apart_add_up(pair, shop):
    oslo, paris = shop
    pair.cut("oslo", "paris")
    for collection in shop:
        collection.update_one({"_id": 1}, {"$inc": {"n": 1}, "$set": {collection.full_name: 1}},
                              upsert=True)
        collection.update_one({"_id": 2, "n": 5}, {"$inc": {"n": 1}}, upsert=True)
    pair.heal("oslo", "paris")
    pair.wait_converged(["shop"])
    assert oslo.find_one({"_id": 1})["n"] == 2
    assert oslo.find_one({"_id": 2})["n"] == 7


# ---- wide and deep

def nested(levels, fields):
    document = {"leaf": 1}
    for _ in range(levels):
        document = {**{f"f{i}": i for i in range(fields)}, "deeper": document}
    return document


def test_a_document_of_many_levels_and_leaves_travels_and_is_changed_on_both_sides(pair, shop):
    oslo, paris = shop
    oslo.insert_one({"_id": 1, **nested(168, 765)})
    pair.wait_converged(["shop"], timeout_s=120)
    deep = ".".join(["deeper"] * 168)
    oslo.update_one({"_id": 1}, {"$set": {f"{deep}.leaf": 2}})
    pair.cut("oslo", "paris")
    oslo.update_one({"_id": 1}, {"$set": {f"{deep}.o": 1}, "$inc": {"f0": 1}})
    paris.update_one({"_id": 1}, {"$set": {"deeper.p": 1}, "$inc": {"f0": 1}})
    pair.heal("oslo", "paris")
    pair.wait_converged(["shop"], timeout_s=120)
    assert oslo.find_one({"_id": 1}, {"f0": 1})["f0"] == 2


def cpu_seconds(site):
    with open(f"/proc/{site.sidecar.process.child.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_an_update_of_very_many_fields_costs_as_much_as_it_names(pair, shop):
    oslo, _ = shop
    many = {f"f{i}": i for i in range(8_000)}
    oslo.insert_one({"_id": 1, **many})
    pair.wait_converged(["shop"], timeout_s=120)
    before = sum(cpu_seconds(site) for site in pair)
    oslo.update_one({"_id": 1}, {"$min": {name: -1 for name in many}})
    oslo.update_one({"_id": 1}, {"$set": {name: 1 for name in many}})
    oslo.update_one({"_id": 1}, {"$inc": {name: 1 for name in many}})
    oslo.update_one({"_id": 1}, [{"$set": {"f7": 9}}])
    pair.wait_converged(["shop"], timeout_s=120)
    assert sum(cpu_seconds(site) for site in pair) - before < 20


# ---- after a crash

ODD = {
    "an array for an _id": ({"k": 1}, {"$setOnInsert": {"_id": [1, 2]}}),
    "an array for an _id, whole": ({"k": 2}, {"_id": [3], "a": 1}),
    "a pattern for an _id": ({"k": 3}, {"$setOnInsert": {"_id": bson.Regex("a")}}),
    "a filter by an array": ({"_id": [4]}, {"$set": {"a": 1}}),
    "a path of 201 names": ({"_id": 1}, {"$set": {".".join("a" * 201): 1}}),
    "a path of 1000 names": ({"_id": 2}, {"$inc": {".".join("a" * 1000): 1}}),
    "counting from its filter": ({"_id": 5, "n": 5}, {"$inc": {"n": 1}}),
    "a value that repeats a name": ({"_id": 6}, {"$set": {"s": raw(("a", 1), ("a", 2))}}),
    "a document that repeats a name": ({"_id": 7}, {"$inc": {"a": 1}}),
    "nothing beside something": ({"_id": 8}, {"$inc": {"v": 0, "w": 1}}),
}


def hold_updates(site, hold):
    """mongod keeps updates waiting before it runs them."""
    site.mongod.client().admin.command(
        "configureFailPoint", "failCommand", mode="alwaysOn" if hold else "off",
        data={"failCommands": ["update"], "blockConnection": True, "blockTimeMS": 6000})


@pytest.mark.parametrize("happens", [True, False], ids=["happened", "did_not_happen"])
@pytest.mark.parametrize("replica_set", [
    pytest.param(True, id="replica_set"),
    pytest.param(False, id="standalone", marks=pytest.mark.long)])
def test_a_start_serves_whatever_was_under_way_when_the_sidecar_was_killed(make_cluster,
                                                                           replica_set, happens):
    cluster = make_cluster(replica_set=replica_set, parameters={"enableTestCommands": 1}).start()
    oslo = cluster.oslo
    oslo.app().shop.odd.insert_one(raw(("_id", 7), ("a", 1), ("a", 2)))
    oslo.app().shop.odd.insert_one({"_id": 8, "v": -0.0})
    cluster.wait_converged(["shop"])
    clients = [oslo.client(retryWrites=False) for _ in ODD]
    for client in clients:
        client.shop.odd.find_one()

    def write(client, filter_, update):
        collection = client.shop.odd
        try:
            if any(name.startswith("$") for name in update):
                collection.update_one(filter_, update, upsert=True)
            else:
                collection.replace_one(filter_, update, upsert=True)
        except PyMongoError:
            pass

    writers = [threading.Thread(target=write, args=(client, *odd))
               for client, odd in zip(clients, ODD.values())]
    hold_updates(oslo, True)
    for writer in writers:
        writer.start()
    wait_until(lambda: oslo.status()["open_writes"] >= len(ODD) - 1,  # one may wait for another
               lambda: f"{len(ODD) - 1} under way: {oslo.status()}", timeout_s=10)
    if happens:  # as if only the answers were lost
        oslo.sidecar.process.freeze()
        hold_updates(oslo, False)
        direct = oslo.direct().shop.odd
        wait_until(lambda: direct.find_one({"_id": 5}) and direct.find_one({"_id": 8, "w": 1}),
                   "the updates done")
    oslo.sidecar.kill()
    hold_updates(oslo, False)
    oslo.sidecar.start()
    for writer in writers:
        writer.join()
    oslo.app().shop.odd.insert_one({"_id": "served"})
    cluster.wait_converged(["shop"])
    wait_same_bytes(cluster, "odd", 6)
    assert len(wait_same_bytes(cluster, "odd", 7)) == 3
    if happens:
        found = cluster.paris.app().shop.odd.find_one({"_id": 5})
        assert found == {"_id": 5, "n": 6}
