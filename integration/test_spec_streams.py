"""Change streams and GridFS as the specifications of drivers have them: what they show, and how
they go on after an error."""

import gridfs
from bson import ObjectId
from pymongo.errors import OperationFailure, PyMongoError

from spec_sides import on_both

TIMES = {"_id", "clusterTime", "wallTime", "collectionUUID", "lsid", "txnNumber"}


def shown(stream, count):
    """The next events, without what names a time."""
    events = []
    while len(events) < count:
        event = stream.try_next()
        if event is not None:
            events.append({name: value for name, value in event.items() if name not in TIMES})
    return events


def watching(target, count, *steps, **options):
    """What a stream shows of steps that are done once it is open."""
    def run():
        with target.watch(max_await_time_ms=100, **options) as stream:
            for step in steps:
                step()
            return shown(stream, count)
    return run


@on_both(commands=False)
def test_a_stream_shows_each_kind_of_write(side):
    things = side.things
    side.fill(1, 2, 3)
    steps = (lambda: things.insert_one({"_id": 4, "s": "x"}),
             lambda: things.update_one({"_id": 1}, {"$set": {"a.b": 1}, "$unset": {"n": 1}}),
             lambda: things.update_one({"n": 2}, {"$inc": {"n": 5}}),
             lambda: things.update_many({"n": 3}, {"$push": {"l": {"$each": [1, 2]}}}),
             lambda: things.update_one({"_id": 3}, {"$pop": {"l": 1}}),
             lambda: things.replace_one({"_id": 2}, {"r": 1}),
             lambda: things.find_one_and_delete({"_id": 4}),
             lambda: things.update_one({"_id": 9}, {"$set": {"u": 1}}, upsert=True),
             lambda: things.delete_many({"_id": 3}))
    yield watching(things, 9, *steps)
    yield things.find().sort("_id")


@on_both(commands=False)
def test_a_stream_of_a_database_and_of_all(side):
    steps = (lambda: side.things.insert_one({"_id": 1}),
             lambda: side.db.others.insert_one({"_id": 1}),
             lambda: side.db.others.drop())
    yield watching(side.db, 3, *steps)
    yield watching(side.app, 2, *steps, pipeline=[{"$match": {
        "ns.db": side.case, "operationType": {"$in": ["drop", "insert"]}, "ns.coll": "others"}}])


@on_both(commands=False)
def test_a_stream_looks_documents_up_and_shows_what_they_were(side):
    yield lambda: side.db.create_collection(
        "things", changeStreamPreAndPostImages={"enabled": True}).name
    side.fill(1, 2, 3)
    things = side.things

    def steps(n):
        return (lambda: things.update_one({"_id": 1}, {"$set": {"step": n}}),
                lambda: things.replace_one({"_id": 2}, {"step": n}),
                lambda: things.delete_one({"_id": 3}), lambda: things.insert_one({"_id": 3}))
    for number, full in enumerate(("default", "updateLookup", "whenAvailable", "required")):
        yield watching(things, 4, *steps(number), full_document=full)
    for number, before in enumerate(("off", "whenAvailable", "required")):
        yield watching(things, 4, *steps(10 + number), full_document_before_change=before)
    yield lambda: side.db.command("collMod", "things",
                                  changeStreamPreAndPostImages={"enabled": False})
    yield watching(things, 1, lambda: things.update_one({"_id": 1}, {"$set": {"z": 1}}),
                   full_document_before_change="whenAvailable")


@on_both(commands=False)
def test_a_stream_ends_with_its_collection(side):
    side.fill(1)

    def after(step):
        with side.things.watch(max_await_time_ms=100) as stream:
            step()
            events = shown(stream, 2)
            token = stream.resume_token
            yield_again = [list(stream), stream.alive]
        return events, yield_again, token
    ended = {}

    def drop():
        events, again, ended["token"] = after(side.things.drop)
        return events, again
    yield drop
    yield lambda: side.things.watch(resume_after=ended["token"]).try_next()
    side.things.insert_one({"_id": 2})
    yield lambda: shown(side.things.watch(start_after=ended["token"], max_await_time_ms=100), 1)


