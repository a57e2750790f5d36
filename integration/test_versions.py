"""Optimistic locking: guarded updates that pass at two sites apart never mix their fields."""

import pymongo
import pytest
from pymongo.errors import AutoReconnect

from choices import entry_of
from cluster import Cluster
from impostor import Impostor, lose
from waiting import wait_until

RULES = [
    {"namespace": "shop.kept_*", "version_field": "__v", "deletes": "update_wins"},
    {"namespace": "shop.mapped_*", "version_field": "__v", "replaces": "diff"},
    {"namespace": "shop.*", "version_field": "__v"},
]


STANDALONE = pytest.param(False, id="standalone", marks=pytest.mark.long)


@pytest.fixture(scope="module", params=[pytest.param(True, id="replica_set"), STANDALONE])
def pair(request, tmp_path_factory):
    """Two sites; what lies between the sidecar of oslo and its store may lose something."""
    cluster = Cluster(tmp_path_factory.mktemp("pair"), replica_set=request.param,
                      settings={"replicate": RULES})
    for site in cluster:
        site.mongod.start()
    cluster.impostor = Impostor(cluster.oslo.mongod.port)
    uri = f"mongodb://127.0.0.1:{cluster.impostor.port}/?directConnection=true"
    cluster.oslo.sidecar.settings["store"]["uri"] = uri
    for site in cluster:
        site.sidecar.start()
    yield cluster
    cluster.impostor.close()
    cluster.discard()


@pytest.fixture
def orders(pair, request):
    prefix = getattr(request, "param", "")
    collections = pair.collections(prefix + request.node.name)
    collections[0].insert_one({"_id": 1, "__v": 7, "qty": 1, "price": 5, "tags": ["a"]})
    pair.wait_converged(["shop"])
    return collections


def guarded(collection, session=None, **fields):
    """As object mappers save: nothing is written unless the version is the one that was read."""
    done = collection.update_one({"_id": 1, "__v": 7}, {"$set": fields, "$inc": {"__v": 1}},
                                 session=session)
    assert done.modified_count == 1


def test_of_two_guarded_updates_one_stands_whole_and_the_other_can_be_chosen(pair, orders):
    with pair.apart("oslo", "paris"):
        guarded(orders[0], qty=2, tags=["b"])
        guarded(orders[1], price=6)
    assert pair.one_alike(orders) == {"_id": 1, "__v": 8, "qty": 1, "price": 6, "tags": ["a"]}
    lost = {"_id": 1, "__v": 8, "qty": 2, "price": 5, "tags": ["b"]}
    for site in pair:
        entry = entry_of(site, namespace=orders[0].full_name)
        assert (entry["path"], entry["kind"], entry["lost"]) == ("", "set_set", lost)
        assert entry["rule"] == "version_field"
    pair.paris.app().outrigger.command({"choose": entry["_id"]})
    assert pair.one_alike(orders) == lost
    pair.paris.app().outrigger.command({"revert": entry["_id"]})
    assert pair.one_alike(orders)["price"] == 6


@pytest.mark.parametrize("orders", ["mapped_"], indirect=True)
def test_a_chosen_version_is_one_whatever_it_changes(pair, orders):
    with pair.apart("oslo", "paris"):
        guarded(orders[0], qty=2)
        guarded(orders[1], price=6)
    name = entry_of(pair.paris, namespace=orders[0].full_name)["_id"]
    with pair.apart("oslo", "paris"):
        pair.paris.app().outrigger.command({"choose": name})
        orders[0].update_one({"_id": 1, "__v": 8}, {"$set": {"tags": ["c"]}, "$inc": {"__v": 1}})
    assert pair.one_alike(orders) == {"_id": 1, "__v": 9, "qty": 1, "price": 6, "tags": ["c"]}


