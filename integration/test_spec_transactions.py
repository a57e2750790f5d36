"""Transactions as the specifications of drivers have them: what statements, commits and aborts see,
with which labels errors come, and what of it is done."""

from bson import Int64
from pymongo import DeleteOne, InsertOne, ReturnDocument, UpdateOne
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from spec_sides import on_both

SHUTDOWN, NOT_PRIMARY, NO_SUCH = 91, 10107, 251


@on_both
def test_every_kind_of_write_is_done_at_the_commit(side):
    things = side.things
    side.fill(1, 2, 3, 4, 5)
    with side.app.start_session() as session, session.start_transaction():
        yield lambda: things.insert_one({"_id": 10}, session=session)
        yield lambda: things.insert_many([{"_id": 11}, {"_id": 12}], session=session)
        yield lambda: things.update_one({"n": 1}, {"$inc": {"n": 10}}, session=session)
        yield lambda: things.update_many({"n": {"$gt": 3}}, {"$set": {"x": 1}}, session=session)
        yield lambda: things.update_one({"_id": 20}, {"$set": {"u": 1}}, upsert=True,
                                        session=session)
        yield lambda: things.replace_one({"_id": 2}, {"r": 1}, session=session)
        yield lambda: things.delete_one({"_id": 3}, session=session)
        yield lambda: things.delete_many({"x": 1, "n": 4}, session=session)
        yield lambda: things.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}, session=session,
                                                 return_document=ReturnDocument.AFTER)
        yield lambda: things.find_one_and_replace({"_id": 10}, {"r": 2}, session=session)
        yield lambda: things.find_one_and_delete({"_id": 11}, session=session)
        yield lambda: things.bulk_write([InsertOne({"_id": 30}), DeleteOne({"_id": 12}), UpdateOne(
            {"_id": 30}, {"$set": {"b": 1}})], session=session)
        yield lambda: things.find({}, session=session, batch_size=2).sort("_id")
        yield lambda: things.count_documents({}, session=session)
        yield lambda: things.distinct("n", session=session)
        yield lambda: things.count_documents({})
    yield things.find().sort("_id")
    yield {name: sorted(set(side.sent(name)) & {"autocommit", "txnNumber", "readConcern",
                                                "writeConcern", "startTransaction"})
           for name in ("insert", "update", "find", "commitTransaction")}


@on_both
def test_an_abort_leaves_nothing(side):
    side.fill(1)
    with side.app.start_session() as session:
        session.start_transaction()
        yield lambda: side.things.insert_one({"_id": 2}, session=session)
        yield lambda: session.abort_transaction()
        yield lambda: session.abort_transaction()
        yield lambda: session.commit_transaction()
        session.start_transaction()
        yield lambda: session.abort_transaction()
        session.start_transaction()
        yield lambda: session.commit_transaction()
        yield lambda: side.things.insert_one({"_id": 3}, session=session)
        session.start_transaction()
        yield lambda: side.things.find_one({}, session=session)
        yield lambda: session.commit_transaction()
        yield lambda: session.commit_transaction()
    with side.app.start_session() as session:
        session.start_transaction()
        yield lambda: side.things.insert_one({"_id": 4}, session=session)
    yield side.things.find().sort("_id")


@on_both
def test_a_commit_may_be_said_again(side):
    with side.app.start_session() as session:
        session.start_transaction(write_concern=WriteConcern("majority"))
        yield lambda: side.things.insert_one({"_id": 1}, session=session)
        for _ in range(3):
            yield lambda: session.commit_transaction()
            yield side.sent("commitTransaction").get("writeConcern")
    yield side.things.find().sort("_id")


@on_both
def test_an_error_in_a_statement_ends_the_transaction(side):
    side.fill(1, 2)
    wrongs = (lambda session: side.things.insert_one({"_id": 1}, session=session),
              lambda session: side.things.update_one({}, {"$bad": 1}, session=session),
              lambda session: side.things.update_one({"_id": 1}, {"$inc": {"_id": 1}},
                                                     session=session),
              lambda session: side.things.find_one({"$bad": 1}, session=session),
              lambda session: side.things.aggregate([{"$bad": 1}], session=session),
              lambda session: side.things.insert_many([{"_id": 50}, {"_id": 1}, {"_id": 51}],
                                                      ordered=False, session=session))
    for number, wrong in enumerate(wrongs):
        with side.app.start_session() as session:
            session.start_transaction()
            yield lambda: side.things.insert_one({"_id": 10 + number}, session=session)
            yield lambda: wrong(session)
            yield lambda: side.things.insert_one({"_id": 30 + number}, session=session)
            yield lambda: session.commit_transaction()
    yield side.things.find().sort("_id")


