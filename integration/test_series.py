"""Time-series collections: what one site measures all sites hold, once, and what they are is the
same everywhere. Measurements have no name: several may be equal, and a site holds as many."""

import collections
import contextlib
import datetime
import os
import random
import threading
import time
import zlib

import pymongo
import pymongo.errors
import pytest
from bson import Binary, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp

from cluster import Cluster
from documents import canonical
from test_catalog import FORMS, catalogue, wait_alike
from test_expiry import OFTEN, SOON
from test_redo import Forgetful
from waiting import wait_until

HEAT = {"timeseries": {"timeField": "t", "metaField": "of"}}
# What is measured never merges: no rule may reach it.
ANY_RULES = [{"namespace": "*", "inserts": "merge", "deletes": "update_wins", "unique": "keep"}]
EITHER = pytest.mark.parametrize("with_sidecar", [
    pytest.param(False, id="mongod"), pytest.param(True, id="both", marks=pytest.mark.long)])


def at(seconds=0):
    """So long after a moment of today, as MongoDB keeps it."""
    now = datetime.datetime.utcnow().replace(microsecond=0, second=0)
    return now + datetime.timedelta(seconds=seconds)


@pytest.fixture(scope="module", params=[
    pytest.param(True, id="replica_set"),
    pytest.param(False, id="standalone", marks=pytest.mark.long)])
def sites(tmp_path_factory, request):
    """Shared by the tests of this file: each takes its own collection."""
    with Cluster(tmp_path_factory.mktemp("sites"), replica_set=request.param,
                 parameters={"enableTestCommands": 1},
                 settings={"log": {"level": "info"}, "replicate": ANY_RULES}) as cluster:
        yield cluster


@pytest.fixture
def heat(sites, request):
    """A series as the app at each site sees it."""
    return make_series(sites, f"heat{zlib.crc32(request.node.name.encode())}")


def make_series(sites, name="heat", **more):
    sites.oslo.app().shop.create_collection(name, **{**HEAT, **more})
    wait_alike(sites)
    return sites.collections(name)


def held(site, name):
    """How often a site's store holds each measurement."""
    return collections.Counter(canonical(each) for each in site.direct().shop[name].find())


def wait_equal(sites, series, timeout_s=60):
    """Until all sites have heard of all and hold as many of each. Gives how many."""
    marks = [site.client().marks.seen.insert_one({}).inserted_id for site in sites]
    wait_until(lambda: all(
        site.direct().marks.seen.count_documents({"_id": {"$in": marks}}) == len(marks)
        for site in sites), "all have heard of all", timeout_s)
    first, *rest = (held(site, series[0].name) for site in sites)
    for other in rest:
        assert other == first, (other - first, first - other)
    assert all(site.status()["not_applied"] == 0 for site in sites)
    return sum(first.values())


def test_what_a_series_is_reaches_every_site(sites, heat):
    (shop, paris), name = (each.database for each in heat), heat[0].name
    paris.create_collection("rain", timeseries={"timeField": "t", "granularity": "minutes"},
                            collation={"locale": "fr"}, expireAfterSeconds=86400)
    wait_alike(sites)
    shop.command("collMod", "rain", timeseries={"granularity": "hours"}, expireAfterSeconds="off")
    paris.command("collMod", name, expireAfterSeconds=3600)
    heat[0].create_index([("of", 1), ("t", -1)], name="by_sensor")
    heat[1].create_index([("of.room", 1)])
    wait_alike(sites)
    found = catalogue(sites.paris.direct())
    assert found[name][0] == "timeseries" and found[name][1]["expireAfterSeconds"] == 3600
    assert "expireAfterSeconds" not in found["rain"][1]
    assert found["rain"][1]["timeseries"]["granularity"] == "hours"
    assert set(found[name][2]) == {"by_sensor", "of.room_1"}
    heat[0].drop_index("by_sensor")
    paris.rain.insert_one({"t": at()})
    paris.rain.drop()
    wait_alike(sites)
    assert "rain" not in shop.list_collection_names()


