"""What lost can be chosen after all, and a choice undone: ordinary writes, equal at all sites."""

import datetime
import threading

import bson
import pymongo
import pytest

from choices import (both_have, both_say, carry_out, command, edited_apart, entry_of, meetings,
                     refused)
from waiting import wait_until

# Every one is gone from the document that a delete took, and back in the one that is revived.
TYPED = {
    "text": "Møte", "int": 7, "long": bson.Int64(7), "double": 7.0,
    "decimal": bson.Decimal128("7.10"), "date": datetime.datetime(2026, 11, 29, 12, 0),
    "id": bson.ObjectId("0123456789abcdef01234567"), "binary": bson.Binary(b"\x00\xff", 128),
    "none": None, "regex": bson.Regex("^a", "i"), "list": [1, {"deep": [2.5]}],
    "inner": {"b": 1, "a": bson.Int64(2)}, "$odd": {"$x": 1},
}


@pytest.fixture
def sites(make_cluster):
    return make_cluster().start()


@pytest.fixture
def standalone_sites(make_cluster):
    return make_cluster(replica_set=False).start()


@pytest.mark.parametrize("store", ["sites", "standalone_sites"])
def test_a_choice_brings_the_other_title_back_and_can_be_undone(store, request):
    sites = request.getfixturevalue(store)
    entry = edited_apart(sites)
    assert (entry["lost"], entry["won"], entry["state"]) == ("Budget", "Picnic", "auto")
    assert entry_of(sites.paris, _id=entry["_id"]) == entry
    answer = command(sites.oslo, "choose", entry["_id"])
    assert answer["state"] == "resolved" and answer["n"] == 1
    assert answer["namespace"] == "shop.meetings" and answer["document"] == 1
    both_have(sites, title="Budget", room=5)
    both_say(sites, entry, "resolved")
    assert command(sites.oslo, "revert", entry["_id"])["state"] == "reverted"
    both_have(sites, title="Picnic", room=5)
    both_say(sites, entry, "reverted")
    # At the other site as well.
    command(sites.oslo, "choose", entry["_id"])
    both_have(sites, title="Budget")
    both_say(sites, entry, "resolved")
    command(sites.paris, "revert", entry["_id"])
    both_have(sites, title="Picnic")
    both_say(sites, entry, "reverted")
    assert [len(list(site.app().outrigger.conflicts.find())) for site in sites] == [1, 1]
    for site, chosen in ((sites.oslo, 2), (sites.paris, 0)):
        metric = site.sidecar.metric
        assert metric("conflicts_of_namespace_total", namespace="shop.meetings") == 1
        assert metric("conflicts_of_policy_total", policy="by operation") == 1
        assert metric("choices_total", state="resolved") == chosen
        assert metric("choices_total", state="reverted") == 1


def test_repeating_changes_nothing_and_what_changed_since_is_left_alone(sites):
    entry = edited_apart(sites)
    for _ in range(2):
        command(sites.oslo, "choose", entry["_id"])
    for wrote in (1, 0):
        assert command(sites.oslo, "revert", entry["_id"])["n"] == wrote
    both_have(sites, title="Picnic")
    command(sites.oslo, "choose", entry["_id"])
    meetings(sites.oslo).update_one({"_id": 1}, {"$set": {"title": "Retreat"}})
    error = refused(sites.oslo, "revert", entry["_id"])
    assert error.code == 20 and "Retreat" in str(error)
    both_have(sites, title="Retreat")


def test_an_unset_that_lost_and_one_that_won(sites):
    meetings(sites.oslo).insert_one({"_id": 1, "title": "?", "agenda": {"x": 1}})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        meetings(sites.oslo).update_one({"_id": 1}, {"$unset": {"title": ""},
                                                     "$set": {"agenda.x": 2}})
        meetings(sites.paris).update_one({"_id": 1}, {"$unset": {"agenda": ""},
                                                      "$set": {"title": "Picnic"}})
    title = entry_of(sites.oslo, path="title")["_id"]
    command(sites.oslo, "choose", title)
    both_have(sites, title=None)
    command(sites.oslo, "revert", title)
    both_have(sites, title="Picnic")
    agenda = entry_of(sites.oslo, path="agenda.x")
    assert agenda["lost"] == 2 and "won" not in agenda
    command(sites.oslo, "choose", agenda["_id"])
    both_have(sites, agenda={"x": 2})
    command(sites.oslo, "revert", agenda["_id"])  # nothing had stood there: the choice noted it
    both_have(sites, agenda={})


