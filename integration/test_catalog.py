"""Changes of the catalogue travel: what is made, changed or dropped at one site is so at all."""

import contextlib
import threading
import time

import pymongo
import pymongo.errors
import pytest
from bson import SON

from waiting import wait_until

# What mongod adds to a validator now and then.
DEFAULTS = [("validationLevel", "strict"), ("validationAction", "error"), ("validator", {})]
FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])


@pytest.fixture
def sites(make_cluster, replica_set):
    return make_cluster(replica_set=replica_set, settings={"log": {"level": "info"}}).start()


def catalogue(client, database="shop"):
    """Of each collection its options and indexes, as the store lists them. `background` has meant
    nothing since MongoDB 4.2 and stays where it was said."""
    found = {}
    for listed in client[database].list_collections(filter={"name": {"$ne": "system.views"}}):
        indexes = {} if listed["type"] == "view" else {
            spec["name"]: {**spec, "key": list(spec["key"].items()), "background": None}
            for spec in client[database][listed["name"]].list_indexes()}
        options = {name: value for name, value in listed["options"].items()
                   if (name, value) not in DEFAULTS}
        found[listed["name"]] = (listed["type"], options, indexes)
    return found


def wait_alike(sites, database="shop"):
    """Until all sites hold the same catalogue, and documents."""
    stores = [site.direct() for site in sites]

    def listed():
        return [catalogue(store, database) for store in stores]
    wait_until(lambda: all(each == listed()[0] for each in listed()),
               lambda: "one catalogue:\n" + "\n".join(str(each) for each in listed()))
    sites.wait_converged([database])


def swallow(action):
    with contextlib.suppress(pymongo.errors.PyMongoError):
        action()


def is_there(site, name, database="shop"):
    return name in site.direct()[database].list_collection_names()


@FORMS
def test_what_a_collection_is_reaches_every_site(sites):
    shop = sites.oslo.app().shop
    shop.create_collection("plain")
    shop.create_collection("checked", validator={"n": {"$type": "number"}},
                           validationLevel="moderate")
    shop.create_collection("names", collation={"locale": "en", "strength": 2})
    shop.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    shop.things.insert_one({"_id": 1})
    shop.things.create_index([("b", 1), ("a", -1)])
    shop.things.create_index("email", unique=True, sparse=True)
    shop.things.create_index("at", expireAfterSeconds=3600)
    shop.things.create_index([("words", "text"), ("more.words", "text")], weights={"words": 3})
    shop.things.create_index([("$**", 1)])
    shop.things.create_index("a.b", partialFilterExpression={"n": {"$gt": 5}})
    shop.things.create_index([("place", "2dsphere")])
    shop.fresh.create_index("made.by.its.index")
    wait_alike(sites)
    shop.command("collMod", "checked", validator={"n": {"$type": "string"}})
    shop.command("collMod", "things", index={"name": "at_1", "expireAfterSeconds": 60})
    shop.command("collMod", "things", index={"name": "email_1", "hidden": True})
    shop.things.drop_index("a.b_1")
    sites.paris.app().shop.plain.create_index("from_paris")
    wait_alike(sites)
    assert list(catalogue(sites.paris.direct())["things"][2]["b_1_a_-1"]["key"]) == [
        ("b", 1), ("a", -1)]
    with pytest.raises(pymongo.errors.WriteError):
        sites.paris.app().shop.checked.insert_one({"n": 5})
    shop.things.drop_indexes()
    shop.command("collMod", "checked", validator={}, validationLevel="off")
    wait_alike(sites)
    assert list(catalogue(sites.paris.direct())["things"][2]) == ["_id_"]


@FORMS
def test_a_drop_takes_the_collection_away_at_every_site(sites):
    oslo, paris = sites.collections("things")
    for turn in range(3):
        oslo.insert_many([{"_id": i, "turn": turn} for i in range(2500)])
        oslo.create_index("turn")
        wait_until(lambda: paris.count_documents({"turn": turn}) == 2500, "the documents at paris")
        (oslo, paris)[turn % 2].drop()
        wait_until(lambda: not any(is_there(site, "things") for site in sites),
                   "both are without it")
    oslo.insert_one({"_id": "again"})
    wait_alike(sites)
    assert sites.paris.direct().shop.things.count_documents({}) == 1