ODD = [{"v": value} for value in (
    None, 1.5, -0.0, float("nan"), Int64(7), True, "text", Decimal128("1.10"), Timestamp(0, 0),
    Timestamp(5, 6), Binary(b"x", 5), Regex("a", "i"), MaxKey(), ObjectId(), [1, [2, {"b": 1}]],
    {"z": 1, "a": {"c": 2, "b": 3}}, {}, [])]


def test_what_is_measured_reaches_every_site_once(sites, heat):
    with sites.apart("oslo", "paris"):
        heat[0].insert_many([{"t": at(i), "of": {"room": i % 7, "floor": 1}, "v": i}
                             for i in range(2500)])
        heat[1].insert_many([{**each, "t": at(), "of": kind, "$odd": 1, "a.b": 2}
                             for kind, each in enumerate(ODD)], ordered=False)
        for collection in heat:
            collection.insert_one({"t": at(-60), "of": [1, {"b": 1, "a": 2}], "_id": ["same"]})
    assert wait_equal(sites, heat) == 2500 + len(ODD) + 1  # the last of both is the same
    sites.wait_quiet()


def test_equal_ones_are_counted(sites, heat):
    same = {"_id": 1, "t": at(), "of": 1, "v": 1}
    bare = {"t": at(), "of": {"b": 1, "a": 2}}
    name = heat[0].name
    heat[0].insert_many([same, {**same, "v": 2}, same])
    heat[0].database.command("insert", name, documents=[bare, bare, {**bare, "of": {
        "a": 2, "b": 1}}])
    assert wait_equal(sites, heat) == 6
    heat[1].insert_one(dict(same))
    heat[1].database.command("insert", name, documents=[bare])
    assert wait_equal(sites, heat) == 8
    assert heat[1].count_documents({"v": 1}) == 3


@pytest.mark.long
def test_three_sites_hold_the_same(make_cluster):
    sites = make_cluster(("oslo", "paris", "rome"),
                         links=[("oslo", "paris"), ("paris", "rome")]).start()
    series = make_series(sites)
    sites.cut("paris", "rome")
    for number, collection in enumerate(series):
        collection.insert_many([{"t": at(i), "of": number, "v": i} for i in range(50)])
    sites.heal_all()
    assert wait_equal(sites, series) == 150
    sites.wait_quiet()


def test_only_inserts_are_let_in(sites, heat):
    series = heat[0]
    series.insert_one({"t": at(), "of": 1})
    for write in (lambda: series.update_many({"of": 1}, {"$set": {"of": 2}}),
                  lambda: series.delete_many({"of": 1})):
        with pytest.raises(pymongo.errors.OperationFailure, match="only what is inserted") as no:
            write()
        assert no.value.code == 115
    with series.database.client.start_session() as session:
        with pytest.raises(pymongo.errors.OperationFailure) as no:
            with session.start_transaction():
                series.insert_one({"t": at()}, session=session)
    assert no.value.code == (263 if sites.oslo.mongod.replica_set else 20)
    assert wait_equal(sites, heat) == 1


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
def test_what_a_batch_leaves_out_no_site_has(sites, heat, ordered):
    with pytest.raises(pymongo.errors.BulkWriteError) as failed:
        heat[0].insert_many([{"t": at(), "v": 0}, {"v": 1}, {"t": at(), "v": 2}, {"t": "no"}],
                            ordered=ordered)
    assert [error["index"] for error in failed.value.details["writeErrors"]] == (
        [1] if ordered else [1, 3])
    assert wait_equal(sites, heat) == (1 if ordered else 2)


def test_a_drop_takes_what_other_sites_measured_meanwhile(sites, heat):
    heat[0].insert_many([{"t": at(i), "v": i} for i in range(10)])
    wait_equal(sites, heat)
    with sites.apart("oslo", "paris"):
        heat[1].insert_one({"t": at(), "v": "meanwhile"})
        heat[0].drop()
        heat[0].database.create_collection(heat[0].name, **HEAT)
        heat[0].insert_one({"t": at(), "v": "anew"})
        heat[1].insert_one({"t": at(), "v": "meanwhile, too"})
    wait_alike(sites)
    assert wait_equal(sites, heat) == 1
    assert heat[1].find_one()["v"] == "anew"
    heat[1].insert_one({"t": at(), "v": "after"})
    assert wait_equal(sites, heat) == 2
    sites.wait_quiet()


