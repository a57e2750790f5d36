"""A site whose store is a replica set of three: apps see MongoDB's own failover, and nothing that
was acknowledged is lost through elections, rollbacks and kills."""

import os
import random
import subprocess
import threading
import time
import uuid

import bson
import pymongo
import pytest
from pymongo.read_preferences import Secondary
from pymongo.write_concern import WriteConcern

from choices import both_have, edited_apart
from cluster import Cluster
from sidecar import program
from test_catalog import wait_alike
from test_drivers import DRIVERS, Driver, said
from waiting import wait_until


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """oslo, on a set of three, and paris, on a set of one."""
    with Cluster(tmp_path_factory.mktemp("members"), sets={"oslo": {"members": 3}},
                 settings={"log": {"level": "info"}}) as cluster:
        yield cluster


@pytest.fixture
def oslo(sites):
    """Its set whole again, and served."""
    sites.oslo.mongod.wait_whole()
    sites.oslo.wait_served()
    return sites.oslo


def test_a_driver_sees_the_members_under_the_names_of_their_listeners(oslo):
    app, members = oslo.app(), oslo.mongod.members
    shown = {("localhost", member.listen_port) for member in members}
    wait_until(lambda: set(app.nodes) == shown, lambda: f"{shown}: {app.nodes}")
    hello = app.admin.command("hello")
    primary = oslo.mongod.primary()
    assert hello["me"] == hello["primary"] == primary.shown_as
    said = oslo.mongod.hello(primary)
    for field in ("electionId", "setVersion", "setName", "isWritablePrimary", "tags"):
        assert hello[field] == said[field], field
    assert app.topology_description.topology_type_name == "ReplicaSetWithPrimary"
    wait_until(lambda: [each["member"] for each in oslo.status()["members"] if each["primary"]]
               == [primary.address], lambda: f"{primary.address}: {oslo.status()['members']}")
    assert all(each["in_set"] for each in oslo.status()["members"])


def test_writes_arrive_and_secondaries_are_read(sites, oslo):
    things = oslo.app().shop.things
    things.insert_many([{"_id": i, "n": i} for i in range(50)])
    followers = things.with_options(read_preference=Secondary())
    wait_until(lambda: followers.count_documents({}) == 50, "50 documents at a secondary")
    tagged = things.with_options(read_preference=Secondary(
        [{"number": "1"}, {"number": "2"}, {"number": "0"}]))
    wait_until(lambda: tagged.find_one({"_id": 7}) == {"_id": 7, "n": 7}, "a read by its tag")
    sites.wait_converged(["shop"])
    assert sites.paris.direct().shop.things.count_documents({}) == 50
    sites.paris.app().shop.things.update_one({"_id": 7}, {"$inc": {"n": 1}})
    sites.wait_converged(["shop"])
    assert things.find_one({"_id": 7}) == {"_id": 7, "n": 8}


def refusal(client, command, **fields):
    try:
        return client.shop.command(command, "things", **fields)
    except (pymongo.errors.OperationFailure, pymongo.errors.NotPrimaryError) as error:
        return error.details


def test_a_write_to_a_secondary_is_answered_as_mongod_answers_it(oslo):
    member = oslo.mongod.secondaries()[0]
    through = pymongo.MongoClient(member.listens_at, directConnection=True)
    direct = oslo.mongod.bare(member)
    inserts = {"documents": [{"_id": "never"}]}
    numbered = {"txnNumber": bson.Int64(1),
                "lsid": {"id": bson.Binary(uuid.uuid4().bytes, bson.UUID_SUBTYPE)}}
    with through:
        for extra in ({}, numbered, {**numbered, "startTransaction": True, "autocommit": False}):
            said = refusal(direct, "insert", **inserts, **extra)
            answered = refusal(through, "insert", **inserts, **extra)
            assert said.pop("topologyVersion")
            for reply in (said, answered):
                for times in ("$clusterTime", "operationTime"):
                    assert reply.pop(times)
            assert answered == said
        others = {"update": {"updates": [{"q": {}, "u": {"$set": {"a": 1}}}]},
                  "delete": {"deletes": [{"q": {}, "limit": 1}]},
                  "findAndModify": {"query": {}, "remove": True},
                  "create": {}, "drop": {},
                  "aggregate": {"pipeline": [{"$out": "others"}], "cursor": {}}}
        for command, fields in others.items():
            assert refusal(through, command, **fields)["code"] == 10107, command
        assert through.shop.things.count_documents({}) > 0  # a read goes on
    assert oslo.app().shop.things.find_one({"_id": "never"}) is None


