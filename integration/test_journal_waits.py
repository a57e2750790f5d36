"""Who waits for mongod's journal: writes of a set that ask for no less, and nobody else."""

from concurrent.futures import ThreadPoolExecutor, wait

import pymongo
import pytest
from pymongo.read_concern import ReadConcern

from waiting import wait_until

WRITERS = 12


@pytest.fixture
def site(make_cluster):
    """A site whose mongod can be told to leave its journal alone."""
    cluster = make_cluster(sites=("oslo",), parameters={"enableTestCommands": 1}).start()
    return cluster.oslo


def hold_journal(site, hold):
    site.mongod.client().admin.command(
        "configureFailPoint", "pauseJournalFlusherBeforeFlush", mode="alwaysOn" if hold else "off")


def connect(site):
    """Clients that have written: what is asked of a new connection or collection is behind them."""
    site.client().shop.things.update_one({"_id": "first"}, {"$set": {"again": True}})
    clients = [pymongo.MongoClient(site.uri(), retryWrites=False) for _ in range(WRITERS)]
    for client in clients:
        client.shop.others.insert_one({})
    return clients


def write_at_once(site, clients, pool, write):
    """`write(collection, n)` by every writer, all read by the sidecar in one turn of its loop."""
    site.sidecar.process.freeze()
    writes = [pool.submit(write, client.shop.things, n) for n, client in enumerate(clients)]
    wait_until(lambda: sum(f.running() for f in writes) == WRITERS, lambda: "all writing")
    site.sidecar.process.thaw()
    return writes


def insert_while_the_journal_is_held(site, concern):
    """How many of the writers were answered meanwhile."""
    things = site.mongod.client().shop.things
    site.client().shop.things.insert_one({"_id": "first"})
    clients = connect(site)
    hold_journal(site, True)

    def insert(collection, n):
        concerned = collection.with_options(write_concern=pymongo.WriteConcern(w=concern))
        return concerned.insert_one({"_id": n})

    with ThreadPoolExecutor(WRITERS) as pool:
        writes = write_at_once(site, clients, pool, insert)
        wait_until(lambda: things.count_documents({}) == WRITERS + 1, lambda: "all are there")
        answered, _ = wait(writes, timeout=0.5 if concern == "majority" else 20)
        hold_journal(site, False)
        for write in writes:
            write.result(timeout=30)
    return len(answered)


def test_nobody_is_answered_before_the_journal_holds_a_majority_write(site):
    assert insert_while_the_journal_is_held(site, "majority") == 0


def test_nobody_waits_for_the_journal_who_did_not_ask_for_it(site):
    assert insert_while_the_journal_is_held(site, 1) == WRITERS


def test_a_write_whose_mongod_dies_before_the_journal_holds_it_is_not_answered(site):
    site.client().shop.things.insert_one({"_id": "first"})
    clients = connect(site)
    hold_journal(site, True)
    with ThreadPoolExecutor(WRITERS) as pool:
        writes = write_at_once(site, clients, pool, lambda things, n: things.insert_one({"_id": n}))
        there = site.mongod.client().shop.things
        wait_until(lambda: there.count_documents({}) == WRITERS + 1, lambda: "all are there")
        site.mongod.kill()
        site.mongod.start()
        site.sidecar.wait_ready()
        ended = [write.exception(timeout=30) for write in writes]
    kept = {each["_id"] for each in site.client().shop.things.find()}
    for n, error in enumerate(ended):
        assert n in kept or isinstance(error, pymongo.errors.PyMongoError)


def set_default_concern(site):
    site.mongod.client().admin.command(
        "setDefaultRWConcern", defaultWriteConcern={"w": 1},
        defaultReadConcern={"level": "majority"}, writeConcern={"w": "majority"})


def let_majority_forget_the_journal(site):
    admin = site.mongod.client().admin
    config = admin.command("replSetGetConfig")["config"]
    config["version"] += 1
    config["writeConcernMajorityJournalDefault"] = False
    admin.command("replSetReconfig", config)


@pytest.mark.parametrize("change", [set_default_concern, let_majority_forget_the_journal])
def test_a_default_that_changes_while_apps_write_makes_no_write_less_durable(site, change):
    app = site.client()
    app.shop.things.insert_one({"_id": "first", "n": 0})
    change(site)
    app.shop.things.insert_one({"_id": "second"})
    clients = connect(site)
    hold_journal(site, True)
    writes = [
        lambda things: things.insert_one({"_id": "plain"}),
        lambda things: things.update_one({"_id": "first"}, {"$inc": {"n": 1}}),
        lambda things: things.find_one_and_update({"_id": "second"}, [{"$set": {"p": "$_id"}}]),
        lambda things: things.with_options(
            write_concern=pymongo.WriteConcern("majority")).insert_one({"_id": "majority"}),
    ]
    clients = [pymongo.MongoClient(site.uri()) for _ in writes]
    direct = site.mongod.client().shop.get_collection(
        "things", read_concern=ReadConcern("local"))
    with ThreadPoolExecutor(len(writes)) as pool:
        done = [pool.submit(write, client.shop.things) for write, client in zip(writes, clients)]
        try:
            wait_until(lambda: direct.count_documents({}) == 4, lambda: "all are there")
            answered, _ = wait(done, timeout=0.5)
        finally:
            hold_journal(site, False)
        assert not answered
        for write in done:
            write.result(timeout=30)
    for client in clients:
        client.close()


def test_a_store_without_a_journal_is_refused_at_start(make_cluster):
    oslo = make_cluster(("oslo",), replica_set=False).oslo
    oslo.mongod.process.arguments.append("--nojournal")
    oslo.mongod.start()
    assert "--nojournal" in oslo.sidecar.start_refused()