@on_both(commands=False)
def test_a_stream_goes_on_where_it_was_told(side):
    things = side.things
    side.fill(1)
    with things.watch(max_await_time_ms=100) as stream:
        for number in (2, 3, 4):
            things.insert_one({"_id": number})
        yield shown(stream, 1)
        token = stream.resume_token
        time = stream.next()["clusterTime"]
    yield watching(things, 2, resume_after=token)
    yield watching(things, 2, start_after=token)
    yield watching(things, 2, start_at_operation_time=time)
    yield watching(things, 0, resume_after={"_data": "00"})
    yield watching(things, 0, resume_after={"wrong": 1})
    yield watching(things, 0, resume_after=token, start_after=token)
    yield watching(things, 0, start_at_operation_time=5)


@on_both(commands=False)
def test_a_stream_goes_on_after_an_error(side):
    things = side.things
    side.fill(1)
    number = 10
    for how in ({"errorCode": 91, "errorLabels": ["ResumableChangeStreamError"]},
                {"errorCode": 43}, {"errorCode": 234}, {"closeConnection": True},
                {"errorCode": 50, "errorLabels": ["ResumableChangeStreamError"]},
                {"errorCode": 8}, {"errorCode": 280}):
        number += 2

        def resumed(at=number, how=how):
            with things.watch(max_await_time_ms=100) as stream:
                things.insert_one({"_id": at})
                seen = shown(stream, 1)
                side.fail("getMore", **how)
                things.insert_one({"_id": at + 1})
                return seen + shown(stream, 1)
        yield resumed
    yield things.find().sort("_id")


@on_both(commands=False)
def test_a_stream_that_is_asked_wrongly_is_refused(side):
    side.fill(1)
    for pipeline in ([{"$wrong": 1}], [{"$group": {"_id": 1}}], [{"$out": "x"}],
                     [{"$match": {"$bad": 1}}], [{"$sort": {"a": 1}}]):
        yield watching(side.things, 0, pipeline=pipeline)
    yield watching(side.things, 1, lambda: side.things.insert_one({"_id": 2}),
                   pipeline=[{"$project": {"_id": 0}}])
    yield watching(side.things, 0, full_document="strange")
    yield watching(side.things, 0, full_document_before_change="strange")
    yield watching(side.app.admin, 0)
    yield watching(side.app.config, 0)
    yield watching(side.db.nothing, 0)
    with side.app.start_session() as session:
        session.start_transaction()
        yield lambda: side.things.watch(session=session).try_next()
        yield lambda: session.abort_transaction()


@on_both(commands=False)
def test_expanded_events_show_the_catalogue(side):
    db = side.db
    steps = (lambda: db.create_collection("made", capped=True, size=4096),
             lambda: db.made.create_index("n", name="by_n"),
             lambda: db.command("collMod", "made", index={"name": "by_n", "hidden": True}),
             lambda: db.made.drop_index("by_n"),
             lambda: db.things.insert_one({"_id": 1}),
             lambda: db.made.drop())
    wanted = {"create", "createIndexes", "modify", "dropIndexes", "insert", "drop"}
    yield watching(db, 7, *steps, show_expanded_events=True,
                   pipeline=[{"$match": {"operationType": {"$in": sorted(wanted)}}}])
    yield lambda: db.command("collMod", "things", changeStreamPreAndPostImages={"enabled": True})
    yield watching(db.things, 1, lambda: db.things.update_one(
        {"_id": 1}, {"$set": {"a": [1], "0": {"1.x": 1}}}), show_expanded_events=True)


@on_both(commands=False)
def test_a_transaction_is_shown_when_it_is_committed(side):
    side.fill(1)

    def transact():
        with side.app.start_session() as session:
            with session.start_transaction():
                side.things.insert_one({"_id": 2}, session=session)
                side.things.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
            session.start_transaction()
            side.things.insert_one({"_id": 3}, session=session)
            session.abort_transaction()
        side.things.insert_one({"_id": 4})
    yield watching(side.things, 3, transact)


FILE = ObjectId("aaaaaaaa0000000000000001")
GIVEN = bytes(range(256)) * 40


def bucket(side, **options):
    return gridfs.GridFSBucket(side.db, **{"chunk_size_bytes": 1024, **options})


