"""Writers that meet in the same documents: whose turn it is, and who was answered what. What an app
asks for by a filter is chosen as a bare mongod chooses it, once, and both sites hold the same."""

import collections
import itertools
import os
import random
import threading
import time
from multiprocessing.pool import ThreadPool

import pymongo
import pytest
from bson import Code
from pymongo.collation import Collation

from waiting import wait_until


@pytest.fixture
def shop(pair, request):
    """The test's collection through the sidecar of oslo, and through that of paris."""
    return pair.collections(request.node.originalname)


class Crowd:
    """`with Crowd(32, work):` that many threads do `work(number)` again and again meanwhile."""

    def __init__(self, count, work):
        self._stop = threading.Event()
        self._failure = None
        self._threads = [threading.Thread(target=self._run, args=(work, i)) for i in range(count)]

    def _run(self, work, number):
        try:
            while not self._stop.is_set():
                work(number)
        except Exception as error:  # shown by the thread that waits
            self._failure = error

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failure:
            raise self._failure


def test_a_peer_has_its_turn_at_a_document_that_many_write_to(pair, shop):
    oslo, paris = shop
    oslo.insert_many([{"_id": i, "n": 0} for i in range(2)])
    pair.wait_converged(["shop"])
    with Crowd(32, lambda _: oslo.update_one({"_id": 0}, {"$inc": {"n": 1}})):
        wait_until(lambda: oslo.find_one({"_id": 0})["n"] > 100, "the crowd at work")
        for turn in range(1, 4):
            began = time.monotonic()
            paris.update_one({"_id": 1}, {"$set": {"turn": turn}})
            paris.update_many({}, {"$set": {"both": turn}})
            wait_until(lambda: oslo.find_one({"_id": 1, "turn": turn, "both": turn}) and
                       oslo.find_one({"_id": 0, "both": turn}), f"what paris wrote, {turn}")
            assert time.monotonic() - began < 2
    pair.wait_converged(["shop"])


# ---- filters that depend on chance, time or code

CHANCE = {"$lt": [{"$rand": {}}, 0.5]}
# Each chooses half of the documents in the mean.
VARYING = {
    "rand": {"$expr": CHANCE},
    "rand beside a field": {"kind": "job", "$expr": {"$and": [CHANCE, {"$gte": ["$n", 0]}]}},
    "sampleRate": {"$sampleRate": 0.5},
    "where": {"$where": Code("Math.random() < 0.5")},
    "function": {"$expr": {"$function": {"body": Code("function() {return Math.random() < 0.5}"),
                                          "args": [], "lang": "js"}}},
    "NOW": {"$expr": {"$lt": [{"$mod": [{"$toLong": {"$add": ["$$NOW", "$n"]}}, 2]}, 1]}},
}
COUNT = 200


def each(job):
    """How many of job(0), job(1), ... are true; eight at a time."""
    with ThreadPool(8) as pool:
        return sum(bool(done) for done in pool.map(job, range(COUNT)))


CHOOSE = {
    "deleteMany": lambda c, query: c.delete_many(query).deleted_count,
    "updateMany": lambda c, query: c.update_many(query, {"$set": {"taken": 1}}).modified_count,
    "updateOne": lambda c, query: each(lambda i: c.update_one(
        {"_id": {"$in": [i]}, **query}, {"$inc": {"taken": 1}}).matched_count),
    "findAndModify": lambda c, query: each(lambda i: c.find_one_and_update(
        {"n": i, **query}, {"$set": {"taken": 1}})),
}


@pytest.mark.parametrize("name", [
    "rand", "rand beside a field", "sampleRate", "where", "NOW",
    pytest.param("function", marks=pytest.mark.long)])
