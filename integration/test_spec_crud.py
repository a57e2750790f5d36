"""Writes and reads as the specifications of drivers have them; errors keep what tells of them."""

from bson import Code
from pymongo import (DeleteMany, DeleteOne, InsertOne, ReplaceOne, ReturnDocument, UpdateMany,
                     UpdateOne)
from pymongo.collation import Collation
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from spec_sides import on_both

CASELESS = Collation("en", strength=2)


@on_both
def test_inserts_tell_ids_and_the_index_of_each_error(side):
    things = side.things
    side.fill(1, 2)
    yield lambda: things.insert_one({"_id": 3})
    yield lambda: things.insert_one({"_id": 1})
    yield lambda: things.insert_many([{"_id": 4}, {"_id": 2, "x": 1}, {"_id": 5}])
    yield lambda: things.insert_many([{"_id": 4}, {"_id": 6}, {"_id": 2}, {"_id": 7}],
                                     ordered=False)
    yield lambda: things.insert_one({"_id": [1]})
    yield lambda: things.insert_one({"_id": {"$x": 1}})
    yield things.find().sort("_id")


@on_both
def test_updates_with_hint_let_comment_and_array_filters(side):
    things = side.things
    side.fill(*({"_id": n, "n": n, "s": "aB"[n % 2], "l": [n, 5, 7]} for n in range(6)))
    yield lambda: things.create_index("n")
    yield lambda: things.update_one({"n": 1}, {"$set": {"x": 1}}, hint="n_1")
    yield lambda: things.update_one({"n": 1}, {"$set": {"x": 2}}, hint="nowhere")
    yield lambda: things.update_many({"n": {"$gt": 2}}, {"$inc": {"n": 1}}, hint=[("n", 1)])
    yield lambda: things.update_many({"$expr": {"$eq": ["$n", "$$wanted"]}}, [
        {"$set": {"told": "$$wanted"}}], let={"wanted": 2}, comment={"who": "me"})
    yield lambda: things.update_one({"$expr": {"$eq": ["$n", "$$nowhere"]}}, {"$set": {"x": 1}})
    yield lambda: things.update_many(
        {}, {"$inc": {"l.$[big]": 10}}, array_filters=[{"big": {"$gte": 6}}])
    yield lambda: things.update_one({"_id": 1}, {"$set": {"l.$[a]": 1}}, array_filters=[{"b": 1}])
    yield lambda: things.update_many({"s": "b"}, {"$set": {"hit": True}}, collation=CASELESS)
    yield lambda: things.update_one({"s": "A"}, {"$set": {"one": 1}}, collation=Collation("none"))
    yield lambda: things.update_one({"n": 99}, {"$set": {"up": 1}}, upsert=True, comment="made")
    yield things.find().sort("_id")


@on_both
def test_replacements_and_deletes_with_hint_let_and_collation(side):
    things = side.things
    side.fill(*({"_id": n, "n": n, "s": "xY"[n % 2]} for n in range(8)))
    yield lambda: things.replace_one({"s": "y"}, {"s": "z", "r": 1}, collation=CASELESS)
    yield lambda: things.replace_one({"_id": 70}, {"r": 1}, upsert=True, comment="c")
    yield lambda: things.replace_one({"_id": 2}, {"_id": 3})
    yield lambda: things.replace_one({"_id": 2}, {"r": 2}, hint="_id_")
    yield lambda: things.delete_one({"_id": 3}, hint="_id_", comment="gone")
    yield lambda: things.delete_one({"n": 4}, hint="nowhere")
    yield lambda: things.delete_many({"$expr": {"$eq": ["$n", "$$n"]}}, let={"n": 5})
    yield lambda: things.delete_many({"s": "Y"}, collation=CASELESS)
    yield lambda: things.delete_many({"$expr": {"$eq": ["$n", "$$n"]}})
    yield things.find().sort("_id")


@on_both
def test_find_and_modify_in_all_its_forms(side):
    things = side.things
    after = {"return_document": ReturnDocument.AFTER}
    side.fill(*({"_id": n, "n": n, "l": [{"k": 1}, {"k": 2}]} for n in range(6)))
    yield lambda: things.find_one_and_update({"n": {"$gt": 1}}, {"$inc": {"n": 10}},
                                             sort=[("n", -1)], projection={"n": 1})
    yield lambda: things.find_one_and_update(
        {"_id": 1}, {"$set": {"l.$[e].x": 1}}, array_filters=[{"e.k": 2}], **after)
    yield lambda: things.find_one_and_update(
        {"$expr": {"$eq": ["$n", "$$n"]}}, [{"$set": {"m": "$$n"}}], let={"n": 2}, **after)
    yield lambda: things.find_one_and_update({"_id": 1}, {"$inc": {"l": 1}})
    yield lambda: things.find_one_and_update({"_id": 1}, {"$set": {"_id": 2}})
    yield lambda: things.find_one_and_update({"_id": 1}, {"$set": {"x": 1}}, hint="nowhere")
    yield lambda: things.find_one_and_update({"_id": 90}, {"$set": {"x": 1}}, upsert=True, **after)
    yield lambda: things.find_one_and_update({"_id": 91}, {"$set": {"x": 1}}, upsert=True)
    yield lambda: things.find_one_and_replace({"_id": 2}, {"r": 1}, comment="c", **after)
    yield lambda: things.find_one_and_replace({"n": 404}, {"r": 1})
    yield lambda: things.find_one_and_delete({"n": {"$lt": 9}}, sort=[("n", 1)], let={"n": 1})
    yield lambda: things.find_one_and_delete({"n": 404})
    yield things.find().sort("_id")