def test_made_apart_it_holds_what_both_measured(sites):
    apart = sites.collections("apart")
    with sites.apart("oslo", "paris"):
        for collection in apart:
            collection.database.create_collection("apart", **HEAT)
            collection.insert_one({"t": at(), "v": 1})
            collection.insert_one({"_id": 1, "t": at(-60), "v": 2})
    wait_alike(sites)
    assert wait_equal(sites, apart) == 3  # of those that are equal neither had heard of the other


@pytest.mark.long
def test_each_site_evicts_by_itself(make_cluster):
    two_sites = make_cluster(settings=SOON, parameters=OFTEN).start()
    series = make_series(two_sites, expireAfterSeconds=3600)
    series[0].insert_many([{"t": at(-100_000), "v": 1}, {"t": at(), "v": 2}])
    for site in two_sites:
        wait_until(lambda: [each["v"] for each in site.direct().shop.heat.find()] == [2],
                   "the old one to go")
    assert wait_equal(two_sites, series) == 1
    two_sites.wait_quiet()


@pytest.mark.long
def test_what_meets_another_kind_of_collection_is_set_aside(two_sites):
    oslo, paris = (site.app().shop for site in two_sites)
    two_sites.cut("oslo", "paris")
    paris.create_collection("heat")
    paris.heat.insert_one({"_id": 1})
    oslo.create_collection("heat", **HEAT)
    oslo.heat.insert_one({"t": at()})
    two_sites.heal_all()
    wait_until(lambda: all(site.status()["not_applied"] > 0 for site in two_sites), "set aside")
    for shop in oslo, paris:
        assert shop.heat.count_documents({}) == 1


@pytest.mark.long
def test_sites_that_make_it_otherwise_say_so(two_sites):
    oslo, paris = (site.app().shop for site in two_sites)
    two_sites.cut("oslo", "paris")
    for shop, field in ((oslo, "t"), (paris, "time")):
        shop.create_collection("heat", timeseries={"timeField": field})
        shop.heat.insert_one({field: at()})
    two_sites.heal_all()
    wait_until(lambda: all(site.status()["not_applied"] > 0 for site in two_sites), "set aside")


def test_what_was_set_aside_goes_with_its_series(sites):
    otherwise = sites.collections("otherwise")
    with sites.apart("oslo", "paris"):
        for collection, field in zip(otherwise, ("t", "time")):
            collection.database.create_collection("otherwise", timeseries={"timeField": field})
            collection.insert_one({field: at()})
    wait_until(lambda: all(site.status()["not_applied"] > 0 for site in sites), "set aside")
    otherwise[0].drop()
    wait_until(lambda: all(site.status()["not_applied"] == 0 for site in sites), "all of it gone")
    otherwise[1].database.create_collection("otherwise", timeseries={"timeField": "time"})
    wait_alike(sites)
    assert wait_equal(sites, otherwise) == 0


@EITHER
def test_what_mongod_forgets_is_put_back_once(sites, heat, with_sidecar):
    same = {"_id": 1, "t": at(), "of": 1}
    heat[0].insert_one(same)
    wait_equal(sites, heat)
    with Forgetful(sites.oslo, with_sidecar) as client:
        series = client.shop[heat[0].name]
        series.insert_many([{"t": at(i), "of": i % 3, "v": i} for i in range(200)])
        series.insert_one(same)
        heat[1].insert_many([{"t": at(i), "of": "paris"} for i in range(100)])
    assert wait_equal(sites, heat) == 302


@pytest.mark.long
@EITHER
def test_a_batch_that_a_kill_interrupts_is_there_once(sites, heat, with_sidecar):
    sites.cut("oslo", "paris")
    for number in range(4):
        heat[0].insert_many([{"t": at(i), "of": i % 5, "v": i, "n": number} for i in range(2000)])
    sites.heal_all()
    there = sites.paris.direct().shop[heat[0].name]
    wait_until(lambda: there.count_documents({}) > 1000, "some are applied", interval_s=0.001)
    if with_sidecar:
        sites.paris.sidecar.kill()
    sites.paris.mongod.kill()
    sites.paris.mongod.start()
    if with_sidecar:
        sites.paris.sidecar.start()
    assert wait_equal(sites, heat) == 8000


