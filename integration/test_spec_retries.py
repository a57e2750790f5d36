"""Writes and reads that a driver repeats after an error, as the specifications of drivers have
them: how often it asks, with which labels, and that what it did is done once."""

import os

from pymongo import DeleteOne, InsertOne, UpdateMany, UpdateOne
from pymongo.errors import PyMongoError

from spec_sides import on_both

NOT_PRIMARY, SHUTDOWN, STEPPED_DOWN, DUPLICATE = 10107, 91, 11602, 11000
LONG = os.environ.get("OUTRIGGER_TEST_ALL") == "1"
CODES = (6, 7, 89, SHUTDOWN, 189, 262, 9001, NOT_PRIMARY, 11600, STEPPED_DOWN, 13435,
         13436)[::1 if LONG else 5]
WRITES = {
    "insert": lambda things: things.insert_one({"_id": 10}),
    "update": lambda things: things.update_one({"_id": 1}, {"$inc": {"n": 1}}),
    "delete": lambda things: things.delete_one({"_id": 2}),
    "findAndModify": lambda things: things.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}})}
READS = {
    "find": lambda things: things.find({"n": 1}),
    "aggregate": lambda things: things.aggregate([{"$count": "n"}]),
    "distinct": lambda things: things.distinct("n"),
    "count": lambda things: things.estimated_document_count(),
    "listIndexes": lambda things: things.list_indexes(),
    "listCollections": lambda things: things.database.list_collection_names(),
    "listDatabases": lambda things: len(things.database.client.list_database_names()) > 0}
if not LONG:  # after each of them a driver looks for its server anew, half a second
    READS = {name: READS[name] for name in ("find", "aggregate", "listCollections")}


@on_both
def test_a_write_that_an_error_met_is_repeated_once_and_done_once(side):
    side.fill(1, 2)
    for name, write in WRITES.items():
        side.fail(name, errorCode=STEPPED_DOWN, errorLabels=["RetryableWriteError"])
        yield lambda: write(side.things)
    yield side.things.find().sort("_id")


@on_both
def test_each_code_that_may_be_repeated_is(side):
    side.fill(1)
    for code in CODES:
        side.fail("update", errorCode=code, errorLabels=["RetryableWriteError"])
        yield lambda: WRITES["update"](side.things)
        side.fail("update", errorCode=code)
        yield lambda: WRITES["update"](side.things)
    yield side.things.find()


@on_both
def test_a_code_that_may_not_be_repeated_is_told(side):
    side.fill(1, 2)
    for name, write in WRITES.items():
        for code in (8, 50, 112, 11601):
            side.fail(name, errorCode=code)
            yield lambda: write(side.things)
    yield side.things.find().sort("_id")


@on_both
def test_labels_that_mongodb_gives_itself_decide(side):
    side.fill(1, 2)
    side.fail("update", errorCode=112, errorLabels=["RetryableWriteError"])
    yield lambda: WRITES["update"](side.things)
    side.fail("update", errorCode=NOT_PRIMARY, errorLabels=[])
    yield lambda: WRITES["update"](side.things)
    side.fail("insert", errorCode=SHUTDOWN, errorLabels=["Own", "RetryableWriteError"])
    yield lambda: WRITES["insert"](side.things)
    side.fail("insert", mode={"times": 2}, errorCode=SHUTDOWN, errorLabels=[
        "RetryableWriteError", "NoWritesPerformed"])
    yield lambda: side.things.insert_one({"_id": 11})
    yield side.things.find().sort("_id")


@on_both
def test_a_connection_that_breaks_under_a_write_is_replaced(side):
    side.fill(1, 2)
    for name, write in WRITES.items():
        side.fail(name, closeConnection=True)
        yield lambda: write(side.things)
    side.fail("insert", mode={"times": 2}, closeConnection=True)
    yield lambda: side.things.insert_one({"_id": 12})
    yield side.things.find().sort("_id")


@on_both
def test_an_error_of_the_concern_is_told_beside_what_was_done(side):
    side.fill(1, 2)
    for name, write in WRITES.items():
        side.fail(name, writeConcernError={"code": 64, "errmsg": "nobody heard", "codeName": "X"})
        yield lambda: write(side.things)
    side.fail("update", writeConcernError={"code": 100, "errmsg": "too few"})
    yield lambda: side.things.bulk_write([UpdateOne({"_id": 1}, {"$inc": {"n": 1}}),
                                          InsertOne({"_id": 20})])
    yield side.things.find().sort("_id")