@on_both
def test_what_no_transaction_may_do_is_refused(side):
    side.fill(1)
    asked = ({"count": "things"}, {"listCollections": 1}, {"dropDatabase": 1}, {"drop": "things"},
             {"aggregate": "things", "pipeline": [{"$out": "out"}], "cursor": {}},
             {"collMod": "things"}, {"listIndexes": "things"}, {"explain": {"find": "things"}},
             {"aggregate": "things", "pipeline": [{"$indexStats": {}}], "cursor": {}},
             {"find": "things", "readConcern": {"level": "local"}}, {"ping": 1}, {"nonsense": 1})
    for command in asked:
        with side.app.start_session() as session:
            session.start_transaction()
            yield lambda: side.things.insert_one({"_id": 2}, session=session)
            yield lambda: side.db.command(command, session=session)
            yield lambda: session.abort_transaction()
            session.start_transaction()
            yield lambda: side.db.command(command, session=session)
            yield lambda: session.abort_transaction()
    for database in ("admin", "config", "local"):
        with side.app.start_session() as session:
            session.start_transaction()
            yield lambda: side.app[database].things.find_one({}, session=session)
            yield lambda: session.abort_transaction()
    yield side.things.find().sort("_id")


@on_both(commands=False)
def test_labels_tell_what_to_begin_again(side):
    side.fill(1)
    for command, step in (("insert", lambda session: side.things.insert_one(
            {"_id": 2}, session=session)), ("find", lambda session: side.things.find_one(
                {}, session=session)), ("update", lambda session: side.things.update_one(
                    {}, {"$inc": {"n": 1}}, session=session))):
        for how in ({"errorCode": SHUTDOWN}, {"errorCode": 112}, {"errorCode": 8},
                    {"closeConnection": True}, {"errorCode": 8, "errorLabels": [
                        "TransientTransactionError"]}):
            with side.app.start_session() as session:
                session.start_transaction()
                side.fail(command, **how)
                yield lambda: step(session)
                yield lambda: session.abort_transaction()
    yield side.things.find().sort("_id")


@on_both
def test_a_conflict_of_two_has_its_label(side):
    side.fill(1)
    with side.app.start_session() as one, side.app.start_session() as other:
        one.start_transaction()
        other.start_transaction()
        yield lambda: side.things.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=one)
        yield lambda: side.things.find_one({"_id": 1}, session=other)
        yield lambda: side.things.update_one({"_id": 1}, {"$inc": {"n": 5}}, session=other)
        yield lambda: side.things.insert_one({"_id": 2}, session=other)
        yield lambda: other.commit_transaction()
        yield lambda: one.commit_transaction()
    yield side.things.find().sort("_id")


@on_both
def test_a_concern_that_a_commit_misses_is_told(side):
    side.fill(1)
    for number, error in enumerate(({"code": 64, "errmsg": "waited in vain",
                                     "errInfo": {"wtimeout": True}},
                                    {"code": 100, "errmsg": "too few"},
                                    {"code": 79, "errmsg": "unknown"},
                                    {"code": SHUTDOWN, "errmsg": "shuts down"})):
        with side.app.start_session() as session:
            session.start_transaction()
            yield lambda: side.things.insert_one({"_id": 10 + number}, session=session)
            side.fail("commitTransaction", writeConcernError=error)
            yield lambda: session.commit_transaction()
            yield lambda: session.commit_transaction()
    with side.app.start_session() as session:
        session.start_transaction(write_concern=WriteConcern(3))
        yield lambda: side.things.insert_one({"_id": 20}, session=session)
        yield lambda: session.commit_transaction()
        session.start_transaction(write_concern=WriteConcern(2, wtimeout=10))
        yield lambda: side.things.insert_one({"_id": 21}, session=session)
        yield lambda: session.commit_transaction()
        yield lambda: session.commit_transaction()
    yield side.things.find().sort("_id")


@on_both(commands=False)
def test_an_abort_asks_twice_and_hides_its_errors(side):
    side.fill(1)
    for how in ({"errorCode": SHUTDOWN}, {"errorCode": NO_SUCH}, {"closeConnection": True},
                {"errorCode": 8}):
        with side.app.start_session() as session:
            session.start_transaction()
            yield lambda: side.things.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
            side.fail("abortTransaction", **how)
            yield lambda: session.abort_transaction()
    yield lambda: side.things.find_one({"_id": 1})


