"""What the test of drivers asks each of, with PyMongo: pymongo_sync.py URI DATABASE work|count."""
import json
import sys

import gridfs
import pymongo
from pymongo import DeleteOne, InsertOne, ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError


def work(client, db):
    things, orders, out = db.things, db.orders, {}
    things.insert_one({"_id": 1, "n": 0, "tags": ["a"]})
    many = things.insert_many([{"_id": 100 + i, "n": i} for i in range(500)])
    out["many"] = len(many.inserted_ids)
    updated = things.update_one({"_id": 1}, {"$inc": {"n": 5}, "$push": {"tags": "b"}})
    out["update"] = [updated.matched_count, updated.modified_count]
    out["update_many"] = things.update_many(
        {"n": {"$gte": 490}}, {"$set": {"high": True}}).modified_count
    out["find_and_modify"] = things.find_one_and_update(
        {"_id": 1}, {"$inc": {"n": 1}}, return_document=ReturnDocument.AFTER)["n"]
    out["replace"] = things.replace_one({"_id": 100}, {"n": -1}).modified_count
    out["delete"] = things.delete_many({"n": {"$gte": 1, "$lt": 5}}).deleted_count
    bulk = things.bulk_write([
        InsertOne({"_id": 2}), UpdateOne({"_id": 2}, {"$set": {"x": 1}}), DeleteOne({"_id": 2}),
        UpdateOne({"_id": 3}, {"$set": {"y": 1}}, upsert=True)])
    out["bulk"] = [bulk.inserted_count, bulk.modified_count, bulk.deleted_count,
                   bulk.upserted_count]
    things.create_index("code", unique=True, sparse=True)
    things.insert_one({"_id": 4, "code": "x"})
    try:
        things.insert_one({"_id": 5, "code": "x"})
    except DuplicateKeyError as error:
        out["duplicate"] = error.code
    orders.insert_one({"_id": 0})
    with client.start_session() as session:
        with session.start_transaction():
            orders.insert_one({"_id": 1, "total": 5}, session=session)
            things.update_one({"_id": 1}, {"$inc": {"n": -5}}, session=session)
        session.start_transaction()
        orders.insert_one({"_id": 2}, session=session)
        session.abort_transaction()
    out["transaction"] = [things.find_one({"_id": 1})["n"], orders.count_documents({})]
    with things.watch() as stream:
        things.insert_one({"_id": 6})
        things.update_one({"_id": 6}, {"$set": {"seen": True}})
        things.delete_one({"_id": 6})
        out["events"] = [next(stream)["operationType"] for _ in range(3)]
    files = gridfs.GridFSBucket(db)
    files.upload_from_stream("file", bytes(600000))
    out["file"] = len(files.open_download_stream_by_name("file").read())
    out["left"] = things.count_documents({})
    grouped = list(things.aggregate([{"$group": {"_id": None, "sum": {"$sum": "$n"}}}]))
    out["sum"] = grouped[0]["sum"]
    return out


def count(db, times):
    acknowledged = failed = 0
    for _ in range(times):
        try:
            db.counters.update_one({"_id": "all"}, {"$inc": {"n": 1}}, upsert=True)
            acknowledged += 1
        except PyMongoError:
            failed += 1
    return {"acknowledged": acknowledged, "failed": failed}


uri, database, what = sys.argv[1:4]
mongo = pymongo.MongoClient(uri)
print(json.dumps(work(mongo, mongo[database]) if what == "work" else count(mongo[database], 400)))
