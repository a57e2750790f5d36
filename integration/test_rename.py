"""renameCollection: a collection gets another name at every site, with all that is in it."""

import random
import threading
import time

import pymongo
import pymongo.errors
import pytest

from cluster import Cluster
from test_catalog import catalogue, is_there, swallow, wait_alike
from test_redo import Forgetful
from waiting import wait_until


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def sites(request, tmp_path_factory):
    """oslo and paris, shared by the tests of this file: each takes names of its own."""
    with Cluster(tmp_path_factory.mktemp("pair"), replica_set=request.param,
                 parameters={"enableTestCommands": 1},
                 settings={"replicate": [{"namespace": "own.*", "replicate": False}]}) as cluster:
        yield cluster


def rename(site, old, new, **more):
    return site.app().admin.command(
        {"renameCollection": f"shop.{old}", "to": f"shop.{new}", **more})


def wait_renamed(sites, old, new):
    wait_until(lambda: all(is_there(site, new) and not is_there(site, old) for site in sites),
               f"{new} in place of {old} everywhere")
    wait_alike(sites)


class Blocked:
    """Within it a rename hangs at a site's mongod before it begins, for as long as it takes."""

    def __init__(self, site, ms=1000):
        self.admin = site.mongod.client().admin
        self.ms = ms

    def set(self, mode, **data):
        self.admin.command("configureFailPoint", "failCommand", mode=mode, **data)

    def __enter__(self):
        self.set({"skip": 1}, data={"failCommands": ["renameCollection"], "blockConnection": True,
                                    "blockTimeMS": self.ms})  # the first one only asks
        return self

    def hangs(self):
        return any("renameCollection" in op.get("command", {})
                   and "collectionUUID" not in op["command"]
                   for op in self.admin.aggregate([{"$currentOp": {}}]))

    def wait_hangs(self):
        wait_until(self.hangs, "it hangs")

    def __exit__(self, *raised):
        self.set("off")


@pytest.mark.long_on("standalone")
def test_a_collection_takes_the_place_of_another_at_every_site(sites):
    for turn in range(2):
        site = (sites.oslo, sites.paris)[turn]
        shop = site.app().shop
        places = shop.places
        if not turn:
            places.insert_many([{"_id": i, "of": "before"} for i in range(1500)])
            places.create_index("of")
        shop.create_collection("fresh", validator={"name": {"$type": "string"}})
        fresh = shop.fresh
        fresh.create_index("name", unique=True)
        fresh.insert_many([{"_id": i, "name": f"{turn} {i}"} for i in range(1000, 2600)])
        fresh.update_one({"_id": 1000}, {"$set": {"of": "now"}})
        with pytest.raises(pymongo.errors.OperationFailure) as refused:
            fresh.rename("places")
        assert refused.value.code == 48
        fresh.rename("places", dropTarget=True)
        assert places.count_documents({}) == 1600
        wait_renamed(sites, "fresh", "places")
    other = sites.oslo.app().shop.places
    assert other.find_one({"_id": 1000}) == {"_id": 1000, "name": "1 1000", "of": "now"}
    assert list(catalogue(sites.oslo.direct())["places"][2]) == ["_id_", "name_1"]
    for wrong in ({"name": 5}, {"name": "1 1001"}):
        with pytest.raises(pymongo.errors.WriteError):
            other.insert_one(wrong)
    with sites.apart("oslo", "paris"):
        other.update_one({"_id": 1000}, {"$set": {"a": 1}})
        places.update_one({"_id": 1000}, {"$set": {"b": 1}})
    wait_alike(sites)
    assert places.find_one({"_id": 1000})["a"] == 1
    assert not sites.oslo.sidecar.conflicts(10) and not sites.paris.sidecar.conflicts(10)


@pytest.mark.long_on("standalone")
def test_a_capped_collection_keeps_its_order(sites):
    oslo = sites.oslo.app().shop
    for name, most in (("ring", 5), ("large_ring", 100)):
        oslo.create_collection(name, capped=True, size=4096, max=most)
        oslo[name].insert_many([{"_id": i} for i in (7, 3, 9, 1, 8, 2, 6)])
    wait_alike(sites)
    oslo.ring.rename("large_ring", dropTarget=True)
    wait_renamed(sites, "ring", "large_ring")
    held = [each["_id"] for each in sites.paris.direct().shop.large_ring.find()]
    assert held == [9, 1, 8, 2, 6]


