"""Capped collections: what is written to them reaches every site, and each evicts by itself."""

import threading

import pymongo
import pytest

from test_catalog import FORMS, catalogue, wait_alike
from waiting import wait_until

LAST = 20


@pytest.fixture
def sites(make_cluster, replica_set):
    return make_cluster(replica_set=replica_set).start()


@pytest.fixture
def logs(sites):
    """At both sites, of the last 20."""
    sites.oslo.app().shop.create_collection("log", capped=True, size=1 << 20, max=LAST)
    wait_alike(sites)
    return [site.app().shop.log for site in sites]


def shown(collection):
    """In the order in which they came."""
    return [document["_id"] for document in collection.find()]


def wait_told(sites):
    """Until each site has what any has written."""
    marks = [site.app().marks.seen.insert_one({}).inserted_id for site in sites]
    wait_until(lambda: all(
        site.direct().marks.seen.count_documents({"_id": {"$in": marks}}) == len(marks)
        for site in sites), "all sites have heard of all writes")
    assert all(site.status()["not_applied"] == 0 for site in sites)


@FORMS
def test_each_site_holds_the_last_it_was_given_in_their_order(sites, logs):
    logs[0].insert_many([{"_id": i} for i in range(100)])
    for i in range(100, 130):
        logs[1].insert_one({"_id": i})
    wait_told(sites)
    logs[0].insert_many([{"_id": i} for i in range(130, 140)])
    wait_told(sites)
    assert shown(logs[1]) == list(range(120, 140))
    assert shown(logs[0]) == list(range(120, 140))
    assert catalogue(sites.paris.direct())["log"][1]["max"] == LAST


@FORMS
def test_what_one_site_evicts_no_other_loses(sites, logs):
    logs[0].insert_many([{"_id": i, "n": 0} for i in range(LAST)])
    wait_told(sites)
    sites.cut("oslo", "paris")
    logs[0].insert_many([{"_id": f"oslo{i}"} for i in range(15)])
    logs[1].update_one({"_id": 3}, {"$set": {"n": 5}})   # gone at oslo
    logs[1].update_one({"_id": 17}, {"$inc": {"n": 2}})
    logs[0].update_one({"_id": 17}, {"$inc": {"n": 3}, "$set": {"long": "x" * 1000}})
    logs[0].delete_one({"_id": 18})
    assert len(shown(logs[1])) == LAST
    sites.heal_all()
    wait_told(sites)
    assert shown(logs[0]) == [15, 16, 17, 19, *(f"oslo{i}" for i in range(15))]
    assert shown(logs[1])[-15:] == [f"oslo{i}" for i in range(15)]
    for log in logs:
        assert log.find_one({"_id": 17}) == {"_id": 17, "n": 5, "long": "x" * 1000}
        assert log.find_one({"_id": 18}) is None
    assert sites.oslo.losers(logs[0]) == sites.paris.losers(logs[1]) == []


def write_apart(sites, logs):
    """More than it holds, at both, neither hearing of the other."""
    sites.cut("oslo", "paris")
    for log, name in zip(logs, ("oslo", "paris")):
        log.insert_many([{"_id": f"{name}{i}"} for i in range(30)])
    sites.heal_all()
    wait_told(sites)


@FORMS
def test_both_write_while_apart(sites, logs):
    write_apart(sites, logs)
    # What was newest there when the other's came.
    assert shown(logs[0]) == [f"paris{i}" for i in range(10, 30)]
    assert shown(logs[1]) == [f"oslo{i}" for i in range(10, 30)]


def test_an_evicted_id_may_be_given_again(two_sites):
    two_sites.oslo.app().shop.create_collection("log", capped=True, size=4096, max=2)
    wait_alike(two_sites)
    oslo, paris = (site.app().shop.log for site in two_sites)
    for round_ in range(5):
        for i in range(3):
            oslo.insert_one({"_id": i, "round": round_})
    wait_told(two_sites)
    for log in oslo, paris:
        assert [document["round"] for document in log.find()] == [4, 4]


