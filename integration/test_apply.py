"""What the peer's writes look like where they arrive: causes before effects for whoever reads,
through refusals that pass, and kept where the store here is another than it was there."""

import random
import threading
import time

import pymongo
import pytest
from pymongo import WriteConcern

from cluster import Cluster
from waiting import wait_until


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def pair(request, tmp_path_factory):
    """oslo and paris, running, shared by the tests of this file: each takes its own collection."""
    with Cluster(tmp_path_factory.mktemp("pair"), replica_set=request.param,
                 parameters={"enableTestCommands": "1"}) as cluster:
        yield cluster


@pytest.fixture
def sets(pair, request):
    """The same, for tests of what only replica sets have."""
    if not pair.oslo.mongod.replica_set:
        pytest.skip("a standalone has no such command")
    return pair


@pytest.fixture
def shop(pair, request):
    """The test's collection through the sidecar of oslo, and through that of paris."""
    return pair.collections(request.node.originalname)


class Reader:
    """Looks in a tight loop until the block ends; `broken`: the first thing that must not be."""

    def __init__(self, look):
        self._look = look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.broken = None
        self.looks = 0

    def _run(self):
        while not self._stop.is_set() and self.broken is None:
            self.broken = self._look()
            self.looks += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def test_a_reader_finds_the_new_document_or_the_old_one_at_any_time(pair, shop):
    w1 = shop[0].with_options(write_concern=WriteConcern(1))
    there = pair.paris.direct().shop[shop[1].name]
    w1.insert_one({"_id": 0})
    pair.wait_converged(["shop"])
    newest = 600

    def look():
        seen = [d["_id"] for d in there.find().batch_size(100)]
        return None if seen else "neither the old nor the new document"

    with Reader(look) as reader:
        for i in range(newest):
            w1.insert_one({"_id": i + 1})
            w1.delete_one({"_id": i})
        wait_until(lambda: [d["_id"] for d in there.find()] == [newest], "the last one")
    assert reader.broken is None
    assert reader.looks > 10


class History:
    """Who wrote what when, at one site: chains over several collections and databases."""

    def __init__(self, client, places, seed):
        self._client = client
        self._random = random.Random(seed)
        self.places = places  # (database, collection, _id)
        self._changes = {place: [(0, None)] for place in places}
        self.last = 0

    def write(self):
        self.last += 1
        place = self._random.choice(self.places)
        database, collection, key = place
        target = self._client[database].get_collection(collection, write_concern=WriteConcern(1))
        there = self._changes[place][-1][1] is not None
        kind = self._random.choice(["set", "replace", "delete"]) if there else "insert"
        value = None if kind == "delete" else self.last
        if kind == "insert":
            target.insert_one({"_id": key, "n": value})
        elif kind == "set":
            target.update_one({"_id": key}, {"$set": {"n": value}})
        elif kind == "replace":
            target.replace_one({"_id": key}, {"n": value})
        else:
            target.delete_one({"_id": key})
        self._changes[place].append((self.last, value))

    def could_be_seen(self, place, value, after):
        """Did `place` hold `value` at or after the write number `after`?"""
        changes = self._changes[place]
        ends = [since for since, _ in changes[1:]] + [self.last + 1]
        return any(held == value and end > after for (_, held), end in zip(changes, ends))


def test_whoever_saw_an_effect_finds_its_causes_across_collections_and_databases(pair):
    places = [(database, collection, key) for database in ("shop", "stock")
              for collection in ("chain_a", "chain_b") for key in (1, 2)]
    history = History(pair.oslo.app(), places, seed=7)
    direct = pair.paris.direct()
    sightings = []
    pick = random.Random(8)

    def read(place):
        found = direct[place[0]][place[1]].find_one({"_id": place[2]})
        return found and found["n"]

    def look():
        effect, cause = pick.sample(places, 2)
        # In this order: what is read second can only be newer.
        seen = read(effect)
        sightings.append((effect, seen, cause, read(cause)))

    with Reader(look) as reader:
        for _ in range(1500):
            history.write()
        pair.wait_converged(["shop", "stock"])
    assert reader.looks > 50
    for effect, seen, cause, found in sightings:
        # Write number `seen` made what was read first.
        assert seen is None or history.could_be_seen(cause, found, seen), (
            effect, seen, cause, found)


def test_what_a_write_block_refused_is_done_when_it_ends(sets, shop):
    shop[0].insert_many([{"_id": i, "n": 0} for i in range(20)])
    sets.wait_converged(["shop"])
    admin = sets.paris.direct().admin
    admin.command("setUserWriteBlockMode", 1, **{"global": True})
    try:
        shop[0].delete_many({"_id": {"$lt": 5}})
        shop[0].update_many({}, {"$inc": {"n": 1}})
        shop[0].insert_one({"_id": 100})
        wait_until(lambda: any("371" in why for why in sets.paris.status()["held"]),
                   lambda: f"the stream to hold: {sets.paris.status()['held']}")
    finally:
        admin.command("setUserWriteBlockMode", 1, **{"global": False})
    sets.wait_converged(["shop"])
    assert shop[1].count_documents({"n": 1}) == 15
    assert sets.paris.status()["not_applied"] == 0
    assert sets.paris.losers(shop[1]) == []


