"""Stocks under `bounded`: two sites that are apart both sell, and what is sold too much shows as
none left, at both, and is remembered."""

import pymongo
import pytest

from cluster import Cluster
from waiting import wait_until

RULES = [{"namespace": "shop.open*", "fields": {"stock": {"type": "bounded[0, 10]",
                                                          "escalate": True}}},
         {"namespace": "shop.*", "fields": {"stock": "bounded[0, 10]"}}]


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def pair(tmp_path_factory, request):
    with Cluster(tmp_path_factory.mktemp("pair"), settings={"replicate": RULES},
                 replica_set=request.param) as cluster:
        cluster.is_set = request.param
        yield cluster


@pytest.fixture
def goods(pair, request):
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    collections = pair.collections(getattr(request, "param", "") + name)
    collections[0].insert_one({"_id": 1, "stock": 10})
    pair.wait_converged(["shop"])
    return collections


def sell(collection, count, **options):
    """As a shop does: only what is there is sold."""
    done = collection.update_one({"_id": 1, "stock": {"$gte": count}},
                                 {"$inc": {"stock": -count}}, **options)
    return done.modified_count == 1


def restock(collection, count):
    collection.update_one({"_id": 1}, {"$inc": {"stock": count}})


def wait_stock(goods, stock):
    wait_until(lambda: all(each.find_one({"_id": 1})["stock"] == stock for each in goods),
               lambda: [each.find_one({"_id": 1}) for each in goods])


def told(pair, goods):
    """What the ledgers hold of it, which is the same at both."""
    found = [[(entry["kind"], entry["lost"], entry["state"])
              for entry in site.app().outrigger.conflicts.find(
                  {"namespace": goods[0].full_name})] for site in pair]
    assert found[0] == found[1]
    return found[0]


def both_sell(pair, goods):
    with pair.apart("oslo", "paris"):
        assert sell(goods[0], 7)
        assert sell(goods[1], 6)
    wait_stock(goods, 0)
    pair.wait_converged(["shop"])


def test_what_both_sold_is_out_of_stock_at_both_and_what_is_owed_is_remembered(pair, goods):
    both_sell(pair, goods)
    assert told(pair, goods) == [("bounded", -3, "auto")]
    assert not sell(goods[0], 1)
    restock(goods[1], 5)
    wait_stock(goods, 2)
    assert sell(goods[0], 2)
    wait_stock(goods, 0)
    assert told(pair, goods) == [("bounded", -3, "auto")]
    pair.wait_quiet()


def test_what_one_site_takes_beyond_the_bound_does_not_stay(pair, goods):
    goods[0].update_one({"_id": 1}, {"$inc": {"stock": -30}})
    wait_stock(goods, 0)
    restock(goods[0], 25)
    wait_stock(goods, 5)
    pair.wait_converged(["shop"])
    assert told(pair, goods) == [("bounded", -20, "auto")]


def test_in_transactions_too(pair, goods):
    if not pair.is_set:
        pytest.skip("no transactions on a standalone")
    client = goods[0].database.client
    with client.start_session() as session, session.start_transaction():
        goods[0].update_one({"_id": 1}, {"$inc": {"stock": -8}}, session=session)
        goods[0].update_one({"_id": 1}, {"$inc": {"stock": -8}}, session=session)
    wait_stock(goods, 0)
    with client.start_session() as session, session.start_transaction():
        goods[0].update_one({"_id": 1}, {"$inc": {"stock": 9}}, session=session)
    wait_stock(goods, 3)


@pytest.mark.parametrize("goods", ["open"], indirect=True)
def test_what_escalates_is_open_until_somebody_decides(pair, goods):
    both_sell(pair, goods)
    assert told(pair, goods) == [("bounded", -3, "open")]
    [entry] = pair.oslo.app().outrigger.conflicts.find({"namespace": goods[0].full_name})
    with pytest.raises(pymongo.errors.OperationFailure, match="a sum beyond its bounds, -3"):
        pair.oslo.app().outrigger.command({"choose": entry["_id"]})
    assert entry["reason"].startswith("the sum of what was added here left bounded[0, 10]")
    restock(goods[0], 5)
    wait_stock(goods, 2)


def test_a_value_that_is_set_ends_what_was_owed(pair, goods):
    both_sell(pair, goods)
    goods[1].update_one({"_id": 1}, {"$set": {"stock": 4}})
    wait_stock(goods, 4)
    restock(goods[0], 1)
    wait_stock(goods, 5)
    pair.wait_quiet()


def test_a_hot_document_is_corrected_while_apps_write_to_it(pair, goods):
    for _ in range(60):
        goods[0].update_one({"_id": 1}, {"$inc": {"stock": -1}})
    for _ in range(55):
        goods[0].update_one({"_id": 1}, {"$inc": {"stock": 1}})
    wait_stock(goods, 5)
    pair.wait_converged(["shop"])


# The last: the stamps of a site that was killed lie some seconds ahead for a while.
@pytest.mark.parametrize("who", ["both", pytest.param("sidecar", marks=pytest.mark.long),
                                 pytest.param("mongod", marks=pytest.mark.long)])
def test_kills_between_the_write_and_its_correction_lose_nothing(pair, goods, who):
    oslo = pair.oslo
    goods[0].insert_many([{"_id": n, "stock": 10} for n in range(2, 40)])
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        goods[0].update_many({}, {"$inc": {"stock": -7}})
        goods[1].update_many({}, {"$inc": {"stock": -6}})
    wait_stock(goods, 0)
    pair.wait_converged(["shop"])
    goods[0].update_many({}, {"$inc": {"stock": 5}})  # they show 5 until they are corrected
    if who != "mongod":
        oslo.sidecar.kill()
    if who != "sidecar":
        oslo.mongod.kill()
        oslo.mongod.start()
    if who != "mongod":
        oslo.sidecar.start()
    oslo.wait_served()
    wait_stock(goods, 2)
    pair.wait_converged(["shop"])
    for each in goods:
        wait_until(lambda: {document["stock"] for document in each.find()} == {2},
                   lambda: list(each.find({"stock": {"$ne": 2}})))