def test_a_tail_hears_what_another_site_writes(two_sites):
    two_sites.oslo.app().shop.create_collection("log", capped=True, size=1 << 20)
    wait_alike(two_sites)
    oslo, paris = (site.app().shop.log for site in two_sites)
    oslo.insert_one({"_id": "first"})
    wait_told(two_sites)
    tail = paris.find(cursor_type=pymongo.CursorType.TAILABLE_AWAIT)
    heard = []
    reader = threading.Thread(target=lambda: heard.extend(
        next(tail)["_id"] for _ in range(11)))
    reader.start()
    oslo.insert_many([{"_id": i} for i in range(10)])
    reader.join(30)
    assert heard == ["first", *range(10)]


@FORMS
def test_its_size_can_be_changed_and_it_can_be_dropped(sites, logs):
    shop, paris = sites.oslo.app().shop, sites.paris.app().shop
    logs[0].insert_many([{"_id": i} for i in range(LAST)])
    shop.command("collMod", "log", cappedSize=1 << 21, cappedMax=5)
    wait_alike(sites)
    logs[0].insert_one({"_id": "new"})
    wait_told(sites)
    assert shown(logs[1]) == shown(logs[0]) == [16, 17, 18, 19, "new"]
    assert paris.log.options()["size"] == 1 << 21
    paris.log.drop()
    wait_alike(sites)
    assert shop.list_collection_names() == []


@FORMS
def test_a_drop_takes_what_other_sites_still_held(sites, logs):
    write_apart(sites, logs)
    logs[0].drop()
    wait_alike(sites)
    assert sites.paris.direct().shop.list_collection_names() == []
    wait_told(sites)


@pytest.mark.parametrize("with_sidecar", [False, True], ids=["mongod", "both"])
def test_a_batch_that_a_kill_interrupts_leaves_the_newest(make_cluster, with_sidecar):
    sites = make_cluster().start()
    sites.oslo.app().shop.create_collection("log", capped=True, size=1 << 20, max=LAST)
    wait_alike(sites)
    for number in range(3):
        sites.cut("oslo", "paris")
        sites.oslo.app().shop.log.insert_many([{"_id": 3000 * number + i} for i in range(3000)])
        sites.heal_all()
        newest = 3000 * number + 2999
        wait_until(lambda: sites.paris.direct().shop.log.find_one({"_id": {
            "$gt": newest - 2500}}), "some of it is applied", interval_s=0.001)
        if with_sidecar:
            sites.paris.sidecar.kill()
        sites.paris.mongod.kill()
        sites.paris.mongod.start()
        if with_sidecar:
            sites.paris.sidecar.start()
        wait_until(lambda: shown(sites.paris.direct().shop.log)[-1:] == [newest], "the newest", 60)
        wait_told(sites)
        assert shown(sites.paris.direct().shop.log) == list(range(newest - LAST + 1, newest + 1))


@FORMS
def test_sites_that_make_it_otherwise_agree(sites):
    shop, paris = sites.oslo.app().shop, sites.paris.app().shop
    with sites.apart("oslo", "paris"):
        shop.create_collection("log", capped=True, size=1 << 20, max=10)
        paris.create_collection("log", capped=True, size=1 << 21, max=20)
    wait_alike(sites)
    assert shop.log.options() == paris.log.options()


@FORMS
def test_the_last_stay_the_last_when_mongod_forgets(sites, logs):
    given = []

    def write():
        last = sites.oslo.app().shop.get_collection(
            "log", write_concern=pymongo.WriteConcern(w=1))
        for i in range(100_000):
            if ended.is_set():
                return
            try:
                last.insert_one({"_id": i})
                given.append(i)
            except pymongo.errors.PyMongoError:
                ended.wait(0.01)

    for _ in range(3):
        ended = threading.Event()
        given.clear()
        logs[0].delete_many({})
        writer = threading.Thread(target=write)
        writer.start()
        wait_until(lambda: len(given) > 500, "a few hundred are written")
        sites.oslo.mongod.kill()
        sites.oslo.mongod.start()
        wait_until(sites.oslo.sidecar.is_ready, "it goes on")
        ended.set()
        writer.join()
        wait_told(sites)
        for log in logs:
            last = [i for i in shown(log) if i in set(given)]
            assert shown(log) == sorted(shown(log))
            assert last == given[-len(last):] and len(last) >= LAST - 2
