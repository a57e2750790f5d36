"""Sessions and retries, reads, catalogue and administration, and what the proxy refuses."""

import datetime

from bson import Binary, Int64, Timestamp

from differential.case import (C, Case, THINGS, create, delete, deletes, index, insert, modify, one,
                               update, updates)

LSID = {"lsid": {"id": Binary(b"0123456789abcdef", 4)}}
PAIR = [{"_id": 1, "a": 1}, {"_id": 2, "a": 2}]
ONLY = {"modes": ("plain",)}
CITED = "mongod cites the command, which holds the proxy's guard against its being run"


def retried(name, command, documents=PAIR, prepare=()):
    """The same numbered command over two connections: one effect, two equal answers."""
    numbered = {**command, "lsid": C, "txnNumber": Int64(1)}
    return Case("retry: " + name, (0, numbered), (1, numbered), (0, numbered), documents=documents,
                prepare=prepare, modes=("plain", "sequence"), replica_set_only=True)


SESSIONS = [
    retried("insert", insert({"_id": 7})),
    retried("insert without _id", insert({"a": 7}, {"a": 8})),
    retried("insert of several with a duplicate", insert({"_id": 7}, {"_id": 1}, {"_id": 8})),
    retried("insert of several with a duplicate, unordered",
            insert({"_id": 7}, {"_id": 1}, {"_id": 8}, ordered=False)),
    retried("update by _id", update({"_id": 1}, {"$inc": {"a": 1}})),
    retried("update by a field", update({"a": 1}, {"$inc": {"a": 1}})),
    retried("update of nothing", update({"a": 404}, {"$inc": {"a": 1}})),
    retried("update that fails", update({"_id": 1}, {"$inc": {"a": "x"}})),
    retried("equal $set", update({"_id": 1}, {"$set": {"a": 1}})),
    retried("upsert", update({"b": 1}, {"$inc": {"a": 1}}, upsert=True)),
    retried("upsert by _id", update({"_id": 9}, {"$inc": {"a": 1}}, upsert=True)),
    retried("replacement", update({"_id": 1}, {"b": 1})),
    retried("pipeline", update({"_id": 1}, [{"$set": {"a": {"$add": ["$a", 1]}}}])),
    retried("several updates", updates(one({"_id": 1}, {"$inc": {"a": 1}}),
                                       one({"a": 2}, {"$inc": {"a": 1}}),
                                       one({"_id": 9}, {"$inc": {"a": 1}}, upsert=True))),
    retried("several upserts", updates(
        one({"_id": 7}, {"$inc": {"a": 1}}, upsert=True),
        one({"_id": 1}, {"$inc": {"a": 1}}, upsert=True),
        one({"_id": 8}, {"a": 8}, upsert=True), one({"_id": 2}, {"a": 8}, upsert=True))),
    retried("several upserts, the first refused", updates(
        one({"_id": 7}, {"$set": {"a": 1}}, upsert=True),
        one({"_id": 8}, {"$set": {"a": 8}}, upsert=True),
        one({"_id": 9}, {"$set": {"a": 9}}, upsert=True), ordered=False),
            prepare=[index("a", unique=True)]),
    retried("several updates with an error", updates(
        one({"_id": 1}, {"$inc": {"a": 1}}), one({"_id": 2}, {"$inc": {"a": "x"}}),
        one({"_id": 2}, {"$inc": {"a": 1}}), ordered=False)),
    retried("delete", delete({"_id": 1})),
    retried("delete by a field", delete({"a": 2})),
    retried("several deletes", deletes(({"_id": 1}, 1), ({"a": 2}, 1), ({"_id": 404}, 1))),
    retried("findAndModify before", modify(query={"_id": 1}, update={"$inc": {"a": 1}})),
    retried("findAndModify after", modify(query={"a": 1}, update={"$inc": {"a": 1}}, new=True)),
    retried("findAndModify upsert", modify(query={"b": 1}, update={"$inc": {"a": 1}}, upsert=True,
                                           new=True)),
    retried("findAndModify remove", modify(query={"_id": 1}, remove=True)),
    retried("findAndModify of nothing", modify(query={"_id": 404}, update={"$inc": {"a": 1}})),
    retried("with majority", update({"_id": 1}, {"$inc": {"a": 1}}, command={
        "writeConcern": {"w": "majority"}})),
    Case("retry: another command under a used number",
         {**insert({"_id": 7}), "lsid": C, "txnNumber": Int64(5)},
         {**insert({"_id": 8}), "lsid": C, "txnNumber": Int64(4)},
         {**insert({"_id": 9}), "lsid": C, "txnNumber": Int64(6)}, replica_set_only=True, **ONLY),
    Case("retry: findAndModify wants the other image",
         {**modify(query={"_id": 1}, update={"$inc": {"a": 1}}), "lsid": C, "txnNumber": Int64(1)},
         {**modify(query={"_id": 1}, update={"$inc": {"a": 1}}, new=True), "lsid": C,
          "txnNumber": Int64(1)}, documents=PAIR, replica_set_only=True, **ONLY),
    Case("session: number without lsid", {**insert({"_id": 7}), "txnNumber": Int64(1)}, **ONLY),
    Case("session: negative number",
         {**insert({"_id": 7}), **LSID, "txnNumber": Int64(-1)}, **ONLY),
    Case("session: number of type int32", {**insert({"_id": 7}), **LSID, "txnNumber": 1}, **ONLY),
    Case("session: lsid is a string", {**insert({"_id": 7}), "lsid": "x"}, **ONLY),
    Case("session: lsid without id", {**insert({"_id": 7}), "lsid": {}}, **ONLY),
    Case("session: lsid of wrong length", {**insert({"_id": 7}), "lsid": {"id": Binary(b"x", 4)}},
         **ONLY),
    Case("session: stmtId and stmtIds", {**insert({"_id": 7}), **LSID, "txnNumber": Int64(1),
                                         "stmtId": 1, "stmtIds": [2]}, code_only=CITED, **ONLY),
    Case("session: stmtIds of wrong length", {**insert({"_id": 7}), "lsid": C,
                                              "txnNumber": Int64(1), "stmtIds": [2, 3]},
         code_only=CITED, **ONLY),
    Case("session: startTransaction without autocommit", {
        **insert({"_id": 7}), "lsid": C, "txnNumber": Int64(1), "startTransaction": True}, **ONLY),
    Case("session: autocommit without number", {**insert({"_id": 7}), "lsid": C,
                                                "autocommit": False}, **ONLY),
    Case("session: read in a transaction", {
        "find": C, "lsid": C, "txnNumber": Int64(1), "startTransaction": True, "autocommit": False},
         {"commitTransaction": 1, "lsid": C, "txnNumber": Int64(1), "autocommit": False,
          "$db": "admin"}, documents=PAIR, replica_set_only=True, **ONLY),
    Case("session: end", {"endSessions": [LSID["lsid"]], "$db": "admin"}, **ONLY),
]