@pytest.mark.parametrize("chooser", ["oslo", "paris"])
@pytest.mark.parametrize("store", ["sites", "standalone_sites"])
def test_a_document_that_a_delete_took_is_revived_whole(store, chooser, request):
    sites = request.getfixturevalue(store)
    meetings(sites.oslo).insert_one({"_id": 1, **TYPED, "room": 5})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        meetings(sites.oslo).delete_one({"_id": 1})
        meetings(sites.paris).update_one({"_id": 1}, {"$set": {"room": 6}})
    entry = entry_of(sites.paris, kind="delete_update", path="")
    part = entry_of(sites.oslo, kind="delete_update", path="room")
    error = refused(sites.oslo, "choose", part["_id"])  # of that only the room was known there
    assert error.code == 20 and "not there any more" in str(error)
    told = entry_of(sites.oslo, kind="delete_update", path="")
    assert {**told, "lost": None} == {**entry, "lost": None}
    assert told["lost"].keys() == entry["lost"].keys()
    command(sites.sites[chooser], "choose", entry["_id"])
    sites.wait_converged(["shop"])
    for name in (entry["_id"], part["_id"]):
        assert entry_of(sites.oslo, _id=name, state="resolved")
    assert entry_of(sites.paris, _id=entry["_id"], state="resolved")
    for site in sites:
        raw = site.direct().get_database("shop").meetings.find_one({"_id": 1})
        assert list(raw) == ["_id", *TYPED, "room"]
        assert {**raw, "regex": bson.Regex.from_native(raw["regex"])
                if not isinstance(raw["regex"], bson.Regex) else raw["regex"]} == {
            "_id": 1, **TYPED, "room": 6}
        assert [type(raw[name]) for name in TYPED] == [type(each) for each in TYPED.values()]
    assert command(sites.paris, "choose", entry["_id"])["n"] == 0  # it is there already
    command(sites.paris, "revert", entry["_id"])
    sites.wait_converged(["shop"])
    assert [meetings(site).count_documents({}) for site in sites] == [0, 0]
    command(sites.paris, "choose", entry["_id"])
    meetings(sites.paris).update_one({"_id": 1}, {"$set": {"room": 7}})
    assert "has changed" in str(refused(sites.paris, "revert", entry["_id"]))
    assert refused(sites.paris, "choose", entry["_id"]).code == 11000


def test_a_field_of_an_insert_that_lost(sites):
    with sites.apart("oslo", "paris"):
        for site in sites:
            meetings(site).insert_one({"_id": 1, "title": site.name, "at": {site.name: [1]}})
    lost = entry_of(sites.oslo, kind="insert_insert", path="title")
    command(sites.paris, "choose", lost["_id"])
    both_have(sites, title=lost["lost"])


@pytest.mark.parametrize("store", ["sites", "standalone_sites"])
def test_an_element_of_an_array(store, request):
    sites = request.getfixturevalue(store)
    meetings(sites.oslo).insert_one({"_id": 1, "who": [{"n": "Ada", "v": 0}, {"n": "Bo", "v": 0}]})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        meetings(sites.oslo).update_one({"_id": 1}, {"$set": {"who.0.v": 1, "who.1.v": 1}})
        meetings(sites.paris).update_one({"_id": 1}, {"$set": {"who.0.v": 2}})
        meetings(sites.paris).update_one({"_id": 1}, {"$pull": {"who": {"n": "Bo"}}})
    both_have(sites, who=[{"n": "Ada", "v": 2}])
    edited = entry_of(sites.oslo, kind="set_set", path="who.(0).v")
    removed = entry_of(sites.oslo, kind="delete_update", path="who")
    assert removed["element"] and edited["lost"] == 1
    for _ in range(2):  # twice chosen it is not there twice
        command(sites.oslo, "choose", removed["_id"])
    both_have(sites, who=[{"n": "Ada", "v": 2}, {"n": "Bo", "v": 1}])
    command(sites.oslo, "revert", removed["_id"])
    both_have(sites, who=[{"n": "Ada", "v": 2}])
    command(sites.oslo, "choose", edited["_id"])
    both_have(sites, who=[{"n": "Ada", "v": 1}])
    command(sites.paris, "revert", edited["_id"])
    both_have(sites, who=[{"n": "Ada", "v": 2}])