def test_no_members_own_monitor_expires_documents(oslo):
    def working():
        return [bool(oslo.mongod.bare(member).admin.command(
            "getParameter", 1, ttlMonitorEnabled=1)["ttlMonitorEnabled"])
            for member in oslo.mongod.members]

    dated = oslo.app().shop.dated
    dated.create_index("at", expireAfterSeconds=3600)
    wait_until(lambda: not any(working()), lambda: f"none works: {working()}", 40)
    oslo.sidecar.stop()
    assert all(working())
    oslo.sidecar.start()
    wait_until(lambda: not any(working()), lambda: f"none works: {working()}", 40)
    with oslo.client() as later:
        later.shop.dated.drop()


def test_what_lost_is_chosen_over_the_admin_port_whoever_is_primary(sites, oslo):
    entry = edited_apart(sites)
    chosen = subprocess.run([program("outriggerctl"), "--admin", oslo.sidecar.admin_address,
                             "conflicts", "choose", entry["_id"]], text=True, capture_output=True,
                            timeout=60)
    assert chosen.returncode == 0, chosen.stderr
    both_have(sites, title=entry["lost"], room=5)


# ---- elections, kills, rollbacks

class Increments:
    """Threads that increment a counter each, with retryable writes as the driver makes them, and
    count what was acknowledged; what ended with an error may or may not have happened."""

    def __init__(self, site, concern, threads=4):
        self.concern = concern
        self.counters = site.app().shop.get_collection("counters", write_concern=concern)
        self.acknowledged = [0] * threads
        self.unknown = [0] * threads
        self._name = uuid.uuid4().hex
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(at,)) for at in range(threads)]

    def _id(self, at):
        return f"{self._name}-{at}"

    def _run(self, at):
        while not self._stop.is_set():
            try:
                self.counters.update_one({"_id": self._id(at)}, {"$inc": {"n": 1}}, upsert=True)
                self.acknowledged[at] += 1
            except pymongo.errors.PyMongoError:
                self.unknown[at] += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.wait_more()
        return self

    def wait_more(self, count=20):
        """Until each thread has had so many more acknowledged."""
        before = list(self.acknowledged)
        wait_until(lambda: all(now >= was + count
                               for now, was in zip(self.acknowledged, before)),
                   lambda: f"{count} more: {before} {self.acknowledged}", 60)

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def check(self, sites):
        sites.wait_converged(["shop"])
        found = {each["_id"]: each["n"] for each in sites.paris.direct().shop.counters.find()}
        for at, acknowledged in enumerate(self.acknowledged):
            n = found[self._id(at)]
            assert acknowledged <= n <= acknowledged + self.unknown[at], \
                (self.concern.document, at, n, acknowledged, self.unknown[at])


CONCERNS = pytest.mark.parametrize("w", ["majority", 1])


@CONCERNS
def test_increments_are_exact_through_elections(sites, oslo, w):
    with Increments(oslo, WriteConcern(w)) as increments:
        for _ in range(2):
            oslo.mongod.step_down()
            increments.wait_more()
    increments.check(sites)
    assert sum(increments.unknown) == 0, "the driver hears of no election"