@on_both
def test_options_of_a_transaction_go_with_its_first_statement(side):
    side.fill(1)
    with side.app.start_session() as session:
        for concern in ("local", "majority", "snapshot", "available", "linearizable"):
            session.start_transaction(read_concern=ReadConcern(concern),
                                      write_concern=WriteConcern(1), max_commit_time_ms=5000)
            yield lambda: side.things.find_one({}, session=session)
            yield side.sent("find").get("readConcern", {}).get("level")
            yield lambda: side.things.update_one({}, {"$inc": {"n": 1}}, session=session)
            yield lambda: session.commit_transaction()
            yield side.sent("commitTransaction").get("maxTimeMS")
        quiet = side.things.with_options(write_concern=WriteConcern(0))
        yield lambda: session.start_transaction(write_concern=WriteConcern(0))
        session.start_transaction()
        yield lambda: quiet.insert_one({"_id": 9}, session=session)
    yield side.things.find()


@on_both
def test_what_is_made_in_a_transaction_is_there_at_its_end(side):
    side.fill(1)
    with side.app.start_session() as session:
        with session.start_transaction():
            yield lambda: side.db.create_collection("made", session=session)
            yield lambda: side.db.made.create_index("n", session=session)
            yield lambda: side.db.made.insert_one({"_id": 1}, session=session)
            yield lambda: side.db.implied.insert_one({"_id": 1}, session=session)
        session.start_transaction()
        yield lambda: side.db.create_collection("never", session=session)
        yield lambda: session.abort_transaction()
        session.start_transaction()
        yield lambda: side.things.create_index("n", session=session)
        yield lambda: session.abort_transaction()
        session.start_transaction()
        yield lambda: side.db.command("create", "made", session=session)
        yield lambda: session.abort_transaction()


@on_both
def test_the_conveniences_of_drivers_end_as_on_mongodb(side):
    side.fill(1)
    attempts = []

    def step(session):
        attempts.append(1)
        side.things.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        return "done"
    with side.app.start_session() as session:
        yield lambda: session.with_transaction(step)
        side.fail("update", errorCode=112, mode={"times": 2})
        yield lambda: session.with_transaction(step)
        side.fail("commitTransaction", writeConcernError={"code": 64, "errmsg": "late"})
        yield lambda: session.with_transaction(step)
        side.fail("update", errorCode=8)
        yield lambda: session.with_transaction(step)
        side.fail("commitTransaction", errorCode=NO_SUCH,
                  errorLabels=["TransientTransactionError"])
        yield lambda: session.with_transaction(step)
    yield len(attempts)
    yield side.things.find()


@on_both(commands=False)
def test_a_commit_in_doubt_is_settled_and_begun_again(side):
    """Its first answer is another one through a sidecar (DIFFERENCES), its end the same."""
    side.fill(1)
    for how in ({"errorCode": SHUTDOWN}, {"errorCode": NOT_PRIMARY}, {"closeConnection": True},
                {"errorCode": SHUTDOWN, "mode": {"times": 2}}):
        with side.app.start_session() as session:
            side.fail("commitTransaction", **how)
            yield lambda: session.with_transaction(lambda inside: side.things.update_one(
                {"_id": 1}, {"$inc": {"n": 1}}, session=inside).modified_count)
    yield side.things.find()


@on_both
def test_a_repeated_number_is_told_apart(side):
    side.fill(1)
    with side.app.start_session() as session:
        session.start_transaction()
        yield lambda: side.things.insert_one({"_id": 2}, session=session)
        named = {"lsid": session.session_id, "autocommit": False,
                 "txnNumber": Int64(session._server_session._transaction_id)}
        insert = {"insert": "things", "documents": [{"_id": 3}]}
        yield lambda: side.db.command({**insert, **named, "startTransaction": True})
        yield lambda: session.commit_transaction()
    yield lambda: side.db.command({**insert, **named})
    yield lambda: side.app.admin.command({"commitTransaction": 1, **named})
    yield lambda: side.app.admin.command({"abortTransaction": 1, **named})
    yield lambda: side.app.admin.command("commitTransaction")
    yield lambda: side.app.admin.command({"commitTransaction": 1, "lsid": named["lsid"]})
    yield lambda: side.db.command({**insert, "autocommit": False, "startTransaction": True})
    try:
        yield side.things.find().sort("_id")
    except PyMongoError as error:
        yield error
