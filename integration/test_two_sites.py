"""Two sites and an unmodified app: what is written at one stands at the other, and what clashes has
one winner and a loser that can be looked up. Both presentations: standalone and replica set."""

import pymongo
import pytest
from bson import Int64, ObjectId
from pymongo import (DeleteMany, DeleteOne, InsertOne, ReplaceOne, ReturnDocument, UpdateMany,
                     UpdateOne)

from cluster import Cluster
from waiting import wait_until


STOCK = [{"_id": i, "n": i, "kind": "even" if i % 2 == 0 else "odd", "tags": ["a"]}
         for i in range(6)]


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def pair(request, tmp_path_factory):
    """oslo and paris, running, shared by the tests of this file: each takes its own collection."""
    with Cluster(tmp_path_factory.mktemp("pair"), replica_set=request.param) as cluster:
        yield cluster


@pytest.fixture
def shop(pair, request):
    """The test's collection through the sidecar of oslo, and through that of paris."""
    return pair.collections(request.node.originalname)


@pytest.fixture
def stocked(pair, shop):
    """The same with six documents that both sites hold."""
    shop[0].insert_many(STOCK)
    pair.wait_converged(["shop"])
    return shop


def all_of(collection):
    return list(collection.find().sort("_id"))


def suppress_bulk_error(collection, requests):
    with pytest.raises(pymongo.errors.BulkWriteError):
        collection.bulk_write(requests, ordered=False)


def unacknowledged(collection):
    collection.with_options(write_concern=pymongo.WriteConcern(0)).insert_one({"_id": "w0"})
    wait_until(lambda: collection.find_one({"_id": "w0"}), "the unacknowledged insert")