def test_what_is_refused_for_a_while_is_no_verdict(sets, shop):
    shop[0].insert_many([{"_id": i} for i in range(4)])
    sets.wait_converged(["shop"])
    admin = sets.paris.direct().admin
    for code in (24, 112, 189, 388, 10107, 11602):
        admin.command("configureFailPoint", "failCommand", mode={"times": 2}, data={
            "errorCode": code, "failCommands": ["update", "delete"], "appName": "outrigger"})
        shop[0].update_one({"_id": 1}, {"$set": {"code": code}})
        shop[0].delete_one({"_id": 0})
        shop[0].insert_one({"_id": 0, "code": code})
        sets.wait_converged(["shop"])
    assert sets.paris.status()["not_applied"] == 0
    assert sets.paris.losers(shop[1]) == []


def test_a_validator_judges_what_an_app_writes_not_what_replicates(pair, shop):
    for site in pair:
        site.direct().shop.create_collection(
            shop[0].name, validator={"$expr": {"$lt": [{"$add": ["$a", "$b"]}, 10]}})
    shop[0].insert_one({"_id": 1, "a": 1, "b": 1})
    pair.wait_converged(["shop"])
    with pytest.raises(pymongo.errors.WriteError):
        shop[1].insert_one({"_id": 2, "a": 5, "b": 5})
    shop[0].with_options().insert_many(
        [{"_id": 10 + i, "a": 50, "b": i} for i in range(3)], bypass_document_validation=True)
    with pair.apart("oslo", "paris"):  # each half is valid, the sum is not
        shop[0].update_one({"_id": 1}, {"$set": {"a": 8}})
        shop[1].update_one({"_id": 1}, {"$set": {"b": 8}})
    assert shop[1].find_one({"_id": 1}) == {"_id": 1, "a": 8, "b": 8}
    assert shop[1].count_documents({"a": 50}) == 3
    noted = [loser for loser in pair.paris.losers(shop[1])]
    assert {(loser["_id"], loser["kind"]) for loser in noted} == {
        (key, "validator_bypassed") for key in (1, 10, 11, 12)}
    assert all("failed validation" in loser["reason"] for loser in noted)
    assert pair.paris.status()["not_applied"] == 0


