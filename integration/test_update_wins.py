"""Deletes under `deletes: update_wins`: an update that a delete had not seen keeps the document,
whole, also at the site that deleted it."""

import pytest
from pymongo import DeleteOne, InsertOne

from cluster import Cluster
from waiting import wait_until

RULES = [{"namespace": "shop.*", "deletes": "update_wins", "fields": {"best": "max"}}]
DOCUMENT = {"_id": 1, "name": "kettle", "stock": 5, "tags": ["a"], "size": {"h": 1, "w": 2},
            "best": 3}


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def pair(tmp_path_factory, request):
    settings = {"replicate": RULES, "log": {"level": "info"}}
    with Cluster(tmp_path_factory.mktemp("pair"), settings=settings,
                 replica_set=request.param) as cluster:
        yield cluster


@pytest.fixture
def items(pair, request):
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    collections = pair.collections(name)
    collections[0].insert_one(dict(DOCUMENT))
    pair.wait_converged(["shop"])
    return collections


def kinds(pair, collection):
    """Of what the ledgers hold of a collection, which is the same at both sites."""
    found = [sorted(c["kind"] for c in site.sidecar.conflicts()
                    if c["namespace"] == collection.full_name) for site in pair]
    assert found[0] == found[1]
    return found[0]


def by_transaction(collection):
    with collection.database.client.start_session() as session, session.start_transaction():
        collection.delete_one({"_id": 1}, session=session)


DELETES = {
    "delete_one": lambda c: c.delete_one({"_id": 1}),
    "by_filter": lambda c: c.delete_one({"name": "kettle"}),
    "delete_many": lambda c: c.delete_many({}),
    "find_one_and_delete": lambda c: c.find_one_and_delete({"_id": 1}),
    "with_projection": lambda c: c.find_one_and_delete({"_id": 1}, {"name": 1}),
    "bulk": lambda c: c.bulk_write([InsertOne({"_id": 7}), DeleteOne({"_id": 1}),
                                    DeleteOne({"_id": 404}), DeleteOne({"_id": 7})]),
    "transaction": by_transaction,
}


@pytest.mark.parametrize("how", DELETES)
def test_the_whole_document_is_back_where_it_was_deleted(pair, items, how):
    is_set = "setName" in pair.sites["oslo"].app().admin.command("hello")
    if how == "transaction" and not is_set:
        pytest.skip("no transactions on a standalone")
    with pair.apart("oslo", "paris"):
        DELETES[how](items[0])
        assert items[0].find_one({"_id": 1}) is None
        items[1].update_one({"_id": 1}, {"$set": {"name": "pot"}, "$push": {"tags": "b"}})
    assert pair.one_alike(items) == {**DOCUMENT, "name": "pot", "tags": ["a", "b"]}
    assert kinds(pair, items[0]) == ["update_delete"]


def test_an_earlier_update_keeps_it_too(pair, items):
    with pair.apart("oslo", "paris"):
        items[1].update_one({"_id": 1}, {"$set": {"size.h": 9}})
        items[0].delete_one({"_id": 1})
    assert pair.one_alike(items) == {**DOCUMENT, "size": {"h": 9, "w": 2}}
    assert kinds(pair, items[0]) == ["update_delete"]


def test_what_was_seen_goes_and_nothing_of_it_is_remembered(pair, items):
    items[1].update_one({"_id": 1}, {"$set": {"name": "pot"}})
    pair.wait_converged(["shop"])
    items[0].delete_one({"_id": 1})
    assert pair.one_alike(items) is None
    assert kinds(pair, items[0]) == []
    pair.wait_quiet()


def test_two_deletes_are_one(pair, items):
    with pair.apart("oslo", "paris"):
        items[0].delete_one({"_id": 1})
        items[1].delete_many({})
    assert pair.one_alike(items) is None
    assert kinds(pair, items[0]) == []


def test_a_document_made_after_the_delete_is_a_new_one(pair, items):
    with pair.apart("oslo", "paris"):
        items[0].delete_one({"_id": 1})
        items[0].insert_one({"_id": 1, "new": True})
        items[1].update_one({"_id": 1}, {"$set": {"name": "pot"}})
    assert pair.one_alike(items) == {"_id": 1, "new": True}


def test_increments_add_up_on_what_is_back(pair, items):
    items[1].update_one({"_id": 1}, {"$inc": {"stock": 1}})
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        items[0].update_one({"_id": 1}, {"$inc": {"stock": 10}})
        items[0].delete_one({"_id": 1})
        items[1].update_one({"_id": 1}, {"$inc": {"stock": 100}})
    assert pair.one_alike(items)["stock"] == 116
    for number, each in enumerate(items):
        each.update_one({"_id": 1}, {"$inc": {"stock": 1000 * (number + 1)}, "$set": {"best": 4}})
    assert pair.one_alike(items) == {**DOCUMENT, "stock": 3116, "best": 4}
    pair.wait_quiet()
    items[0].delete_one({"_id": 1})
    assert pair.one_alike(items) is None


def test_what_its_store_refuses_comes_back_when_there_is_room(pair, items):
    for each in items:
        each.create_index("name", unique=True)
    pair.wait_converged(["shop"])
    pair.cut("oslo", "paris")
    items[0].delete_one({"_id": 1})
    items[1].update_one({"_id": 1}, {"$inc": {"stock": 1}})
    items[0].insert_one({"_id": 2, "name": "kettle"})
    pair.heal("oslo", "paris")
    # It had the name first.
    oslo = pair.sites["oslo"].sidecar
    wait_until(lambda: any(c["kind"] == "unique" for c in oslo.conflicts()
                           if c["namespace"] == items[0].full_name and c["_id"] == 2),
               "the later one is parked")
    assert pair.one_alike(items) == {**DOCUMENT, "stock": 6}
    assert pair.one_alike(items, 2) is None
    items[0].update_one({"_id": 1}, {"$set": {"name": "other"}})
    wait_until(lambda: pair.one_alike(items, 2) == {"_id": 2, "name": "kettle"}, "it is back")


# The last: the stamps of a site that was killed lie some seconds ahead for a while.
@pytest.mark.parametrize("who", ["sidecar", "both"])
def test_kills_in_between_lose_neither_the_delete_nor_what_comes_back(pair, items, who):
    oslo = pair.sites["oslo"]

    def kill():
        oslo.sidecar.kill()
        if who == "both":
            oslo.mongod.kill()
            oslo.mongod.start()
        oslo.sidecar.start()

    items[0].insert_many([{**DOCUMENT, "_id": n} for n in range(2, 20)])
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        items[0].delete_many({"_id": {"$lt": 15}})
        kill()
        assert sorted(d["_id"] for d in items[0].find()) == list(range(15, 20))
        items[1].update_many({"_id": {"$mod": [2, 0]}}, {"$inc": {"stock": 1}})
    kept = [n for n in range(1, 20) if n % 2 == 0 or n >= 15]
    pair.wait_converged(["shop"])
    kill()
    pair.wait_converged(["shop"])
    for each in items:
        assert sorted(each.find(), key=lambda d: d["_id"]) == [
            {**DOCUMENT, "_id": n, "stock": 5 + (n % 2 == 0)} for n in kept]
    pair.wait_quiet()
