"""Sessions, the versioned API, and what a driver's monitoring tells of commands, as the
specifications of drivers have them."""

import uuid

from bson import Binary, Int64
from pymongo.read_concern import ReadConcern
from pymongo.server_api import ServerApi
from pymongo.write_concern import WriteConcern

from spec_sides import on_both


def new_lsid():
    return {"id": Binary(uuid.uuid4().bytes, 4)}


def open_sessions(side, *lsids):
    """How many of these MongoDB knows."""
    known = {each["_id"]["id"] for each in side.direct.admin.aggregate(
        [{"$listLocalSessions": {"allUsers": True}}])}
    return sum(uuid.UUID(bytes=bytes(lsid["id"])) in known or lsid["id"] in known for lsid in lsids)


@on_both
def test_a_causal_session_reads_what_it_wrote(side):
    with side.app.start_session(causal_consistency=True) as session:
        yield session.operation_time is None
        yield lambda: side.things.insert_one({"_id": 1}, session=session)
        yield session.operation_time is not None
        yield lambda: side.things.find({}, session=session)
        yield "afterClusterTime" in side.sent("find")["readConcern"]
        yield side.sent("find")["readConcern"]["afterClusterTime"] <= session.operation_time
        yield lambda: side.things.insert_one({"_id": 1}, session=session)
        yield lambda: side.things.aggregate([{"$count": "n"}], session=session)
        with side.app.start_session() as other:
            other.advance_operation_time(session.operation_time)
            other.advance_cluster_time(session.cluster_time)
            yield lambda: side.things.with_options(
                read_concern=ReadConcern("majority")).find({}, session=other)


@on_both
def test_without_causality_nothing_is_waited_for(side):
    with side.app.start_session(causal_consistency=False) as session:
        yield lambda: side.things.insert_one({"_id": 1}, session=session)
        yield lambda: side.things.find({}, session=session)
        yield "readConcern" in side.sent("find")


@on_both
def test_an_implicit_session_is_used_again(side):
    side.fill(1, 2, 3)
    yield lambda: side.things.find_one({"_id": 1})
    yield lambda: side.things.find_one({"_id": 2})
    yield len({str(command["lsid"]) for name, command in side.told.sent if name == "find"})
    yield lambda: side.things.find({}, batch_size=2)
    yield side.sent("find")["lsid"] == side.sent("getMore")["lsid"]
    yield "lsid" in side.sent("getMore")


@on_both
def test_a_snapshot_session_sees_one_moment(side):
    side.fill(1, 2)
    # Some time later, as snapshots of what is not there yet are refused.
    side.db.command("ping")
    with side.app.start_session(snapshot=True) as session:
        yield lambda: side.things.find({}, session=session).sort("_id")
        side.things.insert_one({"_id": 3})
        side.things.update_one({"_id": 1}, {"$inc": {"n": 1}})
        yield lambda: side.things.find({}, session=session).sort("_id")
        yield lambda: side.things.aggregate([{"$sort": {"_id": 1}}], session=session)
        yield lambda: side.things.distinct("n", session=session)
        yield lambda: side.things.insert_one({"_id": 4}, session=session)
        yield lambda: side.things.update_one({"_id": 1}, {"$set": {"x": 1}}, session=session)
        yield lambda: side.things.find_one_and_delete({"_id": 1}, session=session)
        yield lambda: side.things.create_index("n", session=session)
        yield lambda: side.db.list_collection_names(session=session)
        yield lambda: side.things.count_documents({}, session=session)
    yield side.things.find().sort("_id")


@on_both
def test_a_session_of_another_client_is_refused(side):
    other = side.client()
    with other.start_session() as session:
        yield lambda: side.things.insert_one({"_id": 1}, session=session)
    ended = side.app.start_session()
    ended.end_session()
    yield lambda: side.things.insert_one({"_id": 1}, session=ended)


