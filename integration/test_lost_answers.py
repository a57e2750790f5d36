"""Writes whose answer gets lost between mongod and the sidecar, and those that never came there.

What they did is found out afterwards: in the oplog, or by a look at the document. Either way the
site and its peer hold one thing, the documents are free again, and nothing was done twice.
"""

import uuid
from datetime import datetime

import bson
import pymongo
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.errors import AutoReconnect

from cluster import Cluster
from impostor import Impostor, lose
from waiting import wait_until

@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def sites(request, tmp_path_factory):
    """Two sites; what lies between the sidecar of oslo and its store may lose something."""
    cluster = Cluster(tmp_path_factory.mktemp("lost"), replica_set=request.param)
    for site in cluster:
        site.mongod.start()
    impostor = Impostor(cluster.oslo.mongod.port)
    uri = f"mongodb://127.0.0.1:{impostor.port}/?directConnection=true"
    cluster.oslo.sidecar.settings["store"]["uri"] = uri
    for site in cluster:
        site.sidecar.start()
    cluster.impostor = impostor
    cluster.replica_set = request.param
    yield cluster
    impostor.close()
    cluster.discard()


AFTER = pymongo.ReturnDocument.AFTER
NEW = {"f": "new"}


def before(name):
    return {"_id": name, "n": 5, "f": "old", "k": name}


# How the document `i` is written, and what it is then; it is found by `k`, too.
WRITES = {
    "set": (lambda c, i: c.find_one_and_update({"_id": i}, {"$set": NEW}), NEW),
    "set_shown_after": (lambda c, i: c.find_one_and_update(
        {"_id": i}, {"$set": NEW}, return_document=AFTER), NEW),
    "set_projected": (lambda c, i: c.find_one_and_update(
        {"_id": i}, {"$set": NEW}, projection={"n": 1}), NEW),
    "set_what_is_so": (lambda c, i: c.find_one_and_update({"_id": i}, {"$set": {"f": "old"}}), {}),
    "set_found": (lambda c, i: c.find_one_and_update(
        {"k": i}, {"$set": NEW}, sort=[("n", 1)]), NEW),
    "set_what_it_was_found_by": (lambda c, i: c.find_one_and_update(
        {"k": i}, {"$set": {"k": "taken"}}, return_document=AFTER), {"k": "taken"}),
    "set_narrowed": (lambda c, i: c.find_one_and_update(
        {"_id": i, "n": 5}, {"$set": {"n": 6}}), {"n": 6}),
    "unset": (lambda c, i: c.find_one_and_update({"_id": i}, {"$unset": {"f": ""}}), {"f": None}),
    "increment": (lambda c, i: c.find_one_and_update({"_id": i}, {"$inc": {"n": 1}}), {"n": 6}),
    "increment_shown_after": (lambda c, i: c.find_one_and_update(
        {"_id": i}, {"$set": NEW, "$inc": {"n": 1}}, return_document=AFTER), {**NEW, "n": 6}),
    "pipeline": (lambda c, i: c.find_one_and_update(
        {"_id": i}, [{"$set": {"n": {"$add": ["$n", 1]}}}]), {"n": 6}),
    "pipeline_shown_after": (lambda c, i: c.find_one_and_update(
        {"_id": i}, [{"$set": {"n": {"$add": ["$n", 1]}}}], return_document=AFTER), {"n": 6}),
    "replace": (lambda c, i: c.find_one_and_replace({"_id": i}, {"f": "new"}),
                {"n": None, "f": "new", "k": None}),
    "upsert": (lambda c, i: c.find_one_and_update({"_id": i}, {"$set": NEW}, upsert=True), NEW),
    "remove": (lambda c, i: c.find_one_and_delete({"_id": i}), None),
    "remove_found": (lambda c, i: c.find_one_and_delete({"k": i}, sort=[("n", -1)]), None),
    "replace_one": (lambda c, i: c.replace_one({"_id": i}, {"f": "new"}),
                    {"n": None, "f": "new", "k": None}),
    "update_found": (lambda c, i: c.update_one({"k": i}, {"$set": NEW}), NEW),
    "update_all_found": (lambda c, i: c.update_many({"k": i}, {"$set": {"k": "taken"}}),
                         {"k": "taken"}),
    "update_by_pipeline": (lambda c, i: c.update_one({"_id": i}, [{"$set": NEW}]), NEW),
    "push": (lambda c, i: c.update_one({"_id": i}, {"$push": {"list": 1}}), {"list": [1]}),
    "count_or_make": (lambda c, i: c.update_one(
        {"_id": i}, {"$inc": {"sub.n": 1, "years.2024": 2, "n": 1}}, upsert=True),
        {"sub": {"n": 1}, "years": {"2024": 2}, "n": 6}),
    "count_found_or_make": (lambda c, i: c.update_many(
        {"k": i}, {"$inc": {"sub.n": 1}}, upsert=True), {"sub": {"n": 1}}),
    "push_or_make": (lambda c, i: c.update_one(
        {"_id": i}, {"$push": {"sub.list": 1}, "$set": {"sub.x": 1}}, upsert=True),
        {"sub": {"list": [1], "x": 1}}),
}


def written(name, changed):
    if changed is None:
        return None
    return {key: value for key, value in {**before(name), **changed}.items() if value is not None}