@on_both
def test_an_error_of_the_concern_that_may_be_repeated_does_nothing_twice(side):
    side.fill(1, 2)
    for name, write in WRITES.items():
        side.fail(name, errorLabels=["RetryableWriteError"],
                  writeConcernError={"code": SHUTDOWN, "errmsg": "shuts down"})
        yield lambda: write(side.things)
    side.fail("update", writeConcernError={
        "code": SHUTDOWN, "errmsg": "gone", "errorLabels": ["RetryableWriteError"]})
    yield lambda: WRITES["update"](side.things)
    yield side.things.find().sort("_id")


@on_both
def test_a_bulk_write_is_repeated_command_by_command(side):
    side.fill(1, 2)
    side.fail("update", errorCode=STEPPED_DOWN, errorLabels=["RetryableWriteError"])
    yield lambda: side.things.bulk_write([
        InsertOne({"_id": 3}), UpdateOne({"_id": 1}, {"$inc": {"n": 1}}), DeleteOne({"_id": 2})])
    side.fail("insert", "delete", mode={"times": 2}, closeConnection=True)
    yield lambda: side.things.bulk_write([InsertOne({"_id": 4}), DeleteOne({"_id": 1})],
                                         ordered=False)
    side.fail("insert", mode={"skip": 1}, errorCode=STEPPED_DOWN)
    yield lambda: side.things.insert_many([{"_id": n, "pad": "x" * 1000} for n in range(50, 90)])
    yield lambda: side.things.insert_many([{"_id": 98}, {"_id": 99}])
    side.heal()
    yield side.things.find().sort("_id")


@on_both
def test_writes_of_many_are_not_repeated(side):
    side.fill(1, 2)
    side.fail("update", errorCode=STEPPED_DOWN)
    yield lambda: side.things.update_many({}, {"$inc": {"n": 1}})
    side.fail("delete", closeConnection=True)
    yield lambda: side.things.delete_many({"n": 2})
    side.fail("update", errorCode=NOT_PRIMARY)
    yield lambda: side.things.bulk_write([UpdateMany({}, {"$inc": {"n": 1}})])
    yield side.things.find().sort("_id")


@on_both
def test_who_does_not_want_repeats_has_none(side):
    side.fill(1, 2)
    once = side.client(retryWrites=False, retryReads=False)[side.case].things
    for name, write in WRITES.items():
        side.fail(name, errorCode=SHUTDOWN)
        yield lambda: write(once)
    for name, read in READS.items():
        side.fail(name, errorCode=SHUTDOWN)
        yield lambda: read(once)
    yield lambda: WRITES["update"](once)
    yield once.find().sort("_id")


@on_both
def test_reads_are_repeated_once(side):
    side.fill(1, 2)
    for name, read in READS.items():
        side.fail(name, errorCode=STEPPED_DOWN)
        yield lambda: read(side.things)
        side.fail(name, closeConnection=True)
        yield lambda: read(side.things)
        side.fail(name, errorCode=8)
        yield lambda: read(side.things)
    side.fail("find", mode={"times": 2}, errorCode=SHUTDOWN)
    yield lambda: READS["find"](side.things)


@on_both
def test_more_of_a_cursor_is_not_asked_twice(side):
    side.fill(*range(1, 7))
    for how in ({"errorCode": STEPPED_DOWN}, {"closeConnection": True}):
        side.fail("getMore", **how)
        yield lambda: side.things.find({}, batch_size=2)
    yield lambda: side.things.find({}, batch_size=2).sort("_id")


@on_both
def test_outputs_are_not_repeated(side):
    side.fill(1, 2)
    side.fail("aggregate", errorCode=8)
    yield lambda: side.things.aggregate([{"$out": "out"}])
    yield lambda: side.things.aggregate([{"$out": "out"}])
    yield side.db.out.find().sort("_id")


@on_both
def test_the_driver_counts_its_writes(side):
    side.fill(1, 2)
    for write in WRITES.values():
        write(side.things)
    numbers = [command["txnNumber"] for _, command in side.told.sent if "txnNumber" in command]
    yield len(numbers)
    yield numbers == sorted(numbers)


@on_both
def test_a_standing_error_is_told_in_the_end(side):
    side.fill(1)
    side.fail("update", mode="alwaysOn", closeConnection=True)
    yield lambda: WRITES["update"](side.things)
    side.fail("update", mode="alwaysOn", errorCode=NOT_PRIMARY)
    yield lambda: WRITES["update"](side.things)
    side.heal()
    yield lambda: WRITES["update"](side.things)
    try:
        yield side.things.find()
    except PyMongoError as error:
        yield error
