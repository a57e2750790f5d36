"""The same as pymongo_sync.py, with PyMongo's asynchronous interface."""
import asyncio
import json
import sys

import gridfs
from pymongo import AsyncMongoClient, DeleteOne, InsertOne, ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError


async def work(client, db):
    things, orders, out = db.things, db.orders, {}
    await things.insert_one({"_id": 1, "n": 0, "tags": ["a"]})
    many = await things.insert_many([{"_id": 100 + i, "n": i} for i in range(500)])
    out["many"] = len(many.inserted_ids)
    updated = await things.update_one({"_id": 1}, {"$inc": {"n": 5}, "$push": {"tags": "b"}})
    out["update"] = [updated.matched_count, updated.modified_count]
    out["update_many"] = (await things.update_many(
        {"n": {"$gte": 490}}, {"$set": {"high": True}})).modified_count
    out["find_and_modify"] = (await things.find_one_and_update(
        {"_id": 1}, {"$inc": {"n": 1}}, return_document=ReturnDocument.AFTER))["n"]
    out["replace"] = (await things.replace_one({"_id": 100}, {"n": -1})).modified_count
    out["delete"] = (await things.delete_many({"n": {"$gte": 1, "$lt": 5}})).deleted_count
    bulk = await things.bulk_write([
        InsertOne({"_id": 2}), UpdateOne({"_id": 2}, {"$set": {"x": 1}}), DeleteOne({"_id": 2}),
        UpdateOne({"_id": 3}, {"$set": {"y": 1}}, upsert=True)])
    out["bulk"] = [bulk.inserted_count, bulk.modified_count, bulk.deleted_count,
                   bulk.upserted_count]
    await things.create_index("code", unique=True, sparse=True)
    await things.insert_one({"_id": 4, "code": "x"})
    try:
        await things.insert_one({"_id": 5, "code": "x"})
    except DuplicateKeyError as error:
        out["duplicate"] = error.code
    await orders.insert_one({"_id": 0})
    async with client.start_session() as session:
        async with await session.start_transaction():
            await orders.insert_one({"_id": 1, "total": 5}, session=session)
            await things.update_one({"_id": 1}, {"$inc": {"n": -5}}, session=session)
        await session.start_transaction()
        await orders.insert_one({"_id": 2}, session=session)
        await session.abort_transaction()
    out["transaction"] = [(await things.find_one({"_id": 1}))["n"],
                          await orders.count_documents({})]
    async with await things.watch() as stream:
        await things.insert_one({"_id": 6})
        await things.update_one({"_id": 6}, {"$set": {"seen": True}})
        await things.delete_one({"_id": 6})
        out["events"] = [(await anext(stream))["operationType"] for _ in range(3)]
    files = gridfs.AsyncGridFSBucket(db)
    await files.upload_from_stream("file", bytes(600000))
    out["file"] = len(await (await files.open_download_stream_by_name("file")).read())
    out["left"] = await things.count_documents({})
    grouped = await things.aggregate([{"$group": {"_id": None, "sum": {"$sum": "$n"}}}])
    out["sum"] = (await grouped.to_list())[0]["sum"]
    return out


async def count(db, times):
    acknowledged = failed = 0
    for _ in range(times):
        try:
            await db.counters.update_one({"_id": "all"}, {"$inc": {"n": 1}}, upsert=True)
            acknowledged += 1
        except PyMongoError:
            failed += 1
    return {"acknowledged": acknowledged, "failed": failed}


async def main(uri, database, what):
    async with AsyncMongoClient(uri) as client:
        db = client[database]
        print(json.dumps(await (work(client, db) if what == "work" else count(db, 400))))


asyncio.run(main(*sys.argv[1:4]))