@pytest.mark.long_on("standalone")
def test_what_cannot_be_renamed_everywhere_is_refused_with_the_reason(sites):
    oslo, paris = sites.collections("keyed")
    oslo.create_index("k", unique=True)
    wait_alike(sites)

    def refused(old, new, match):
        with pytest.raises(pymongo.errors.OperationFailure, match=match) as error:
            sites.oslo.app().admin.command({"renameCollection": old, "to": new})
        assert error.value.code == 115
    refused("shop.keyed", "own.keyed", "does not replicate")
    refused("shop.keyed", "elsewhere.keyed", "another database")
    with sites.apart("oslo", "paris"):
        oslo.insert_one({"_id": 1, "k": 1})
        paris.insert_one({"_id": 2, "k": 1})
        wait_until(lambda: sites.oslo.peer("paris")["records_behind"] > 0, "paris lacks something")
        refused("shop.keyed", "shop.renamed", "paris .*lacks")
    wait_until(lambda: sites.oslo.status()["not_applied"] == 1, "one is parked")
    refused("shop.keyed", "shop.renamed", "parked")
    paris.delete_one({"_id": 1})
    wait_until(lambda: sites.oslo.status()["not_applied"] == 0, "it is back")
    wait_alike(sites)
    rename(sites.oslo, "keyed", "renamed")
    wait_renamed(sites, "keyed", "renamed")


@pytest.mark.long_on("standalone")
def test_one_that_stays_here_gets_its_name_here(sites):
    sites.oslo.app().own.old.insert_one({"_id": 1})
    sites.oslo.app().own.old.rename("new")
    assert sites.oslo.direct().own.list_collection_names() == ["new"]


@pytest.mark.long_on("standalone")
def test_what_another_site_writes_beside_it_ends_as_beside_a_drop(sites):
    oslo, paris = sites.collections("old")
    oslo.insert_many([{"_id": i, "of": "old"} for i in range(5)])
    sites.oslo.app().shop.new.insert_one({"_id": "replaced"})
    wait_alike(sites)
    with Blocked(sites.oslo) as blocked:
        renaming = threading.Thread(target=rename, args=(sites.oslo, "old", "new"),
                                    kwargs={"dropTarget": True})
        renaming.start()
        blocked.wait_hangs()
        paris.insert_one({"_id": "late"})
        paris.update_one({"_id": 1}, {"$set": {"lost": True}})
        paris.delete_one({"_id": 2})
        paris.database.new.insert_many([{"_id": 3, "of": "paris"}, {"_id": "kept"}])
        paris.database.new.update_one({"_id": "replaced"}, {"$set": {"lost": True}})
        renaming.join()
    wait_alike(sites)
    assert [each["_id"] for each in oslo.find()] == ["late"]
    held = {each["_id"]: each for each in oslo.database.new.find()}
    assert set(held) == {0, 1, 2, 3, 4, "kept"}
    assert held[1] == {"_id": 1, "of": "old"}
    lost = [entry["kind"] for entry in sites.oslo.sidecar.conflicts(100)]
    assert lost and held[3]["of"] in ("old", "paris"), lost


@pytest.mark.parametrize("sites", [True], ids=["replica_set"], indirect=True)
def test_what_was_to_be_replaced_stays_when_mongod_forgets_it_and_the_rename(sites):
    old, new = (sites.oslo.app().shop[name] for name in ("forgotten", "by_forgotten"))
    old.insert_one({"_id": 1})
    new.insert_one({"_id": 2})
    wait_alike(sites)
    sites.oslo.mongod.client().admin.command(  # else each answer waits for the journal
        "setDefaultRWConcern", defaultWriteConcern={"w": 1})
    with Forgetful(sites.oslo) as app:
        app.shop.by_forgotten.insert_one({"_id": "fresh"})
        renaming = threading.Thread(target=lambda: swallow(
            lambda: rename(sites.oslo, "forgotten", "by_forgotten", dropTarget=True)))
        renaming.start()
        wait_until(lambda: not renaming.is_alive() or not is_there(sites.oslo, "forgotten"),
                   "mongod has done it, or is not asked")
    renaming.join()
    sites.oslo.wait_served()
    wait_alike(sites)
    for site in sites:
        assert [each["_id"] for each in site.direct().shop.by_forgotten.find()] == [2, "fresh"]
        assert [each["_id"] for each in site.direct().shop.forgotten.find()] == [1]


