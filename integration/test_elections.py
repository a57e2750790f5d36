"""A site whose store is a replica set of three: apps see MongoDB's own failover, and nothing that
was acknowledged is lost through elections, rollbacks and kills."""

import os
import random
import threading
import time
import uuid

import pymongo
import pytest
from pymongo.write_concern import WriteConcern

from oracle import Oracle
from test_catalog import wait_alike
from test_drivers import DRIVERS, Driver, said
from test_members import oslo, sites  # noqa: F401
from waiting import wait_until


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
        for _ in range(3 if os.environ.get("OUTRIGGER_TEST_ALL") == "1" else 1):
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


def fault(site, chance):
    """Something happens to the set, and perhaps to the sidecar beside it."""
    ours = site.mongod
    if chance.random() < 0.3:
        site.sidecar.kill()
    what = chance.choice(["election", "killed", "rolled back"])
    print(what, "" if site.sidecar.process.is_running() else "with the sidecar")
    if what == "election":
        ours.step_down()
    elif what == "killed":
        was = ours.primary()
        ours.kill(was)
        ours.primary(other_than=was)
        ours.start(was)
    else:
        primary, followers = ours.primary(), ours.secondaries()
        ours.follow(False, *followers)
        time.sleep(chance.uniform(0.2, 1))
        ours.freeze(primary)
        ours.follow(True, *followers)
        ours.primary(other_than=primary)
        time.sleep(chance.uniform(0, 3))
        ours.thaw(primary)
    if not site.sidecar.process.is_running():
        site.sidecar.start(wait_ready=False)
    ours.wait_whole()
    site.sidecar.wait_ready()


@pytest.mark.long
def test_random_writes_through_random_faults(make_cluster):
    seed = int(os.environ.get("OUTRIGGER_SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)
    sites = make_cluster(sets={"oslo": {"members": 3}}, settings={"log": {"level": "info"}}).start()
    with Oracle(sites, seed, threads=2) as oracle:
        for _ in range(int(os.environ.get("OUTRIGGER_FAULTS", 8))):
            time.sleep(chance.uniform(1, 3))
            fault(sites.oslo, chance)
    oracle.check_all()
    assert oracle.acknowledged["increment"] and oracle.acknowledged["insert"]


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
        primary = ours.primary()
        ours.kill(primary)
        ours.start(primary)
        increments.wait_more()
    increments.check(sites)
    assert oslo.status()["rows"] >= 20
    ours.start(follower)
    sites.wait_quiet()


def seen_primary(client):
    description = client.topology_description
    return next((address for address, server in description.server_descriptions().items()
                 if server.server_type_name == "RSPrimary"), None)


def test_an_idle_driver_hears_of_an_election_when_it_happens(oslo):
    with pymongo.MongoClient(oslo.uri()) as app:  # asks every 10 s unless it streams
        app.admin.command("ping")
        was = wait_until(lambda: seen_primary(app), "a primary")
        time_elected, time_seen = [], []

        def watch():
            wait_until(lambda: seen_primary(app) not in (None, was), "another primary", 60, 0.005)
            time_seen.append(time.monotonic())

        watcher = threading.Thread(target=watch)
        watcher.start()
        oslo.mongod.step_down()
        time_elected.append(time.monotonic())  # at the latest: it waits for that
        watcher.join(60)
    late_s = time_seen[0] - time_elected[0]
    print(f"seen {late_s:.2f} s after the election was over")
    assert late_s < 2