READS = [
    ("find", {"find": C}),
    ("find with everything", {"find": C, "filter": {"a": {"$gte": 1}}, "sort": {"a": -1, "_id": 1},
                              "skip": 1, "limit": 2, "projection": {"a": 1}, "hint": "_id_"}),
    ("find with a collation", {"find": C, "filter": {"s": "X"}, "collation": {"locale": "en",
                                                                             "strength": 2}}),
    ("find with a batch", {"find": C, "batchSize": 2}),
    ("find with let", {"find": C, "filter": {"$expr": {"$eq": ["$a", "$$v"]}}, "let": {"v": 1}}),
    ("find with a bad filter", {"find": C, "filter": {"a": {"$wrong": 1}}}),
    ("find with a bad hint", {"find": C, "hint": "nope"}),
    ("find with an unknown field", {"find": C, "wrong": 1}),
    ("find with a read concern", {"find": C, "readConcern": {"level": "majority"}}),
    ("find with a bad read concern", {"find": C, "readConcern": {"level": "best"}}),
    ("find in nothing", {"find": "nothing"}),
    ("aggregate", {"aggregate": C, "cursor": {}, "pipeline": [
        {"$group": {"_id": "$a", "n": {"$sum": 1}}}, {"$sort": {"n": -1, "_id": 1}}]}),
    ("aggregate with a bad stage", {"aggregate": C, "cursor": {}, "pipeline": [{"$wrong": 1}]}),
    ("aggregate without cursor", {"aggregate": C, "pipeline": []}),
    ("aggregate of no collection", {"aggregate": 1, "cursor": {}, "pipeline": [
        {"$documents": [{"a": 1}]}]}),
    ("aggregate $unionWith", {"aggregate": C, "cursor": {}, "pipeline": [
        {"$unionWith": C}, {"$count": "n"}]}),
    ("aggregate $collStats", {"aggregate": C, "cursor": {}, "pipeline": [
        {"$collStats": {"count": {}}}, {"$project": {"count": 1}}]}),
    ("count", {"count": C, "query": {"a": 2}}),
    ("count of everything", {"count": C}),
    ("distinct", {"distinct": C, "key": "arr"}),
    ("distinct of a number", {"distinct": C, "key": 5}),
    ("getMore of nothing", {"getMore": Int64(12345), "collection": C}),
    ("getMore with a wrong type", {"getMore": "x", "collection": C}),
    ("killCursors", {"killCursors": C, "cursors": [Int64(12345)]}),
    ("listIndexes", {"listIndexes": C}),
    ("listIndexes of nothing", {"listIndexes": "nothing"}),
    ("listCollections", {"listCollections": 1, "filter": {"name": C}}),
    ("explain find", {"explain": {"find": C, "filter": {"a": 1}}, "verbosity": "queryPlanner"}),
    ("explain update", {"explain": {"update": C, "updates": [one({"a": 1}, {"$set": {"a": 2}})]},
                        "verbosity": "queryPlanner"}),
    ("explain delete", {"explain": {"delete": C, "deletes": [{"q": {"a": 1}, "limit": 0}]},
                        "verbosity": "queryPlanner"}),
    ("explain of nothing", {"explain": {"wrong": 1}}),
    ("mapReduce inline", {"mapReduce": C, "map": "function() { emit(this.a, 1) }",
                          "reduce": "function(k, v) { return v.length }", "out": {"inline": 1},
                          "query": {"a": 2}}),
]
CASES = SESSIONS + [Case("read: " + name, command, documents=THINGS, prepare=[index("a")],
                         modes=("plain", "session")) for name, command in READS]