@FORMS
def test_what_another_site_inserted_survives_a_drop(sites):
    oslo, paris = sites.collections("things")
    oslo.insert_many([{"_id": i} for i in range(20)])
    oslo.create_index("a")
    wait_alike(sites)
    with sites.apart("oslo", "paris"):
        oslo.drop()
        paris.insert_one({"_id": "late"})
        paris.update_one({"_id": 3}, {"$set": {"a": 1}})
        paris.delete_one({"_id": 4})
        assert oslo.count_documents({}) == 0
    wait_alike(sites)
    assert [d["_id"] for d in oslo.find()] == ["late"]
    assert list(catalogue(sites.paris.direct())["things"][2]) == ["_id_"]


@FORMS
def test_a_dropped_database_is_gone_at_every_site(sites):
    app = sites.oslo.app()
    for name in ("one", "two", "three"):
        app.shop[name].insert_many([{"_id": i} for i in range(10)])
    app.shop.create_collection("empty")
    app.shop.create_collection("seen", viewOn="one")
    app.other.kept.insert_one({"_id": 1})
    wait_until(lambda: is_there(sites.paris, "empty") and is_there(sites.paris, "kept", "other"),
               "all of it at paris")
    app.drop_database("shop")
    assert "shop" not in sites.oslo.direct().list_database_names()
    # Where the last view went mongod keeps a place for views, which nobody may take away safely.
    wait_until(lambda: set(sites.paris.direct().shop.list_collection_names()) <= {"system.views"},
               "gone at paris")
    assert "dropped" not in app.shop.command("dropDatabase")
    app.shop.one.insert_one({"_id": "again"})
    wait_alike(sites)
    assert sites.paris.direct().other.kept.count_documents({}) == 1


@FORMS
def test_an_index_that_is_asked_for_again_is_made_where_it_lacks(sites):
    oslo, paris = sites.collections("things")
    oslo.create_index("a")
    wait_alike(sites)
    sites.paris.direct().shop.things.drop_index("a_1")
    oslo.create_index("a")
    wait_alike(sites)
    assert "a_1" in catalogue(sites.paris.direct())["things"][2]


@FORMS
def test_two_sites_that_make_one_collection_differently_end_alike(sites):
    oslo, paris = sites.collections("things")
    sites.oslo.app().shop.create_collection("seed")
    wait_alike(sites)
    with sites.apart("oslo", "paris"):
        sites.oslo.app().shop.create_collection("things", validator={"a": {"$exists": True}})
        sites.paris.app().shop.create_collection("things", validator={"b": {"$exists": True}})
        oslo.create_index("n", name="n", sparse=True)
        paris.create_index("n", name="n", unique=True)
        oslo.create_index("only_oslo")
        paris.create_index("only_paris")
    wait_alike(sites)
    assert {"only_oslo_1", "only_paris_1", "n"} < set(catalogue(sites.oslo.direct())["things"][2])
    for site in sites:
        lost = [entry for entry in site.sidecar.conflicts(100)
                if entry["namespace"] == "outrigger.catalog"]
        assert len(lost) >= 2, lost


@FORMS
def test_an_index_that_a_site_cannot_build_is_reported_and_holds_nothing_up(sites):
    oslo, paris = sites.collections("things")
    oslo.insert_one({"_id": 1, "a": 1})
    wait_alike(sites)
    sites.cut("oslo", "paris")
    paris.insert_many([{"_id": "x", "a": 2}, {"_id": "y", "a": 2}])
    oslo.create_index("a", unique=True)
    oslo.insert_one({"_id": "after", "a": 5})
    sites.heal("oslo", "paris")
    wait_until(lambda: paris.find_one({"_id": "after"}), "what came after")
    wait_until(lambda: any(entry["namespace"] == "outrigger.catalog"
                           for entry in sites.paris.sidecar.conflicts(100)), "the report")
    paris.update_one({"_id": "y"}, {"$set": {"a": 3}})
    wait_alike(sites)
    assert catalogue(sites.paris.direct())["things"][2]["a_1"]["unique"]


def drops(admin):
    return [op for op in admin.aggregate([{"$currentOp": {}}]) if "drop" in op.get("command", {})]


class HungBuild:
    """Within it a mongod stops in the middle of each build of an index."""

    def __init__(self, site):
        self.admin = site.direct().admin

    def __enter__(self):
        self.set("alwaysOn")
        return self

    def wait_begun(self):
        wait_until(lambda: any("createIndexes" in op.get("command", {})
                               for op in self.admin.aggregate([{"$currentOp": {}}])),
                   "an index is being built")

    def __exit__(self, *error):
        self.set("off")

    def set(self, mode):
        self.admin.command("configureFailPoint", "hangAfterStartingIndexBuildUnlocked", mode=mode)


