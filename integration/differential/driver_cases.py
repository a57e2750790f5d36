"""What an app does with PyMongo: every function takes a collection and gives what the app sees."""

import pymongo
from bson import ObjectId
from pymongo import (DeleteMany, DeleteOne, InsertOne, ReplaceOne, ReturnDocument, UpdateMany,
                     UpdateOne)
from pymongo.errors import PyMongoError

DOCUMENTS = [{"_id": number, "n": number, "tag": "even" if number % 2 == 0 else "odd",
              "list": [number, number + 1]} for number in range(6)]

OPERATIONS = {
    "insert_one": lambda c: c.insert_one({"_id": 100, "x": 1}).inserted_id,
    "insert_one without id": lambda c: type(c.insert_one({"x": 1}).inserted_id).__name__,
    "insert_one duplicate": lambda c: c.insert_one({"_id": 1}),
    "insert_many": lambda c: c.insert_many([{"_id": 200 + i} for i in range(2000)]).inserted_ids,
    "insert_many ordered": lambda c: c.insert_many([{"_id": 300}, {"_id": 1}, {"_id": 301}]),
    "insert_many unordered": lambda c: c.insert_many(
        [{"_id": 310}, {"_id": 1}, {"_id": 311}, {"_id": 2}], ordered=False),
    "update_one": lambda c: c.update_one({"_id": 1}, {"$set": {"x": 1}}).raw_result,
    "update_one by a field": lambda c: c.update_one({"n": 1}, {"$inc": {"n": 10}}).raw_result,
    "update_one of nothing": lambda c: c.update_one({"n": 404}, {"$inc": {"n": 1}}).raw_result,
    "update_one upsert": lambda c: c.update_one(
        {"_id": 400}, {"$set": {"x": 1}}, upsert=True).raw_result,
    "update_one upsert by a field": lambda c: c.update_one(
        {"n": 77}, {"$setOnInsert": {"x": 1}}, upsert=True).matched_count,
    "update_one error": lambda c: c.update_one({"_id": 1}, {"$inc": {"tag": 1}}),
    "update_one arrayFilters": lambda c: c.update_one(
        {"_id": 2}, {"$set": {"list.$[e]": 0}}, array_filters=[{"e": {"$gt": 2}}]).raw_result,
    "update_one pipeline": lambda c: c.update_one(
        {"_id": 2}, [{"$set": {"m": {"$add": ["$n", 1]}}}]).raw_result,
    "update_many": lambda c: c.update_many({"tag": "odd"}, {"$inc": {"n": 1}}).raw_result,
    "update_many of nothing": lambda c: c.update_many({"tag": "?"}, {"$inc": {"n": 1}}).raw_result,
    "update_many upsert": lambda c: c.update_many(
        {"tag": "new"}, {"$set": {"n": 1}}, upsert=True).modified_count,
    "update_many error": lambda c: c.update_many({}, {"$push": {"n": 1}}),
    "replace_one": lambda c: c.replace_one({"_id": 3}, {"r": 1}).raw_result,
    "replace_one by a field": lambda c: c.replace_one({"n": 4}, {"r": 1}).raw_result,
    "replace_one upsert": lambda c: c.replace_one({"_id": 401}, {"r": 1}, upsert=True).raw_result,
    "delete_one": lambda c: c.delete_one({"_id": 3}).raw_result,
    "delete_one by a field": lambda c: c.delete_one({"tag": "even"}).raw_result,
    "delete_many": lambda c: c.delete_many({"tag": "odd"}).raw_result,
    "delete_many of all": lambda c: c.delete_many({}).raw_result,
    "bulk_write": lambda c: c.bulk_write([
        InsertOne({"_id": 500}), UpdateOne({"_id": 1}, {"$inc": {"n": 1}}),
        UpdateMany({"tag": "even"}, {"$set": {"e": True}}), ReplaceOne({"_id": 2}, {"r": 2}),
        UpdateOne({"_id": 501}, {"$set": {"u": 1}}, upsert=True), DeleteOne({"_id": 4}),
        DeleteMany({"tag": "odd"})]).bulk_api_result,
    "bulk_write unordered with errors": lambda c: c.bulk_write([
        InsertOne({"_id": 1}), InsertOne({"_id": 510}), UpdateOne({"_id": 1}, {"$inc": {"tag": 1}}),
        DeleteOne({"_id": 5})], ordered=False).bulk_api_result,
    "find_one_and_update": lambda c: c.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}),
    "find_one_and_update after": lambda c: c.find_one_and_update(
        {"tag": "odd"}, {"$inc": {"n": 1}}, sort=[("_id", -1)],
        return_document=ReturnDocument.AFTER, projection={"n": 1}),
    "find_one_and_update upsert": lambda c: c.find_one_and_update(
        {"_id": 600}, {"$set": {"x": 1}}, upsert=True, return_document=ReturnDocument.AFTER),
    "find_one_and_replace": lambda c: c.find_one_and_replace({"n": 2}, {"r": 9}),
    "find_one_and_delete": lambda c: c.find_one_and_delete({}, sort=[("_id", -1)]),
    "find_one_and_delete of nothing": lambda c: c.find_one_and_delete({"_id": 404}),
    "find": lambda c: list(c.find({"n": {"$gte": 2}}).sort("n", -1).limit(3)),
    "find in batches": lambda c: list(c.find(batch_size=2)),
    "find_one": lambda c: c.find_one({"_id": 5}),
    "find with an error": lambda c: list(c.find({"n": {"$wrong": 1}})),
    "count_documents": lambda c: c.count_documents({"tag": "even"}),
    "estimated_document_count": lambda c: c.estimated_document_count(),
    "distinct": lambda c: sorted(c.distinct("tag")),
    "aggregate": lambda c: list(c.aggregate([
        {"$group": {"_id": "$tag", "sum": {"$sum": "$n"}}}, {"$sort": {"_id": 1}}])),
    "create_index": lambda c: (c.create_index("n"), sorted(c.index_information())),
    "drop_index": lambda c: (c.create_index("n"), c.drop_index("n_1"),
                             sorted(c.index_information())),
    "w majority": lambda c: with_w(c, "majority").update_one(
        {"_id": 1}, {"$set": {"y": 1}}).raw_result,
    "w 0 then read": lambda c: (with_w(c, 0).insert_one({"_id": 700}).acknowledged,
                                c.find_one({"_id": 700}) is not None or "not yet"),
    "a session": lambda c: in_session(c),
}
VOLATILE = {"operationTime", "$clusterTime", "opTime", "electionId"}


def with_w(collection, w):
    return collection.with_options(write_concern=pymongo.WriteConcern(w))


def in_session(collection):
    with collection.database.client.start_session(causal_consistency=True) as session:
        collection.insert_one({"_id": 800}, session=session)
        collection.update_one({"_id": 800}, {"$inc": {"n": 1}}, session=session)
        return collection.find_one({"_id": 800}, session=session)


def seen(value):
    """What an operation gave, without what is volatile."""
    if isinstance(value, dict):
        return {name: seen(item) for name, item in value.items() if name not in VOLATILE}
    if isinstance(value, (list, tuple)):
        return [seen(item) for item in value]
    return "an ObjectId" if isinstance(value, ObjectId) else value


def outcome(operation, collection):
    try:
        return seen(operation(collection))
    except PyMongoError as error:
        details = getattr(error, "details", None) or {}
        return [type(error).__name__, seen(details) or str(error)]