CASES += [
    Case("admin: " + str(number), command, database=database, **ONLY)
    for number, (database, command) in enumerate([
        ("admin", {"ping": 1}), ("shop", {"ping": 1}), ("admin", {"buildInfo": 1}),
        ("admin", {"getParameter": 1, "ttlMonitorEnabled": 1}),
        ("admin", {"getParameter": 1, "nope": 1}), ("shop", {"getParameter": 1}),
        ("admin", {"features": 1}), ("shop", {"usersInfo": 1}), ("shop", {"rolesInfo": 1}),
        ("admin", {"connectionStatus": 1}), ("shop", {"profile": -1}),
        ("shop", {"nosuchcommand": 1}), ("shop", {"Insert": "x", "documents": [{"_id": 1}]}),
        ("shop", {"INSERT": "x"}), ("shop", {"": 1}), ("shop", {}),
        ("shop", {"eval": "1"}), ("shop", {"group": {}}), ("shop", {"geoNear": "x"}),
        ("shop", {"planCacheClear": "x"}), ("shop", {"whatsmyuri": 1, "extra": 1})][:-1])
]
CASES += [
    Case("writes in admin are not ours", {**insert({"_id": 1}), "insert": "differential"},
         {**update({"_id": 1}, {"$set": {"a": 1}}), "update": "differential"},
         {**delete({"_id": 1}), "delete": "differential"},
         {"drop": "differential"}, database="admin", **ONLY),
    Case("catalogue: create", create(), create(), {"listCollections": 1, "filter": {"name": C}},
         **ONLY),
    Case("catalogue: create with a wrong field", create(wrong=1), **ONLY),
    Case("catalogue: drop", {"drop": C}, insert({"_id": 1}, {"_id": 2}), index("a"), {"drop": C},
         {"drop": C}, {"find": C}, {"listIndexes": C}, insert({"_id": 2}), {"find": C}, **ONLY),
    Case("catalogue: drop of what has no such name", {"drop": ""}, {"drop": 1}, {"drop": "a$b"},
         {"drop": ".x"}, {"drop": C, "wrong": 1}, {"drop": C, "writeConcern": {"w": "no"}}, **ONLY),
    Case("catalogue: drop of a view", {"drop": C}, {"drop": C}, {"find": C},
         prepare=[create(viewOn="things", pipeline=[])], **ONLY),
    Case("catalogue: indexes", insert({"_id": 1, "a": 1}, {"_id": 2, "a": 1}), index("b"),
         index("b"), index("a", unique=True), {"listIndexes": C},
         {"dropIndexes": C, "index": "b"}, {"dropIndexes": C, "index": "b"},
         {"deleteIndexes": C, "index": "*"}, {"listIndexes": C}, **ONLY),
    Case("catalogue: collMod", create(), {"collMod": C, "validator": {"a": 1}}, insert({"_id": 1}),
         {"collMod": C, "validationLevel": "off"}, insert({"_id": 1}),
         {"collMod": C, "wrong": 1}, **ONLY),
    Case("catalogue: index on what cannot be built", insert({"_id": 1, "p": "x"}),
         {"createIndexes": C, "indexes": [{"key": {"p": "2dsphere"}, "name": "p"}]}, **ONLY),
    Case("view: writes are refused by mongod", insert({"_id": 9}),
         update({"_id": 1}, {"$set": {"a": 1}}), update({"a": 1}, {"$set": {"a": 1}}, multi=True),
         delete({"_id": 1}), modify(query={"_id": 1}, remove=True), {"find": C},
         prepare=[create(viewOn="things", pipeline=[])], modes=("plain", "sequence", "session")),
]

