"""Aggregations that write: what `$out`, `$merge` and mapReduce leave is the same at every site."""

import socket
import threading

import pymongo
import pymongo.errors
import pymongo.read_concern
import pytest

from differential.raw import RawClient, body_section
from test_security import as_user, code_of, locked_site  # noqa: F401
from waiting import wait_until

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])
SALES = [{"_id": i, "shop": "abc"[i % 3], "n": i} for i in range(30)]
SUMS = {"$group": {"_id": "$shop", "n": {"$sum": "$n"}}}


@pytest.fixture
def sites(make_cluster, replica_set):
    return make_cluster(replica_set=replica_set).start()


def held(site, name="sums", database="shop"):
    return sorted(site.direct()[database][name].find(), key=lambda each: str(each["_id"]))


def same(sites, name="sums", database="shop"):
    sites.wait_converged([database])
    assert held(sites.oslo, name, database) == held(sites.paris, name, database)
    return held(sites.oslo, name, database)


@FORMS
def test_what_out_writes_takes_the_place_of_all_there_was(sites):
    shop = sites.oslo.app().shop
    shop.sales.insert_many(SALES)
    shop.sums.insert_many([{"_id": "a", "n": 1}, {"_id": "gone", "n": 135}])
    shop.sums.create_index("n", unique=True)
    assert list(shop.sales.aggregate([SUMS, {"$out": "sums"}])) == []
    assert same(sites) == [{"_id": "a", "n": 135}, {"_id": "b", "n": 145}, {"_id": "c", "n": 155}]
    sites.paris.app().shop.sales.aggregate([{"$match": {"n": 404}}, {"$out": "none"}])
    sites.wait_converged(["shop"])
    for site in sites:
        assert "none" in site.direct().shop.list_collection_names()
        assert "n_1" in site.direct().shop.sums.index_information()


@FORMS
def test_values_that_are_unique_change_places(sites):
    shop = sites.oslo.app().shop
    shop.sums.create_index("k", unique=True)
    shop.sums.insert_many([{"_id": i, "k": i} for i in range(5)])
    shop.sums.aggregate([{"$set": {"k": {"$subtract": [4, "$k"]}}}, {"$out": "sums"}])
    assert same(sites) == [{"_id": i, "k": 4 - i} for i in range(5)]


@FORMS
def test_what_reads_its_own_target_reads_it_as_it_was(sites):
    """More than mongod gives at once, so that it is still reading when it could be written to."""
    shop = sites.oslo.app().shop
    shop.sums.create_index("k", unique=True)
    shop.sums.insert_many([{"_id": i, "k": i, "text": "x" * 200_000} for i in range(100)])
    shop.sums.aggregate([{"$sort": {"_id": 1}}, {"$set": {"k": {"$add": ["$k", 1]}}},
                         {"$out": "sums"}])
    assert [(each["_id"], each["k"]) for each in sorted(same(sites), key=lambda each: each["_id"])
            ] == [(i, i + 1) for i in range(100)]
    shop.sums.aggregate([{"$match": {"_id": {"$lt": 3}}}, {"$out": {"db": "reports",
                                                                    "coll": "sums"}}])
    assert [each["_id"] for each in same(sites, "sums", "reports")] == [0, 1, 2]


