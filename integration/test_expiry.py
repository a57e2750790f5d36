"""TTL indexes: the sidecar deletes what has expired as an app would, so every site hears of it."""

import datetime

import pytest
from bson import ObjectId

from test_security import RIGHTS
from waiting import wait_until

# MongoDB's own monitor comes by every second, so that what it does would be seen.
OFTEN = {"ttlMonitorSleepSecs": "1"}
SOON = {"expiry": {"every": "100ms"}}
ASLEEP = {"ttlMonitorEnabled": "false"}
# Then mongod's own collection of sessions is there soon.
SESSIONS = {**OFTEN, "logicalSessionRefreshMillis": "500"}


def ago(seconds):
    return datetime.datetime.utcnow() - datetime.timedelta(seconds=seconds)


def expires_by(site):
    return site.status()["expiry"]["by"]


def wait_by(site, who):
    wait_until(lambda: expires_by(site) == who, lambda: site.status()["expiry"])


def monitor_works(site):
    return site.direct().admin.command("getParameter", 1, ttlMonitorEnabled=1)["ttlMonitorEnabled"]


def left(site, name="sessions"):
    found = site.direct().shop[name].find({}, {"_id": 1})
    return sorted((document["_id"] for document in found), key=lambda each: (str(type(each)), each))


def wait_left(site, ids, name="sessions"):
    wait_until(lambda: left(site, name) == ids,
               lambda: f"{ids} left at {site.name}: {left(site, name)} {site.status()['expiry']}")


def make_index(cluster, name="sessions", field="at", seconds=0, **options):
    """A TTL index made by the app of the first site, once all sites go by it."""
    first = next(iter(cluster))
    first.app().shop[name].create_index(field, expireAfterSeconds=seconds, **options)
    for site in cluster:
        if expires_by(site) != "nobody":
            wait_by(site, "sidecar")


@pytest.fixture(params=[True, False], ids=["replica_set", "standalone"])
def cluster(request, make_cluster):
    """oslo and paris, not started."""
    return make_cluster(replica_set=request.param, settings=SOON, parameters=OFTEN)


@pytest.fixture
def one_expires(cluster):
    """At paris nothing expires by itself: its mongod was started without a monitor."""
    cluster.paris.mongod.parameters = {**OFTEN, **ASLEEP}
    with cluster:
        make_index(cluster)
        yield cluster


@pytest.mark.short
def test_an_expiry_is_a_delete_that_other_sites_hear_of(one_expires):
    oslo, paris = one_expires.oslo, one_expires.paris
    sessions = oslo.app().shop.sessions
    sessions.insert_many([{"_id": 1, "at": ago(-3600)}, {"_id": 2}])
    wait_left(paris, [1, 2])
    sessions.update_one({"_id": 1}, {"$set": {"at": ago(10)}})
    sessions.insert_one({"_id": 3, "at": ago(20)})
    for site in (oslo, paris):
        wait_left(site, [2])
    one_expires.wait_converged(["shop"])
    assert oslo.sidecar.metric("expired_total", namespace="shop.sessions") == 2
    assert oslo.status()["expiry"]["expired"] == 2
    assert paris.status()["expiry"]["expired"] == 0
    one_expires.wait_quiet()


def test_what_is_made_anew_after_an_expiry_counts_alike(one_expires):
    """Where only the store expires, an increment counts from nothing here and from five there."""
    oslo, paris = one_expires.oslo, one_expires.paris
    sessions = oslo.app().shop.sessions
    sessions.insert_one({"_id": "ada", "visits": 5})
    wait_left(paris, ["ada"])
    one_expires.cut("oslo", "paris")
    sessions.update_one({"_id": "ada"}, {"$set": {"at": ago(10)}})
    wait_left(oslo, [])
    sessions.update_one({"_id": "ada"}, {"$inc": {"visits": 1}}, upsert=True)
    paris.app().shop.sessions.update_one({"_id": "bob"}, {"$inc": {"visits": 1}}, upsert=True)
    one_expires.heal_all()
    found = one_expires.wait_converged(["shop"])["shop.sessions"]
    assert len(found) == 2
    for site in (oslo, paris):
        assert [d["visits"] for d in site.direct().shop.sessions.find()] == [1, 1]


def test_both_sites_may_expire_the_same_document(cluster):
    with cluster:
        make_index(cluster)
        sessions = cluster.oslo.app().shop.sessions
        sessions.insert_many([{"_id": i, "visits": i} for i in range(20)])
        wait_left(cluster.paris, list(range(20)))
        cluster.cut("oslo", "paris")
        for site in cluster:
            site.app().shop.sessions.update_many({"_id": {"$lt": 10}}, {"$set": {"at": ago(10)}})
            wait_left(site, list(range(10, 20)))
        cluster.paris.app().shop.sessions.update_one({"_id": 1}, {"$inc": {"visits": 7}},
                                                     upsert=True)
        cluster.heal_all()
        cluster.wait_converged(["shop"])
        for site in cluster:
            assert left(site) == [1, *range(10, 20)]
            assert site.direct().shop.sessions.find_one({"_id": 1}) == {"_id": 1, "visits": 7}
        cluster.wait_quiet()