CAPPED = create(capped=True, size=4096, max=3)
CASES += [
    Case("capped: writes", insert({"_id": 1}, {"_id": 2, "n": 1}, {"_id": 3}, {"_id": 4}),
         update({"_id": 2}, {"$inc": {"n": 1}, "$set": {"s": "x" * 100}}),
         update({"_id": 1}, {"$set": {"a": 1}}), update({"_id": 3}, {"a": 1}),
         update({"_id": 5}, {"$set": {"a": 1}}, upsert=True), insert({"_id": 5}),
         modify(query={"_id": 4}, update={"$push": {"l": 1}}, new=True), {"find": C},
         delete({"_id": 4}), {"find": C}, insert({"_id": 1}, {"_id": 2}), {"find": C},
         modify(query={"_id": 2}, remove=True), {"drop": C}, {"find": C},
         prepare=[CAPPED], modes=("plain", "sequence", "session")),
    Case("capped: what it is", CAPPED, CAPPED, {"listCollections": 1, "filter": {"name": C}},
         create(capped=True), create(size=4096), create(capped=True, size=-1),
         {"collMod": C, "cappedSize": 8192, "cappedMax": 2}, {"collMod": C, "cappedSize": 0},
         {"collMod": C, "cappedMax": 0},
         {"listCollections": 1, "filter": {"name": C}},
         {"createIndexes": C, "indexes": [{"key": {"t": 1}, "name": "t",
                                           "expireAfterSeconds": 5}]}, **ONLY),
]