@pytest.mark.parametrize("orders", ["kept_"], indirect=True)
def test_a_version_that_a_delete_had_not_seen_keeps_the_document(pair, orders):
    with pair.apart("oslo", "paris"):
        guarded(orders[0], qty=2)
        orders[1].delete_one({"_id": 1})
    assert pair.one_alike(orders) == {"_id": 1, "__v": 8, "qty": 2, "price": 5, "tags": ["a"]}


def test_a_version_loses_to_a_document_made_anew(pair, orders):
    with pair.apart("oslo", "paris"):
        guarded(orders[0], qty=2)
        orders[1].delete_one({"_id": 1})
        orders[1].insert_one({"_id": 1, "__v": 0, "qty": 9})
    assert pair.one_alike(orders) == {"_id": 1, "__v": 0, "qty": 9}


def test_what_was_written_into_the_one_that_loses_is_not_in_its_entry(pair, orders):
    with pair.apart("oslo", "paris"):
        guarded(orders[0], qty=2)
        orders[0].update_one({"_id": 1}, {"$inc": {"seen": 1}, "$set": {"note": "x"}})
        guarded(orders[1], price=6)
    lost = {"_id": 1, "__v": 8, "qty": 2, "price": 5, "tags": ["a"]}
    for site in pair:
        entry = entry_of(site, namespace=orders[0].full_name, path="")
        assert (entry["lost"], entry["kind"]) == (lost, "set_set")
    assert pair.one_alike(orders)["seen"] == 1


def test_many_versions_at_once_are_versions_each(pair, orders):
    orders[0].insert_one({"_id": 2, "__v": 7, "qty": 1})
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        done = orders[0].update_many({"__v": 7}, {"$set": {"qty": 2}, "$inc": {"__v": 1}})
        assert done.modified_count == 2
        guarded(orders[1], price=6)
    assert pair.one_alike(orders)["qty"] == 1
    assert pair.one_alike(orders, 2) == {"_id": 2, "__v": 8, "qty": 2}


def test_before_a_version_is_written_the_document_is_not_read(pair, orders):
    if not pair.oslo.mongod.replica_set:
        pytest.skip("the document before is what tells there after a crash")
    requests = []
    pair.impostor.swallow = lambda request, own: requests.append(request[:150])
    guarded(orders[0], qty=2)
    pair.impostor.swallow = None
    name = orders[0].name.encode()
    reads = [each for each in requests if b"find\0" in each and name in each]
    # One asks whether the collection is known by its uuid, and for no document.
    assert len([each for each in reads if b"$alwaysFalse" not in each]) == 1


WRITES = {
    "findAndModify": lambda c: c.find_one_and_update(
        {"__v": 7}, {"$push": {"tags": "b"}, "$inc": {"__v": 1}}),
    "updateMany": lambda c: c.update_many({"qty": 1}, {"$set": {"qty": 2, "__v": 8}}),
    "pipeline": lambda c: c.update_one({"_id": 1}, [{"$set": {"qty": 2, "__v": 8}}]),
    "replaceOne": lambda c: c.replace_one({"_id": 1, "__v": 7}, {"__v": 8, "qty": 2}),
    "bulkWrite": lambda c: c.bulk_write([
        pymongo.UpdateOne({"_id": 1}, {"$set": {"qty": 2}}),
        pymongo.UpdateOne({"_id": 1, "__v": 7}, {"$inc": {"__v": 1}})]),
}


@pytest.mark.parametrize("how", [
    how if how in ("findAndModify", "pipeline", "bulkWrite")
    else pytest.param(how, marks=pytest.mark.long) for how in WRITES])
def test_whatever_names_the_version_gives_the_whole_document(pair, orders, how):
    with pair.apart("oslo", "paris"):
        WRITES[how](orders[0])
        guarded(orders[1], price=6)
    assert pair.one_alike(orders) == {"_id": 1, "__v": 8, "qty": 1, "price": 6, "tags": ["a"]}