@on_both
def test_a_session_that_is_ended_is_forgotten(side):
    lsids = [new_lsid(), new_lsid()]
    for lsid in lsids:
        yield lambda: side.db.command({"insert": "things", "documents": [{}], "lsid": lsid})
    yield open_sessions(side, *lsids)
    yield lambda: side.db.command("endSessions", lsids)
    yield lambda: side.db.command("endSessions", [])
    yield lambda: side.db.command("endSessions", [{"id": 1}])
    yield lambda: side.db.command("refreshSessions", lsids)
    yield lambda: side.db.command("startSession")["timeoutMinutes"]
    yield lambda: side.things.delete_many({})


@on_both
def test_a_killed_sessions_cursors_and_transactions_are_gone(side):
    side.fill(*range(1, 9))
    with side.app.start_session() as session:
        cursor = side.things.find({}, batch_size=2, session=session)
        yield lambda: [next(cursor), next(cursor)]
        yield lambda: side.db.command("killSessions", [session.session_id])
        yield lambda: next(cursor)
    with side.app.start_session() as session:
        session.start_transaction()
        yield lambda: side.things.insert_one({"_id": 20}, session=session)
        yield lambda: side.db.command("killSessions", [session.session_id])
        yield lambda: side.things.insert_one({"_id": 21}, session=session)
        yield lambda: session.abort_transaction()
    with side.app.start_session() as session:
        session.start_transaction()
        yield lambda: side.things.insert_one({"_id": 22}, session=session)
        yield lambda: side.app.admin.command("killSessions", [session.session_id])
        yield lambda: session.commit_transaction()
    yield side.things.find().sort("_id")


@on_both
def test_a_session_after_a_network_error_is_not_used_again(side):
    side.fill(1)
    yield lambda: side.things.find_one({})
    first = side.sent("find")["lsid"]
    side.fail("insert", closeConnection=True)
    yield lambda: side.things.insert_one({"_id": 2})
    yield lambda: side.things.find_one({"_id": 2})
    yield side.sent("find")["lsid"] == first
    yield side.sent("insert")["lsid"] == first


@on_both
def test_numbers_of_a_session_are_kept_by_mongodb(side):
    side.fill(1, 2)
    lsid = new_lsid()

    def send(number, **command):
        return side.db.command({**command, "lsid": lsid, "txnNumber": Int64(number)})
    insert = {"insert": "things", "documents": [{"_id": 3}, {"_id": 4}]}
    step = {"update": "things", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}
    modify = {"findAndModify": "things", "query": {"_id": 2}, "update": {"$inc": {"n": 1}},
              "new": True}
    for number, command in ((1, insert), (1, insert), (2, step), (2, step), (3, modify),
                            (3, modify), (2, step), (3, step), (5, step), (4, insert)):
        yield lambda: send(number, **command)
    yield lambda: side.db.command({**step, "lsid": lsid, "txnNumber": 9})
    yield lambda: side.db.command({**step, "txnNumber": Int64(9)})
    yield lambda: send(6, find="things")
    # What was done before is told again, and how its concern stands now.
    missed = {"writeConcern": {"w": 2, "wtimeout": 10}}
    for number, command in ((10, insert), (11, step)):
        yield lambda: send(number, **command, **missed)
        yield lambda: send(number, **command, **missed)
        yield lambda: send(number, **command)
    yield lambda: send(7, update="things", updates=[{"q": {}, "u": {"$inc": {"n": 1}},
                                                     "multi": True}])
    yield side.things.find().sort("_id")


STRICT = ServerApi("1", strict=True, deprecation_errors=True)


