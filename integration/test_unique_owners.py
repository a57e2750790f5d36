"""A key of a unique index given away at several sites that were apart has one owner: the same
document is shown at every site, the others are parked at every site, whole, and return by
themselves when the key is free."""

import pytest
from bson import SON

from cluster import Cluster
from waiting import wait_until

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def pair(request, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("pair"), replica_set=request.param) as cluster:
        yield cluster


@pytest.fixture
def users(pair, request):
    """The collections of a name of its own, at oslo and paris."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)[-60:]
    yield pair.collections(name)
    pair.heal("oslo", "paris")


def unique(pair, users, keys, **options):
    users[0].create_index(keys, unique=True, name="k", **options)
    pair.wait_converged(["shop"])
    wait_until(lambda: "k" in users[1].index_information(), "the index at paris")


def parked(site, collection, state="open"):
    found = site.app().outrigger.conflicts.find(
        {"namespace": collection.full_name, "kind": "unique", "state": state})
    return sorted(found, key=lambda entry: entry["document"])


def shown(collection):
    return {document["_id"]: document for document in collection.find()}


def settled(pair, users, here, apart):
    """Both sites show these _ids and have those parked."""
    def is_so():
        return all(set(shown(each)) == set(here) and
                   [entry["document"] for entry in parked(site, each)] == sorted(apart)
                   for site, each in zip(pair, users))
    wait_until(is_so, lambda: [(shown(each), parked(site, each))
                               for site, each in zip(pair, users)], 40)
    pair.wait_converged(["shop"])
    assert is_so()
    entries = [parked(site, each) for site, each in zip(pair, users)]
    assert all(each == entries[0] for each in entries), entries


def test_the_same_is_shown_at_both_and_the_other_is_parked_whole(pair, users):
    unique(pair, users, "mail")
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": 1, "mail": "ada@example.net", "n": 1})
        users[1].insert_one({"_id": 2, "mail": "ada@example.net", "n": 2})
    settled(pair, users, [1], [2])
    [entry] = parked(pair.oslo, users[0])
    assert entry["lost"] == {"_id": 2, "mail": "ada@example.net", "n": 2}
    assert entry["won"] == 1
    assert all(site.status()["not_applied"] == 1 for site in pair)
    for verb in ("choose", "dismiss"):
        with pytest.raises(Exception) as refused:
            pair.paris.app().outrigger.command({verb: entry["_id"]})
        assert "change or delete" in str(refused.value)
    # The one who has the key gives it up.
    users[1].update_one({"_id": 1}, {"$set": {"mail": "ada.o@example.net"}})
    settled(pair, users, [1, 2], [])
    assert users[0].find_one({"_id": 2}) == {"_id": 2, "mail": "ada@example.net", "n": 2}
    assert [each["document"] for each in parked(pair.oslo, users[0], "resolved")] == [2]


def test_it_returns_when_the_owner_is_deleted(pair, users):
    unique(pair, users, "mail")
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": 1, "mail": "a"})
        users[1].insert_one({"_id": 2, "mail": "a", "n": 0})
        users[1].update_one({"_id": 2}, {"$inc": {"n": 5}})
    settled(pair, users, [1], [2])
    users[0].delete_one({"_id": 1})
    settled(pair, users, [2], [])
    assert users[1].find_one({"_id": 2})["n"] == 5


KEYS = {
    "compound": ([("a", 1), ("b", 1)], {}, [{"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 3}]),
    "nested": ("a.b", {}, [{"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, {"a": {"b": 2}}]),
    "array": ("tags", {}, [{"tags": ["x", "y"]}, {"tags": ["z", "y"]}, {"tags": ["w"]}]),
    "in_arrays": ("items.sku", {}, [{"items": [{"sku": 1}, {"sku": 2}]},
                                    {"items": [{"sku": 3}, {"sku": 2}]}, {"items": [{"sku": 4}]}]),
    "sparse": ("a", {"sparse": True}, [{"a": 1}, {"a": 1, "b": 1}, {"b": 1}]),
    "missing": ("a", {}, [{"b": 1}, {"a": None}, {"a": 1}]),
    "partial": ("a", {"partialFilterExpression": {"on": True}},
                [{"a": 1, "on": True}, {"a": 1, "on": True}, {"a": 1, "on": False}]),
    "collation": ("a", {"collation": {"locale": "en", "strength": 2}},
                  [{"a": "Ada"}, {"a": "ADA"}, {"a": "Bob"}]),
    "documents": ("a", {}, [{"a": SON([("x", 1), ("y", 2)])}, {"a": SON([("x", 1), ("y", 2)])},
                            {"a": SON([("y", 2), ("x", 1)])}]),
    "text": ("a", {}, [{"a": "k index: _id_ dup key: "}, {"a": "k index: _id_ dup key: "},
                       {"a": "other"}]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_indexes_of_every_kind(pair, users, kind):
    keys, options, (first, second, third) = KEYS[kind]
    unique(pair, users, keys, **options)
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": "one", **first})
        users[1].insert_one({"_id": "two", **second})
        users[1].insert_one({"_id": "three", **third})
    settled(pair, users, ["one", "three"], ["two"])
    users[1].update_one({"_id": "one"}, {"$set": {"n": 1}})
    settled(pair, users, ["one", "three"], ["two"])
    users[0].delete_one({"_id": "one"})
    settled(pair, users, ["two", "three"], [])


def test_keys_that_move(pair, users):
    unique(pair, users, "mail")
    users[0].insert_many([{"_id": i, "mail": str(i)} for i in range(4)])
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        users[0].update_one({"_id": 1}, {"$set": {"mail": "k"}})
        users[1].update_one({"_id": 2}, {"$set": {"mail": "k"}})
        users[1].update_one({"_id": 2}, {"$set": {"note": "of paris"}})
        users[1].update_one({"_id": 3}, {"$set": {"mail": "2"}})  # what 2 had
    settled(pair, users, [0, 1, 3], [2])
    users[1].update_one({"_id": 1}, {"$set": {"mail": "1"}})
    settled(pair, users, [0, 1, 2, 3], [])
    assert users[0].find_one({"_id": 2}) == {"_id": 2, "mail": "k", "note": "of paris"}


def test_a_swap_is_no_conflict(pair, users):
    unique(pair, users, "mail")
    users[0].insert_many([{"_id": 1, "mail": "a"}, {"_id": 2, "mail": "b"}])
    pair.wait_converged(["shop"])
    users[0].update_one({"_id": 1}, {"$set": {"mail": "aside"}})
    users[0].update_one({"_id": 2}, {"$set": {"mail": "a"}})
    users[0].update_one({"_id": 1}, {"$set": {"mail": "b"}})
    settled(pair, users, [1, 2], [])
    assert {each["mail"] for each in shown(users[1]).values()} == {"a", "b"}
    assert users[1].find_one({"_id": 1})["mail"] == "b"
    if pair.oslo.mongod.replica_set:
        client = pair.oslo.app()
        with client.start_session() as session, session.start_transaction():
            users[0].update_one({"_id": 1}, {"$set": {"mail": "aside"}}, session=session)
            users[0].update_one({"_id": 2}, {"$set": {"mail": "b"}}, session=session)
            users[0].update_one({"_id": 1}, {"$set": {"mail": "a"}}, session=session)
        settled(pair, users, [1, 2], [])
        assert users[1].find_one({"_id": 1})["mail"] == "a"
        assert not parked(pair.paris, users[1], "resolved")


def test_an_insert_of_a_parked_id_and_a_delete_of_one(pair, users):
    unique(pair, users, "mail")
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": 1, "mail": "a"})
        users[1].insert_one({"_id": 2, "mail": "a"})
        users[1].insert_one({"_id": 3, "mail": "c"})
        users[0].insert_one({"_id": 4, "mail": "c"})
    settled(pair, users, [1, 3], [2, 4])
    assert users[1].delete_one({"_id": 2}).deleted_count == 0
    assert users[1].update_one({"_id": 2}, {"$set": {"x": 1}}).matched_count == 0
    users[0].insert_one({"_id": 2, "mail": "free"})
    pair.wait_converged(["shop"])
    wait_until(lambda: shown(users[0]) == shown(users[1]), "the same at both")


@pytest.mark.parametrize("who", ["sidecar", "mongod", "both"])
def test_kills_in_between(pair, users, who):
    unique(pair, users, "mail")
    with pair.apart("oslo", "paris"):
        users[0].insert_many([{"_id": i, "mail": str(i)} for i in range(40)])
        users[1].insert_many([{"_id": 100 + i, "mail": str(i)} for i in range(40)])
        users[1].update_many({}, {"$inc": {"n": 1}})
    for _ in range(2):
        if who in ("sidecar", "both"):
            pair.paris.sidecar.kill()
        if who in ("mongod", "both"):
            pair.paris.mongod.kill()
            pair.paris.mongod.start()
        if who in ("sidecar", "both"):
            pair.paris.sidecar.start(wait_ready=False)
        pair.paris.wait_served()
    # Stamps of a site that was killed lie ahead for a while: either may have come first.
    pair.wait_converged(["shop"])
    owners = sorted(shown(users[0]))
    others = [(i + 100) % 200 for i in owners]
    assert owners in (list(range(40)), list(range(100, 140)))
    settled(pair, users, owners, others)
    users[0].delete_many({})
    settled(pair, users, others, [])
    assert all(each.get("n", 0) == (1 if i >= 100 else 0) for i, each in shown(users[1]).items())


@FORMS
def test_three_sites(make_cluster, replica_set):
    cluster = make_cluster(sites=("oslo", "paris", "rome"), replica_set=replica_set).start()
    sites = list(cluster)
    users = [site.app().shop.users for site in sites]
    users[0].create_index("mail", unique=True)
    users[0].create_index("phone", unique=True, sparse=True)
    cluster.wait_converged(["shop"])
    for a, b in (("oslo", "paris"), ("oslo", "rome"), ("paris", "rome")):
        cluster.cut(a, b)
    users[0].insert_one({"_id": 1, "mail": "a", "phone": 1})
    users[1].insert_one({"_id": 2, "mail": "b", "phone": 1})
    users[2].insert_one({"_id": 3, "mail": "b", "phone": 3})
    users[0].insert_one({"_id": 4, "mail": "d", "phone": 3})
    for a, b in (("paris", "rome"), ("oslo", "rome"), ("oslo", "paris")):
        cluster.heal(a, b)

    def is_so(here, apart):
        return all(set(shown(each)) == set(here) and
                   [entry["document"] for entry in parked(site, each)] == apart
                   for site, each in zip(sites, users))

    wait_until(lambda: is_so([1, 3], [2, 4]), lambda: [shown(each) for each in users], 40)
    cluster.wait_converged(["shop"])
    users[2].delete_one({"_id": 1})
    wait_until(lambda: is_so([2, 4], [3]), lambda: [shown(each) for each in users], 40)
    users[1].delete_one({"_id": 2})
    wait_until(lambda: is_so([3], [4]), lambda: [shown(each) for each in users], 40)
    users[0].delete_one({"_id": 3})
    wait_until(lambda: is_so([4], []), lambda: [shown(each) for each in users], 40)
    cluster.wait_converged(["shop"])