def test_a_filter_chooses_as_often_as_at_a_bare_mongod(pair, name):
    for form, choose in CHOOSE.items():
        oslo, paris = pair.collections(f"{name} {form}")
        bare = pair.oslo.direct()["bare"][oslo.name]
        for collection in (oslo, bare):
            collection.insert_many([{"_id": i, "n": i, "kind": "job"} for i in range(COUNT)])
            chosen = choose(collection, VARYING[name])
            # Of 200 draws 100 +- 7 in the mean; asked twice, each would be chosen 50 +- 6 times.
            assert abs(chosen - COUNT / 2) < 40, (form, collection.full_name)
            gone = form == "deleteMany"
            assert collection.count_documents({"taken": 1}) == (0 if gone else chosen)
            assert collection.count_documents({}) == (COUNT - chosen if gone else COUNT)
    pair.wait_converged(["shop"])


def test_a_value_of_the_command_that_is_drawn_by_chance_is_drawn_once(pair, shop):
    oslo, _ = shop
    for _ in range(30):
        oslo.insert_many([{"_id": i} for i in range(10)])
        done = oslo.database.command(
            "delete", oslo.name, let={"drawn": {"$rand": {}}},
            deletes=[{"q": {"$expr": {"$lt": ["$$drawn", 0.5]}}, "limit": 0}])
        assert done["n"] in (0, 10)
        oslo.delete_many({})
    pair.wait_converged(["shop"])


def test_documents_that_nobody_else_held_are_looked_for_once(pair):
    """By mongod's own profile: what a filter found is not asked again."""
    oslo, _ = pair.collections("jobs", "profiled")
    oslo.insert_many([{"_id": i, "n": i, "kind": "job"} for i in range(1500)])
    profiled = pair.oslo.direct()["profiled"]
    profiled.command("profile", 2)
    for write in (lambda: oslo.update_many({"kind": "job"}, {"$set": {"seen": 1}}),
                  lambda: oslo.update_one({"n": 7}, {"$set": {"seen": 2}}),
                  lambda: oslo.delete_many({"n": {"$lt": 5}}),
                  lambda: oslo.delete_one({"n": 8})):
        def queries():
            return profiled["system.profile"].count_documents(
                {"op": "query", "ns": oslo.full_name, "command.find": oslo.name})
        before = queries()
        write()
        assert queries() - before == 1
    profiled.command("profile", 0)


def test_a_hinted_index_that_lacks_the_document_hides_it(pair):
    oslo, paris = pair.collections("sparse", "profiled")
    oslo.create_index("s", sparse=True)
    oslo.insert_many([{"_id": 1, "s": 1}, {"_id": 2}, {"_id": 3, "s": 3}, {"_id": 4}])
    updated = oslo.bulk_write([pymongo.UpdateOne({"_id": i}, {"$set": {"a": 1}}, hint="s_1")
                               for i in (1, 2, 3, 4)])
    assert updated.matched_count == 2
    deleted = oslo.bulk_write([pymongo.DeleteOne({"_id": i}, hint="s_1") for i in (1, 2, 3, 4)])
    assert deleted.deleted_count == 2
    assert oslo.find_one_and_delete({"_id": 2}, hint="s_1") is None
    pair.wait_converged(["profiled"])
    assert list(paris.find()) == [{"_id": 2}, {"_id": 4}]


def test_an_index_that_is_hinted_is_walked_once(pair):
    oslo, _ = pair.collections("hinted", "profiled")
    oslo.insert_many([{"_id": i, "kind": "job"} for i in range(200)])
    oslo.create_index("kind")
    profiled = pair.oslo.direct()["profiled"]
    profiled.command("profile", 2)
    assert oslo.update_many({"kind": "job"}, {"$set": {"n": 1}}, hint="kind_1").matched_count == 200
    profiled.command("profile", 0)
    examined = [entry["docsExamined"] for entry in profiled["system.profile"].find(
        {"op": "update", "ns": oslo.full_name})]
    assert len(examined) == 200 and max(examined) == 1
    pair.wait_converged(["profiled"])


# ---- jobs that are claimed

