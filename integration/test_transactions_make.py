"""Collections and indexes that transactions make: there with the commit, at every site, and never
after the documents in them."""

import contextlib
import threading

import pymongo
import pymongo.errors
import pytest

from cluster import Cluster
from test_catalog import catalogue, is_there, wait_alike
from waiting import wait_until


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Shared by the tests of this file: each makes collections of its own."""
    with Cluster(tmp_path_factory.mktemp("pair"), parameters={"enableTestCommands": 1}) as cluster:
        yield cluster


def make(site, name, documents=3, **options):
    """In one transaction: the collection as it is said, an index, and documents."""
    app = site.client()
    with app.start_session() as session, session.start_transaction():
        app.shop.create_collection(name, session=session, **options)
        app.shop[name].create_index("n", unique=True, session=session)
        if documents:
            app.shop[name].insert_many([{"_id": f"{name} {i}", "n": i} for i in range(documents)],
                                       session=session)


def test_what_a_transaction_makes_is_made_at_every_site(sites):
    make(sites.oslo, "things", validator={"n": {"$lt": 5}},
         collation={"locale": "en", "strength": 2})
    make(sites.paris, "empty", documents=0, capped=True, size=8192)
    wait_until(lambda: all(is_there(site, name) for site in sites for name in ("things", "empty")),
               "both everywhere")
    wait_alike(sites)
    _, options, indexes = catalogue(sites.paris.direct())["things"]
    assert options["validator"] == {"n": {"$lt": 5}} and options["collation"]["strength"] == 2
    assert indexes["n_1"]["unique"]
    assert sites.paris.app().shop.things.find_one({"_id": "THINGS 1"})["n"] == 1
    with pytest.raises(pymongo.errors.WriteError):
        sites.paris.app().shop.things.insert_one({"n": 9})
    # What is known of it here is what it is.
    app = sites.oslo.app().shop
    app.things.update_one({"_id": "THINGS 1"}, {"$inc": {"seen": 1}})
    wait_alike(sites)
    assert sites.paris.direct().shop.things.count_documents({"seen": 1}) == 1


def test_what_is_aborted_is_made_nowhere(sites):
    app = sites.oslo.app()
    with app.start_session() as session:
        session.start_transaction()
        app.shop.create_collection("aborted", session=session)
        app.shop.aborted.insert_one({"_id": 1}, session=session)
        session.abort_transaction()
    make(sites.oslo, "aborted", documents=1)  # nothing is locked any more
    wait_until(lambda: is_there(sites.paris, "aborted"), "the other one")
    wait_alike(sites)
    assert [each["_id"] for each in sites.paris.direct().shop.aborted.find()] == ["aborted 0"]


def test_no_site_shows_a_document_before_its_collection_is_what_it_is(sites):
    seen = []
    stop = threading.Event()

    def watch():
        shop = sites.paris.mongod.client().shop
        while not stop.is_set():
            for turn in range(10):
                name = f"shown{turn}"
                if shop[name].find_one() and len(list(shop[name].list_indexes())) < 2:
                    seen.append(name)
    watching = threading.Thread(target=watch)
    watching.start()
    for turn in range(10):
        make(sites.oslo, f"shown{turn}")
    wait_until(lambda: is_there(sites.paris, "shown9"), "the last one")
    wait_alike(sites)
    stop.set()
    watching.join()
    assert not seen


def test_two_transactions_that_make_one_collection_end_as_at_mongod(sites):
    app = sites.oslo.app()
    with app.start_session() as session, app.start_session() as other:
        session.start_transaction()
        app.shop.create_collection("both", session=session)
        other.start_transaction()
        with pytest.raises(pymongo.errors.OperationFailure) as refused:
            app.shop.create_collection("both", session=other)
        assert refused.value.has_error_label("TransientTransactionError")
        session.commit_transaction()
    wait_until(lambda: is_there(sites.paris, "both"), "at paris")
    wait_alike(sites)


def test_a_commit_whose_answer_is_lost_is_told_by_the_oplog(sites):
    admin = sites.oslo.mongod.client().admin
    admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data={
        "failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 1000})

    def swallowed():  # a driver sends a commit again
        with contextlib.suppress(pymongo.errors.PyMongoError):
            make(sites.oslo, "doubtful", validator={"n": {"$lt": 5}})
    making = threading.Thread(target=swallowed)
    making.start()

    def commits():
        return [op for op in admin.aggregate([{"$currentOp": {}}])
                if "commitTransaction" in op.get("command", {})]
    wait_until(commits, "the commit hangs")
    sites.oslo.sidecar.kill()
    admin.command("configureFailPoint", "failCommand", mode="off")
    wait_until(lambda: not commits(), "it is over")
    sites.oslo.sidecar.start()
    making.join()
    wait_alike(sites)
    made = {site.name: catalogue(site.direct()).get("doubtful") for site in sites}
    assert made["oslo"] == made["paris"] and made["oslo"][1]["validator"] == {"n": {"$lt": 5}}
    assert sites.paris.direct().shop.doubtful.count_documents({}) == 3
