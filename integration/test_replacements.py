"""Apps that read a document, change it and put it back whole: `replaces: diff`."""

import re

import pytest
from pymongo import ReplaceOne, ReturnDocument

from cluster import Cluster

FORMS = ["replica_set", "standalone"]
RULES = [{"namespace": "shop.whole*"},
         {"namespace": "shop.*", "replaces": "diff", "fields": {"at": "atomic", "high": "max"}}]


@pytest.fixture(scope="module", params=FORMS)
def pair(tmp_path_factory, request):
    with Cluster(tmp_path_factory.mktemp("pair"), settings={"replicate": RULES},
                 replica_set=request.param == "replica_set") as cluster:
        yield cluster


BEFORE = {"_id": 1, "name": "Ada", "phone": "1", "stock": 5, "gone": True,
          "home": {"street": "a", "town": "b"}, "at": {"x": 1, "y": 1}, "high": 3,
          "tags": ["a"], "items": [{"sku": "pen", "qty": 1}, {"sku": "ink", "qty": 2}]}


@pytest.fixture
def people(pair, request):
    collections = pair.collections(re.sub(r"\W", "_", request.node.name))
    collections[0].insert_one(BEFORE)
    pair.wait_converged(["shop"])
    return collections


def save(collection, _id=1, how="replace_one", **changes):
    """What an object mapper does."""
    document = {**collection.find_one({"_id": _id}), **changes}
    document = {name: value for name, value in document.items() if value is not None}
    if how == "replace_one":
        collection.replace_one({"_id": _id}, document)
    elif how == "bulk":
        collection.bulk_write([ReplaceOne({"_id": _id}, document)])
    elif how == "by a field":
        collection.replace_one({"name": document["name"]}, document)
    elif how == "upsert":
        collection.replace_one({"_id": _id}, document, upsert=True)
    else:
        collection.find_one_and_replace({"_id": _id}, document,
                                        return_document=ReturnDocument.AFTER)


@pytest.mark.parametrize("how", ["replace_one", "bulk", "by a field", "upsert", "find"])
def test_both_changes_stand(pair, people, how):
    with pair.apart("oslo", "paris"):
        save(people[0], how=how, phone="2", home={"street": "a", "town": "Oslo"}, tags=["a", "b"],
             at={"x": 2, "y": 1}, high=7)
        save(people[1], how=how, mail="m", home={"street": "Paris", "town": "b"}, tags=["a", "c"],
             at={"x": 1, "y": 2}, high=5, gone=None)
        people[0].update_one({"_id": 1}, {"$inc": {"stock": 3}})
        save(people[1], how=how, items=[*BEFORE["items"], {"sku": "cup", "qty": 9}])
        people[0].update_one({"_id": 1}, {"$inc": {"items.1.qty": 5}})
    document = pair.alike(people)[0]
    assert document == {
        "_id": 1, "name": "Ada", "phone": "2", "mail": "m", "stock": 8,
        "home": {"street": "Paris", "town": "Oslo"}, "at": {"x": 1, "y": 2}, "high": 7,
        "tags": ["a", "b", "c"], "items": [{"sku": "pen", "qty": 1}, {"sku": "ink", "qty": 7},
                                           {"sku": "cup", "qty": 9}]}


def test_in_a_transaction_too(pair, people):
    if pair.oslo.mongod.replica_set is False:
        pytest.skip("transactions are a replica set's")
    with pair.apart("oslo", "paris"):
        for collection, changes in zip(people, ({"phone": "2"}, {"mail": "m"})):
            with collection.database.client.start_session() as session, session.start_transaction():
                document = {**collection.find_one({"_id": 1}, session=session), **changes}
                collection.replace_one({"_id": 1}, document, session=session)
    document = pair.alike(people)[0]
    assert (document["phone"], document["mail"]) == ("2", "m")


def test_two_that_make_the_document_give_the_fields_of_both(pair, people):
    with pair.apart("oslo", "paris"):
        people[0].replace_one({"_id": 2}, {"name": "Bob", "phone": "2"}, upsert=True)
        people[1].replace_one({"_id": 2}, {"name": "Bob", "mail": "m"}, upsert=True)
    assert pair.one_alike(people, 2) == {"_id": 2, "name": "Bob", "phone": "2", "mail": "m"}


def test_what_changes_nothing_says_nothing(pair, people):
    with pair.apart("oslo", "paris"):
        people[0].update_one({"_id": 1}, {"$set": {"name": "Eve"}})
        save(people[1])
    assert pair.alike(people)[0]["name"] == "Eve"
    assert pair.oslo.losers(people[0]) == pair.paris.losers(people[1]) == []


def test_the_kind_of_an_id_is_the_one_it_was_given(pair, people):
    people[0].replace_one({"_id": 1}, {"_id": 1.0, "name": "Ada"})
    document = pair.alike(people)[0]
    direct = [type(site.direct().shop[people[0].name].find_one()["_id"]) for site in pair]
    assert document == {"_id": 1, "name": "Ada"} and direct[0] is direct[1]


def test_by_default_the_later_document_stands_whole(pair):
    whole = pair.collections("whole")
    whole[0].insert_one({"_id": 1, "a": 0, "b": 0})
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        whole[0].replace_one({"_id": 1}, {"a": 1, "b": 0})
        whole[1].replace_one({"_id": 1}, {"a": 0, "b": 1})
    assert pair.alike(whole)[0] == {"_id": 1, "a": 0, "b": 1}


def test_many_at_once_and_what_mongod_refuses(pair, people):
    people[0].insert_many([{"_id": i, "n": 0, "m": 0} for i in range(10, 60)])
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        people[0].bulk_write([ReplaceOne({"_id": i}, {"n": 1, "m": 0}) for i in range(10, 60)])
        people[1].bulk_write([ReplaceOne({"_id": i}, {"n": 0, "m": 1}) for i in range(10, 60)],
                             ordered=False)
    pair.wait_converged(["shop"])
    assert people[0].count_documents({"n": 1, "m": 1}) == 50
    answer = people[0].database.command("update", people[0].name, updates=[
        {"q": {"_id": 1}, "u": {"n": 1}, "multi": True}])
    assert answer["writeErrors"][0]["code"] == 9