def test_other_writes_merge_beside_a_version(pair, orders):
    with pair.apart("oslo", "paris"):
        guarded(orders[0], qty=2)
        orders[1].update_one({"_id": 1}, {"$set": {"note": "fragile"}, "$inc": {"seen": 1}})
    assert pair.one_alike(orders) == {"_id": 1, "__v": 8, "qty": 2, "price": 5, "tags": ["a"],
                                      "note": "fragile", "seen": 1}


def test_what_upserts_make_with_a_version_is_not_mixed(pair, orders):
    with pair.apart("oslo", "paris"):
        for collection, field in zip(orders, ("qty", "price")):
            collection.update_one({"_id": 2}, {"$set": {field: 1}, "$setOnInsert": {"__v": 0}},
                                  upsert=True)
    assert pair.one_alike(orders, 2) == {"_id": 2, "price": 1, "__v": 0}


def test_a_version_given_in_a_transaction_is_whole(pair, orders):
    if not pair.oslo.mongod.replica_set:
        pytest.skip("a standalone knows no transactions")
    with pair.apart("oslo", "paris"):
        client = orders[0].database.client
        with client.start_session() as session, session.start_transaction():
            orders[0].update_one({"_id": 1}, {"$set": {"tags": ["t"]}}, session=session)
            guarded(orders[0], session=session, qty=2)
            orders[0].update_one({"_id": 1}, {"$inc": {"price": 1}}, session=session)
        guarded(orders[1], price=9)
    assert pair.one_alike(orders) == {"_id": 1, "__v": 8, "qty": 1, "price": 9, "tags": ["a"]}
    assert entry_of(pair.paris, namespace=orders[0].full_name)["lost"] == {
        "_id": 1, "__v": 8, "qty": 2, "price": 6, "tags": ["t"]}


@pytest.mark.parametrize("answered", [
    pytest.param(True, id="answer_lost"),
    pytest.param(False, id="command_lost", marks=pytest.mark.long)])
def test_a_version_whose_answer_was_lost_is_whole_or_never_was(pair, orders, answered):
    app = pair.oslo.client(retryWrites=False).shop[orders[0].name]
    with pair.apart("oslo", "paris"):
        lose(pair.impostor, b"update", answered=answered)
        with pytest.raises(AutoReconnect):
            guarded(app, qty=2)
        wait_until(lambda: pair.oslo.status()["open_writes"] == 0, "the doubt settled")
        guarded(orders[1], price=6)
    assert pair.one_alike(orders) == {"_id": 1, "__v": 8, "qty": 1, "price": 6, "tags": ["a"]}
    found = list(pair.paris.app().outrigger.conflicts.find({"namespace": orders[0].full_name}))
    assert [(each["path"], each["lost"]["qty"]) for each in found] == [("", 2)] * answered


def lose_and_fall_silent(impostor, name):
    """The answer to the next such command is lost, and mongod is not reached any more."""
    def silent(request, is_own):
        raise ConnectionError

    def strike(request, is_own):
        if name + b"\0" in request[:60]:
            impostor.swallow = silent
            raise ConnectionError

    impostor.lie = strike


# The last: the stamps of a site that was killed lie some seconds ahead for a while.
def test_a_version_in_doubt_when_the_sidecar_is_killed_is_whole(pair, orders):
    app = pair.oslo.client(retryWrites=False, socketTimeoutMS=500).shop[orders[0].name]
    app.find_one()
    with pair.apart("oslo", "paris"):
        guarded(orders[1], price=6)
        lose_and_fall_silent(pair.impostor, b"update")
        with pytest.raises(AutoReconnect):
            guarded(app, qty=2)
        assert pair.oslo.status()["open_writes"] == 1
        pair.oslo.sidecar.kill()
        pair.impostor.lie = pair.impostor.swallow = None
        pair.oslo.sidecar.start()
        pair.oslo.wait_served()
    assert pair.one_alike(orders) == {"_id": 1, "__v": 8, "qty": 2, "price": 5, "tags": ["a"]}
    assert entry_of(pair.paris, namespace=orders[0].full_name)["lost"]["price"] == 6