def test_of_elements_that_went_together_each_is_in_the_ledger(sites):
    meetings(sites.oslo).insert_one({"_id": 1, "who": [{"n": "Ada", "v": 0}, {"n": "Bo", "v": 0}]})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        meetings(sites.oslo).update_one({"_id": 1}, {"$set": {"who.0.v": 1, "who.1.v": 1}})
        meetings(sites.paris).update_one({"_id": 1}, {"$pull": {"who": {"v": 0}}})
    both_have(sites, who=[])
    lost = list(sites.oslo.app().outrigger.conflicts.find({"kind": "delete_update"}))
    assert sorted(entry["lost"]["n"] for entry in lost) == ["Ada", "Bo"]
    told = list(sites.paris.app().outrigger.conflicts.find({"kind": "delete_update"}))
    assert sorted(entry["path"] for entry in told) == ["who.(0).v", "who.(1).v"]
    for entry in lost:
        command(sites.oslo, "choose", entry["_id"])
    sites.wait_converged(["shop"])
    stored = meetings(sites.oslo).find_one()["who"]
    assert sorted(each["n"] for each in stored) == ["Ada", "Bo"]


def test_what_stands_is_right_and_the_entry_closed(make_cluster):
    rules = [{"namespace": "*", "escalate": True}]
    sites = make_cluster(settings={"replicate": rules}).start()
    entry = edited_apart(sites)
    assert entry["state"] == "open"
    answer = command(sites.oslo, "dismiss", entry["_id"])
    assert (answer["state"], answer["n"]) == ("resolved", 0)
    assert entry_of(sites.oslo, _id=entry["_id"])["state"] == "resolved"
    meetings(sites.paris).delete_one({"_id": 1})
    sites.wait_converged(["shop"])
    assert command(sites.paris, "dismiss", entry["_id"])["state"] == "resolved"


def test_what_cannot_be_brought_back_is_refused_with_the_way_out(sites):
    meetings(sites.oslo).insert_one({"_id": 1, "n": 0, "a": {"0": {"b": 1}}})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        meetings(sites.oslo).update_one({"_id": 1}, {"$inc": {"n": 2}})
        meetings(sites.oslo).update_one({"_id": 1}, {"$set": {"a.0.b": 2}})
        meetings(sites.paris).update_one({"_id": 1}, {"$set": {"n": "many", "a.0.b": 3}})
    hidden = entry_of(sites.oslo, kind="hidden_counter")
    assert "$inc" in str(refused(sites.oslo, "choose", hidden["_id"]))
    inner = entry_of(sites.oslo, path="a.0.b")
    meetings(sites.oslo).update_one({"_id": 1}, {"$set": {"a": [{"b": 0}]}})
    assert "an array now" in str(refused(sites.oslo, "choose", inner["_id"]))
    meetings(sites.oslo).update_one({"_id": 1}, {"$set": {"a": 5}})
    error = refused(sites.oslo, "choose", inner["_id"])
    assert error.code == 28 and "set or unset that first" in str(error)
    meetings(sites.oslo).delete_one({"_id": 1})
    assert "not there any more" in str(refused(sites.oslo, "choose", inner["_id"]))
    sites.wait_converged(["shop"])


def test_a_name_that_nobody_has(sites):
    for name in ("", "nobody", "00000000000000ff-0123456789ab", 7, "0" * 29, "x" * 29):
        error = refused(sites.oslo, "choose", name)
        assert error.code == 2, name
    with pytest.raises(pymongo.errors.OperationFailure) as error:
        sites.oslo.app().shop.command({"choose": "x"})
    assert error.value.code == 59  # of any other database it is mongod's to say


