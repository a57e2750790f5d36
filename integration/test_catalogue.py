"""Catalogue changes around writes: collections made anew behind the sidecar, index builds, and the
collections that mean another thing at every site."""

import datetime
import itertools
import threading
import time

import pymongo
import pymongo.errors
import pytest
from bson import SON

from cluster import Cluster
from differential.raw import RawClient, body_section
from waiting import wait_until

STRENGTH_2 = {"locale": "en", "strength": 2}
COUNT = itertools.count(1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("catalogue"),
                 parameters={"enableTestCommands": "1"}) as cluster:
        yield cluster


@pytest.fixture
def name():
    """A collection of the test's own."""
    return f"c{next(COUNT)}"


def made_anew(pair, name, **options):
    """Known to the sidecars, then dropped and made again at the mongods themselves."""
    oslo, paris = pair.collections(name)
    oslo.insert_one({"_id": "old", "n": 1})
    oslo.update_one({"_id": "old"}, {"$inc": {"n": 1}})
    wait_until(lambda: paris.find_one({"n": 2}), "the document at paris")
    paris.update_one({"_id": "old"}, {"$inc": {"n": 1}})
    wait_until(lambda: oslo.find_one({"n": 3}), "the document at oslo")
    for site in pair:
        site.direct().shop.drop_collection(name)
        site.direct().shop.create_collection(name, **options)
    return oslo


WRITES = {
    "increment": lambda c: c.update_one({"_id": "a"}, {"$inc": {"n": 1}}),
    "set": lambda c: c.update_one({"_id": "a"}, {"$set": {"n": 1}}),
    "push": lambda c: c.update_one({"_id": "a"}, {"$push": {"p": 1}}),
    "pipeline": lambda c: c.update_one({"_id": "a"}, [{"$set": {"n": {"$add": ["$n", 1]}}}]),
    "many": lambda c: c.update_many({"_id": "a"}, {"$inc": {"n": 1}}),
    "several": lambda c: c.bulk_write([pymongo.UpdateOne({"_id": "a"}, {"$inc": {"n": 1}}),
                                       pymongo.UpdateOne({"_id": "B"}, {"$inc": {"n": 1}})]),
    "by a field": lambda c: c.update_one({"s": "X"}, {"$inc": {"n": 1}}),
    "delete": lambda c: c.delete_one({"_id": "a"}),
    "replace": lambda c: c.replace_one({"_id": "a"}, {"n": 9}),
    "upsert": lambda c: c.update_one({"_id": "a"}, {"$inc": {"n": 1}}, upsert=True),
}


def test_a_collection_made_anew_with_a_collation_is_written_by_its_own_rules(pair):
    for form, write in WRITES.items():
        name = f"c{next(COUNT)}"
        oslo = made_anew(pair, name, collation=STRENGTH_2)
        alone = pair.oslo.direct().alone.create_collection(name, collation=STRENGTH_2)
        documents = [{"_id": "A", "n": 5, "s": "x"}, {"_id": "b", "n": 5}]
        for collection in (*(site.direct().shop[name] for site in pair), alone):
            collection.insert_many(documents)
        write(oslo)
        write(alone)
        assert list(oslo.find().sort("_id")) == list(alone.find().sort("_id")), form
    pair.wait_converged(["shop"])


def test_find_and_modify_in_a_collection_made_anew_records_what_it_did(pair, name):
    oslo = made_anew(pair, name, collation=STRENGTH_2)
    for site in pair:
        site.direct().shop[name].insert_one({"_id": "A", "n": 5})
    oslo.find_one_and_update({"_id": "a"}, {"$inc": {"n": 1}})
    pair.wait_converged(["shop"])


@pytest.mark.parametrize("write", [
    lambda c: c.insert_one({"_id": 1}),
    lambda c: c.insert_many([{"_id": 1}, {"_id": 2}]),
    lambda c: c.update_one({"_id": 1}, {"$set": {"a": 1}}, upsert=True),
    lambda c: c.update_one({"a": 1}, {"$set": {"b": 1}}, upsert=True),
], ids=["insert", "insert many", "upsert", "upsert by a field"])
def test_a_collection_made_anew_as_a_capped_one_is_written_to(pair, name, write):
    oslo = made_anew(pair, name, capped=True, size=4096, max=2)
    write(oslo)
    pair.wait_converged(["shop"])
    assert oslo.count_documents({}) > 0


def test_a_collection_made_anew_as_a_view_is_refused_by_mongod(pair, name):
    oslo = made_anew(pair, name, viewOn="items", pipeline=[])
    with pytest.raises(pymongo.errors.OperationFailure) as refused:
        oslo.insert_one({"_id": 1})
    assert refused.value.code == 166


def test_the_plain_collection_made_anew_goes_on(pair, name):
    oslo = made_anew(pair, name)
    oslo.insert_many([{"_id": i} for i in range(10)])
    oslo.update_many({}, {"$inc": {"n": 1}})
    pair.wait_converged(["shop"])
    assert oslo.count_documents({"n": 1}) == 10


