"""Commands that mongod refuses, or that say two wrong things at once: which error comes first, and
in whose words."""

from bson import Binary, Int64

from differential.case import (C, Case, THINGS, create, delete, deletes, insert, modify, one,
                               update, updates)

SET = {"$set": {"b": 1}}
WRONG = {"a": {"$wrong": 1}}
EXPR = {"$expr": {"$eq": ["$a", 2]}}
GUARD = "findAndModify takes no guard (6.0): the code is mongod's, the words are ours"

DATABASES = ["x" * 64, "x" * 63, "x y", "x.y", "x/y", "$a", "x\\y", "", "x\"y"]
NAMES = ["", ".x", "x.", "x..y", "$x", "x$y", "system.", "system.nope", "a" * 260]

CASES = [
    Case(f"odd: {kind} in the database {database[:10]!r} of {len(database)}", {**command,
         "$db": database}, modes=("plain",),
         code_only=GUARD if kind == "findAndModify" else None)
    for database in DATABASES
    for kind, command in [
        ("insert", insert({"_id": 1})), ("update", update({"_id": 1}, SET)),
        ("update by a field", update({"a": 1}, SET)), ("delete", delete({"a": 1}, 0)),
        ("findAndModify", modify(query={"a": 1}, update=SET))]
    if len(database) != 63
]
CASES += [
    Case(f"odd: {kind} of the collection {name[:10]!r} of {len(name)}",
         {**command, next(iter(command)): name}, modes=("plain",),
         code_only=GUARD if kind == "findAndModify" else None)
    for name in NAMES
    for kind, command in [
        ("insert", insert({"_id": 1})), ("update by a field", update({"a": 1}, SET)),
        ("delete", delete({"a": 1}, 0)), ("findAndModify", modify(query={"a": 1}, remove=True))]
]

BOGUS = {
    "in the statement": {"bogus": 1},
    "a hint that is none": {"hint": 5},
    "a collation that is none": {"collation": 5},
    "an unknown collation field": {"collation": {"locale": "en", "bogus": 1}},
    "upsert that is none": {"upsert": "x"},
    "arrayFilters that are none": {"arrayFilters": 5},
}
FILTERS = {"bad filter": WRONG, "good filter": {"a": 2}, "nothing": {"a": 404}, "_id": {"_id": 1}}
CASES += [
    Case(f"odd: update, {what}, {where}", update(q, SET, **bogus), documents=THINGS,
         modes=("plain", "retryable"))
    for what, q in FILTERS.items() for where, bogus in BOGUS.items()
]
CASES += [
    Case(f"odd: delete, {what}, {where}", delete(q, **bogus), documents=THINGS, modes=("plain",))
    for what, q in FILTERS.items() for where, bogus in BOGUS.items()
    if where in ("in the statement", "a hint that is none", "a collation that is none",
                 "an unknown collation field")
]
CASES += [
    Case(f"odd: findAndModify, {what}, {where}", modify(query=q, update=SET, **bogus),
         documents=THINGS, modes=("plain",))
    for what, q in FILTERS.items() for where, bogus in BOGUS.items()
    if where in ("in the statement", "a hint that is none", "an unknown collation field")
]
CASES += [
    Case(f"odd: {what} with a field of the command that is none",
         {**command, "bogus": 1}, documents=THINGS, modes=("plain",))
    for what, command in [
        ("insert", insert({"_id": 77})), ("update, bad filter", update(WRONG, SET)),
        ("update, bad hint", update({"a": 2}, SET, hint="nope")),
        ("update of many, bad hint", update({"a": 2}, SET, hint="nope", multi=True)),
        ("delete, bad filter", delete(WRONG, 0)),
        ("delete, bad hint", delete({"a": 2}, hint="nope")),
        ("findAndModify, bad filter", modify(query=WRONG, update=SET)),
        ("findAndModify, bad hint", modify(query={"a": 2}, update=SET, hint="nope"))]
]
# A command that is refused as a whole does nothing, however many statements came before.
CASES += [
    Case(f"odd: {what} behind good statements", command, documents=THINGS,
         modes=("plain", "sequence"))
    for what, command in [
        ("an unknown field", updates(one({"a": 2}, SET), one({"_id": 1}, SET, bogus=1))),
        ("an unknown field by _id", updates(one({"_id": 1}, SET), one({"_id": 2}, SET, bogus=1))),
        ("a hint that is none", updates(one({"a": 2}, SET), one({"s": "x"}, SET, hint=5))),
        ("a collation that is none", updates(one({"a": 2}, SET),
                                             one({"s": "x"}, SET, collation=5))),
        ("an unknown field of a delete", {"delete": C, "deletes": [
            {"q": {"a": 2}, "limit": 1}, {"q": {"_id": 1}, "limit": 1, "bogus": 1}]}),
        ("a bad filter", updates(one({"a": 2}, SET), one(WRONG, SET))),
        ("a bad filter of a delete", deletes(({"a": 2}, 1), (WRONG, 1)))]
]
UPSERTS = {"that matches": EXPR, "that matches nothing": {"$expr": {"$eq": ["$a", 404]}},
           "in $and": {"$and": [EXPR, {"a": 2}]}, "in $or": {"$or": [{"a": 2}, EXPR]},
           "beside _id": {"_id": 2, **EXPR}}
