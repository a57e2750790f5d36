"""`unique: keep`: documents that came to hold one key of a unique index at sites that were apart
are all shown, the index goes on refusing what would be a new one, and is unique again when they
differ."""

import pytest
from pymongo.errors import DuplicateKeyError

from cluster import Cluster
from keeping import (SETTINGS, apart_with_one_key, entries, index_of, kept, listed, refused,
                     unique, unique_again)
from waiting import wait_until

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def pair(request, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("pair"), settings=SETTINGS,
                 replica_set=request.param) as cluster:
        yield cluster


@pytest.fixture
def users(pair, request):
    """The collections of a name of its own, at oslo and paris."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)[-60:]
    yield pair.collections(name)
    pair.heal("oslo", "paris")


def test_both_are_shown_and_apps_are_refused_what_would_be_new(pair, users):
    unique(pair, users, "mail")
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": 1, "mail": "ada@example.net", "n": 1})
        users[1].insert_one({"_id": 2, "mail": "ada@example.net", "n": 2})
    [entry] = kept(pair, users, [2], [1, 2])
    assert entry["won"] == 1 and entry["lost"] == {"mail": "ada@example.net"}, entry
    assert all(site.status()["kept"] == 1 and site.status()["not_applied"] == 0 for site in pair)
    for site, each in zip(pair, users):
        refused(each, {"_id": 3, "mail": "ada@example.net"})
        assert index_of(site, each).get("prepareUnique")
        # What apps do when they start.
        assert each.create_index("mail", unique=True, name="k") == "k"
        each.update_one({"_id": 1}, {"$inc": {"n": 10}})
        each.replace_one({"_id": 2}, {"mail": "ada@example.net", "n": 7})
    with pytest.raises(Exception) as why:
        pair.paris.app().outrigger.command({"choose": entry["_id"]})
    assert "change or delete" in str(why.value)
    kept(pair, users, [2], [1, 2])
    assert users[0].find_one({"_id": 1})["n"] == 21
    assert not any(each for each in users[0].find() if set(each) != {"_id", "mail", "n"})
    users[1].delete_one({"_id": 1})
    unique_again(pair, users)
    assert [each["document"] for each in entries(pair.oslo, users[0], "resolved")] == [2]
    refused(users[0], {"_id": 3, "mail": "ada@example.net"})


KINDS = {
    "compound": ([("a", 1), ("b", 1)], {}, [{"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 3}]),
    "array": ("tags", {}, [{"tags": ["x", "y"]}, {"tags": ["z", "y"]}, {"tags": ["w"]}]),
    "sparse": ("a", {"sparse": True}, [{"a": 1}, {"a": 1, "b": 1}, {"b": 1}]),
    "missing": ("a", {}, [{"b": 1}, {"a": None}, {"a": 1}]),
    "partial": ("a", {"partialFilterExpression": {"on": True}},
                [{"a": 1, "on": True}, {"a": 1, "on": True}, {"a": 1, "on": False}]),
    "collation": ("a", {"collation": {"locale": "en", "strength": 2}},
                  [{"a": "Ada"}, {"a": "ADA"}, {"a": "Bob"}]),
    # The third has a value of each field, in no element both.
    "elements": ([("e.a", 1), ("e.b", 1)], {},
                 [{"e": [{"a": "x", "b": 1}, {"a": "y", "b": 2}]}, {"e": [{"a": "x", "b": 1}]},
                  {"e": [{"a": "x", "b": 2}]}]),
    "collated": ([("e.a", 1), ("e.b", 1)], {"collation": {"locale": "en", "strength": 2}},
                 [{"e": [{"a": "x", "b": 1}, {"a": "y", "b": 2}]}, {"e": [{"a": "X", "b": 1}]},
                  {"e": [{"a": "X", "b": 2}]}]),
}


def test_indexes_of_every_kind(pair):
    both = {kind: pair.collections(f"kinds_{kind}") for kind in KINDS}
    for kind, (keys, options, _) in KINDS.items():
        both[kind][0].create_index(keys, unique=True, name="k", **options)
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        for kind, (_, _, (first, second, third)) in KINDS.items():
            both[kind][0].insert_one({"_id": "a", **first})
            both[kind][1].insert_many([{"_id": "b", **second}, {"_id": "c", **third}])
    for kind, (keys, options, (_, second, _)) in KINDS.items():
        kept(pair, both[kind], ["b"], ["a", "b", "c"])
        refused(both[kind][0], {"_id": "d", **second})
        both[kind][1].create_index(keys, unique=True, name="k", **options)
        both[kind][1].delete_one({"_id": "a"})
    for users in both.values():
        unique_again(pair, users)


def test_a_transaction_brings_one_and_others_come(pair, users):
    unique(pair, users, "mail")
    unique(pair, users, "phone", "p", sparse=True)
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": 1, "mail": "a", "phone": 1})
        users[1].insert_one({"_id": 2, "mail": "a", "phone": 1})
        if pair.oslo.mongod.replica_set:
            client = pair.paris.app()
            with client.start_session() as session, session.start_transaction():
                users[1].insert_one({"_id": 3, "mail": "c"}, session=session)
                users[1].insert_one({"_id": 4, "mail": "d"}, session=session)
        else:
            users[1].insert_many([{"_id": 3, "mail": "c"}, {"_id": 4, "mail": "d"}])
        users[0].insert_one({"_id": 5, "mail": "c"})
    kept(pair, users, [2, 2, 5], [1, 2, 3, 4, 5])
    users[0].delete_many({"_id": {"$in": [2, 3]}})
    unique_again(pair, users)
    unique_again(pair, users, "p")


def plain(pair, users):
    """The index is what an app has made it, at both sites."""
    for site, each in zip(pair, users):
        wait_until(lambda: index_of(site, each) and not {"unique", "prepareUnique"}
                   & set(index_of(site, each)), lambda: index_of(site, each))


def test_an_index_that_is_dropped_and_made_again_is_what_apps_make_it(pair, users):
    unique(pair, users, "mail")
    apart_with_one_key(pair, users)
    users[1].drop_index("k")
    pair.wait_converged(["shop"])
    kept(pair, users, [], [1, 2])
    assert all(not index_of(site, c) for site, c in zip(pair, users))
    with pytest.raises(DuplicateKeyError):
        users[0].create_index("mail", unique=True, name="k")
    users[0].create_index("mail", name="k")
    pair.wait_converged(["shop"])
    plain(pair, users)


def test_one_that_is_made_again_as_a_plain_one_stays_so_when_the_sidecar_is_killed(pair, users):
    unique(pair, users, "mail")
    apart_with_one_key(pair, users)
    users[1].drop_index("k")
    users[1].create_index("mail", name="k")
    pair.paris.sidecar.kill()
    pair.paris.sidecar.start()
    kept(pair, users, [], [1, 2])
    users[1].insert_one({"_id": 3, "mail": "a"})
    plain(pair, users)


def test_apps_are_shown_a_unique_index_and_find_it_in_transactions_too(pair, users):
    unique(pair, users, "mail")
    apart_with_one_key(pair, users)
    for each in users:
        shown = each.index_information()
        assert shown["k"] == {"v": 2, "key": [("mail", 1)], "unique": True}, shown
        first = each.database.command("listIndexes", each.name, cursor={"batchSize": 1})
        assert first["cursor"]["id"] == 0 and len(first["cursor"]["firstBatch"]) == 2
        unique_one = {"v": 2, "key": {"mail": 1}, "name": "k", "unique": True}
        assert listed(each, includeBuildUUIDs=True)[1] == unique_one
        assert listed(each, includeIndexBuildInfo=True)[1] == {"spec": unique_one}
    if not pair.oslo.mongod.replica_set:
        return
    with pair.oslo.app().start_session() as session, session.start_transaction():
        assert users[0].create_index("mail", unique=True, name="k", session=session) == "k"
        users[0].insert_one({"_id": 3, "mail": "b"}, session=session)
    kept(pair, users, [2], [1, 2, 3])
    assert index_of(pair.oslo, users[0]).get("prepareUnique")


@pytest.mark.parametrize("who", ["sidecar", *(pytest.param(each, marks=pytest.mark.long)
                                               for each in ("mongod", "both"))])
def test_kills_in_between(pair, users, who):
    unique(pair, users, "mail")
    with pair.apart("oslo", "paris"):
        users[0].insert_many([{"_id": i, "mail": str(i)} for i in range(20)])
        users[1].insert_many([{"_id": 100 + i, "mail": str(i)} for i in range(20)])
    for _ in range(2):
        if who in ("sidecar", "both"):
            pair.paris.sidecar.kill()
        if who in ("mongod", "both"):
            pair.paris.mongod.kill()
            pair.paris.mongod.start()
        if who in ("sidecar", "both"):
            pair.paris.sidecar.start(wait_ready=False)
        pair.paris.wait_served()
    everybody = [*range(20), *range(100, 120)]
    kept(pair, users, range(100, 120), everybody)
    for each in users:
        refused(each, {"_id": 300, "mail": "7"})
    users[0].delete_many({"_id": {"$lt": 100}})
    unique_again(pair, users)


@pytest.mark.long_on("replica_set")
@FORMS
def test_three_sites(make_cluster, replica_set):
    names = ("oslo", "paris", "rome")
    cluster = make_cluster(sites=names, replica_set=replica_set, settings=SETTINGS).start()
    users = [site.app().shop.users for site in cluster]
    unique(cluster, users, "mail")
    for a, b in (("oslo", "paris"), ("oslo", "rome"), ("paris", "rome")):
        cluster.cut(a, b)
    for i, each in enumerate(users):
        each.insert_one({"_id": i, "mail": "a"})
    for a, b in (("paris", "rome"), ("oslo", "rome"), ("oslo", "paris")):
        cluster.heal(a, b)
    kept(cluster, users, [1, 2], [0, 1, 2])
    users[1].delete_one({"_id": 0})
    [entry] = kept(cluster, users, [2], [1, 2])
    assert entry["won"] == 1
    users[0].update_one({"_id": 2}, {"$set": {"mail": "b"}})
    unique_again(cluster, users)


@pytest.mark.long
def test_a_large_index_is_made_anew_beside_everything_else(pair, users):
    unique(pair, users, "mail")
    users[0].insert_many([{"_id": i, "mail": str(i)} for i in range(30_000)])
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": "one", "mail": "k"})
        users[1].insert_one({"_id": "two", "mail": "k"})
    users[1].insert_one({"_id": "meanwhile", "mail": "m"})
    wait_until(lambda: users[0].find_one("meanwhile"), "the stream goes on")
    everybody = [*range(30_000), "one", "two", "meanwhile"]
    kept(pair, users, ["two"], everybody)
    refused(users[0], {"mail": "k"}, {"mail": "7"})
    users[0].delete_one({"_id": "two"})
    unique_again(pair, users)
