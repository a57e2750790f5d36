"""Transactions: statements, errors, commits and aborts, over one connection and over several."""

from bson import Int64

from differential.case import (C, Case, create, delete, deletes, insert, modify, one, update,
                               updates)

DOCUMENTS = [{"_id": 1, "a": 1, "l": [1, 2, 3]}, {"_id": 2, "a": 2, "l": [{"x": 1}, {"x": 2}]},
             {"_id": 3, "a": 2, "s": "Abc"}]
EXPLAINED = "mongod names the active number, which only it knows"


def under(command, number=1, start=False, **more):
    fields = {"lsid": C, "txnNumber": Int64(number), "autocommit": False}
    return {**command, **fields, **({"startTransaction": True} if start else {}), **more}


def end(name, number=1, **more):
    return under({name: 1, **more, "$db": "admin"}, number)


COMMIT, ABORT = end("commitTransaction"), end("abortTransaction")
FIND = {"find": C, "sort": {"_id": 1}}


def whole(name, *commands, last=COMMIT, **options):
    """A transaction of these commands, which ends with `last`."""
    started = [under(command, start=not i) for i, command in enumerate(commands)]
    return Case("transaction: " + name, *started, last, documents=DOCUMENTS,
                **{"modes": ("plain", "sequence"), **options})


def listed(name, *commands, **options):
    return Case("transaction: " + name, *commands, documents=DOCUMENTS,
                **{"modes": ("plain",), **options})


STATEMENTS = [
    ("insert", insert({"_id": 7})),
    ("insert without _id", insert({"a": 7})),
    ("insert of several", insert({"_id": 7}, {"_id": 8}, {"_id": 9})),
    ("update by _id", update({"_id": 1}, {"$set": {"a": 5}})),
    ("increment", update({"_id": 1}, {"$inc": {"a": 5}})),
    ("update by a field", update({"a": 2}, {"$inc": {"a": 1}})),
    ("update of many", update({"a": 2}, {"$inc": {"a": 1}}, multi=True)),
    ("update of many by nothing", update({}, {"$set": {"b": 1}}, multi=True)),
    ("update of nothing", update({"a": 404}, {"$set": {"a": 5}})),
    ("update of no document", update({"_id": 404}, {"$set": {"a": 5}})),
    ("update that changes nothing", update({"_id": 1}, {"$set": {"a": 1}})),
    ("update of arrays", update({"_id": 1}, {"$push": {"l": {"$each": [9], "$slice": -3}}})),
    ("positional update", update({"l.x": 1}, {"$set": {"l.$.x": 5}})),
    ("array filters", update({"_id": 2}, {"$set": {"l.$[e].x": 7}}, arrayFilters=[{"e.x": 2}])),
    ("pipeline", update({"a": 2}, [{"$set": {"b": {"$add": ["$a", 1]}}}], multi=True)),
    ("replacement", update({"_id": 1}, {"b": 1})),
    ("replacement by a field", update({"a": 1}, {"b": 1})),
    ("upsert that finds", update({"a": 1}, {"$set": {"b": 1}}, upsert=True)),
    ("upsert by _id", update({"_id": 9}, {"$inc": {"n": 1}}, upsert=True)),
    ("upsert of a pipeline", update({"_id": "p"}, [{"$set": {"n": 1}}], upsert=True)),
    ("upsert that names its _id", update({"a": 404}, {"$setOnInsert": {"_id": "mine"}},
                                         upsert=True)),
    ("several updates", updates(one({"_id": 1}, {"$inc": {"a": 1}}),
                                one({"_id": 1}, {"$inc": {"a": 2}}),
                                one({"a": 2}, {"$set": {"b": 1}}, multi=True),
                                one({"_id": 404}, {"$set": {"b": 1}}))),
    ("delete by _id", delete({"_id": 1})),
    ("delete of nothing", delete({"_id": 404})),
    ("delete of many", delete({"a": 2}, limit=0)),
    ("several deletes", deletes(({"_id": 1}, 1), ({"a": 2}, 0))),
    ("findAndModify", modify(query={"_id": 1}, update={"$inc": {"a": 1}})),
    ("findAndModify that gives the new", modify(query={"a": 2}, sort={"_id": -1}, new=True,
                                                update={"$inc": {"a": 1}})),
    ("findAndModify that removes", modify(query={"a": 2}, sort={"_id": -1}, remove=True)),
    ("findAndModify of nothing", modify(query={"a": 404}, update={"$inc": {"a": 1}})),
    ("findAndModify that inserts", modify(query={"_id": 9}, update={"$inc": {"a": 1}}, new=True,
                                          upsert=True)),
    ("findAndModify with fields", modify(query={"_id": 1}, update={"$inc": {"a": 1}},
                                         fields={"a": 1})),
]