@pytest.mark.long
def test_one_that_is_made_while_it_is_renamed_is_renamed_everywhere(sites):
    oslo = sites.oslo.app().shop
    with Blocked(sites.oslo) as blocked:
        renaming = threading.Thread(target=lambda: swallow(
            lambda: rename(sites.oslo, "made_late", "named_late")))
        renaming.start()
        blocked.wait_hangs()
        swallow(lambda: oslo.made_late.create_index("n"))
        renaming.join()
    wait_alike(sites)
    for site in sites:
        assert is_there(site, "named_late") and not is_there(site, "made_late"), site.name


def hang_and_kill(sites, old, new, count):
    """Rename hangs at oslo's mongod, right behind what was inserted; its sidecar is killed."""
    oslo = sites.oslo.app().shop
    oslo[old].insert_one({"_id": "first"})
    oslo[new].insert_many([{"_id": i, "of": "before"} for i in range(5)])
    wait_alike(sites)
    with Blocked(sites.oslo) as blocked:
        oslo[old].insert_many([{"_id": i, "of": "now"} for i in range(3, 3 + count)])
        renaming = threading.Thread(target=lambda: swallow(
            lambda: rename(sites.oslo, old, new, dropTarget=True)))
        renaming.start()
        blocked.wait_hangs()
        sites.oslo.sidecar.kill()
    renaming.join()