@pytest.mark.parametrize("w", [pytest.param("majority", marks=pytest.mark.long), 1])
def test_what_was_acknowledged_outlives_the_primary(sites, oslo, w):
    with Increments(oslo, WriteConcern(w)) as increments:
        was = oslo.mongod.primary()
        oslo.mongod.kill(was)
        increments.wait_more()
        oslo.mongod.start(was)
        increments.wait_more()
    increments.check(sites)


def rolled_back(member):
    return member.process.log_text().count("Rollback summary")


class OnlyThere:
    """`with OnlyThere(oslo) as primary:` what is written has one member alone, which is frozen
    then while another is elected, and comes back and rolls back."""

    def __init__(self, site):
        self.set = site.mongod

    def __enter__(self):
        self.primary, self.followers = self.set.primary(), self.set.secondaries()
        self.set.follow(False, *self.followers)
        return self

    def lose_primary(self):
        self.set.freeze(self.primary)
        self.set.follow(True, *self.followers)
        return self.set.primary(other_than=self.primary)

    def __exit__(self, *_):
        before = rolled_back(self.primary)
        self.set.thaw(self.primary)
        self.set.wait_whole()
        wait_until(lambda: rolled_back(self.primary) > before,
                   lambda: "a rollback\n" + self.primary.process.log_tail(), 30)


@pytest.mark.parametrize("with_sidecar", [False, True], ids=["", "sidecar_killed"])
def test_writes_that_a_rollback_takes_away_are_put_back(sites, oslo, with_sidecar):
    name = uuid.uuid4().hex
    things = oslo.app().shop.get_collection(name, write_concern=WriteConcern(1))
    things.insert_one({"_id": "before", "n": 0})
    with OnlyThere(oslo) as alone:
        things.insert_many([{"_id": i} for i in range(100)])
        for _ in range(50):
            things.update_one({"_id": "before"}, {"$inc": {"n": 1}})
        things.delete_one({"_id": 99})
        # What another site wrote is there alone, too.
        sites.paris.app().shop[name].insert_one({"_id": "from paris"})
        wait_until(lambda: things.find_one({"_id": "from paris"}), "what paris wrote")
        if with_sidecar:
            oslo.sidecar.kill()
        alone.lose_primary()
        if with_sidecar:
            oslo.sidecar.start()
        wanted = {"before", "from paris", *range(99)}
        oslo.wait_served()
        assert {each["_id"] for each in things.find()} == wanted, "at the new primary alone"
        assert things.find_one({"_id": "before"})["n"] == 50
        things.update_one({"_id": "before"}, {"$inc": {"n": 1}})
    sites.wait_converged(["shop"])
    there = list(sites.paris.direct().shop[name].find())
    assert {each["_id"] for each in there} == wanted
    assert [each["n"] for each in there if each["_id"] == "before"] == [51]
    if not with_sidecar:
        assert oslo.sidecar.metric("documents_put_back_total") >= 100


@pytest.mark.parametrize("name", ["node_7", *(
    pytest.param(each, marks=pytest.mark.long)
    for each in ("pymongo", "pymongo_async", "node_6", "libmongoc", "go_1", "go_2", "java",
                 "rust"))])
def test_drivers_do_the_same_and_count_through_an_election(sites, oslo, name, tmp_path_factory):
    driver = Driver(name, *DRIVERS[name](tmp_path_factory))
    assert driver.run(oslo.uri(), f"work_{name}", "work") == driver.seen
    wait_alike(sites, f"work_{name}")
    counters = oslo.direct()[f"count_{name}"].counters
    child = driver.start(oslo.uri(), f"count_{name}", "count")
    wait_until(lambda: child.poll() is not None or counters.find_one({"n": {"$gt": 50}}),
               "50 are counted")
    oslo.mongod.step_down()
    told = said(child)
    sites.wait_converged([f"count_{name}"])
    found = counters.find_one()["n"]
    assert told["acknowledged"] <= found <= told["acknowledged"] + told["failed"], told
    assert told["failed"] <= 2, told