CASE_BLIND = Collation("en", strength=2)
CLAIMS = {
    "find_one_and_update": lambda c, who: c.find_one_and_update(
        {"state": "NEW"}, {"$set": {"state": "taken"}, "$push": {"by": who}}),
    "find_one_and_update, sorted": lambda c, who: c.find_one_and_update(
        {"state": "NEW"}, {"$set": {"state": "taken"}, "$push": {"by": who}}, sort=[("n", -1)]),
    "find_one_and_update, a pipeline": lambda c, who: c.find_one_and_update(
        {"state": "NEW"}, [{"$set": {"state": "taken", "by": {"$concatArrays": [
            {"$ifNull": ["$by", []]}, [who]]}}}]),
    "update_one": lambda c, who: c.update_one(
        {"state": "NEW"}, {"$set": {"state": "taken"}, "$push": {"by": who}}).modified_count,
    "delete_one": lambda c, who: c.delete_one({"state": "NEW"}).deleted_count,
    "find_one_and_delete": lambda c, who: c.find_one_and_delete({"state": "NEW"}),
}
JOBS = 80


def claim_all(collections_, claim):
    """Every client claims until nothing is left, all at once; the number of claims."""
    counts = []

    def work(collection, who):
        count = 0
        while claim(collection, who):
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=work, args=(collection, who))
               for who, collection in enumerate(collections_)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == len(threads), "a client failed"
    return sum(counts)


# _id's of which four are equal each, where the letter's case does not count; in the collection
# whose own collation it is they cannot stand beside each other.
def job_ids(where):
    if where == "the collection's collation":
        return [f"job {i}" for i in range(JOBS)]
    if where == "documents as _id":
        return [{"of": ["job", letter], "n": i // 4} for i, letter in
                zip(range(JOBS), "aAbB" * JOBS)]
    return [f"{'jJ'[i % 2]}o{'bB'[i // 2 % 2]} {i // 4}" for i in range(JOBS)]


@pytest.mark.parametrize("around", [False, True], ids=["", "some around the sidecar"])
@pytest.mark.parametrize("where", ["the collection's collation", "the command's collation",
                                   "documents as _id"])
def test_each_job_is_claimed_once(pair, where, around):
    for form, claim in CLAIMS.items():
        own = {"collation": CASE_BLIND} if where == "the collection's collation" else {}
        # What is written around the sidecar of one site does not come to the other.
        database, name = "around" if around else "shop", f"{form} {where}"
        oslo, paris = pair.collections(name, database)
        oslo.database.create_collection(name, **own)
        wait_until(lambda: name in paris.database.list_collection_names(), "it is at paris")
        oslo.insert_many([{"_id": job, "state": "new", "n": n}
                          for n, job in enumerate(job_ids(where))])
        direct = pair.oslo.direct()[database][name]
        clients = [direct if around and who % 2 else oslo for who in range(8)]
        if not own:
            clients = [Collated(client) for client in clients]
        assert claim_all(clients, claim) == JOBS, form
        assert all(len(job["by"]) == 1 for job in oslo.find()), form
    pair.wait_converged(["shop"])


class Collated:
    """A collection whose every write says that case does not count."""

    def __init__(self, collection):
        self._collection = collection

    def __getattr__(self, name):
        method = getattr(self._collection, name)
        return lambda *arguments, **options: method(*arguments, collation=CASE_BLIND, **options)


# ---- random interleavings

class Locks:
    """Documents that are held by one client at a time, if claims are atomic: each client knows
    what it was given, and nobody is given what is held."""

    def __init__(self, collection, around, random_):
        self.collection, self.around, self.random = collection, around, random_
        self.holders, self.versions = {}, collections.Counter()
        self.guard = threading.Lock()

    def options(self):
        return self.random.choice([{}, {"collation": CASE_BLIND}])

    def claim(self, who):
        through = self.random.choice([self.collection, self.collection, self.around])
        sort = self.random.choice([None, [("n", 1)], [("turn", -1), ("n", 1)]])
        query = self.random.choice([
            {"state": "FREE"}, {"state": "FREE", "n": {"$gte": self.random.randrange(4)}},
            {"$or": [{"state": "FREE"}, {"nothing": 1}]},
            {"state": "FREE", "$expr": {"$lt": [{"$rand": {}}, 0.9]}}])
        form = self.random.randrange(3)
        held, turn = {"state": "held", "who": who}, {"turn": 1}
        if form == 0:
            found = through.find_one_and_update(
                query, {"$set": held, "$inc": turn}, sort=sort, collation=CASE_BLIND)
        elif form == 1:
            found = through.find_one_and_update(
                query, [{"$set": {**held, "turn": {"$add": ["$turn", 1]}}}], sort=sort,
                collation=CASE_BLIND)
        else:
            mark = f"{who} {self.random.random()}"
            done = through.update_one(query, {"$set": {**held, "mark": mark}, "$inc": turn},
                                      collation=CASE_BLIND)
            assert done.matched_count in (0, 1)
            found = self.around.find_one({"mark": mark})
            assert bool(found) == bool(done.matched_count)
        if found:
            with self.guard:
                before = self.holders.setdefault(found["_id"], None)
                assert before is None, f"{found['_id']} is {before}'s, and was given to {who}"
                self.holders[found["_id"]] = who
                self.versions[found["_id"]] += 1
        return found and found["_id"]

    def let_go(self, document, who):
        with self.guard:
            self.holders[document] = None
        done = self.collection.update_one({"_id": document, "who": who, "state": "held"},
                                          {"$set": {"state": "free"}}, **self.options())
        assert done.matched_count == 1, f"{who} held {document}, and it was another's"

    def work(self, who):
        document = self.claim(who)
        if self.random.random() < 0.2:  # touches what is free and what is held alike
            self.collection.update_many({"n": {"$lt": 9}}, {"$inc": {"seen": 1}})
        if document:
            self.let_go(document, who)


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.long)])
def test_what_one_client_was_given_no_other_is(pair, shop, seconds):
    seed = int(os.environ.get("OUTRIGGER_SEED", random.randrange(1 << 32)))
    print(f"OUTRIGGER_SEED={seed}")
    oslo = pair.oslo.app()["locks"][f"for {seconds}"]
    oslo.insert_many([{"_id": name, "n": n, "turn": 0, "state": "free"}
                      for n, name in enumerate(["a", "A", "aB", "Ab", "b", "c"])])
    locks = Locks(oslo, pair.oslo.direct()["locks"][oslo.name], random.Random(seed))
    with Crowd(8, locks.work):
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > seconds, "the crowd at work", seconds + 5)
    turns = {lock["_id"]: lock["turn"] for lock in oslo.find()}
    assert turns == {name: locks.versions[name] for name in turns} and sum(turns.values()) > 20