@pytest.mark.parametrize("forgets", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.long_on("standalone")
def test_a_site_that_is_killed_in_the_middle_tells_afterwards_what_became_of_it(sites, forgets):
    old, new = f"killed_{forgets}", f"by_kill_{forgets}"
    hang_and_kill(sites, old, new, 10)
    if forgets:  # so that all is looked at that it may have forgotten
        wait_until(lambda: not is_there(sites.oslo, old), "it is renamed")
        sites.oslo.mongod.restart()
    sites.oslo.sidecar.start()
    wait_alike(sites)
    names = [name for name in (old, new) if is_there(sites.oslo, name)]
    assert names == [new] if forgets else new in names
    held = sites.paris.direct().shop[names[0]]
    assert held.count_documents({}) == 11 and held.count_documents({"of": "now"}) == 10


def kill_while_it_is_told(sites, number, kill):
    """Whatever is killed, and when, one of the names has all of it, at both sites."""
    chance = random.Random(number)
    old, new = f"from{number}", f"to{number}"
    shop = sites.oslo.app().shop
    shop[old].insert_many([{"_id": i, "text": "x" * 300} for i in range(6000)])
    shop[new].insert_many([{"_id": i, "of": "before"} for i in range(5000, 7500)])
    wait_alike(sites)
    after_s = 0.12 * chance.random()
    killed = threading.Timer(after_s, kill)
    killed.start()
    is_late_there = []
    swallow(lambda: is_late_there.append(shop[old].insert_one({"_id": "late"})))
    swallow(lambda: rename(sites.oslo, old, new, dropTarget=True))
    killed.join()
    sites.oslo.wait_served()
    wait_alike(sites)
    has_old = is_there(sites.oslo, old)
    held = sites.paris.direct().shop[old if has_old else new]
    where = f"seed {number}, killed after {after_s:.3f} s"
    assert held.count_documents({"text": {"$exists": True}}) == 6000, where
    assert held.count_documents({"of": "before"}) == 0, where
    assert not is_late_there or held.find_one("late"), where
    left = sites.paris.direct().shop[new].count_documents({"of": "before"})
    assert left == (2500 if has_old else 0), where
    lost = [entry for site in (sites.oslo, sites.paris) for entry in site.sidecar.conflicts(100)
            if entry["namespace"] in (f"shop.{old}", f"shop.{new}")]
    assert not lost, (where, lost)
    for name in (old, new):
        shop[name].drop()


def restarting(*processes):
    """Kills them, and starts them again: the last first."""
    def restart():
        for each in processes:
            each.kill()
        for each in reversed(processes):
            each.start()
    return restart


@pytest.mark.parametrize("number", [0, *[pytest.param(number, marks=pytest.mark.long)
                                         for number in range(1, 20)]])
@pytest.mark.long_on("standalone")
def test_a_sidecar_killed_anywhere_ends_with_one_name(sites, number):
    kill_while_it_is_told(sites, number, restarting(sites.oslo.sidecar))


@pytest.mark.long
@pytest.mark.parametrize("number", range(100, 115))
def test_a_mongod_killed_anywhere_ends_with_one_name(sites, number):
    kill_while_it_is_told(sites, number, restarting(sites.oslo.mongod))


@pytest.mark.long
@pytest.mark.parametrize("number", range(200, 212))
def test_both_killed_anywhere_end_with_one_name(sites, number):
    kill_while_it_is_told(sites, number, restarting(sites.oslo.sidecar, sites.oslo.mongod))


@pytest.mark.long
def test_one_that_is_empty_or_large_gets_its_name_at_three_sites(make_cluster):
    three = make_cluster(sites=("oslo", "paris", "rome"),
                         links=[("oslo", "paris"), ("paris", "rome")]).start()
    oslo, rome = three.oslo.app().shop, three.rome.app().shop
    oslo.create_collection("empty")
    oslo.old.insert_many([{"_id": i, "text": "x" * 700} for i in range(12000)])
    rome.old.create_index("text")
    wait_alike(three)
    oslo.empty.rename("still_empty")
    rename(three.rome, "old", "new")
    rome.new.update_many({"_id": {"$lt": 50}}, {"$inc": {"n": 1}})
    wait_renamed(three, "old", "new")
    wait_renamed(three, "empty", "still_empty")
    assert oslo.new.count_documents({"n": 1}) == 50


@pytest.mark.long
def test_while_a_member_is_away_nobody_waits_for_the_names(sites):
    oslo = sites.oslo.app().shop
    oslo.held.insert_one({"_id": 1})
    wait_alike(sites)

    def refusal():
        with pytest.raises(pymongo.errors.OperationFailure, match="paris") as refused:
            rename(sites.oslo, "held", "let_go")
        return refused.value.code == 115 and "is away" in str(refused.value)
    with sites.apart("oslo", "paris"):
        oslo.held.insert_one({"_id": 2})
        wait_until(refusal, "paris is away")
        began = time.monotonic()
        for turn in range(10):
            assert refusal()
            oslo.held.insert_one({"n": turn})
        assert time.monotonic() - began < 2  # with the names locked each takes that
    wait_alike(sites)


@pytest.mark.long
def test_more_than_a_quarter_of_the_outbox_is_refused_with_the_sizes(make_cluster):
    sites = make_cluster(settings={"outbox": {"max_bytes": "1MiB"}},
                         parameters={"enableTestCommands": 1}).start()
    oslo, _ = sites.collections("old")
    oslo.insert_many([{"_id": i, "text": "x" * 1000} for i in range(300)])
    sites.wait_quiet()
    admin = sites.oslo.mongod.client().admin
    admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data={  # none is read
        "failCommands": ["find"], "appName": "outrigger", "errorCode": 91})
    with pytest.raises(pymongo.errors.OperationFailure, match="outbox.max_bytes") as refused:
        rename(sites.oslo, "old", "new")
    admin.command("configureFailPoint", "failCommand", mode="off")
    assert refused.value.code == 115
    oslo.delete_many({"_id": {"$gte": 100}})
    sites.wait_quiet()
    rename(sites.oslo, "old", "new")
    wait_renamed(sites, "old", "new")


@pytest.mark.long
@pytest.mark.parametrize("number", range(300, 304))
def test_an_election_anywhere_ends_with_one_name(sites_on_a_set, oslo_on_a_set, number):
    mongod = oslo_on_a_set.mongod
    killed = []

    def elect():
        if number % 2:
            mongod.step_down()
            return
        killed.append(mongod.primary())
        mongod.kill(killed[0])
    kill_while_it_is_told(sites_on_a_set, number, elect)
    for member in killed:
        mongod.start(member)