@on_both
def test_an_app_that_declares_its_api_is_served(side):
    side.fill(1, 2, 3)
    for api in (ServerApi("1"), ServerApi("1", strict=False), STRICT):
        app = side.client(server_api=api)
        things = app[side.case].things
        yield lambda: things.insert_one({"_id": 4})
        yield lambda: things.update_one({"n": 2}, {"$inc": {"m": 1}})
        yield lambda: things.update_many({}, {"$inc": {"m": 1}})
        yield lambda: things.find_one_and_update({"n": 3}, {"$set": {"x": 1}})
        yield lambda: things.delete_one({"_id": 4})
        yield lambda: things.find({}, batch_size=2).sort("_id")
        yield lambda: things.aggregate([{"$count": "n"}])
        yield lambda: things.count_documents({})
        yield lambda: things.estimated_document_count()
        yield lambda: things.distinct("n")
        yield lambda: things.create_index("n")
        yield lambda: things.aggregate([{"$match": {"n": 1}}, {"$out": "out"}])
        yield lambda: things.aggregate([{"$merge": "merged"}])
        yield lambda: app[side.case].drop_collection("out")
        yield lambda: app.admin.command("ping")
        yield sorted(name for name in side.sent("ping") if name.startswith("api"))


@on_both
def test_what_is_not_in_the_api_is_refused(side):
    side.fill(1)
    db = side.client(server_api=STRICT)[side.case]
    yield lambda: db.command("distinct", "things", key="n")
    yield lambda: db.command("dbStats")
    yield lambda: db.command("count", "things")
    yield lambda: db.command("validate", "things")
    yield lambda: db.command("renameCollection", "x")
    yield lambda: db.things.aggregate([{"$collStats": {"count": {}}}])
    yield lambda: db.things.find({}).max_time_ms(1000)
    yield lambda: db.create_collection("capped", capped=True, size=1000)
    yield lambda: db.things.create_index([("t", "text")])
    yield lambda: db.command({"insert": "things", "documents": [{"_id": 2}], "collectionUUID": 1})
    yield lambda: db.command("nonsense")


@on_both
def test_a_wrong_api_is_refused(side):
    for fields in ({"apiVersion": "2"}, {"apiVersion": 1}, {"apiStrict": True},
                   {"apiVersion": "1", "apiStrict": "x"}, {"apiDeprecationErrors": True}):
        for command in ({"ping": 1}, {"insert": "things", "documents": [{"_id": 1}]},
                        {"find": "things"}, {"create": "made"}):
            yield lambda: side.db.command({**command, **fields})


@on_both(commands=False)
def test_a_transaction_keeps_to_its_api(side):
    side.fill(1, 2)
    app = side.client(server_api=STRICT)
    things = app[side.case].things
    with app.start_session() as session:
        with session.start_transaction():
            yield lambda: things.insert_one({"_id": 3}, session=session)
            yield lambda: things.update_one({"n": 1}, {"$inc": {"n": 5}}, session=session)
            yield lambda: things.update_many({"n": {"$gt": 1}}, {"$set": {"x": 1}}, session=session)
            yield lambda: things.find({}, session=session).sort("_id")
        session.start_transaction()
        yield lambda: things.delete_many({}, session=session)
        yield lambda: session.abort_transaction()
    with side.app.start_session() as session:
        session.start_transaction()
        yield lambda: side.things.insert_one({"_id": 4}, session=session)
        yield lambda: side.db.command("insert", "things", documents=[{"_id": 5}], apiVersion="1",
                                      session=session)
        yield lambda: session.abort_transaction()
    yield side.things.find().sort("_id")


@on_both
def test_monitoring_tells_of_each_command_and_its_reply(side):
    yield lambda: side.things.insert_one({"_id": 1})
    yield lambda: side.things.insert_one({"_id": 1})
    yield lambda: side.things.with_options(write_concern=WriteConcern(0)).insert_one({"_id": 2})
    yield lambda: side.db.command("nonsense")
    yield lambda: side.db.command("find", "things", filter={"$bad": 1})
    yield lambda: list(side.things.find({}, batch_size=1).limit(1))
    cursor = side.app[side.case].things.find({}, batch_size=1)
    next(cursor)
    yield lambda: cursor.close()
    yield [name for name, _ in side.told.sent]