def test_of_two_at_once_the_last_one_stands_whole(pair):
    shop = pair.oslo.app().shop
    shop.ones.insert_many([{"n": i} for i in range(300)])

    def copy():
        shop.ones.aggregate([{"$project": {"_id": 0}}, {"$out": "twos"}])

    for _ in range(3):
        threads = [threading.Thread(target=copy) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(each["n"] for each in same(pair, "twos")) == list(range(300))


def test_a_key_twice_in_what_is_written_leaves_what_there_was(pair):
    shop = pair.oslo.app().shop
    shop.twice.create_index("k", unique=True)
    shop.twice.insert_many([{"_id": i, "k": i} for i in range(100)])
    shop.from_both.insert_many([{"_id": 500, "k": 5}, {"_id": 501, "k": 5}])
    assert code_of(lambda: shop.from_both.aggregate([{"$out": "twice"}])) == 11000
    left = same(pair, "twice")
    assert len(left) == 100 and {"_id": 500, "k": 5} in left


def test_an_error_half_way_does_not_ask_for_all_of_it_again(make_cluster):
    """A driver that sent it again would add twice."""
    sites = make_cluster(settings={"outbox": {"max_bytes": "1MiB"}}).start()
    shop = sites.oslo.app().shop
    shop.many.insert_many([{"_id": i, "n": 1} for i in range(300)])
    sites.wait_quiet()
    sites.break_off("oslo", "paris")
    shop.others.insert_many([{"text": "x" * 10_000} for _ in range(90)])
    with pytest.raises(pymongo.errors.OperationFailure) as refused:
        for _ in range(10):
            shop.many.aggregate([{"$merge": {"into": "more", "whenMatched": [
                {"$set": {"n": {"$add": ["$n", "$$new.n"]}}}]}}])
    assert not refused.value.has_error_label("RetryableError")
    assert shop.more.count_documents({}) > 0


@pytest.mark.parametrize("concern", ["majority", "local", "available"])
def test_a_read_concern_is_of_the_read(pair, concern):
    shop = pair.oslo.app().shop.with_options(
        read_concern=pymongo.read_concern.ReadConcern(concern))
    pair.oslo.app().shop.sales.replace_one({"_id": 1}, {"n": 1}, upsert=True)
    for stage in ({"$out": "read"}, {"$merge": "read"}):
        shop.sales.aggregate([{"$match": {"_id": 1}}, stage])
    assert same(pair, "read") == [{"_id": 1, "n": 1}]
    linear = shop.with_options(read_concern=pymongo.read_concern.ReadConcern("linearizable"))
    assert code_of(lambda: linear.sales.aggregate([{"$out": "read"}])) == 72


def test_without_an_acknowledgement_its_own_writes_are_looked_at_all_the_same(pair):
    app = pair.oslo.app()
    keyed = app.shop.keyed
    keyed.create_index("k", unique=True)
    keyed.insert_many([{"_id": i, "k": i} for i in range(3)])
    keyed.with_options(write_concern=pymongo.WriteConcern(w=0)).aggregate(
        [{"$set": {"k": {"$subtract": [2, "$k"]}}}, {"$out": "keyed"}])
    wait_until(lambda: [each["k"] for each in keyed.find().sort("_id")] == [2, 1, 0], "swapped")


def test_variables_of_the_command_are_known_to_the_pipeline(pair):
    shop = pair.oslo.app().shop
    shop.lets.insert_one({"_id": 1, "n": 1})
    shop.lets.aggregate(
        [{"$merge": {"into": "lets", "whenMatched": [{"$set": {"n": "$$v"}}]}}], let={"v": 7})
    assert same(pair, "lets") == [{"_id": 1, "n": 7}]


def test_a_target_that_is_made_anew_on_the_way_is_said(pair):
    app = pair.oslo.app()
    app.shop.from_here.insert_many([{"_id": i, "t": "x" * 200} for i in range(4000)])
    app.shop.anew.insert_one({"_id": "old"})
    codes = []
    writer = threading.Thread(target=lambda: codes.append(
        code_of(lambda: app.shop.from_here.aggregate([{"$out": "anew"}]))))
    writer.start()
    wait_until(lambda: app.shop.anew.count_documents({}) > 500, "it has begun")
    app.shop.anew.drop()
    writer.join()
    assert codes == [175]


def test_a_time_limit_holds_for_what_is_written_too(pair):
    shop = pair.oslo.app().shop
    shop.slow.insert_many([{"_id": i, "n": 1} for i in range(3000)])
    add = {"$merge": {"into": "slower", "whenMatched": [{"$set": {"n": {"$add": ["$n", 1]}}}]}}
    assert code_of(lambda: shop.slow.aggregate([add], maxTimeMS=200)) == 50


@FORMS
def test_of_a_pipeline_that_fails_nothing_is_written(sites):
    shop = sites.oslo.app().shop
    shop.sales.insert_many(SALES)
    shop.sums.insert_one({"_id": "old"})
    with pytest.raises(pymongo.errors.OperationFailure, match="divide by zero"):
        shop.sales.aggregate([{"$set": {"x": {"$divide": [1, {"$subtract": [29, "$n"]}]}}},
                              {"$out": "sums"}], batchSize=2)
    assert same(sites) == [{"_id": "old"}]


@FORMS
def test_merges_at_both_sites_of_different_fields_both_stand(sites):
    oslo, paris = sites.oslo.app().shop, sites.paris.app().shop
    oslo.sales.insert_many(SALES)
    sites.wait_converged(["shop"])
    sites.cut("oslo", "paris")
    oslo.sales.aggregate([SUMS, {"$merge": "sums"}])
    paris.sales.aggregate([{"$group": {"_id": "$shop", "count": {"$sum": 1}}}, {"$merge": "sums"}])
    sites.heal_all()
    assert same(sites)[0] == {"_id": "a", "n": 135, "count": 10}


@FORMS
def test_a_merge_by_a_pipeline_adds_to_what_is_there(sites):
    oslo, paris = sites.oslo.app().shop, sites.paris.app().shop
    oslo.sales.insert_many(SALES)
    add = {"$merge": {"into": "sums", "whenMatched": [
        {"$set": {"n": {"$add": ["$n", "$$new.n"]}}}]}}
    oslo.sales.aggregate([SUMS, add])
    sites.wait_converged(["shop"])
    paris.sales.aggregate([SUMS, add])
    assert [each["n"] for each in same(sites)] == [270, 290, 310]


@FORMS
def test_a_merge_on_a_key_finds_its_documents_at_either_site(sites):
    oslo = sites.oslo.app().shop
    oslo.sales.insert_many(SALES)
    oslo.sums.create_index("shop", unique=True)
    oslo.sums.insert_one({"_id": 7, "shop": "a", "kept": 1})
    oslo.sales.aggregate([SUMS, {"$project": {"_id": 0, "shop": "$_id", "n": 1}},
                          {"$merge": {"into": "sums", "on": "shop"}}])
    found = {each["shop"]: each for each in same(sites)}
    assert found["a"] == {"_id": 7, "shop": "a", "kept": 1, "n": 135} and len(found) == 3


@FORMS
def test_map_reduce_into_a_collection(sites):
    shop = sites.oslo.app().shop
    shop.sales.insert_many(SALES)
    command = {"mapReduce": "sales", "map": "function() { emit(this.shop, this.n) }",
               "reduce": "function(key, values) { return Array.sum(values) }"}
    assert shop.command({**command, "out": "sums"})["result"] == "sums"
    assert same(sites) == [{"_id": "a", "value": 135.0}, {"_id": "b", "value": 145.0},
                           {"_id": "c", "value": 155.0}]
    shop.command({**command, "query": {"shop": "a", "n": {"$lt": 7}}, "out": {"merge": "sums"}})
    assert [each["value"] for each in same(sites)] == [9.0, 145.0, 155.0]
    shop.command({**command, "query": {"shop": {"$ne": "c"}}, "out": {"reduce": "sums"}})
    assert [each["value"] for each in same(sites)] == [144.0, 290.0, 155.0]
    with sites.apart("oslo", "paris"):  # what was reduced is a value like any other
        shop.command({**command, "query": {"shop": "c"}, "out": {"reduce": "sums"}})
        shop.command({**command, "query": {"shop": "a"}, "out": {"reduce": "new"}})
        sites.paris.app().shop.sums.update_one({"_id": "a"}, {"$inc": {"value": 1}})
    assert [each["value"] for each in same(sites)] == [145.0, 290.0, 310.0]


def test_a_transaction_has_no_outputs(pair):
    app = pair.oslo.app()
    app.shop.in_one.insert_one({"_id": 1})
    with app.start_session() as session, pytest.raises(pymongo.errors.OperationFailure) as refused:
        with session.start_transaction():
            app.shop.in_one.aggregate([{"$out": "sums"}], session=session)
    assert refused.value.code == 263


def test_who_may_not_write_there_gets_mongods_own_refusal(locked_site):  # noqa: F811
    locked_site.sidecar.start()
    with as_user(locked_site, "app", "app-secret") as app:
        app.shop.sales.insert_many(SALES)
        app.shop.sales.aggregate([SUMS, {"$out": "sums"}])
        assert code_of(lambda: app.shop.sales.aggregate(
            [SUMS, {"$out": {"db": "other", "coll": "sums"}}])) == 13
    with as_user(locked_site, "reader", "reader-secret") as reader:
        for stage in ({"$out": "sums"}, {"$merge": "sums"}):
            assert code_of(lambda: reader.shop.sales.aggregate([SUMS, stage])) == 13
    assert locked_site.mongod.client().shop.sums.count_documents({}) == 3


def test_what_has_begun_is_finished_though_its_app_is_gone(pair):
    app = pair.oslo.app()
    app.shop.many.insert_many([{"_id": i} for i in range(3_000)])
    client = RawClient(pair.oslo.sidecar.proxy_address)
    client.send_msg([body_section({"aggregate": "many", "pipeline": [{"$out": "copied"}],
                                   "cursor": {}, "$db": "shop"})])
    wait_until(lambda: app.shop.copied.count_documents({}) > 0, "it has begun")
    client.socket.shutdown(socket.SHUT_RDWR)
    client.close()
    wait_until(lambda: app.shop.copied.count_documents({}) == 3_000, "all of it is there")
    assert len(same(pair, "copied")) == 3_000


@FORMS
def test_others_write_to_the_target_meanwhile(sites):
    """Nothing of theirs is half there, and the sites end alike."""
    shop = sites.oslo.app().shop
    shop.sales.insert_many([{"_id": i, "n": i} for i in range(500)])
    stop = threading.Event()

    def write():
        paris, n = sites.paris.app().shop, 0
        while not stop.is_set():
            n += 1
            paris.sums.update_one({"_id": n % 500}, {"$inc": {"by": 1}}, upsert=True)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(2):
        shop.sales.aggregate([{"$out": "sums"}])
        shop.sales.aggregate([{"$set": {"m": 1}}, {"$merge": "sums"}])
    stop.set()
    writer.join()
    assert all(each["m"] == 1 for each in same(sites))
