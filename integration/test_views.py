"""Views travel as collections do; no document is theirs."""

import pymongo
import pymongo.errors
import pytest

from test_catalog import FORMS, catalogue, is_there, wait_alike
from waiting import wait_until


@pytest.fixture
def sites(make_cluster, replica_set):
    return make_cluster(replica_set=replica_set).start()


@FORMS
def test_a_view_is_shown_changed_and_taken_away_at_every_site(sites):
    shop, paris = sites.oslo.app().shop, sites.paris.app().shop
    shop.things.insert_many([{"_id": i, "n": i} for i in range(5)])
    shop.create_collection("many", viewOn="things", pipeline=[{"$match": {"n": {"$gt": 2}}}],
                           collation={"locale": "en", "strength": 2})
    wait_alike(sites)
    assert [each["_id"] for each in paris.many.find().sort("_id")] == [3, 4]
    paris.command("collMod", "many", viewOn="things", pipeline=[{"$match": {"n": 1}}])
    wait_alike(sites)
    assert [each["_id"] for each in shop.many.find()] == [1]
    with pytest.raises(pymongo.errors.OperationFailure, match="view"):
        shop.many.insert_one({"_id": 9})
    paris.many.drop()
    wait_alike(sites)
    assert not is_there(sites.oslo, "many") and shop.things.count_documents({}) == 5
    shop.create_collection("many", viewOn="many_more", pipeline=[])
    shop.many_more.insert_one({"_id": 1})
    wait_alike(sites)
    assert paris.many.find_one() == {"_id": 1}


@FORMS
def test_of_a_view_and_a_collection_of_one_name_each_stays_where_it_is(sites):
    shop, paris = sites.oslo.app().shop, sites.paris.app().shop
    sites.cut("oslo", "paris")
    shop.create_collection("seen", viewOn="things", pipeline=[])
    paris.seen.insert_one({"_id": 1})
    shop.create_collection("views", viewOn="things", pipeline=[])
    paris.create_collection("views", viewOn="others", pipeline=[{"$match": {"a": 1}}])
    sites.heal_all()
    wait_until(lambda: all(any(loser["namespace"] == "outrigger.catalog"
                               for loser in site.sidecar.conflicts(20)) for site in sites),
               "both sites say so")
    wait_until(lambda: sites.oslo.status()["not_applied"] > 0, "a document that meets a view")
    options = [catalogue(site.direct())["views"][1] for site in sites]
    assert options[0] == options[1] and options[0]["viewOn"] == "others"
    paris.seen.drop()
    wait_alike(sites)
    assert shop.seen.options() == paris.seen.options()