def filled(make_cluster, replica_set, count):
    """Sites whose mongods can be stopped, and a collection of so many documents at each."""
    sites = make_cluster(replica_set=replica_set, parameters={"enableTestCommands": 1}).start()
    collections = sites.collections("things")
    collections[0].insert_many([{"_id": i, "a": i} for i in range(count)])
    wait_alike(sites)
    return sites, *collections


@FORMS
def test_a_peers_index_is_built_beside_everything_else(make_cluster, replica_set):
    sites, oslo, paris = filled(make_cluster, replica_set, 6000)
    with HungBuild(sites.paris) as build:
        oslo.create_index("a", unique=True)
        build.wait_begun()
        oslo.insert_one({"_id": "new", "a": -1})
        sites.oslo.app().shop.others.insert_one({"_id": 1})
        wait_until(lambda: paris.find_one({"_id": "new"}), "writes go on arriving")
        wait_until(lambda: is_there(sites.paris, "others"), "in other collections, too")
        paris.update_one({"_id": 5}, {"$set": {"b": 1}})
        wait_until(lambda: oslo.find_one({"b": 1}), "and leaving")
        began = time.monotonic()
        sites.paris.sidecar.stop()
        assert time.monotonic() - began < 15
        sites.paris.sidecar.start()
    wait_alike(sites)
    assert catalogue(sites.paris.direct())["things"][2]["a_1"]["unique"]
    wait_until(lambda: not [entry for entry in sites.paris.sidecar.conflicts(100)
                            if entry["open"]], "nothing is left open")


@FORMS
def test_a_build_that_has_to_wait_holds_nothing_up(make_cluster, replica_set):
    sites, oslo, paris = filled(make_cluster, replica_set, 10)
    own = sites.paris.mongod.client()
    own.admin.command("setParameter", 1, maxNumActiveUserIndexBuilds=1)
    own.alone.many.insert_one({"_id": 1})
    with HungBuild(sites.paris) as build:
        builder = threading.Thread(target=own.alone.many.create_index, args=("b",))
        builder.start()
        build.wait_begun()
        oslo.create_index("a")
        oslo.insert_one({"_id": "after"})
        wait_until(lambda: paris.find_one({"_id": "after"}), "what came after")
    builder.join()
    wait_alike(sites)
    assert "a_1" in catalogue(sites.paris.direct())["things"][2]


@FORMS
def test_a_drop_takes_an_index_with_it_that_is_not_there_yet(make_cluster, replica_set):
    sites, oslo, paris = filled(make_cluster, replica_set, 6000)
    with HungBuild(sites.paris) as build:
        oslo.create_index("a")
        build.wait_begun()
        drop = threading.Thread(target=paris.drop)  # mongod ends the build first
        drop.start()
    drop.join()
    wait_alike(sites)
    assert catalogue(sites.oslo.direct()) == {}


@FORMS
def test_an_index_that_is_dropped_while_a_peer_builds_it_is_taken_back(make_cluster, replica_set):
    sites, oslo, paris = filled(make_cluster, replica_set, 6000)
    with HungBuild(sites.paris) as build:
        oslo.create_index("a")
        build.wait_begun()
        oslo.drop_index("a_1")
        oslo.insert_one({"_id": "after"})
        wait_until(lambda: paris.find_one({"_id": "after"}), "what came after")
    wait_alike(sites)
    assert list(catalogue(sites.paris.direct())["things"][2]) == ["_id_"]


def test_a_drop_whose_answer_is_lost_is_told_by_what_is_left(make_cluster):
    sites = make_cluster(parameters={"enableTestCommands": 1}).start()
    oslo, paris = sites.collections("things")
    admin = sites.oslo.direct().admin
    oslo.insert_many([{"_id": i} for i in range(50)])
    wait_alike(sites)
    admin.command("configureFailPoint", "failCommand", mode={"times": 1},
                  data={"failCommands": ["drop"], "closeConnection": True})
    with pytest.raises(pymongo.errors.AutoReconnect):
        sites.oslo.client(retryWrites=False).shop.things.drop()
    wait_alike(sites)
    assert paris.count_documents({}) == 50
    assert oslo.insert_one({"_id": "still"}).acknowledged