FORMS = {
    "insert": lambda c: c.insert_one({"_id": 9, "x": {"y": [1, {"z": None}]}}),
    "insert without _id": lambda c: c.insert_one({"name": "nameless"}),
    "insertMany": lambda c: c.insert_many([{"_id": 10 + i} for i in range(2500)]),
    "set": lambda c: c.update_one({"_id": 1}, {"$set": {"a.b": 1, "n": "one"}}),
    "unset": lambda c: c.update_one({"_id": 1}, {"$unset": {"kind": ""}}),
    "inc": lambda c: c.update_one({"_id": 1}, {"$inc": {"n": 5, "new": Int64(2)}}),
    "mul": lambda c: c.update_one({"_id": 2}, {"$mul": {"n": 2.5}}),
    "min and max": lambda c: c.update_one({"_id": 2}, {"$min": {"n": -1}, "$max": {"m": 4}}),
    "rename": lambda c: c.update_one({"_id": 2}, {"$rename": {"kind": "sort"}}),
    "currentDate": lambda c: c.update_one({"_id": 2}, {"$currentDate": {"at": True}}),
    "replace": lambda c: c.replace_one({"_id": 3}, {"whole": "new"}),
    "push": lambda c: c.update_one({"_id": 4}, {"$push": {"tags": {"$each": ["b", "c"]}}}),
    "pull": lambda c: c.update_one({"_id": 4}, {"$pull": {"tags": "a"}}),
    "addToSet": lambda c: c.update_one({"_id": 4}, {"$addToSet": {"tags": "z"}}),
    "element by number": lambda c: c.update_one({"_id": 4}, {"$set": {"tags.0": "first"}}),
    "arrayFilters": lambda c: c.update_one({"_id": 4}, {"$set": {"tags.$[t]": "b"}},
                                           array_filters=[{"t": "a"}]),
    "by another field": lambda c: c.update_one({"kind": "odd"}, {"$set": {"seen": True}}),
    "upsert": lambda c: c.update_one({"_id": 20}, {"$set": {"up": 1}}, upsert=True),
    "upsert by another field": lambda c: c.update_one(
        {"kind": "none"}, {"$inc": {"n": 1}, "$setOnInsert": {"made": True}}, upsert=True),
    "upsert by replacement": lambda c: c.replace_one({"_id": 21}, {"r": 1}, upsert=True),
    "pipeline": lambda c: c.update_one({"_id": 5}, [{"$set": {"twice": {"$add": ["$n", "$n"]}}}]),
    "pipeline on many": lambda c: c.update_many({}, [{"$set": {"n2": {"$add": ["$n", 1]}}}]),
    "update many": lambda c: c.update_many({"kind": "even"}, {"$inc": {"n": 100}}),
    "update many by pattern": lambda c: c.update_many({"kind": {"$regex": "^o"}},
                                                      {"$set": {"odd": True}, "$unset": {"n": 1}}),
    "delete": lambda c: c.delete_one({"_id": 0}),
    "delete by another field": lambda c: c.delete_one({"kind": "odd"}),
    "delete many": lambda c: c.delete_many({"kind": "odd"}),
    "findAndModify": lambda c: c.find_one_and_update(
        {"kind": "odd"}, {"$inc": {"n": 7}}, sort=[("_id", -1)],
        return_document=ReturnDocument.AFTER),
    "findAndModify replacing": lambda c: c.find_one_and_replace({"_id": 2}, {"n": "replaced"}),
    "findAndModify removing": lambda c: c.find_one_and_delete({"kind": "even"}, sort=[("_id", 1)]),
    "findAndModify upserting": lambda c: c.find_one_and_update(
        {"_id": ObjectId()}, {"$set": {"found": False}}, upsert=True),
    "bulk": lambda c: c.bulk_write([
        InsertOne({"_id": 30}), UpdateOne({"_id": 30}, {"$set": {"x": 1}}), DeleteOne({"_id": 1}),
        ReplaceOne({"_id": 2}, {"x": 2}), UpdateMany({}, {"$inc": {"bulk": 1}}),
        DeleteMany({"kind": "even"})]),
    "unordered bulk with an error": lambda c: suppress_bulk_error(c, [
        InsertOne({"_id": 1}), InsertOne({"_id": 40}), UpdateOne({"_id": 3}, {"$set": {"x": 3}})]),
    "unacknowledged": unacknowledged,
    "odd names": lambda c: c.insert_one({"_id": {"k": 1}, "": 0, "a": {"": {"0": 1}}}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_write_reaches_the_other_site(pair, form):
    at_oslo, at_paris = (pair.collections(f"{writer} {form}") for writer in ("oslo", "paris"))
    for collections in (at_oslo, at_paris):
        collections[0].insert_many(STOCK)
    pair.wait_converged(["shop"])
    FORMS[form](at_oslo[0])
    FORMS[form](at_paris[1])
    pair.wait_converged(["shop"])
    for oslo, paris in (at_oslo, at_paris):
        assert all_of(oslo) == all_of(paris) != STOCK


@pytest.mark.short
def test_increments_at_both_sites_add_up(pair, stocked):
    with pair.apart("oslo", "paris"):
        for _ in range(10):
            stocked[0].update_one({"_id": 1}, {"$inc": {"n": 1, "fresh": 2}})
            stocked[1].update_one({"_id": 1}, {"$inc": {"n": 10, "fresh": 20}})
    assert stocked[0].find_one({"_id": 1})["n"] == 1 + 10 + 100
    assert stocked[1].find_one({"_id": 1})["fresh"] == 220


def test_edits_of_different_fields_both_stand(pair, stocked):
    with pair.apart("oslo", "paris"):
        stocked[0].update_one({"_id": 1}, {"$set": {"n": "oslo", "in.o": 1}})
        stocked[1].update_one({"_id": 1}, {"$set": {"kind": "paris", "in.p": 2}})
    document = stocked[0].find_one({"_id": 1})
    assert (document["n"], document["kind"]) == ("oslo", "paris")
    assert document["in"] == {"o": 1, "p": 2}


def test_a_delete_beats_a_concurrent_update(pair, stocked):
    with pair.apart("oslo", "paris"):
        stocked[0].delete_one({"_id": 1})
        stocked[1].update_one({"_id": 1}, {"$set": {"n": "too late"}})
    assert stocked[0].find_one({"_id": 1}) is None
    assert stocked[1].find_one({"_id": 1}) is None


def test_a_document_inserted_again_survives(pair, stocked):
    with pair.apart("oslo", "paris"):
        stocked[0].delete_one({"_id": 1})
        stocked[0].insert_one({"_id": 1, "again": True})
        stocked[1].delete_one({"_id": 1})
    assert stocked[1].find_one({"_id": 1}) == {"_id": 1, "again": True}


def test_an_upsert_after_one_site_let_a_document_expire_begins_anew_at_both(pair, stocked):
    oslo, paris = stocked
    around = pair.oslo.direct().shop[oslo.name]  # as a TTL index takes documents
    for number in (4, 5):
        around.delete_one({"_id": number})
        oslo.update_one({"_id": number}, {"$inc": {"n": 1}}, upsert=True)
        pair.wait_converged(["shop"])
        assert paris.find_one({"_id": number}) == {"_id": number, "n": 1}
        wait_until(lambda: all(site.status()["rows"] == 0 for site in pair.sites.values()),
                   "nothing remembered of either")


def test_clashing_sets_have_one_winner_and_the_loser_is_kept_at_both(pair, stocked):
    with pair.apart("oslo", "paris"):
        stocked[0].update_one({"_id": 1}, {"$set": {"n": "from oslo"}})
        stocked[1].update_one({"_id": 1}, {"$set": {"n": "from paris"}})
    # The later stamp wins, and paris wrote after oslo on the same machine's clock.
    assert stocked[0].find_one({"_id": 1})["n"] == "from paris"
    for site, collection in zip(pair, stocked):
        [loser] = site.losers(collection)
        assert (loser["_id"], loser["path"], loser["lost"], loser["won"]) == (
            1, "n", "from oslo", "from paris")
        assert loser["kind"] and loser["reason"]


def test_the_same_document_inserted_at_both_is_one_with_the_losers_kept(pair, shop):
    with pair.apart("oslo", "paris"):
        shop[0].insert_one({"_id": 1, "name": "oslo's", "o": 1})
        shop[1].insert_one({"_id": 1, "name": "paris's", "p": 1})
    assert all_of(shop[0]) == all_of(shop[1])
    assert shop[0].find_one()["name"] == "paris's"
    assert all(site.losers(collection) for site, collection in zip(pair, shop))


@pytest.mark.parametrize("ordered", [True, False])
def test_many_upserts_in_one_command_add_up_with_those_of_the_other_site(pair, request, ordered):
    shop = pair.collections(f"upserts_{ordered}")
    shop[0].insert_many([{"_id": i, "n": 1} for i in range(0, 300, 2)])
    pair.wait_converged(["shop"])
    keys = [ObjectId() for _ in range(100)]
    with pair.apart("oslo", "paris"):
        for number, collection in enumerate(shop):
            made = collection.bulk_write([
                *(UpdateOne({"_id": i}, {"$inc": {"n": 10}, "$set": {f"by{number}": i}},
                            upsert=True) for i in range(300)),
                *(ReplaceOne({"_id": key}, {"by": number}, upsert=True) for key in keys),
                UpdateOne({"_id": 1}, {"$push": {"l": number}}, upsert=True)], ordered=ordered)
            assert made.upserted_count == 150 + 100
            assert made.matched_count == 150 + 1
            assert made.upserted_ids[1] == 1 and 0 not in made.upserted_ids
    documents = {each["_id"]: each for each in pair.alike(shop)}
    assert len(documents) == 400 and documents[1]["l"] == [0, 1]
    for i in range(300):
        assert documents[i]["n"] == (20 if i % 2 else 21)
        assert documents[i]["by0"] == documents[i]["by1"] == i
    assert all(documents[key]["by"] == 1 for key in keys)


def test_a_set_and_an_increment_that_clash_converge(pair, stocked):
    with pair.apart("oslo", "paris"):
        stocked[0].update_one({"_id": 1}, {"$inc": {"n": 5}})
        stocked[1].update_one({"_id": 1}, {"$set": {"n": 1000}})
    assert stocked[0].find_one({"_id": 1})["n"] in (1000, 1005)


def test_documents_cost_nothing_once_stable_even_after_clashes(pair, stocked):
    with pair.apart("oslo", "paris"):
        for collection in stocked:
            collection.update_many({}, {"$set": {"n": "clash"}, "$inc": {"count": 1}})
            collection.delete_one({"_id": 0})
    pair.wait_quiet()
    assert stocked[0].find_one({"_id": 1})["count"] == 2
    assert all(site.status()["not_applied"] == 0 for site in pair)