KINDS = {
    "view": {"viewOn": "elsewhere", "pipeline": []},
    "timeseries": {"timeseries": {"timeField": "at"}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_collection_of_another_kind_here_holds_what_comes_visibly(pair, kind):
    here, there = pair.collections(f"kind_{kind}")
    direct = pair.paris.direct().shop
    direct.create_collection(there.name, **KINDS[kind])
    before = pair.paris.status()["not_applied"]
    here.insert_many([{"_id": i} for i in range(5)])
    here.update_one({"_id": 1}, {"$set": {"x": 1}})
    pair.collections("after")[0].insert_one({})
    wait_until(lambda: pair.paris.status()["not_applied"] == before + 5, "five set aside")
    assert {loser["_id"] for loser in pair.paris.losers(there)} == set(range(5))
    assert list(there.find()) == []
    # Once the collection is one that can hold them, they are there, without a further change.
    direct.drop_collection(there.name)
    wait_until(lambda: pair.paris.status()["not_applied"] == before, "none set aside", 40)
    pair.wait_converged(["shop"])
    assert there.find_one({"_id": 1}) == {"_id": 1, "x": 1}


def test_a_collection_exchanged_for_a_view_loses_nothing(pair):
    shop = pair.collections("exchanged", database="elsewhere")
    shop[0].insert_many([{"_id": i} for i in range(3)])
    pair.wait_converged(["elsewhere"])
    direct = pair.paris.direct().elsewhere
    direct.drop_collection(shop[1].name)
    direct.create_collection(shop[1].name, viewOn="others", pipeline=[])
    before = pair.paris.status()["not_applied"]
    shop[0].insert_many([{"_id": 10 + i} for i in range(4)])
    wait_until(lambda: pair.paris.status()["not_applied"] == before + 4, "four set aside")
    assert list(shop[1].find()) == []
    direct.drop_collection(shop[1].name)
    wait_until(lambda: shop[1].count_documents({}) == 4, "the four", 40)


def test_arrays_written_apart_under_one_index_end_equal_with_the_loser_open(pair, shop):
    for site in pair:
        site.direct().shop[shop[0].name].create_index([("a", 1), ("b", 1)])
    shop[0].insert_one({"_id": 1, "a": 0, "b": 0, "n": 0})
    pair.wait_converged(["shop"])
    pair.cut("oslo", "paris")
    shop[0].update_one({"_id": 1}, {"$set": {"a": [1]}, "$inc": {"n": 1}})
    shop[1].update_one({"_id": 1}, {"$set": {"b": [2]}, "$inc": {"n": 10}})
    pair.heal("oslo", "paris")
    pair.wait_converged(["shop"])
    document = shop[0].find_one({"_id": 1})
    assert document["n"] == 11
    assert (document["a"], document["b"]) in (([1], 0), (0, [2]))
    left_out = [1] if document["a"] == 0 else [2]
    opened = [loser for site, there in zip(pair, shop) for loser in site.losers(there)
              if loser["open"]]
    assert [(loser["kind"], loser["lost"]) for loser in opened] == [("left_out", left_out)]
    assert all(site.status()["not_applied"] == 0 for site in pair)


@pytest.mark.long_on("replica_set")
def test_halves_that_are_too_large_together_end_equal(pair, shop):
    shop[0].insert_one({"_id": 1, "n": 0})
    pair.wait_converged(["shop"])
    pair.cut("oslo", "paris")
    for field, there in zip("xy", shop):
        there.update_one({"_id": 1}, {"$set": {field: field * 9_000_000}, "$inc": {"n": 1}})
    pair.heal("oslo", "paris")
    pair.wait_converged(["shop"])
    document = shop[0].find_one({"_id": 1})
    assert document["n"] == 2
    assert ("x" in document) != ("y" in document)
    opened = [loser["lost"][:1] for site, c in zip(pair, shop) for loser in site.losers(c)
              if loser["open"]]
    # A slow line lets both sites resolve it, each for its own half; the later one wins.
    assert ("y" if "x" in document else "x") in opened


def test_an_index_of_one_site_only_takes_nothing_from_the_others(pair):
    shop = pair.collections("own_index", database="elsewhere")
    pair.paris.direct().elsewhere.own_index.create_index([("a", 1), ("b", 1)])
    shop[0].insert_one({"_id": 1, "a": [1], "b": [2]})
    wait_until(lambda: pair.paris.losers(shop[1]), "an entry")
    shop[0].update_one({"_id": 1}, {"$inc": {"n": 1}})
    assert pair.paris.status()["not_applied"] == 1
    assert shop[0].find_one({"_id": 1}) == {"_id": 1, "a": [1], "b": [2], "n": 1}
    pair.paris.direct().elsewhere.own_index.drop_indexes()
    wait_until(lambda: shop[1].find_one({"_id": 1, "n": 1}), "the document", 20)


def test_a_statement_that_makes_much_of_little_travels(sets, shop):
    shop[0].insert_many([{"_id": i, "a": ["x" * 75_000]} for i in range(1000)])
    shop[0].update_many({}, {"$push": {"a": 1}})
    shop[0].update_many({"_id": {"$lt": 300}}, {"$set": {"b": "y" * 300_000}})
    shop[0].insert_one({"_id": "after"})
    wait_until(lambda: shop[1].find_one({"_id": "after"}), "what was written after it", 60)
    assert shop[1].count_documents({"a": 1}) == 1000
    assert shop[1].count_documents({"b": "y" * 300_000}) == 300
    shop[0].delete_many({})
    wait_until(lambda: shop[1].count_documents({}) == 0, "both empty", 60)


@pytest.mark.long
def test_large_documents_travel_one_after_the_other(sets, shop):
    text = "x" * (16 * 1024 * 1024 - 100)
    for i in range(12):
        shop[0].insert_one({"_id": i, "text": text})
    shop[0].update_many({}, {"$set": {"text": text[1:] + "y"}})
    sets.oslo.sidecar.kill()
    sets.oslo.sidecar.start()
    wait_until(lambda: shop[1].count_documents({"text": {"$regex": "y$"}}) == 12, "all", 120)
    shop[0].delete_many({})
    wait_until(lambda: shop[1].count_documents({}) == 0, "both empty", 60)


def peak_memory_mb(sidecar):
    with open(f"/proc/{sidecar.process.pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


@pytest.mark.long
def test_one_field_of_many_costs_what_it_is(make_cluster):
    cluster = make_cluster().start()
    oslo, paris = cluster.collections("wide")
    for i in range(0, 1000, 50):
        oslo.insert_many([{"_id": i + j, **{f"f{k}": "x" * 100 for k in range(1340)}}
                          for j in range(50)])
    cluster.wait_converged(["shop"], 120)
    cluster.wait_quiet(60)
    cluster.paris.sidecar.restart()
    before = peak_memory_mb(cluster.paris.sidecar)
    cluster.cut("oslo", "paris")
    for i in range(1000):
        oslo.update_one({"_id": i}, {"$set": {f"f{i}": i}})
    started = time.monotonic()
    cluster.heal("oslo", "paris")
    wait_until(lambda: cluster.oslo.vector() == cluster.paris.vector(), "equal vectors", 120)
    took = time.monotonic() - started
    grown = peak_memory_mb(cluster.paris.sidecar) - before
    print(f"{took:.1f} s, {grown} MB")
    assert took < 15 and grown < 150
    cluster.wait_converged(["shop"], 120)