MADE = f"{C}_made"
INDEX = {"createIndexes": MADE, "indexes": [{"key": {"a": 1}, "name": "a", "unique": True}]}
INTO = {"insert": MADE, "documents": [{"_id": 1, "a": 1}, {"_id": 2, "a": 2}]}
CATALOGUE = [
    ("create", [{"create": MADE}]),
    ("create, then documents", [{"create": MADE, "validator": {"a": {"$lt": 5}}}, INTO]),
    ("create, then what its validator refuses", [
        {"create": MADE, "validator": {"a": {"$lt": 2}}}, INTO]),
    ("documents, then create", [INTO, {"create": MADE}]),
    ("create with a collation, then a write by it", [
        {"create": MADE, "collation": {"locale": "en", "strength": 2}},
        {"insert": MADE, "documents": [{"_id": "a"}]},
        {"update": MADE, "updates": [{"q": {"_id": "A"}, "u": {"$set": {"b": 1}}}]}]),
    ("create of what is there", [{"create": C}]),
    ("create with a wrong field", [{"create": MADE, "wrong": 1}]),
    ("indexes", [INDEX]),
    ("create and indexes and documents", [{"create": MADE}, INDEX, INTO]),
    ("a key twice under a new index", [INDEX, INTO, {
        "insert": MADE, "documents": [{"_id": 3, "a": 1}]}]),
    ("documents, then indexes", [INTO, INDEX]),
    ("indexes of what is there and empty", [{**INDEX, "createIndexes": C}]),
    ("an index that is none", [{**INDEX, "indexes": [{"key": {}, "name": "x"}]}]),
    ("collMod", [{"collMod": C, "validator": {}}]),
    ("drop", [INTO, {"drop": C}]),
    ("drop of indexes", [INTO, {"dropIndexes": C, "index": "*"}]),
    ("drop of a database", [INTO, {"dropDatabase": 1}]),
    ("rename", [INTO, {"renameCollection": f"shop.{C}", "to": f"shop.{MADE}", "$db": "admin"}]),
]