def test_a_document_that_always_matches_is_always_found(pair, shop):
    """However it is written to meanwhile: neither is "nothing" answered, nor another inserted."""
    oslo, _ = shop
    oslo.insert_one({"key": "one", "state": 0, "n": 0})
    flips = itertools.cycle([1, 0])

    def flip(_):
        oslo.update_one({"key": "one", "state": {"$in": [0, 1]}}, {"$set": {"state": next(flips)}})

    with Crowd(4, flip):
        for _ in range(10):
            done = oslo.update_one({"state": {"$in": [0, 1]}}, {"$inc": {"n": 1}}, upsert=True)
            assert done.matched_count == 1 and done.upserted_id is None
            assert oslo.find_one_and_update({"state": {"$in": [0, 1]}}, {"$inc": {"n": 1}},
                                            sort=[("state", 1)])
    pair.wait_converged(["shop"])
    assert oslo.find_one()["n"] == 20 and oslo.count_documents({}) == 1


def test_clients_that_upsert_one_key_insert_one_document(pair, shop):
    oslo, _ = shop
    for turn in range(6):
        upsert = oslo.update_one if turn % 2 else oslo.update_many
        with ThreadPool(8) as pool:
            done = pool.map(lambda _: upsert(
                {"key": turn}, {"$inc": {"n": 1}}, upsert=True).upserted_id, range(8))
        assert sum(1 for upserted in done if upserted) == 1
        assert oslo.find_one({"key": turn})["n"] == 8
    assert oslo.count_documents({}) == 6
    pair.wait_converged(["shop"])