CASES += [
    Case(f"odd: upsert with $expr {what}, {form}", make(q), documents=THINGS,
         modes=("plain", "retryable") if form != "many" else ("plain",))
    for what, q in UPSERTS.items()
    for form, make in [
        ("one", lambda q: update(q, SET, upsert=True)),
        ("many", lambda q: update(q, SET, upsert=True, multi=True)),
        ("findAndModify", lambda q: modify(query=q, update=SET, upsert=True))]
]
CASES += [
    Case(f"odd: maxTimeMS of {limit!r}, {what}", {**command, "maxTimeMS": limit},
         documents=THINGS, modes=("plain",))
    for limit in (-1, "x", 2**40, 1.5, 0, None)
    for what, command in [("update", update({"_id": 1}, SET)),
                          ("by a field", update({"a": 2}, SET)),
                          ("findAndModify", modify(query={"a": 2}, sort={"_id": 1}, update=SET))]
]

CASE_BLIND = [create(collation={"locale": "en", "strength": 2})]
CASES += [
    Case(f"odd: an element is projected under the collection's collation, {what}",
         modify(query=q, update={"$set": {"b": 1}}, fields={"arr.$": 1}),
         documents=[{"_id": "A", "arr": [1, 2], "s": "X"}], prepare=CASE_BLIND)
    for what, q in [("by the element", {"arr": 2}), ("by another field", {"s": "x", "arr": 1}),
                    ("by _id", {"_id": "a", "arr": 2}), ("by nothing", {})]
]
CASES += [
    Case(f"odd: an element is projected under a collation of the command, {what} of {identity!r}",
         modify(query=q, update={"$set": {"b": 1}}, fields={"arr.$": 1}, collation=collation),
         documents=[{"_id": identity, "arr": [1, "É"], "s": "X"}], prepare=prepare,
         modes=("plain",))
    for identity in ("A", "a.\\x$", "É\0\n", "", {"k": "É", "n": 1}, {"k": {"s": "x"}})
    for prepare in ([], CASE_BLIND)
    for collation in ({"locale": "en", "strength": 1}, {"locale": "simple"}, {})
    for what, q in [(f"by the element, {len(prepare)}, {collation}", {"arr": "e"}),
                    (f"by _id, {len(prepare)}, {collation}", {"_id": identity, "arr": "É"}),
                    (f"by nothing, {len(prepare)}, {collation}", {})]
]
CASES += [
    Case(f"odd: an element is updated under the collection's collation, {what}",
         update(q, {"$set": {"arr.$": 9}}, multi=many),
         documents=[{"_id": "A", "arr": [1, 2], "s": "X"}], prepare=CASE_BLIND,
         modes=("plain",))
    for many in (False, True)
    for what, q in [(f"by the element, {many}", {"arr": 2}),
                    (f"by another field, {many}", {"s": "x", "arr": 1}),
                    (f"by _id, {many}", {"_id": "a", "arr": 2})]
]

# On a standalone the number alone is an error; on a set it is what is wrong beside it.
NUMBERED = {"lsid": {"id": Binary(b"fedcba9876543210", 4)}, "txnNumber": Int64(1)}
CASES += [
    Case(f"odd: numbered, {what}", {**command, **NUMBERED}, documents=THINGS, modes=("plain",),
         # A standalone would say of it that numbers are not allowed; the proxy names what is wrong.
         replica_set_only=what in ("findAndModify of nothing", "findAndModify of both"))
    for what, command in [
        ("update of nothing right", {"update": C, "updates": [5]}),
        ("update without u", {"update": C, "updates": [{"q": {}}]}),
        ("update by a number", {"update": C, "updates": [{"q": {}, "u": 5}]}),
        ("update with a bad operator", update({"_id": 1}, {"$wrong": 1})),
        ("update with a bad filter", update({"a": {"$wrong": 1}}, SET)),
        ("updates that are none", {"update": C, "updates": "x"}),
        ("no updates", {"update": C, "updates": []}),
        ("update of many", update({"a": 2}, SET, multi=True)),
        ("insert of a number", {"insert": C, "documents": [5]}),
        ("insert of nothing", {"insert": C, "documents": []}),
        ("insert of a bad _id", insert({"_id": [1]})),
        ("delete of many", delete({"a": 2}, 0)),
        ("delete with a bad limit", delete({"a": 2}, 5)),
        ("delete without q", {"delete": C, "deletes": [{"limit": 1}]}),
        ("findAndModify of nothing", {"findAndModify": C}),
        ("findAndModify of both", modify(query={"a": 2}, remove=True, update=SET)),
        ("findAndModify with a bad sort", modify(query={"a": 2}, sort=5, update=SET)),
        ("bogus field", {**update({"_id": 1}, SET), "bogus": 1}),
        ("ordered that is none", {**update({"_id": 1}, SET), "ordered": "x"}),
        ("a write concern that is none", {**update({"_id": 1}, SET), "writeConcern": 5})]
]