CASES = [whole(name, command, FIND) for name, command in STATEMENTS]
CASES += [whole(name + ", aborted", command, FIND, last=ABORT) for name, command in STATEMENTS[::4]]
CASES += [whole(name + ", after a read", FIND, command) for name, command in STATEMENTS[::3]]
CASES += [
    whole("one document again and again", insert({"_id": 7, "n": 1}),
          update({"_id": 7}, {"$inc": {"n": 1}}), update({"_id": 7}, {"$set": {"d": {"x": 1}}}),
          update({"d.x": 1}, {"$set": {"d.y": 2}}), delete({"_id": 7}), insert({"_id": 7, "m": 1}),
          update({"_id": 7}, {"$mul": {"m": 5}}), update({"_id": 1}, {"$set": {"n": 1}}),
          update({"_id": 1}, {"$inc": {"n": 1}}), update({"_id": 1}, {"$unset": {"a": 1}}), FIND),
    whole("an upsert finds what another made", update({"k": 1}, {"$inc": {"n": 1}}, upsert=True),
          update({"k": 1}, {"$inc": {"n": 1}}, upsert=True), FIND),
    # ---- errors
    whole("a duplicate", insert({"_id": 1}), insert({"_id": 8})),
    whole("a duplicate among several, unordered",
          insert({"_id": 8}, {"_id": 1}, {"_id": 9}, ordered=False), FIND),
    whole("a duplicate after what went well", insert({"_id": 8}), insert({"_id": 8}), FIND),
    whole("an update that fails", update({"_id": 3}, {"$inc": {"s": 1}}), FIND),
    whole("an update of many that fails", update({}, {"$inc": {"s": 1}}, multi=True), FIND),
    whole("an unknown operator", update({"_id": 1}, {"$nope": {"s": 1}}), FIND),
    whole("an unknown field", insert({"_id": 8}, nope=1), insert({"_id": 9}), code_only=EXPLAINED),
    whole("a filter that is none", update({"a": {"$nope": 1}}, {"$set": {"b": 1}}), FIND),
    whole("an immutable _id", update({"_id": 1}, {"$set": {"_id": 2}}), FIND),
    whole("a write concern in a statement",
          insert({"_id": 8}), insert({"_id": 9}, writeConcern={"w": 1})),
    whole("what no transaction may run", insert({"_id": 8}), {"count": C}),
    # ---- how it is begun
    listed("a statement of none", under(insert({"_id": 7})), COMMIT, code_only=EXPLAINED),
    listed("a commit of none", COMMIT, code_only=EXPLAINED),
    listed("an abort of none", ABORT),
    listed("begun twice", under(insert({"_id": 7}), start=True),
           under(insert({"_id": 8}), start=True), ABORT, code_only=EXPLAINED),
    listed("a newer number", under(insert({"_id": 7}), start=True),
           under(insert({"_id": 7, "by": 2}), 2, start=True), end("commitTransaction", 2)),
    listed("an older number", under(insert({"_id": 7}), 2, start=True),
           under(insert({"_id": 8}), 1), end("commitTransaction", 2)),
    listed("a retryable number after it", under(insert({"_id": 7}), start=True), COMMIT,
           {**insert({"_id": 8}), "lsid": C, "txnNumber": Int64(2)}, COMMIT, code_only=EXPLAINED),
    listed("read concern snapshot", under(insert({"_id": 7}), start=True,
                                          readConcern={"level": "snapshot"}), COMMIT),
    listed("an unknown read concern", under(insert({"_id": 7}), start=True,
                                            readConcern={"level": "nope"}), ABORT),
    # ---- how it ends
    whole("committed twice", insert({"_id": 7}), COMMIT),
    listed("committed by another connection", under(insert({"_id": 7}), start=True), (1, COMMIT),
           (0, COMMIT), replica_set_only=True),
    listed("statements over two connections", under(insert({"_id": 7}), start=True),
           (1, under(update({"_id": 7}, {"$set": {"a": 1}}))), (0, under(FIND)), (1, COMMIT)),
    listed("aborted after the commit", under(insert({"_id": 7}), start=True), COMMIT, ABORT),
    listed("committed after the abort", under(insert({"_id": 7}), start=True), ABORT, COMMIT,
           code_only=EXPLAINED),
    listed("a statement after the commit", under(insert({"_id": 7}), start=True), COMMIT,
           under(insert({"_id": 8}))),
    listed("nothing but reads", under(FIND, start=True), under(FIND), COMMIT, COMMIT),
    listed("reads, aborted", under(FIND, start=True), ABORT),
] + [
    listed(f"commit with {concern}", under(insert({"_id": 7}), start=True),
           end("commitTransaction", writeConcern=concern), ABORT)
    for concern in ({"w": 1}, {"w": 1, "j": True}, {"w": "majority"}, {"w": "majority", "j": False},
                    {"w": "majority", "wtimeout": 1000})
] + [
    Case(f"transaction: catalogue: {name}", *[under(command, start=not i)
                                              for i, command in enumerate(commands)],
         last, {"listCollections": 1, "filter": {"name": MADE}},
         {"listIndexes": MADE}, {"find": MADE}, prepare=[create()], modes=("plain",))
    for name, commands in CATALOGUE for last in (COMMIT, ABORT)
    for name in (f"{name}, {'committed' if last is COMMIT else 'aborted'}",)
] + [
    Case("transaction: on a view", under(insert({"_id": 7}), start=True), COMMIT,
         prepare=[create(viewOn="things", pipeline=[])], modes=("plain",), replica_set_only=True),
]