@FORMS
def test_a_sidecar_that_is_killed_in_the_middle_of_a_drop_knows_what_became_of_it(make_cluster,
                                                                                  replica_set):
    sites = make_cluster(replica_set=replica_set, parameters={"enableTestCommands": 1}).start()
    admin = sites.oslo.direct().admin
    for blocked in ("drop", "insert"):
        sites.oslo.client().shop.things.insert_many([{"_id": i} for i in range(50)])
        wait_alike(sites)
        admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data={
            "failCommands": ["drop"], "blockConnection": True, "blockTimeMS": 3000})
        client = sites.oslo.client(retryWrites=False)
        drop = threading.Thread(target=lambda c=client: swallow(c.shop.things.drop))
        drop.start()
        wait_until(lambda: drops(admin), "the drop hangs")
        sites.oslo.sidecar.kill()
        if blocked == "insert":  # the drop is let through before anybody looks
            admin.command("configureFailPoint", "failCommand", mode="off")
            wait_until(lambda: not drops(admin), "it is over")
        drop.join()
        sites.oslo.sidecar.start()
        admin.command("configureFailPoint", "failCommand", mode="off")
        wait_alike(sites)
        sites.oslo.client().shop.things.drop()
        wait_alike(sites)
        assert catalogue(sites.paris.direct()) == {}


@FORMS
def test_a_mongod_that_was_killed_has_the_catalogue_again(sites):
    for turn in range(4):
        shop = sites.oslo.client().shop
        shop.things.insert_many([{"_id": i, "a": i} for i in range(100)])
        shop.things.create_index("a", unique=True)
        shop.create_collection("checked", validator={"n": {"$gte": turn}})
        sites.oslo.mongod.kill()
        sites.oslo.mongod.start()
        sites.oslo.sidecar.wait_ready()
        wait_alike(sites)
        assert catalogue(sites.oslo.direct())["things"][2]["a_1"]["unique"]
        sites.oslo.client().shop.things.drop()
        sites.oslo.client().shop.checked.drop()
        sites.oslo.mongod.kill()
        sites.oslo.mongod.start()
        sites.oslo.sidecar.wait_ready()
        wait_alike(sites)
        assert catalogue(sites.paris.direct()) == {}


def test_a_command_of_the_catalogue_is_answered_as_by_mongod(make_cluster):
    sites = make_cluster().start()
    direct, app = sites.oslo.direct().alone, sites.oslo.app().shop
    direct.create_collection("there")
    app.create_collection("there")
    for command in (SON(drop="missing"), SON(create="there"), SON(create="bad$name"),
                    SON(createIndexes="there", indexes=[{"key": {"a": 1}}]),
                    SON(createIndexes="there", indexes=[]), SON(dropIndexes="there", index="none"),
                    SON(dropIndexes="missing", index="*"), SON(collMod="missing", validator={}),
                    SON(createIndexes="there", indexes=[{"key": {"a": 1}, "name": "a"}]),
                    SON(drop="there"), SON(drop="there"), SON(drop=""), SON(drop=1)):
        answers = []
        for database in (direct, app):
            try:
                answer = dict(database.command(command))
            except pymongo.errors.OperationFailure as failed:
                answer = dict(failed.details)
            answers.append({key: str(value).replace("alone", "shop")
                            for key, value in answer.items() if not key.startswith("$")
                            and key != "operationTime"})
        assert answers[0] == answers[1], command


def test_a_database_is_dropped_by_whom_mongod_lets(make_cluster):
    sites = make_cluster(auth=True).start()
    admin = sites.oslo.direct().admin
    admin.command("createUser", "writer", pwd="x", roles=[{"role": "readWrite", "db": "shop"}])
    admin.command("createUser", "owner", pwd="x", roles=[{"role": "dbOwner", "db": "shop"}])
    writer = sites.oslo.client(username="writer", password="x").shop
    owner = sites.oslo.client(username="owner", password="x").shop
    writer.things.insert_one({"_id": 1})
    for refused, code in ((lambda: writer.command("dropDatabase"), 13),
                          (lambda: owner.command("dropDatabase", 2), 5255100),
                          (lambda: owner.command("dropDatabase", 1, wrong=1), 40415),
                          (lambda: owner.command("dropDatabase", "x"), 14)):
        with pytest.raises(pymongo.errors.OperationFailure) as error:
            refused()
        assert error.value.code == code
    assert sites.oslo.direct().shop.things.count_documents({}) == 1
    wait_alike(sites)
    owner.command("dropDatabase")
    wait_alike(sites)
    assert catalogue(sites.paris.direct()) == {}
