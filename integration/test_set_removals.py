"""Sets under `set(remove_wins)`: what one site takes out of an array while another one adds it, is
not there when they meet, and the ledgers of both have what was added."""

import pytest

from choices import command
from cluster import Cluster
from waiting import wait_until

RULES = [{"namespace": "shop.*", "fields": {"allowed": "set(remove_wins)", "open": {
    "type": "set(remove_wins)", "escalate": True}}}]


@pytest.fixture(scope="module", ids=["replica_set", "standalone"],
                params=[True, pytest.param(False, marks=pytest.mark.long)])
def pair(tmp_path_factory, request):
    with Cluster(tmp_path_factory.mktemp("pair"), settings={"replicate": RULES},
                 replica_set=request.param) as cluster:
        yield cluster


@pytest.fixture
def users(pair, request):
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    collections = pair.collections(name)
    collections[0].insert_one({"_id": 1, "allowed": ["read", "write"], "open": [1, 2]})
    pair.wait_converged(["shop"])
    return collections


def allow(collection, what):
    collection.update_one({"_id": 1}, {"$addToSet": {"allowed": what}})


def forbid(collection, what):
    collection.update_one({"_id": 1}, {"$pull": {"allowed": what}})


def wait_allowed(users, *what):
    def sets():
        return [sorted(each.find_one({"_id": 1})["allowed"]) for each in users]
    wait_until(lambda: sets() == [sorted(what)] * 2, sets)


def told(pair, users):
    """What the ledgers hold of it, which is the same at both."""
    found = [[(entry["path"], entry["lost"], entry["state"]) for entry in
              site.app().outrigger.conflicts.find({"namespace": users[0].full_name})]
             for site in pair]
    assert found[0] == found[1]
    return found[0]


def add_anew(collection, what):
    """One that had it added again had not seen that the other one took it away."""
    forbid(collection, what)
    allow(collection, what)


@pytest.mark.parametrize("first", ["add", "removal"])
def test_a_removal_wins_against_an_add_it_had_not_seen(pair, users, first):
    oslo, paris = users
    with pair.apart("oslo", "paris"):
        for site in (("add", "removal") if first == "add" else ("removal", "add")):
            add_anew(paris, "write") if site == "add" else forbid(oslo, "write")
        allow(paris, "print")
    wait_allowed(users, "read", "print")
    pair.wait_converged(["shop"])
    assert told(pair, users) == [("allowed", "write", "auto")]
    [entry] = pair.paris.app().outrigger.conflicts.find({"namespace": oslo.full_name})
    assert "set(remove_wins)" in entry["reason"]
    allow(paris, "write")  # it has seen the removal by now
    wait_allowed(users, "read", "print", "write")
    pair.wait_quiet()


def test_so_does_an_array_that_is_assigned_without_it_also_by_a_pipeline(pair, users):
    oslo, paris = users
    with pair.apart("oslo", "paris"):
        oslo.update_one({"_id": 1}, {"$set": {"allowed": ["read", "scan"]}})
        oslo.update_one({"_id": 1}, [{"$set": {"allowed": {"$filter": {
            "input": "$allowed", "cond": {"$ne": ["$$this", "read"]}}}}}])
        for what in ("write", "read"):
            add_anew(paris, what)
    wait_allowed(users, "scan")
    pair.wait_converged(["shop"])
    assert sorted(told(pair, users)) == [("allowed", "read", "auto"), ("allowed", "write", "auto")]


def test_what_lost_is_chosen_and_taken_back(pair, users):
    oslo, paris = users
    with pair.apart("oslo", "paris"):
        forbid(oslo, "write")
        add_anew(paris, "write")
    wait_allowed(users, "read")
    pair.wait_converged(["shop"])
    [entry] = pair.oslo.app().outrigger.conflicts.find({"namespace": oslo.full_name})
    command(pair.oslo, "choose", entry["_id"])
    wait_allowed(users, "read", "write")
    command(pair.oslo, "revert", entry["_id"])
    wait_allowed(users, "read")


def test_what_escalates_is_open_until_somebody_decides(pair, users):
    oslo, paris = users
    with pair.apart("oslo", "paris"):
        oslo.update_one({"_id": 1}, {"$pullAll": {"open": [2]}})
        paris.update_one({"_id": 1}, {"$pop": {"open": 1}})
        paris.update_one({"_id": 1}, {"$addToSet": {"open": 2}})
    pair.wait_converged(["shop"])
    assert [each.find_one({"_id": 1})["open"] for each in users] == [[1], [1]]
    assert told(pair, users) == [("open", 2, "open")]