def test_a_choice_while_the_line_is_cut_converges_later(sites):
    entry = edited_apart(sites)
    with sites.apart("oslo", "paris"):
        command(sites.oslo, "choose", entry["_id"])
        assert meetings(sites.oslo).find_one()["title"] == "Budget"
        assert meetings(sites.paris).find_one()["title"] == "Picnic"
    both_have(sites, title="Budget")
    # Two choices that did not see each other: the later stands, the other is in the ledger.
    with sites.apart("oslo", "paris"):
        command(sites.oslo, "revert", entry["_id"])
        meetings(sites.paris).update_one({"_id": 1}, {"$set": {"title": "Retreat"}})
    both_have(sites, title="Retreat")
    assert entry_of(sites.paris, lost="Picnic")["won"] == "Retreat"


def test_a_choice_that_was_answered_outlives_a_crash(sites):
    entry = edited_apart(sites)
    for verb, state, title in (("choose", "resolved", "Budget"), ("revert", "reverted", "Picnic")):
        answer = sites.oslo.client().outrigger.command({verb: entry["_id"]})
        assert answer["state"] == state
        sites.oslo.sidecar.kill()
        sites.oslo.sidecar.start()
        both_have(sites, title=title)
        assert sites.oslo.client().outrigger.conflicts.find_one({"_id": entry["_id"]})[
            "state"] == state


@pytest.mark.parametrize("after_bytes", [0, 1])
def test_a_crash_while_a_choice_is_carried_out(sites, after_bytes):
    """Killed at once, or when the store has been reached: the value stands or does not, the same
    at both sites, and choosing again makes it stand."""
    entry = edited_apart(sites)
    for verb, titles in (("choose", "Budget"), ("revert", "Picnic")) * 3:
        client = sites.oslo.client()
        client.admin.command("ping")
        asked = threading.Thread(target=carry_out, args=(client, verb, entry["_id"]))
        records = sites.oslo.status()["issued"]
        asked.start()
        if after_bytes:
            wait_until(lambda: sites.oslo.status()["issued"] != records or not asked.is_alive(),
                       "a stamp for the write")
        sites.oslo.sidecar.kill()
        asked.join()
        sites.oslo.sidecar.start()
        sites.wait_converged(["shop"])
        assert sites.paris.direct().shop.meetings.find_one()["title"] in ("Budget", "Picnic")
        again = sites.oslo.client().outrigger.command({verb: entry["_id"]})
        assert again["state"] == {"choose": "resolved", "revert": "reverted"}[verb]
        both_have(sites, title=titles)


def test_mongod_decides_who_may(make_cluster):
    sites = make_cluster(auth=True).start()
    entry = edited_apart(sites)
    oslo = sites.oslo
    oslo.mongod.add_user("looker", "pass", [{"role": "read", "db": "outrigger"},
                                            {"role": "read", "db": "shop"}])
    oslo.mongod.add_user("writer", "pass", [{"role": "readWrite", "db": "shop"}])
    oslo.mongod.add_user("chooser", "pass", [{"role": "readWrite", "db": "shop"},
                                             {"role": "read", "db": "outrigger"}])

    def database(user):
        uri = oslo.mongod.uri(user, "pass").replace(oslo.mongod.address, oslo.sidecar.proxy_address)
        return pymongo.MongoClient(uri, serverSelectionTimeoutMS=10000).outrigger

    stranger = pymongo.MongoClient(oslo.sidecar.proxy_address, directConnection=True).outrigger
    for theirs in (database("looker"), database("writer"), stranger):
        for name in (entry["_id"], "nobody") if theirs.name == "writer" else (entry["_id"],):
            with pytest.raises(pymongo.errors.OperationFailure) as error:
                theirs.command({"choose": name})
            assert error.value.code == 13
    with pytest.raises(pymongo.errors.OperationFailure) as error:
        database("looker").command({"dismiss": entry["_id"]})
    assert error.value.code == 13
    both_have(sites, title="Picnic")
    assert entry_of(oslo, _id=entry["_id"])["state"] == "auto"
    assert database("chooser").command({"choose": entry["_id"]})["state"] == "resolved"
    both_have(sites, title="Budget")