def test_a_document_that_another_site_extends_comes_back(one_expires):
    """It has expired here meanwhile; who extended it did not know, and wins with all that was in
    it. What is not extended is gone everywhere."""
    oslo, paris = one_expires.oslo, one_expires.paris
    sessions = oslo.app().shop.sessions
    sessions.insert_many([{"_id": i, "user": f"u{i}", "visits": 3} for i in range(3)])
    wait_left(paris, [0, 1, 2])
    one_expires.cut("oslo", "paris")
    sessions.update_many({"_id": {"$lt": 2}}, {"$set": {"at": ago(10)}})
    wait_left(oslo, [2])
    end = ago(-3600).replace(microsecond=0)
    paris.app().shop.sessions.update_one({"_id": 1}, {"$set": {"at": end}, "$inc": {"visits": 1}})
    one_expires.heal_all()
    one_expires.wait_converged(["shop"])
    for site in (oslo, paris):
        wait_left(site, [1, 2])
        assert site.direct().shop.sessions.find_one({"_id": 1}) == {
            "_id": 1, "user": "u1", "visits": 4, "at": end}
        # Of the two dates; who loses to an extension is no loss.
        assert [each["kind"] for each in site.losers(site.app().shop.sessions)] == ["set_set"]
    one_expires.wait_quiet()


def test_what_expires_is_what_mongodb_would_take(cluster):
    future = ago(-3600)
    documents = {
        "due": {"at": ago(10)}, "not yet": {"at": future}, "no date": {"at": "yesterday"},
        "none": {}, "a number": {"at": 1}, "earliest of some": {"at": [future, ago(10), "x"]},
        "later ones": {"at": [future]}, "in an array in an array": {"at": [[ago(10)]]},
        "another kind": {"at": ago(10), "kind": "kept"}}
    goes = {"due", "earliest of some"}
    with cluster:
        make_index(cluster, "guests", partialFilterExpression={"kind": "guest"})
        make_index(cluster, "deep", "a.b", seconds=3600)
        oslo = cluster.oslo.app().shop
        oslo.guests.insert_many([{"_id": name, "kind": "guest", **rest}
                                 for name, rest in documents.items()])
        wait_left(cluster.paris, sorted(set(documents) - goes), "guests")
        oslo.deep.insert_many([{"_id": 1, "a": [{"b": future}, {"b": ago(7200)}]},
                               {"_id": 2, "a": {"b": ago(60)}}])
        wait_left(cluster.paris, [2], "deep")
        oslo.guests.update_one({"_id": "another kind"}, {"$set": {"kind": "guest"}})
        wait_left(cluster.paris, sorted(set(documents) - goes - {"another kind"}), "guests")
        # A change of the index counts from the next look on.
        oslo.command("collMod", "deep", index={"name": "a.b_1", "expireAfterSeconds": 30})
        wait_left(cluster.paris, [], "deep")
        cluster.wait_converged(["shop"])


def test_a_clustered_collection_goes_by_its_id(cluster):
    with cluster:
        make_index(cluster)  # of another collection
        oslo = cluster.oslo.app().shop
        oslo.create_collection("log", clusteredIndex={"key": {"_id": 1}, "unique": True},
                               expireAfterSeconds=60)
        oslo.log.insert_many([{"_id": ago(3600)}, {"_id": 1}])
        wait_left(cluster.oslo, [1], "log")
        wait_left(cluster.paris, [1], "log")


def test_what_stays_at_its_site_expires_there_too(cluster):
    """While the store's monitor rests: sessions of mongod, time series, what does not replicate."""
    for site in cluster:
        site.mongod.parameters = SESSIONS
        site.sidecar.settings["replicate"] = [{"namespace": "own.*", "replicate": False}]
    with cluster:
        make_index(cluster)
        app, direct = cluster.oslo.app(), cluster.oslo.direct()
        app.own.notes.create_index("at", expireAfterSeconds=0)
        app.own.notes.insert_many([{"_id": 1, "at": ago(10)}, {"_id": 2}])
        wait_until(lambda: [d["_id"] for d in direct.own.notes.find()] == [2], "the note to go")
        app.shop.create_collection("heat", timeseries={"timeField": "t"}, expireAfterSeconds=60)
        direct.shop.heat.insert_many([{"t": ago(100_000)}, {"t": ago(0), "kept": 1}])
        wait_until(lambda: [d.get("kept") for d in direct.shop.heat.find()] == [1], "the old one")
        wait_until(lambda: "system.sessions" in direct.config.list_collection_names(),
                   "mongod's own sessions")
        old = ObjectId()
        direct.config.system.sessions.insert_one({"_id": old, "lastUse": ago(100_000)})
        wait_until(lambda: direct.config.system.sessions.find_one({"_id": old}) is None,
                   "an old session to go")
        assert not monitor_works(cluster.oslo)
        assert cluster.oslo.status()["expiry"]["lacks"] == []