def test_an_insert_without_an_answer_is_what_the_store_shows(sites, heat):
    same = {"_id": 1, "t": at(), "of": 1}
    heat[0].insert_one(same)
    sites.oslo.direct().admin.command(
        "configureFailPoint", "failCommand", mode={"times": 1},
        data={"failCommands": ["insert"], "closeConnection": True})
    series = sites.oslo.client(retryWrites=False).shop[heat[0].name]
    with pytest.raises(pymongo.errors.AutoReconnect):
        series.insert_one(same)
    wait_until(lambda: sites.oslo.status()["open_writes"] == 0, "the doubt settled")
    assert wait_equal(sites, heat) == 1


def test_a_retry_is_inserted_once(sites, heat):
    if not sites.oslo.mongod.replica_set:
        pytest.skip("a standalone takes no numbers")
    shop = sites.oslo.client().shop
    command = {"insert": heat[0].name, "txnNumber": Int64(7),
               "documents": [{"_id": 1, "t": at()}, {"t": at(), "of": 2}]}
    with shop.client.start_session() as session:
        def send():
            with contextlib.suppress(pymongo.errors.AutoReconnect):
                return shop.command(command, session=session)["n"]
            return None
        assert send() == send() == 2
        sites.oslo.sidecar.restart()
        assert wait_until(send, "an answer") == 2
    assert wait_equal(sites, heat) == 2


@pytest.mark.long
def test_a_first_start_finds_what_was_measured_before(one_site):
    one_site.oslo.mongod.start()
    shop = one_site.oslo.direct().shop
    shop.create_collection("heat", **HEAT)
    shop.heat.insert_one({"t": at()})
    assert "shop.heat" in one_site.oslo.sidecar.start_refused()


class Meter:
    """Measures at a site until told to stop; `said` are those that were acknowledged."""

    def __init__(self, site, number, chance):
        self.shop = site.client(timeoutMS=20_000).shop
        self.concern = {"w": chance.choice([1, "majority"])}
        self.number = number
        self.chance = chance
        self.said, self.tried = collections.Counter(), collections.Counter()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        n = 0
        while not self.stopped.is_set():
            batch = []
            for _ in range(self.chance.choice([1, 1, 3, 40])):
                n += self.chance.random() < 0.9  # else it is equal to the one before
                batch.append({"t": at(n % 3000), "of": n % 5, "by": self.number, "v": n})
            for each in batch:
                self.tried[each["v"]] += 1
            try:
                self.shop.command("insert", "heat", documents=batch,
                                  writeConcern=self.concern)
                self.said.update(each["v"] for each in batch)
            except pymongo.errors.PyMongoError:
                self.stopped.wait(0.01)

    def stop(self):
        self.stopped.set()
        self.thread.join()

    def check(self, held_at):
        there = collections.Counter(each["v"] for each in held_at.find({"by": self.number}))
        assert not self.said - there, f"lost: {self.said - there}"
        assert not there - self.tried, f"doubled: {there - self.tried}"


def kill_under_load(make_cluster, replica_set, times):
    seed = int(os.environ.get("OUTRIGGER_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    chance = random.Random(seed)
    sites = make_cluster(replica_set=replica_set, settings={"log": {"level": "info"}}).start()
    series = make_series(sites)
    meters = [Meter(site, number, random.Random(seed + number))
              for number, site in enumerate([sites.oslo, sites.oslo, sites.paris])]
    for number in range(times):
        site = sites.oslo if number % 2 else sites.paris
        time.sleep(chance.uniform(0.3, 1.2))
        what = chance.choice(["mongod", "sidecar", "both"])
        if what != "mongod":
            site.sidecar.kill()
        if what != "sidecar":
            site.mongod.kill()
            site.mongod.start()
        if what != "mongod":
            site.sidecar.start(wait_ready=False)
        site.sidecar.wait_ready()
    for meter in meters:
        meter.stop()
    assert wait_equal(sites, series) > 100
    for meter in meters:
        meter.check(sites.oslo.direct().shop.heat)


@pytest.mark.long
@FORMS
def test_kills_lose_and_double_nothing(make_cluster, replica_set):
    kill_under_load(make_cluster, replica_set, 25)
