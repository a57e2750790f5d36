"""What can be no `_id`, given in every way one can be, alone and among statements whose documents
are looked at."""

from bson import DBRef, Regex, SON

from differential.case import Case, THINGS, deletes, insert, modify, one, updates

IDS = {
    "an object with $": {"$a": 1}, "an object with $ further on": SON([("b", 1), ("$a", 1)]),
    "an object with $ inside": {"b": {"$a": 1}}, "half a reference": SON([("$ref", "c")]),
    "a whole reference": DBRef("c", 1), "an array": [1], "an empty array": [],
    "a regular expression": Regex("^x"), "an operator": {"$gt": 0}, "an $eq": {"$eq": 1},
    "an object": {"b": 1}, "null": None,
}

SET = {"b": 1}


def ways(value):
    """(what, statement of an update) that may make a document of that `_id`."""
    return [
        ("replacement", one({"a": 404}, {"_id": value, "b": 1}, upsert=True)),
        ("$set", one({"a": 404}, {"$set": {"_id": value, "b": 1}}, upsert=True)),
        ("$setOnInsert", one({"a": 404}, {"$setOnInsert": {"_id": value}, "$set": SET},
                             upsert=True)),
        ("pipeline", one({"a": 404}, [{"$set": {"_id": {"$literal": value}}}], upsert=True)),
        ("filter", one({"_id": {"$eq": value}}, {"$set": SET}, upsert=True)),
        ("rename", one({"_id": 1}, {"$set": {"_id": value}})),
    ]


LOOKED_AT = [one({"_id": 1}, {"$push": {"arr": 9}}), one({"_id": 2}, {"$pop": {"arr": 1}})]
ALONE = [
    Case(f"id: {what} by {way}", updates(statement), documents=THINGS, modes=("retryable",))
    for what, value in IDS.items() for way, statement in ways(value)
]
AMONG = [
    Case(f"id: {what} by {way} among others",
         updates(LOOKED_AT[0], statement, LOOKED_AT[1], ordered=False), documents=THINGS,
         modes=("plain",))
    for what, value in IDS.items() for way, statement in ways(value)
]
INSERTED = [
    Case(f"id: {what} inserted, {'' if ordered else 'un'}ordered",
         insert({"_id": 50}, {"_id": value, "b": 1}, {"_id": 51}, ordered=ordered),
         documents=THINGS, modes=("plain",))
    for what, value in IDS.items() for ordered in (False, True)
]
MODIFIED = [
    Case(f"id: {what} by findAndModify, {way}", modify(query=q, update=u, upsert=True),
         documents=THINGS, modes=("retryable",))
    for what, value in IDS.items()
    for way, q, u in [("replacement", {"a": 404}, {"_id": value, "b": 1}),
                      ("filter", {"_id": {"$eq": value}}, {"$set": SET})]
]
DELETED = [
    Case(f"id: {what} deleted beside another, {'' if ordered else 'un'}ordered",
         deletes(({"_id": 1}, 1), ({"_id": {"$eq": value}}, 1), ({"_id": 2}, 0), ordered=ordered),
         documents=THINGS, modes=("plain",))
    for what, value in IDS.items() for ordered in (False, True)
]
CASES = ALONE + AMONG + INSERTED + MODIFIED + DELETED