def test_what_a_transaction_extends_does_not_expire(make_cluster):
    cluster = make_cluster(settings=SOON, parameters=OFTEN)
    cluster.paris.mongod.parameters = {**OFTEN, **ASLEEP}  # which does not know of the transaction
    with cluster:
        make_index(cluster)
        oslo, client = cluster.oslo, cluster.oslo.app()
        sessions = client.shop.sessions
        end = ago(-1).replace(microsecond=0)
        with client.start_session() as session:
            with session.start_transaction():
                sessions.insert_one({"_id": 0}, session=session)
            sessions.insert_one({"_id": 1, "at": end})
            with session.start_transaction():
                sessions.update_one({"_id": 1}, {"$set": {"at": ago(-3600)}}, session=session)
                sessions.insert_one({"_id": 2, "at": ago(10)}, session=session)
                # Others go on expiring while it is open and its first document is due.
                wait_until(lambda: datetime.datetime.utcnow() > end, "it to be due")
                sessions.insert_one({"_id": 3, "at": ago(10)})
                wait_left(oslo, [0, 1])
        wait_left(cluster.paris, [0, 1])
        cluster.wait_converged(["shop"])
        assert sessions.find_one({"_id": 1})["at"] > ago(-1800)


def test_many_that_are_due_stall_nobody(cluster):
    many = 8_000
    with cluster:
        make_index(cluster)
        oslo = cluster.oslo.app().shop
        oslo.sessions.insert_many([{"_id": i, "at": ago(10)} for i in range(many)])
        written = 0
        while left(cluster.oslo):
            oslo.visits.update_one({"_id": written % 10}, {"$inc": {"n": 1}}, upsert=True)
            written += 1
        wait_left(cluster.paris, [])
        cluster.wait_converged(["shop"])
        assert written > 0
        assert sum(d["n"] for d in cluster.paris.direct().shop.visits.find()) == written
        expired = sum(site.status()["expiry"]["expired"] for site in cluster)
        assert expired >= many


def test_settings_can_leave_it_to_the_store(make_cluster):
    settings = {"expiry": {"by": "store"}}
    with make_cluster(settings=settings, parameters=OFTEN) as cluster:
        oslo = cluster.oslo
        oslo.app().shop.sessions.create_index("at", expireAfterSeconds=0)
        oslo.app().shop.sessions.insert_one({"_id": 1, "at": ago(10)})
        wait_left(oslo, [])
        assert monitor_works(oslo) and expires_by(oslo) == "store"
        assert oslo.status()["expiry"]["expired"] == 0


def start_as(cluster, site, *roles):
    """The sidecar of `site` works as a user with these roles; the mongods ask for a login."""
    for each in cluster:
        admin = each.mongod.start().client().admin
        admin.command("createRole", "onlooker", roles=[],
                      privileges=[{"resource": {"cluster": True}, "actions": ["inprog"]}])
        admin.command("createRole", "killer", roles=[], privileges=[
            {"resource": {"cluster": True}, "actions": ["killop", "killAnySession"]}])
        admin.command("createRole", "replicator", roles=[], privileges=[
            {"resource": {"db": "", "collection": ""},
             "actions": ["bypassDocumentValidation", "collMod"]}])
    site.mongod.add_user("sidecar", "p,w=%", roles)
    site.sidecar.settings["store"]["uri"] = site.mongod.uri("sidecar", "p%2Cw%3D%25")
    for each in cluster:
        each.sidecar.start(wait_ready=False)
    for each in cluster:
        each.sidecar.wait_ready()


