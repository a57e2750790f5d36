"""What lost in an element of an array is chosen where that element stands by then."""

import contextlib
import threading

import pymongo
import pytest

from choices import both_have, carry_out, command, entry_of, meetings, refused
from waiting import wait_until


@pytest.fixture
def sites(make_cluster):
    return make_cluster().start()


@pytest.fixture(params=[True, False], ids=["replica_set", "standalone"])
def both_forms(make_cluster, request):
    return make_cluster(replica_set=request.param).start()


def test_a_field_of_an_element_is_written_where_that_stands_now(both_forms):
    sites = both_forms
    oslo, paris = meetings(sites.oslo), meetings(sites.paris)
    oslo.insert_one({"_id": 1, "who": [{"n": "Ada"}, {"n": "Bo"}, {"n": "Eve"}]})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        oslo.update_one({"_id": 1}, {"$set": {"who.1.v": 1, "who.1.x": {"y": [1]}}})
        paris.update_one({"_id": 1}, {"$set": {"who.1.v": 2, "who.1.x": {"y": [2]}}})
        oslo.update_one({"_id": 1}, {"$pull": {"who": {"n": "Ada"}}})
        oslo.update_one({"_id": 1}, {"$push": {"who": {"$each": [{"n": "Cid"}, {"n": "Dag"}],
                                                       "$position": 0}}})
    others = [{"n": "Cid"}, {"n": "Dag"}]
    both_have(sites, who=[*others, {"n": "Bo", "v": 2, "x": {"y": [2]}}, {"n": "Eve"}])
    value = entry_of(sites.paris, path="who.(1).v")["_id"]
    inner = entry_of(sites.oslo, path="who.(1).x.y")["_id"]
    with sites.apart("oslo", "paris"):  # an edit of that field: another one beside it stands
        assert command(sites.oslo, "choose", inner)["n"] == 1
        paris.update_one({"_id": 1, "who.v": 2}, {"$set": {"who.$.note": "late"}})
        assert command(sites.paris, "choose", value)["n"] == 1
    bo = {"n": "Bo", "v": 1, "x": {"y": [1]}, "note": "late"}
    both_have(sites, who=[*others, bo, {"n": "Eve"}])
    for wrote in (1, 0):
        assert command(sites.paris, "revert", value)["n"] == wrote
    both_have(sites, who=[*others, {**bo, "v": 2}, {"n": "Eve"}])
    oslo.update_one({"_id": 1, "who.v": 2}, {"$set": {"who.$.v": 3}})
    assert "there is 3" in str(refused(sites.oslo, "revert", value))
    oslo.update_one({"_id": 1}, {"$pull": {"who": {"v": 3}}})
    assert "is not there any more" in str(refused(sites.oslo, "choose", inner))
    both_have(sites, who=[*others, {"n": "Eve"}])
    oslo.delete_one({"_id": 1})
    assert "insert it" in str(refused(sites.oslo, "choose", inner))


def test_an_element_is_not_taken_for_another_one(sites):
    oslo, paris = meetings(sites.oslo), meetings(sites.paris)
    oslo.insert_one({"_id": 1, "who": [{"n": "Ada", "v": 0}],
                     "desks": [{"_id": "a", "v": 0}, {"_id": "b"}]})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        oslo.update_one({"_id": 1}, {"$set": {"who.0.v": 1, "desks.0.v": 1}})
        paris.update_one({"_id": 1}, {"$set": {"who.0.v": 2, "desks.0.v": 2}})
    sites.wait_converged(["shop"])
    oslo.update_one({"_id": 1}, {"$set": {"who": [{"n": "Eve", "v": 2}]}})
    oslo.update_one({"_id": 1}, {"$set": {"desks": [{"_id": "b"}, {"_id": "a", "v": 2}]}})
    sites.wait_converged(["shop"])
    who, desk = (entry_of(sites.paris, path=path)["_id"] for path in ("who.(0).v", "desks.(0).v"))
    for site in sites:
        assert "cannot be told" in str(refused(site, "choose", who))
    command(sites.paris, "choose", desk)
    both_have(sites, who=[{"n": "Eve", "v": 2}], desks=[{"_id": "b"}, {"_id": "a", "v": 1}])


def test_an_element_that_moves_while_it_is_looked_for_is_found(sites):
    oslo = meetings(sites.oslo)
    oslo.insert_one({"_id": 1, "who": [{"n": "Ada", "v": 0}]})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        oslo.update_one({"_id": 1}, {"$set": {"who.0.v": 1}})
        meetings(sites.paris).update_one({"_id": 1}, {"$set": {"who.0.v": 2}})
    entry = entry_of(sites.oslo, path="who.(0).v")["_id"]
    ended = threading.Event()
    added = []

    def add():
        while not ended.is_set():
            added.append(len(added))
            meetings(sites.paris if len(added) % 2 else sites.oslo).update_one(
                {"_id": 1}, {"$push": {"who": {"$each": [{"n": added[-1]}], "$position": 0}}})

    adding = threading.Thread(target=add)
    adding.start()
    written = 0
    for verb in ("choose", "revert") * 10:
        with contextlib.suppress(pymongo.errors.OperationFailure):  # it changes all the time
            written += command(sites.oslo, verb, entry)["n"]
    ended.set()
    adding.join()
    assert written >= 2 and len(added) >= 2
    command(sites.oslo, "choose", entry)
    sites.wait_converged(["shop"])
    for site in sites:
        who = meetings(site).find_one()["who"]
        assert [each for each in who if "v" in each] == [{"n": "Ada", "v": 1}]
        assert sorted(each["n"] for each in who if "v" not in each) == added


def test_a_crash_while_a_choice_in_an_element_is_carried_out(sites):
    meetings(sites.oslo).insert_one({"_id": 1, "who": [{"n": "Ada"}, {"n": "Bo", "v": 0}]})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        meetings(sites.oslo).update_one({"_id": 1}, {"$set": {"who.1.v": 1}})
        meetings(sites.paris).update_one({"_id": 1}, {"$set": {"who.1.v": 2}})
    meetings(sites.oslo).update_one({"_id": 1}, {"$pull": {"who": {"n": "Ada"}}})
    entry = entry_of(sites.oslo, path="who.(1).v")
    client = sites.oslo.client()
    client.admin.command("ping")
    asked = threading.Thread(target=carry_out, args=(client, "choose", entry["_id"]))
    issued = sites.oslo.status()["issued"]
    asked.start()
    wait_until(lambda: sites.oslo.status()["issued"] != issued or not asked.is_alive(),
               "a stamp for the write")
    sites.oslo.sidecar.kill()
    asked.join()
    sites.oslo.sidecar.start()
    sites.wait_converged(["shop"])
    sites.oslo.client().outrigger.command({"choose": entry["_id"]})
    both_have(sites, who=[{"n": "Bo", "v": 1}])