BULK = [InsertOne({"_id": 10}), UpdateOne({"_id": 1}, {"$inc": {"n": 1}}, hint="_id_"),
        UpdateMany({"n": {"$gt": 1}}, {"$set": {"l.$[e]": 0}}, array_filters=[{"e": 1}]),
        ReplaceOne({"_id": 30}, {"r": 1}, upsert=True), DeleteOne({"_id": 2}),
        UpdateOne({"_id": 31}, {"$setOnInsert": {"x": 1}}, upsert=True), DeleteMany({"n": 4})]


@on_both
def test_bulk_writes_count_and_place_errors_by_their_index(side):
    things = side.things
    side.fill(*({"_id": n, "n": n, "l": [1, 2]} for n in range(1, 6)))
    broken = [InsertOne({"_id": 50}), InsertOne({"_id": 1}), DeleteOne({"_id": 5}),
              UpdateOne({"_id": 3}, {"$inc": {"l": 1}}), UpdateOne({"_id": 3}, {"$inc": {"n": 1}})]
    yield lambda: things.bulk_write(BULK, comment="all", let={"a": 1})
    yield lambda: things.bulk_write(broken)
    yield lambda: things.bulk_write(broken, ordered=False)
    yield lambda: things.bulk_write([UpdateOne({"_id": 3}, {"$set": {"n": 1}}, hint="nowhere")])
    yield lambda: things.bulk_write([ReplaceOne({"_id": 3}, {"r": 1}), InsertOne({"_id": 3})])
    yield things.find().sort("_id")


@on_both
def test_a_validators_answer_says_what_was_wrong(side):
    schema = {"$jsonSchema": {"required": ["n"], "properties": {"n": {"bsonType": "int"}}}}
    yield lambda: side.db.create_collection("things", validator=schema)
    side.fill(1, 2)
    yield lambda: side.things.insert_one({"_id": 3})
    yield lambda: side.things.insert_many([{"_id": 4, "n": 1}, {"_id": 5, "n": "x"}], ordered=False)
    yield lambda: side.things.update_one({"_id": 1}, {"$set": {"n": "text"}})
    yield lambda: side.things.update_many({}, {"$unset": {"n": 1}})
    yield lambda: side.things.find_one_and_update({"_id": 2}, {"$set": {"n": 1.5}})
    yield lambda: side.things.replace_one({"_id": 2}, {"m": 1})
    yield lambda: side.things.bulk_write([InsertOne({"_id": 7, "n": 1}), InsertOne({"_id": 8})])
    yield lambda: side.things.insert_one({"_id": 9}, bypass_document_validation=True)
    yield lambda: side.things.update_one({"_id": 1}, {"$set": {"n": "t"}},
                                         bypass_document_validation=True)
    yield side.things.find().sort("_id")


@on_both
def test_a_duplicate_names_the_key_and_its_value(side):
    yield lambda: side.things.create_index([("a", 1), ("b", -1)], unique=True, name="both")
    side.fill({"_id": 1, "a": 1, "b": "x"}, {"_id": 2, "a": 2, "b": "y"})
    yield lambda: side.things.insert_one({"_id": 3, "a": 1, "b": "x"})
    yield lambda: side.things.update_one({"_id": 2}, {"$set": {"a": 1, "b": "x"}})
    yield lambda: side.things.find_one_and_replace({"_id": 2}, {"a": 1, "b": "x"})
    yield lambda: side.things.update_one({"a": 1, "b": "x", "c": 1}, {"$set": {"d": 1}},
                                         upsert=True)
    yield lambda: side.things.create_index("b", unique=True)
    yield lambda: side.things.insert_many([{"_id": 4, "b": "x"}, {"_id": 5, "a": 1, "b": "x"},
                                           {"_id": 6, "b": "x"}], ordered=False)
    yield side.things.find().sort("_id")


