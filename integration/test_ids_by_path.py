"""An upsert may give its document an `_id` by a path below it: what such an `_id` may be."""

import bson
import pytest
from pymongo.errors import PyMongoError


@pytest.fixture
def shop(pair, request):
    """The test's collection through the sidecar of oslo, and through that of paris."""
    return pair.collections(request.node.name)


NO_ID = {
    "in the update": ({"a": 1}, {"$setOnInsert": {"_id.k": {"$d": 1}}}),
    "in a list": ({"a": 1}, {"$set": {"_id.k": ["x", {"z": 5, "$d": 1}]}}),
    "as a path": ({"a": 1}, {"$set": {"_id.$d": 1}}),
    "pushed": ({"a": 1}, {"$push": {"_id.k": {"$each": [{"$d": 1}]}}}),
    "added": ({"a": 1}, {"$addToSet": {"_id.k": {"$d": 1}}}),
    "counted": ({"a": 1}, {"$inc": {"_id.$n": 1}}),
    "in the filter": ({"_id.k": {"$eq": {"$d": 1}}}, {"$set": {"a": 1}}),
    "among conditions": ({"$and": [{"_id.k": [{"$d": 1}]}, {"a": 1}]}, {"$set": {"b": 1}}),
    "the only one of a list": ({"_id.k": {"$in": [[{"$d": 1}]]}}, {"$set": {"b": 1}}),
    "a pipeline that does nothing": ({"_id.k": {"$eq": {"$d": 1}}}, [{"$unset": "nope"}]),
    "a pipeline that says none": ({"_id.k": {"$eq": {"$d": 1}}}, [{"$replaceWith": {"a": 1}}]),
    "a pipeline without it": ({"_id.k": {"$eq": {"$d": 1}}}, [{"$project": {"_id": 0}}]),
    "half a reference": ({"a": 1}, {"$set": {"_id.k": {"$ref": 5, "$id": 1}}}),
    "a reference to no database": ({"a": 1},
                                   {"$set": {"_id.k": {"$ref": "c", "$id": 1, "$db": 5}}}),
    "the scope of code": ({"a": 1}, {"$set": {"_id.k": bson.Code("f", {"$d": 1})}}),
    "renamed": ({"a": {"$eq": {"$d": 1}}}, {"$rename": {"a": "_id.k"}}),
}
AN_ID = {
    "a number": ({"a": 1}, {"$setOnInsert": {"_id.k": 1}}),
    "by the filter": ({"_id.k": 2}, {"$set": {"a": 1}}),
    "a document": ({"a": 3}, {"$set": {"_id.k": {"b": [{"c": 1}]}}}),
    "a reference": ({"a": 4}, {"$setOnInsert": {"_id.k": bson.DBRef("c", 1)}}),
    "all of one that matches": ({"_id.j": 2, "_id.k": {"$all": [{"$elemMatch": {"a": 1}}]}},
                                {"$set": {"b": 1}}),
    "a condition of others": ({"_id.k": {"$gt": 9}, "a": 5}, {"$set": {"b": 1}}),
    "pushed": ({"a": 6}, {"$push": {"_id.k": {"$each": [1, "x"]}, "list": 1}}),
    "added": ({"a": 7}, {"$addToSet": {"_id.k": 1}}),
    "counted": ({"a": 8}, {"$inc": {"_id.k": 1, "n": 1}}),
    "counted by year": ({"a": 9}, {"$inc": {"_id.2024": 1, "years.2024": 1}}),
    "the larger": ({"a": 10}, {"$max": {"_id.k": 1}}),
}
NO_CHANGE = {
    "set": {"$set": {"_id.k": 1, "n": 1}},
    "counted": {"$inc": {"_id.k": 0, "n": 1}},
    "counted by year": {"$inc": {"_id.2024": 0, "n": 1}},
    "pulled": {"$pull": {"_id.list": 9}, "$push": {"n": 1}},
    "added": {"$addToSet": {"_id.list": 1}, "$inc": {"n": 1}},
    "unset": {"$unset": {"_id.none": ""}, "$inc": {"n": 1}},
    "the larger": {"$max": {"_id.k": 0}, "$inc": {"n": 1}},
    "elements": {"$set": {"_id.list.0": 1}, "$inc": {"n": 1}},
}


@pytest.mark.parametrize("way", NO_ID)
def test_an_upsert_whose_id_no_insert_may_have_is_refused(pair, shop, way):
    """mongod takes it, and then lets nobody replace the document: no other site can be given it."""
    filter_, update = NO_ID[way]
    bare = pair.oslo.direct().bare[f"bare {way}"]
    made = bare.update_one(filter_, update, upsert=True).upserted_id
    with pytest.raises(PyMongoError) as refused:
        bare.replace_one({"_id": {"$eq": made}}, {"c": 1})
    assert refused.value.code == 52
    for change in (lambda: shop[0].update_one(filter_, update, upsert=True),
                   lambda: shop[0].update_many(filter_, update, upsert=True),
                   lambda: shop[0].find_one_and_update(filter_, update, upsert=True)):
        with pytest.raises(PyMongoError) as refused:
            change()
        assert refused.value.code == 52 and "$" in str(refused.value)
    assert shop[0].update_one(filter_, update).matched_count == 0
    assert shop[0].find_one() is None


@pytest.mark.parametrize("way", AN_ID)
def test_an_upsert_gives_an_id_by_a_path(pair, shop, way):
    filter_, update = AN_ID[way]
    assert shop[0].update_one(filter_, update, upsert=True).upserted_id is not None
    pair.wait_converged(["shop"])
    assert shop[1].find_one() == shop[0].find_one()


@pytest.mark.parametrize("way", NO_CHANGE)
def test_an_update_may_name_what_is_in_an_id_and_leave_it(pair, shop, way):
    an_id = {"k": 1, "2024": 5, "list": [1]}
    shop[0].insert_one({"_id": an_id})
    pair.wait_converged(["shop"])
    assert shop[0].update_one({"_id": an_id}, NO_CHANGE[way]).modified_count == 1
    pair.wait_converged(["shop"])
    shop[1].update_one({"_id": an_id}, NO_CHANGE[way])
    pair.wait_converged(["shop"])
    assert shop[1].find_one() == shop[0].find_one()