def test_change_streams_resume_at_the_next_primary(sites, oslo):
    things = oslo.app().shop.watched
    with things.watch() as stream:
        things.insert_one({"_id": 1})
        assert stream.next()["documentKey"] == {"_id": 1}
        oslo.mongod.step_down()
        things.insert_one({"_id": 2})
        sites.paris.app().shop.watched.insert_one({"_id": 3})
        assert {stream.next()["documentKey"]["_id"] for _ in range(2)} == {2, 3}


class Transfers:
    """Threads that move money between accounts in transactions, at every site."""

    ACCOUNTS, MONEY = 6, 100

    def __init__(self, sites, threads=2):
        self.sites = sites
        self.done = 0
        self._stop = threading.Event()
        first = sites.oslo.app().bank.accounts
        first.insert_many([{"_id": f"{site.name}-{i}", "money": self.MONEY}
                           for site in sites for i in range(self.ACCOUNTS)])
        sites.wait_converged(["bank"])
        self._threads = [threading.Thread(target=self._run, args=(site, random.Random(i)))
                         for site in sites for i in range(threads)]

    def _run(self, site, chance):
        client = site.client()
        accounts = client.bank.accounts

        def move(session):
            a, b = chance.sample(range(self.ACCOUNTS), 2)
            amount = chance.randint(1, 9)
            for which, change in ((a, -amount), (b, amount)):
                accounts.update_one({"_id": f"{site.name}-{which}"},
                                    {"$inc": {"money": change, "moves": 1}}, session=session)

        while not self._stop.is_set():
            try:
                with client.start_session() as session:
                    session.with_transaction(move)
                self.done += 1
            except pymongo.errors.PyMongoError:
                time.sleep(0.05)  # nobody serves now

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def check(self):
        held = self.sites.wait_converged(["bank"])
        assert held
        for site in self.sites:
            accounts = list(site.direct().bank.accounts.find())
            for owner in self.sites.names:
                of_owner = [each for each in accounts if each["_id"].startswith(owner)]
                assert sum(each["money"] for each in of_owner) == self.ACCOUNTS * self.MONEY
                moves = sum(each.get("moves", 0) for each in of_owner)
                assert moves % 2 == 0 and moves > 0
        return sum(each.get("moves", 0) for each in accounts) // 2


def test_transfers_in_transactions_through_elections_and_kills(sites, oslo):
    long = os.environ.get("OUTRIGGER_TEST_ALL") == "1"
    until = time.monotonic() + (120 if long else 16)
    next_kill = time.monotonic() + (10 if long else 8)
    with Transfers(sites) as transfers:
        while time.monotonic() < until:
            began = time.monotonic()
            oslo.mongod.step_down()
            if time.monotonic() >= next_kill:
                oslo.sidecar.kill()
                oslo.sidecar.start()
                next_kill = time.monotonic() + 10
            time.sleep(max(0, began + 5 - time.monotonic()))
    oslo.mongod.wait_whole()
    oslo.wait_served()
    moved = transfers.check()
    assert transfers.done <= moved, (transfers.done, moved)


@pytest.mark.long
def test_without_a_majority_all_goes_on_and_nothing_is_forgotten(make_cluster):
    sites = make_cluster(sets={"oslo": {"members": 3, "arbiter": True}}).start()
    oslo, ours = sites.oslo, sites.oslo.mongod
    ours.wait_whole()
    [follower] = ours.secondaries()
    ours.kill(follower)
    here, there = (site.app().shop.get_collection("things", write_concern=WriteConcern(1))
                   for site in sites)
    with Increments(oslo, WriteConcern(1)) as increments:
        there.insert_many([{"_id": i} for i in range(20)])
        wait_until(lambda: here.count_documents({}) == 20, "what paris wrote")
        # A write in doubt is settled without one, too.
        oslo.sidecar.kill()
        oslo.sidecar.start()
        increments.wait_more()
    increments.check(sites)
    assert oslo.status()["rows"] >= 20
    ours.start(follower)
    sites.wait_quiet()