def test_writes_go_on_while_an_index_is_built(pair, name):
    oslo = pair.oslo.app().shop[name]
    oslo.insert_many([{"_id": i, "a": i % 1000, "b": "x" * 100} for i in range(20000)])
    direct = pair.oslo.direct()
    # mongod stops in the middle of the build until it is told otherwise.
    direct.admin.command("configureFailPoint", "hangAfterStartingIndexBuildUnlocked",
                         mode="alwaysOn")
    build = threading.Thread(target=oslo.create_index, args=("a",))
    build.start()
    try:
        wait_until(lambda: any(op.get("command", {}).get("createIndexes") == name
                               for op in direct.admin.aggregate([{"$currentOp": {}}])),
                   "the index build is under way")
        began = time.monotonic()
        pair.oslo.client().shop[name].insert_one({"_id": "meanwhile"})
        oslo.update_one({"a": 5}, {"$inc": {"n": 1}})
        assert time.monotonic() - began < 5
        assert build.is_alive()
    finally:
        direct.admin.command("configureFailPoint", "hangAfterStartingIndexBuildUnlocked",
                             mode="off")
        build.join()
    pair.wait_converged(["shop"])


def test_duplicates_written_while_a_unique_index_is_built_end_alike_at_both_sites(pair, name):
    oslo = pair.oslo.app().shop[name]
    oslo.insert_many([{"_id": i, "a": i} for i in range(5000)])
    stop = threading.Event()

    def write():
        collection = pair.oslo.client().shop[name]
        at = 100_000
        while not stop.is_set():
            at += 1
            try:
                collection.insert_one({"_id": at, "a": at % 5100})
            except pymongo.errors.DuplicateKeyError:
                pass
    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(5):
            try:
                oslo.create_index("a", unique=True)
                oslo.drop_index("a_1")
            except pymongo.errors.OperationFailure:
                pass
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    pair.wait_converged(["shop"])


SYSTEM = ["system.js", "system.buckets.ts", "system.views", "system.users", "system.profile",
          "system.foo"]
COMMANDS = {
    "insert": lambda ns: {"insert": ns, "documents": [{"_id": "f", "value": 1}]},
    "update": lambda ns: {"update": ns, "updates": [{"q": {"_id": "f"}, "u": {"$set": {"a": 1}},
                                                     "upsert": True}]},
    "update by a field": lambda ns: {"update": ns, "updates": [
        {"q": {"a": 1}, "u": {"$set": {"b": 1}}, "multi": True}]},
    "delete": lambda ns: {"delete": ns, "deletes": [{"q": {}, "limit": 0}]},
    "findAndModify": lambda ns: {"findAndModify": ns, "query": {}, "remove": True},
    "drop": lambda ns: {"drop": ns},
    "out": lambda ns: {"aggregate": "items", "pipeline": [{"$out": ns}], "cursor": {}},
    "merge": lambda ns: {"aggregate": "items", "pipeline": [{"$merge": {"into": ns}}],
                         "cursor": {}},
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_nothing_is_written_that_no_other_site_would_hear_of(pair, kind):
    shop = pair.oslo.direct().shop
    if "system.buckets.ts" not in shop.list_collection_names():
        shop.create_collection("ts", timeseries={"timeField": "t"})
        shop.ts.insert_one({"t": datetime.datetime(2026, 1, 1)})
        shop["system.js"].insert_one({"_id": "g", "value": 1})
    places = [("shop", ns) for ns in SYSTEM] + [("outrigger", "mine")]
    for database, ns in places:
        if kind == "drop" and ns == "system.profile":
            continue  # it is not there
        with pytest.raises(pymongo.errors.OperationFailure) as refused:
            pair.oslo.app()[database].command(SON(COMMANDS[kind](ns)))
        code = refused.value.code
        assert code in (115, 73, 13, 20, 17385, 17419, 5428400, 31319, 31321, 40323), (
            ns, refused.value)
        assert "not replicated by Outrigger" in str(refused.value) or code != 115
    assert shop["system.buckets.ts"].count_documents({}) == 1
    assert list(shop["system.js"].find()) == [{"_id": "g", "value": 1}]
    assert pair.oslo.direct().outrigger.list_collection_names() == []


def test_what_stays_at_a_site_by_its_nature_is_written(pair):
    pair.oslo.app().config.mine.insert_one({"_id": 1})
    pair.oslo.app().admin.mine.insert_one({"_id": 1})
    assert pair.oslo.direct().config.mine.find_one() == {"_id": 1}


def test_an_app_that_never_reads_an_answer_locks_nothing(pair, name):
    orders = pair.oslo.app().shop[name]
    orders.insert_one({"_id": 1})
    client = RawClient(pair.oslo.sidecar.proxy_address)
    client.socket.settimeout(3)
    unknown = "x" * 10_000  # what mongod says of it names it: some hundred answers fill the line
    try:
        with pytest.raises(OSError):
            while True:
                client.send_msg([body_section(SON({"create": name, unknown: 1, "$db": "shop"}))])
        began = time.monotonic()
        orders.insert_one({"_id": 2})
        assert time.monotonic() - began < 3
    finally:
        client.close()