@on_both
def test_reads_with_every_option(side):
    things = side.things
    side.fill(*({"_id": n, "n": n % 3, "s": "aBc"[n % 3]} for n in range(9)))
    yield things.find({"n": 1}, batch_size=2).sort("_id").comment("mine")
    yield things.find({"s": "b"}, collation=CASELESS, limit=2, skip=1).sort("_id", -1)
    yield things.find({"$expr": {"$eq": ["$n", "$$n"]}}, let={"n": 2}, hint="_id_")
    yield things.find({}, {"n": 1, "_id": 0}, hint="_id_").min([("_id", 3)]).max([("_id", 5)])
    yield lambda: things.find({"n": {"$bad": 1}})
    yield lambda: things.find({}, hint="nowhere")
    yield lambda: things.find({}, allow_disk_use=True).sort("n").limit(1)
    yield lambda: things.count_documents({"n": 1}, hint="_id_", skip=1)
    yield lambda: things.estimated_document_count(comment="all")
    yield lambda: things.distinct("s", {"n": {"$gt": 0}}, collation=CASELESS)
    yield lambda: things.aggregate([{"$match": {"$expr": {"$eq": ["$n", "$$n"]}}},
                                    {"$sort": {"_id": 1}}], let={"n": 1}, batchSize=2)
    yield lambda: things.aggregate([{"$wrong": 1}])
    yield lambda: things.find().max_time_ms(1).where(Code("sleep(50) || true"))
    yield lambda: side.db.aggregate([{"$documents": [{"a": 1}]}])


@on_both
def test_aggregations_that_write_are_seen_as_mongodb_shows_them(side):
    things, db = side.things, side.db
    side.fill(1, 2, 3)
    yield lambda: things.aggregate([{"$match": {"n": {"$gt": 1}}}, {"$out": "out"}])
    yield lambda: things.aggregate([{"$merge": {"into": "out", "whenMatched": "fail"}}])
    yield lambda: things.aggregate([{"$merge": {"into": "merged", "on": "nowhere"}}])
    yield lambda: things.aggregate([{"$project": {"n": {"$add": ["$n", "$$more"]}}},
                                    {"$merge": "out"}], let={"more": 5}, comment="c")
    yield lambda: things.aggregate([{"$out": "out"}, {"$match": {}}])
    yield db.out.find().sort("_id")
    yield lambda: db.merged.count_documents({})


@on_both
def test_concerns_are_kept_and_refused_as_mongodb_does(side):
    things = side.things
    side.fill(1)

    def with_w(**concern):
        return things.with_options(write_concern=WriteConcern(**concern))
    yield lambda: with_w(w=1, j=True).insert_one({"_id": 2})
    yield lambda: with_w(w="majority", wtimeout=5000).update_one({"_id": 1}, {"$set": {"x": 1}})
    yield lambda: with_w(w=3).insert_one({"_id": 3})
    yield lambda: with_w(w="nobody").delete_one({"_id": 2})
    yield lambda: with_w(w=2, wtimeout=1).bulk_write([InsertOne({"_id": 4}), InsertOne({"_id": 5})])
    yield lambda: with_w(w=3).find_one_and_update({"_id": 1}, {"$inc": {"n": 1}})
    yield lambda: with_w(w=3).create_index("n")
    for level in ("local", "available", "majority", "linearizable", "snapshot", "strange"):
        yield lambda: things.with_options(read_concern=ReadConcern(level)).find().sort("_id")
        yield lambda: things.with_options(read_concern=ReadConcern(level)).aggregate(
            [{"$count": "n"}])
    yield lambda: things.with_options(read_concern=ReadConcern("linearizable")).aggregate(
        [{"$out": "out"}])
    yield lambda: with_w(w=0).insert_one({"_id": 6}).acknowledged
    yield lambda: things.find_one({"_id": 1})


@on_both
def test_unacknowledged_writes_are_done_in_their_order(side):
    things = side.things.with_options(write_concern=WriteConcern(0))
    with side.app.start_session() as session:
        yield lambda: things.insert_one({"_id": 1}, session=session)  # the driver refuses it
    one = side.client(maxPoolSize=1)[side.case].things
    quiet = one.with_options(write_concern=WriteConcern(0))
    yield lambda: quiet.insert_many([{"_id": n} for n in range(2000)]).acknowledged
    yield lambda: quiet.update_many({}, {"$inc": {"n": 1}}).acknowledged
    yield lambda: quiet.delete_one({"_id": 7}).acknowledged
    yield lambda: quiet.insert_one({"_id": 1, "x": 1}).acknowledged
    yield lambda: quiet.bulk_write([InsertOne({"_id": -1}), DeleteOne({"_id": 8})]).acknowledged
    yield lambda: one.count_documents({"n": 1})
    yield lambda: one.find_one({"_id": -1})


@on_both
def test_a_write_that_nobody_knows_is_refused_with_its_code(side):
    side.fill(1)
    for command in ({"update": "things", "updates": []}, {"insert": "things", "documents": []},
                    {"update": "things", "updates": [{"q": {}, "u": {}, "strange": 1}]},
                    {"insert": "things", "documents": [{}], "strange": 1},
                    {"delete": "things", "deletes": [{"q": {}}]},
                    {"delete": "things", "deletes": [{"q": {}, "limit": 5}]},
                    {"findAndModify": "things"}, {"findAndModify": "things", "remove": 1, "new": 1},
                    {"insert": "", "documents": [{}]}, {"nonsense": 1},
                    {"insert": "things", "documents": [{"_id": 5}], "ordered": "x"}):
        yield lambda: side.db.command(command)
    yield side.things.find()