def write_anew(sites, names, w, **options):
    """The collection as an app sees it, with documents that are stable everywhere."""
    things = sites.oslo.client(w=w, **options).shop.things
    things.delete_many({})
    things.insert_many([before(name) for name in names])
    sites.wait_converged(["shop"])
    sites.wait_quiet()
    return things


def assert_settled(sites, expected):
    """`expected`: documents, None: there is none, by _id."""
    wait_until(lambda: sites.oslo.status()["open_writes"] == 0, "the doubts settled")
    sites.wait_converged(["shop"])
    found = {document["_id"]: document for document in sites.paris.direct().shop.things.find()}
    assert found == {name: document for name, document in expected.items() if document}
    sites.wait_quiet()


@pytest.mark.parametrize("w", [1, pytest.param("majority", marks=pytest.mark.long)])
@pytest.mark.parametrize("answered", [True, False], ids=["answer_lost", "command_lost"])
def test_a_lost_answer_leaves_the_write_done_or_not_and_never_half(sites, answered, w):
    things = write_anew(sites, WRITES, w, retryWrites=False)
    for name, (write, _) in WRITES.items():
        lost = lose(sites.impostor, b"findAndModify", b"update", answered=answered)
        with pytest.raises(AutoReconnect):
            write(things, name)
        assert len(lost) == 1, name
    expected = {name: written(name, changed) if answered else before(name)
                for name, (_, changed) in WRITES.items()}
    assert_settled(sites, expected)
    # Nothing is left of the doubt: its documents are free, and what comes next counts once.
    there = sites.paris.app().shop.things
    for one in (there, things):
        for name in WRITES:
            one.update_one({"_id": name}, {"$inc": {"next": 1}}, upsert=True)
        sites.wait_converged(["shop"])
    assert all(document["next"] == 2 for document in sites.paris.direct().shop.things.find())


UPDATES = {
    "set": ({"$set": NEW}, NEW),
    "increment": ({"$inc": {"n": 1}}, {"n": 6}),
    "push": ({"$push": {"list": 1}}, {"list": [1]}),
    "pipeline": ([{"$set": {"n": 6}}], {"n": 6}),
}


@pytest.mark.parametrize("answered", [True, False], ids=["answer_lost", "command_lost"])
def test_a_driver_that_sends_it_again_gets_the_document_it_asked_for(sites, answered):
    if not sites.replica_set:
        pytest.skip("a standalone knows no retries")
    names = {f"{update}_{after}": (*UPDATES[update], after)
             for update in UPDATES for after in (False, True)}
    things = write_anew(sites, names, 1, retryWrites=True)
    for name, (update, changed, after) in names.items():
        lost = lose(sites.impostor, b"findAndModify", answered=answered)
        found = things.find_one_and_update({"_id": name}, update, return_document=after)
        assert len(lost) == 1
        assert found == (written(name, changed) if after else before(name))
    assert_settled(sites, {name: written(name, changed)
                           for name, (_, changed, _) in names.items()})


def test_what_is_found_and_modified_is_at_the_peer(sites):
    updates = {**UPDATES, "replace": ({"n": 7}, {"n": 7, "f": None, "k": None})}
    names = {f"{update}_{after}_{projects}": (*updates[update], after, projects)
             for update in updates for after in (False, True) for projects in (False, True)}
    things = write_anew(sites, names, 1)
    for name, (update, changed, after, projects) in names.items():
        write = things.find_one_and_replace if "n" in update else things.find_one_and_update
        found = write({"_id": name}, update, projection={"n": 1} if projects else None,
                      return_document=after)
        shown = written(name, changed) if after else before(name)
        assert found == {key: value for key, value in shown.items()
                         if not projects or key in ("_id", "n")}, name
    assert_settled(sites, {name: written(name, changed)
                           for name, (_, changed, _, _) in names.items()})


IDS = [5, 5.5, bson.Int64(6), "text", bson.ObjectId(), uuid.UUID(int=7), {"a": 1}, True,
       datetime(2020, 1, 1)]
# By which _id a document is asked for, and what it is replaced by: of numbers another type is one.
REPLACED = [(i, i, {"b": 2}) for i in IDS] + [(i, i, {"b": 2, "_id": i}) for i in IDS] + [
    (5, 5.0, {"b": 2}), (5, 5.0, {"_id": bson.Int64(5), "b": 2}), (5, 5, {"_id": 5.0, "b": 2}),
    (5, 5, {"t": bson.Timestamp(0, 0)}), (5, 5, {"_id": 5, "t": bson.Timestamp(0, 0)}),
    (5, 5, {"_id": 5, "a": [1, {"_id": 2, "t": bson.Timestamp(0, 0)}]})]


def test_a_replaced_document_has_the_same_bytes_everywhere(sites):
    things = sites.oslo.client(w=1, uuidRepresentation="standard").shop.things
    for stored, asked, replacement in REPLACED:
        things.delete_many({})
        things.insert_one({"_id": stored, "a": 1})
        assert things.replace_one({"_id": asked}, replacement).modified_count == 1
        sites.wait_converged(["shop"])
        here, there = (site.direct().shop.things.with_options(
            codec_options=bson.CodecOptions(document_class=RawBSONDocument)).find_one()
            for site in sites)
        assert here.raw == there.raw, (stored, asked, replacement)
    sites.wait_quiet()
