"""The database `outrigger`: status, peers and conflicts for any driver, by the app's own rights."""

import datetime

import pymongo
import pytest

from waiting import wait_until

DOCUMENTS = 30
LOST_BYTES = 100_000


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def apart(request, tmp_path_factory):
    """Two sites after each has set the same fields while they could not talk: of each document one
    small and one large value is lost, more than a page of the ledger together."""
    from cluster import Cluster
    with Cluster(tmp_path_factory.mktemp("apart"), replica_set=request.param) as cluster:
        cluster.cut("oslo", "paris")
        for name, site in cluster.sites.items():
            things = site.app().shop.things
            for number in range(DOCUMENTS):
                things.update_one({"_id": number}, {"$set": {
                    "small": f"{name} {number}", "large": name[0] * LOST_BYTES}}, upsert=True)
        cluster.heal_all()
        cluster.wait_converged(["shop"])
        for site in cluster.sites.values():
            wait_until(lambda: site.app().outrigger.conflicts.count_documents({}) == 2 * DOCUMENTS,
                       "all that was lost")
        yield cluster


@pytest.fixture
def conflicts(apart):
    return apart.oslo.app().outrigger.conflicts


def test_conflicts_are_found_by_what_they_are_of(conflicts):
    entry = conflicts.find_one({"namespace": "shop.things", "document": 7, "path": "small"})
    assert entry["kind"] == "insert_insert" and entry["state"] == "auto"
    assert {entry["lost"], entry["won"]} == {"oslo 7", "paris 7"}
    assert isinstance(entry["time"], datetime.datetime)
    assert conflicts.find_one({"_id": entry["_id"]}) == entry
    assert conflicts.find_one({"state": "open"}) is None
    assert conflicts.find_one({"lost": "nobody's"}) is None


def test_both_sites_tell_the_same_of_a_conflict(apart, conflicts):
    there = apart.paris.app().outrigger.conflicts
    for entry in conflicts.find({"path": "small"}):
        assert there.find_one({"_id": entry["_id"]}) == entry


def test_they_are_sorted_cut_and_projected_by_mongod(conflicts):
    small = list(conflicts.find({"path": "small"}, {"_id": 0, "document": 1}).sort("document", -1)
                 .skip(2).limit(3))
    assert small == [{"document": DOCUMENTS - 3 - i} for i in range(3)]
    newest = list(conflicts.find({}, {"lost": 0}).limit(5))
    assert len(newest) == 5 and all(not {"lost"} & entry.keys() for entry in newest)
    assert newest[0]["time"] >= newest[-1]["time"]
    assert conflicts.count_documents({"path": "large"}) == DOCUMENTS
    assert conflicts.estimated_document_count() == 2 * DOCUMENTS
    assert conflicts.count_documents({"path": "none"}) == 0
    assert sorted(conflicts.distinct("path")) == ["large", "small"]
    by_path = conflicts.aggregate([
        {"$match": {"document": {"$lt": 10}}}, {"$group": {"_id": "$path", "n": {"$sum": 1}}},
        {"$sort": {"_id": 1}}])
    assert list(by_path) == [{"_id": "large", "n": 10}, {"_id": "small", "n": 10}]


def test_more_than_an_answer_holds_is_refused_by_name(conflicts):
    first = list(conflicts.find().limit(40))
    assert len(first) == 40  # 4 MB of values
    with pytest.raises(pymongo.errors.OperationFailure, match="unknown top level operator"):
        conflicts.find_one({"$nonsense": 1})
    with pytest.raises(pymongo.errors.OperationFailure) as refused:
        conflicts.aggregate([{"$unwind": {"path": "$path"}}, {"$addFields": {
            "copies": {"$map": {"input": {"$range": [0, 9]}, "in": "$lost"}}}}])
    assert refused.value.code == 146 and "narrower filter" in str(refused.value)
    with pytest.raises(pymongo.errors.OperationFailure, match="changeStream"):
        conflicts.watch().try_next()


def test_status_and_peers_are_read_like_any_document(apart):
    own = apart.oslo.app().outrigger
    status = own.status.find_one()
    assert status["_id"] == "oslo" and status["ledger"]["entries"] == 2 * DOCUMENTS
    assert own.status.find_one({"not_applied": {"$gt": 0}}) is None
    assert own.status.distinct("peers.site") == ["paris"]
    (peer,) = own.peers.find({"state": "open"})
    assert peer["_id"] == "paris" and peer["records_behind"] == 0
    assert sorted(own.list_collection_names()) == ["conflicts", "peers", "status"]
    assert own.nothing.find_one() is None


def test_nobody_writes_there(conflicts):
    with pytest.raises(pymongo.errors.PyMongoError):
        conflicts.insert_one({"a": 1})
    with pytest.raises(pymongo.errors.PyMongoError):
        conflicts.drop()
    with pytest.raises(pymongo.errors.OperationFailure, match="not replicated"):
        conflicts.aggregate([{"$out": {"db": "shop", "coll": "copy"}}])


def test_the_apps_own_rights_decide(make_cluster):
    oslo = make_cluster(("oslo",), auth=True).start().oslo
    oslo.mongod.add_user("reader", "pass", [{"role": "read", "db": "outrigger"}])
    oslo.mongod.add_user("other", "pass", [{"role": "read", "db": "shop"}])

    def own_database(user):
        uri = oslo.mongod.uri(user, "pass").replace(oslo.mongod.address, oslo.sidecar.proxy_address)
        return pymongo.MongoClient(uri, serverSelectionTimeoutMS=10000).outrigger

    assert own_database("reader").status.find_one()["_id"] == "oslo"
    other = own_database("other")
    stranger = pymongo.MongoClient(oslo.sidecar.proxy_address, directConnection=True).outrigger
    for ask in (lambda: other.status.find_one(),
                lambda: list(other.conflicts.aggregate([{"$match": {}}])),
                lambda: stranger.peers.count_documents({}),
                lambda: stranger.command("aggregate", "conflicts", pipeline=[{}], cursor={})):
        with pytest.raises(pymongo.errors.OperationFailure) as refused:
            ask()
        assert refused.value.code == 13
    with pytest.raises(pymongo.errors.OperationFailure):
        stranger.command("aggregate", "conflicts", pipeline=[1, None, "x"], cursor={})
    assert own_database("reader").status.find_one()["_id"] == "oslo"