REFUSED = [
    ("convertToCapped", {"convertToCapped": C, "size": 4096}),
    ("cloneCollectionAsCapped", {"cloneCollectionAsCapped": C, "toCollection": "capped",
                                 "size": 4096}),
    ("applyOps", {"applyOps": [], "$db": "admin"}),
    ("bulkWrite", {"bulkWrite": 1, "ops": [], "nsInfo": [], "$db": "admin"}),
    ("mapReduce into old values with variables", {
        "mapReduce": C, "map": "function() {}", "reduce": "function() {}", "scope": {"n": 1},
        "out": {"reduce": "target"}}),
]
CASES += [Case("refused: " + name, command, documents=PAIR, refused=True, **ONLY)
          for name, command in REFUSED]
SERIES = create(timeseries={"timeField": "t", "metaField": "of"})
T = datetime.datetime(2026, 1, 2, 3, 4, 5)
# Of one no more than a single field is beside those two: mongod gives them in no order.
MEASURED = insert({"t": T, "of": {"b": 1, "a": 2}, "v": 1}, {"_id": 1, "t": T}, {"t": T, "v": 3})
READ = {"find": C, "sort": {"v": 1, "_id": 1, "z": 1}}
CASES += [
    Case("series: what it is", SERIES, SERIES, {"listCollections": 1, "filter": {"name": C}},
         {"collMod": C, "timeseries": {"granularity": "minutes"}},
         {"collMod": C, "timeseries": {"granularity": "seconds"}},
         {"collMod": C, "expireAfterSeconds": 1000}, {"collMod": C, "expireAfterSeconds": "off"},
         index("of", "t"), index("v", unique=True), {"listIndexes": C},
         {"dropIndexes": C, "index": "of_t"}, {"listIndexes": C},
         {"listCollections": 1, "filter": {"name": C}}, {"drop": C}, {"drop": C},
         create(timeseries={"timeField": "a.b"}), create(timeseries={"timeField": 1}),
         create(timeseries={"timeField": "t"}, capped=True, size=4096), **ONLY),
    Case("series: inserts and reads", MEASURED, MEASURED, READ, {"count": C},
         {"aggregate": C, "cursor": {}, "pipeline": [
             {"$group": {"_id": "$of", "n": {"$sum": "$v"}}}, {"$sort": {"n": 1}}]},
         {"distinct": C, "key": "t"}, prepare=[SERIES],
         modes=("plain", "sequence", "session")),
    Case("series: odd measurements", insert(
        {"_id": [1], "t": T}, {"t": T, "z": Timestamp(0, 0)}, {"t": T, "$a": 1}, {"t": T, "b.c": 2},
        {"": 3, "t": T}, {"_id": None, "t": T, "of": None}, {"of": [1, {"b": 1, "a": 2}], "t": T}),
         READ,
         prepare=[SERIES], modes=("plain", "sequence", "session")),
    Case("series: bad ones", insert({"_id": 1}), insert({"t": "no"}), insert({}),
         insert({"t": T, "v": 1}, {"v": 2}, {"t": T, "v": 3}), READ,
         insert({"t": T, "v": 4}, {"v": 5}, {"t": T, "v": 6}, {"t": 1}, ordered=False), READ,
         insert(), prepare=[SERIES], modes=("plain", "sequence", "session")),
    Case("series: findAndModify", modify(query={"_id": 1}, remove=True),
         modify(query={"of": 1}, update={"$set": {"of": 2}}), prepare=[SERIES], **ONLY),
]
CASES += [
    Case(f"refused: {name} a time series", command, prepare=[SERIES], refused=True, **ONLY)
    for name, command in (("update of", update({"of": 1}, {"$set": {"of": 2}}, multi=True)),
                          ("delete from", delete({"of": 1}, limit=0)))
]
