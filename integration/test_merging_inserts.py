"""Documents of one _id that two sites insert apart, under `inserts: merge`."""

import pymongo
import pytest

RULES = [{"namespace": "shop.*", "inserts": "merge"}]


@pytest.fixture(params=[True, False], ids=["replica_set", "standalone"])
def sites(make_cluster, request):
    return make_cluster(replica_set=request.param, settings={"replicate": RULES}).start()


def people(site):
    return site.app().shop.people


def all_hold(sites, documents):
    sites.wait_converged(["shop"])
    for site in sites:
        assert list(site.direct().shop.people.find().sort("_id")) == documents


def test_the_fields_of_both_stand_whatever_inserts_them(sites):
    oslo = sites.oslo.app()
    with sites.apart("oslo", "paris"):
        people(sites.oslo).insert_many([{"_id": i, "a": {"x": i}, "n": 1} for i in range(3)])
        people(sites.paris).insert_many([{"_id": i, "a": {"y": i}} for i in (0, 1)])
        people(sites.paris).update_one({"_id": 2}, {"$set": {"a.y": 2}}, upsert=True)
        people(sites.paris).update_one({"_id": 0}, {"$inc": {"n": 2}})
        people(sites.paris).insert_one({"_id": 3, "b": 1})
        if sites.oslo.mongod.replica_set:
            with oslo.start_session() as session, session.start_transaction():
                oslo.shop.people.insert_one({"_id": 3, "a": 1}, session=session)
        else:
            oslo.shop.people.insert_one({"_id": 3, "a": 1})
        sites.oslo.sidecar.kill()  # what it had told nobody it tells as merging, still
        sites.oslo.sidecar.start()
    all_hold(sites, [{"_id": 0, "a": {"x": 0, "y": 0}, "n": 3},
                     {"_id": 1, "a": {"x": 1, "y": 1}, "n": 1},
                     {"_id": 2, "a": {"x": 2, "y": 2}, "n": 1}, {"_id": 3, "a": 1, "b": 1}])
    assert not list(sites.paris.app().outrigger.conflicts.find())
    with sites.apart("oslo", "paris"):
        for site in sites:
            people(site).insert_one({"_id": 4, "a": site.name})
    sites.wait_converged(["shop"])
    for site in sites:
        entry, = site.app().outrigger.conflicts.find()
        assert (entry["path"], entry["kind"], entry["rule"]) == (
            "a", "insert_insert", "inserts: merge")


def test_who_deletes_and_inserts_again_has_a_new_document(sites):
    people(sites.oslo).insert_one({"_id": 1, "a": 1})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        people(sites.paris).delete_one({"_id": 1})
        people(sites.paris).insert_one({"_id": 1, "b": 1})
    all_hold(sites, [{"_id": 1, "b": 1}])
    with pytest.raises(pymongo.errors.DuplicateKeyError):  # at one site as ever
        people(sites.oslo).insert_one({"_id": 1})