@pytest.mark.parametrize("mechanism", ["", "SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_the_sidecars_own_user_expires_and_needs_rights_for_what_mongod_keeps(
        make_cluster, mechanism):
    cluster = make_cluster(auth=True, settings=SOON, parameters=SESSIONS)
    oslo = cluster.oslo
    start_as(cluster, oslo, *RIGHTS)
    if mechanism:
        oslo.sidecar.settings["store"]["uri"] += f"&authMechanism={mechanism}"
        oslo.sidecar.restart()
    make_index(cluster)
    oslo.app().shop.sessions.insert_one({"_id": 1, "at": ago(10)})
    wait_left(oslo, [])
    cluster.wait_converged(["shop"])
    wait_until(lambda: "system.sessions" in oslo.direct().config.list_collection_names(),
               "mongod's own sessions")
    lacks = wait_until(lambda: oslo.status()["expiry"]["lacks"], "what it may not do")
    assert all("find and remove on config." in lack for lack in lacks)
    oslo.sidecar.wait_log("find and remove on config.system.sessions")
    oslo.direct().admin.command("createRole", "reaper", roles=[], privileges=[
        {"resource": {"db": "config", "collection": name}, "actions": ["find", "remove"]}
        for name in ("", "system.sessions")])
    oslo.direct().admin.command("grantRolesToUser", "sidecar", roles=["reaper"])
    wait_until(lambda: not oslo.status()["expiry"]["lacks"], lambda: oslo.status()["expiry"])


def test_a_right_that_is_missing_is_named(make_cluster):
    cluster = make_cluster(auth=True, replica_set=False, settings=SOON)
    oslo = cluster.oslo
    start_as(cluster, oslo, *[right for right in RIGHTS if right != "hostManager"],
             {"role": "clusterMonitor", "db": "admin"}, "killer")
    oslo.app().shop.sessions.create_index("at", expireAfterSeconds=0)
    wait_by(oslo, "both")
    assert any("setParameter" in lack and "hostManager" in lack
               for lack in oslo.status()["expiry"]["lacks"])
    oslo.sidecar.wait_log("not authorized on admin to execute command { setParameter")
    assert monitor_works(oslo)
    oslo.app().shop.sessions.insert_one({"_id": 1, "at": ago(10)})
    for site in cluster:  # before the store's own monitor, which sleeps a minute
        wait_left(site, [])
    assert sum(site.status()["expiry"]["expired"] for site in cluster) > 0


def test_who_may_not_see_the_indexes_leaves_them_to_the_store(make_cluster):
    cluster = make_cluster(auth=True, replica_set=False, settings=SOON)
    oslo = cluster.oslo
    start_as(cluster, oslo, *[right for right in RIGHTS if right != "readWriteAnyDatabase"],
             {"role": "readWrite", "db": "shop"})
    oslo.app().shop.sessions.create_index("at", expireAfterSeconds=0)
    wait_until(lambda: any("readWriteAnyDatabase" in lack
                           for lack in oslo.status()["expiry"]["lacks"]),
               lambda: oslo.status()["expiry"])
    assert expires_by(oslo) == "store" and monitor_works(oslo)


def test_where_mongod_was_started_without_a_monitor_nothing_expires(make_cluster):
    with make_cluster(settings=SOON, parameters=ASLEEP) as cluster:
        oslo = cluster.oslo
        wait_by(oslo, "nobody")
        oslo.app().shop.sessions.create_index("at", expireAfterSeconds=0)
        oslo.app().shop.sessions.insert_one({"_id": 1, "at": ago(10)})
        oslo.sidecar.restart()
        wait_by(oslo, "nobody")
        assert left(oslo) == [1] and not monitor_works(oslo)
        oslo.sidecar.stop()
        assert not monitor_works(oslo)


@pytest.mark.parametrize("end", ["sidecar killed", "sidecar stopped", "mongod killed"])
def test_an_expiry_that_is_cut_off_is_told_whole(cluster, end):
    """Whatever was deleted has a record: what is made anew afterwards counts alike."""
    many, step = 4_000, 200
    # It works again in between, and must not come by then.
    cluster.oslo.mongod.parameters = {"ttlMonitorSleepSecs": "3600"}
    with cluster:
        oslo = cluster.oslo
        oslo.app().shop.sessions.insert_many(
            [{"_id": i, "at": ago(10), "visits": 1} for i in range(many)])
        cluster.wait_converged(["shop"])
        cluster.cut("oslo", "paris")
        oslo.app().shop.sessions.create_index("at", expireAfterSeconds=0)
        for _ in range(3):
            before = len(left(oslo))
            wait_until(lambda: len(left(oslo)) < before or not left(oslo), "some to go")
            if end == "mongod killed":
                oslo.mongod.kill()
                oslo.mongod.start()
            elif end == "sidecar killed":
                oslo.sidecar.kill()
                oslo.sidecar.start()
            else:
                oslo.sidecar.restart()
        wait_left(oslo, [])
        sessions = oslo.client().shop.sessions
        for i in range(0, many, step):
            sessions.update_one({"_id": i}, {"$inc": {"visits": 1}}, upsert=True)
        cluster.heal_all()
        found = cluster.wait_converged(["shop"])["shop.sessions"]
        assert len(found) == many // step
        assert all(d["visits"] == 1 for d in cluster.paris.direct().shop.sessions.find())