def info(side, file_id=FILE):
    found = side.db.fs.files.find_one({"_id": file_id})
    return {name: found[name] for name in found if name != "uploadDate"} if found else None


@on_both(commands=False)
def test_a_file_goes_in_and_comes_out(side):
    files = bucket(side)
    yield lambda: files.upload_from_stream_with_id(FILE, "one", GIVEN, metadata={"a": 1})
    yield info(side)
    yield lambda: files.open_download_stream(FILE).read() == GIVEN
    yield lambda: files.open_download_stream_by_name("one").read(1500)
    yield lambda: side.db.fs.chunks.count_documents({"files_id": FILE})
    yield lambda: files.upload_from_stream_with_id(
        ObjectId("aaaaaaaa0000000000000002"), "empty", b"")
    yield lambda: files.open_download_stream_by_name("empty").read()
    yield lambda: sorted(found.filename for found in files.find({}))

    def part():
        with files.open_download_stream(FILE) as out:
            out.seek(3000)
            return out.read(1000) == GIVEN[3000:4000], out.tell(), len(out.read())
    yield part
    yield lambda: sorted(side.db.fs.chunks.index_information())


@on_both(commands=False)
def test_revisions_are_told_apart_by_their_age(side):
    files = bucket(side)
    for number in range(3):
        files.upload_from_stream_with_id(
            ObjectId(f"aaaaaaaa000000000000001{number}"), "many", b"%d" % number)
        side.db.fs.files.update_one({"length": 1}, {"$set": {"seen": number}})
    for revision in (-1, -2, -3, -4, 0, 1, 2, 3):
        yield lambda: files.open_download_stream_by_name("many", revision=revision).read()
    yield lambda: files.open_download_stream_by_name("nobody").read()


@on_both(commands=False)
def test_files_are_renamed_and_deleted(side):
    files = bucket(side)
    files.upload_from_stream_with_id(FILE, "one", GIVEN)
    yield lambda: files.rename(FILE, "other")
    yield info(side)
    yield lambda: files.rename(ObjectId("aaaaaaaa00000000000000ff"), "other")
    yield lambda: files.delete(FILE)
    yield lambda: files.delete(FILE)
    yield lambda: files.open_download_stream(FILE).read()
    yield lambda: side.db.fs.chunks.count_documents({})


@on_both(commands=False)
def test_an_upload_that_is_given_up_leaves_nothing(side):
    files = bucket(side)

    def given_up():
        with files.open_upload_stream_with_id(FILE, "half") as upload:
            upload.write(GIVEN)
            upload.abort()
            return upload.closed
    yield given_up
    yield lambda: (info(side), side.db.fs.chunks.count_documents({}))

    def same_id():
        files.upload_from_stream_with_id(FILE, "one", b"x")
        files.upload_from_stream_with_id(FILE, "one", b"y")
    yield same_id


@on_both(commands=False)
def test_a_file_that_lacks_chunks_is_found_broken(side):
    files = bucket(side)
    chunks = side.db.fs.chunks
    files.upload_from_stream_with_id(FILE, "one", GIVEN)
    yield lambda: chunks.update_one({"files_id": FILE, "n": 1}, {"$set": {"data": b"short"}})
    yield lambda: files.open_download_stream(FILE).read()
    yield lambda: chunks.delete_one({"files_id": FILE, "n": 3})
    yield lambda: files.open_download_stream(FILE).read()
    yield lambda: chunks.delete_many({"files_id": FILE})
    yield lambda: files.open_download_stream(FILE).read()
    yield lambda: chunks.insert_one({"_id": 1, "files_id": FILE, "n": 0, "data": b"x"})
    yield lambda: chunks.insert_one({"_id": 2, "files_id": FILE, "n": 0, "data": b"x"})


@on_both(commands=False)
def test_a_file_in_a_transaction_is_refused_or_whole(side):
    files = bucket(side)
    files.upload_from_stream_with_id(FILE, "one", b"first")
    with side.app.start_session() as session:
        session.start_transaction()
        yield lambda: files.upload_from_stream_with_id(
            ObjectId("aaaaaaaa0000000000000005"), "two", GIVEN, session=session)
        try:
            session.abort_transaction()
        except (OperationFailure, PyMongoError) as error:
            yield error
    yield lambda: side.db.fs.files.count_documents({})
