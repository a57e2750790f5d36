"""What two sites write without seeing each other, and what that comes to: the cases of README's
tables, each by the words of its line (those of indexes and options: pairs_of_collections.py). A
case is what is there before, what one site does, what the other does later, what is there then, and
what the ledgers of both have of it.

What is there is the fields of the document with _id 1, or a list of whole documents, or None."""

import datetime

from waiting import wait_until

UNSET = "(unset)"


def update(filter=None, upsert=False, **operators):
    """update(inc={"n": 1}): `$inc` n by 1 in the document with _id 1."""
    change = {f"${name}": value for name, value in operators.items()}
    return lambda c: c.update_one(filter or {"_id": 1}, change, upsert=upsert)


def pipeline(stage):
    return lambda c: c.update_one({"_id": 1}, [{"$set": stage}])


def delete(c):
    c.delete_one({"_id": 1})


def insert(which=1, **fields):
    return lambda c: c.insert_one({"_id": which, **fields})


def replace(**fields):
    return lambda c: c.replace_one({"_id": 1}, fields)


def push(value):
    return update(push={"l": value})


def in_order(*acts):
    def all_of_them(c):
        for act in acts:
            act(c)
    return all_of_them


def order(*ids):
    return update(set={"l": [{"_id": each, "n": each} for each in ids]})


def claim(who):
    """As a worker does that takes a job."""
    return lambda c: c.find_one_and_update({"owner": None}, {"$set": {"owner": who}})


def transaction(**fields):
    """Sets them in two documents."""
    def act(c):
        with c.database.client.start_session() as session, session.start_transaction():
            for which in (1, 2):
                c.update_one({"_id": which}, {"$set": fields}, session=session)
    return act


NEVER, PAST = datetime.datetime(2100, 1, 1), datetime.datetime(2000, 1, 1)


def expiring(*documents):
    def make(c):
        c.create_index("at", expireAfterSeconds=0)
        c.insert_many(documents)
    return make


def expire(c):
    c.update_one({"_id": 1}, {"$set": {"at": PAST}})
    wait_until(lambda: not c.find_one(), "it expires")


ITEMS = [{"k": 1, "n": 1}, {"k": 2, "n": 2}, {"k": 3, "n": 3}]
NAMED = [{"_id": 1, "n": 1}, {"_id": 2, "n": 2}, {"_id": 3, "n": 3}]
FOUR = [*NAMED, {"_id": 4, "n": 4}]
WITHOUT_2 = [{"_id": 1, "n": 9}, {"_id": 3, "n": 3}]

FIELDS = {
    ("$set a", "$set b"): [
        ({}, update(set={"a": 1}), update(set={"b": 2}), {"a": 1, "b": 2}, [])],
    ("$set a", "$set a, later"): [
        ({"a": 0}, update(set={"a": 1}), update(set={"a": 2}), {"a": 2}, [1])],
    ("$set a", "$unset a, later"): [
        ({"a": 0}, update(set={"a": 1}), update(unset={"a": 1}), {}, [1])],
    ("$unset a", "$set a, later"): [
        ({"a": 0}, update(unset={"a": 1}), update(set={"a": 1}), {"a": 1}, [UNSET])],
    ("$set a to a document", "$set a.b, later"): [
        ({"a": {"b": 0, "x": 0}}, update(set={"a": {"b": 1, "c": 1}}), update(set={"a.b": 2}),
         {"a": {"b": 2, "c": 1}}, [1])],
    ("$set a.b", "$set a to a document, later"): [
        ({"a": {"b": 0, "x": 0}}, update(set={"a.b": 2}), update(set={"a": {"c": 1}}),
         {"a": {"c": 1}}, [2])],
    ("$set a to 5", "$set a.b, later"): [
        ({"a": {"x": 0}}, update(set={"a": 5}), update(set={"a.b": 2}), {"a": {"b": 2}}, [5])],
    ("$set a to 5", "$push a, later"): [
        ({"a": [0]}, update(set={"a": 5}), update(push={"a": 1}), {"a": [1]}, [5])],
    ("$set a.b, or $push a", "$set a to 5, later"): [
        ({"a": {"x": 0}}, update(set={"a.b": 2}), update(set={"a": 5}), {"a": 5}, [2]),
        ({"a": [0]}, update(push={"a": 1}), update(set={"a": 5}), {"a": 5}, [1])],
    ("$unset a, a document", "$set a.b, or $inc a.b, later"): [
        ({"a": {"b": 0, "x": 0}}, update(unset={"a": 1}), update(set={"a.b": 2}), {"a": {"b": 2}},
         []),
        ({"a": {"b": 0, "x": 0}}, update(unset={"a": 1}), update(inc={"a.b": 2}), {"a": {"b": 2}},
         [])],
    ("$set a.b", "$unset a, a document, later"): [
        ({"a": {"b": 0, "x": 0}}, update(set={"a.b": 2}), update(unset={"a": 1}), {}, [2])],
    ("$set a.b where no a is", "$push a where no a is"): [
        ({}, update(set={"a.b": 2}), update(push={"a": 1}), {"a": [1]}, [2]),
        ({}, update(push={"a": 1}), update(set={"a.b": 2}), {"a": {"b": 2}}, [1])],
    ("$rename a to b", "$set a, later"): [
        ({"a": 1}, update(rename={"a": "b"}), update(set={"a": 2}), {"b": 1, "a": 2}, [UNSET])],
    ("$rename a to b", "$inc a 5"): [
        ({"a": 1}, update(rename={"a": "b"}), update(inc={"a": 5}), {"b": 1, "a": 5}, [])],
    ("$rename a to b", "$rename a to c"): [
        ({"a": 1}, update(rename={"a": "b"}), update(rename={"a": "c"}), {"b": 1, "c": 1}, [])],
    ("a pipeline that makes n of n", "$inc n"): [
        ({"n": 1}, pipeline({"n": {"$add": ["$n", 10]}}), update(inc={"n": 5}), {"n": 16}, [])],
}

NUMBERS = {
    ("$inc n 2", "$inc n 3"): [
        ({"n": 1}, update(inc={"n": 2}), update(inc={"n": 3}), {"n": 6}, [])],
    ("$set n", "$inc n"): [
        ({"n": 1}, update(set={"n": 10}), update(inc={"n": 5}), {"n": 15}, [])],
    ("$unset n", "$inc n 5"): [
        ({"n": 1}, update(unset={"n": 1}), update(inc={"n": 5}), {"n": 5}, [])],
    ("$set n to a text", "$inc n"): [
        ({"n": 1}, update(set={"n": "x"}), update(inc={"n": 5}), {"n": "x"}, [5])],
    ("$mul n", "$inc n"): [
        ({"n": 2}, update(mul={"n": 10}), update(inc={"n": 5}), {"n": 25}, [])],
    ("$mul n", "$mul n, later"): [
        ({"n": 2}, update(mul={"n": 10}), update(mul={"n": 3}), {"n": 6}, [20])],
    ("$min n, or $max n", "the same, later"): [
        ({"n": 9}, update(min={"n": 3}), update(min={"n": 5}), {"n": 5}, [3]),
        ({"n": 1}, update(max={"n": 5}), update(max={"n": 3}), {"n": 3}, [5])],
    ("$max n", "$set n, later"): [
        ({"n": 1}, update(max={"n": 9}), update(set={"n": 3}), {"n": 3}, [9])],
    ("$bit of n", "$bit of n, later"): [
        ({"n": 0}, update(bit={"n": {"or": 1}}), update(bit={"n": {"or": 2}}), {"n": 2}, [1])],
}

ARRAYS = {
    ("$push", "$push"): [({"l": [0]}, push("a"), push("b"), {"l": [0, "a", "b"]}, [])],
    ("$push", "$pull, $pop"): [
        ({"l": [1, 2, 3]}, push("a"), in_order(update(pull={"l": 1}), update(pop={"l": 1})),
         {"l": [2, "a"]}, [])],
    ("$push with $slice", "the same"): [
        ({"l": [0, 1]}, update(push={"l": {"$each": ["a"], "$slice": -2}}),
         update(push={"l": {"$each": ["b"], "$slice": -2}}), {"l": [1, "a", "b"]}, [])],
    ("$pop", "$pop of the same end"): [
        ({"l": [1, 2, 3]}, update(pop={"l": 1}), update(pop={"l": 1}), {"l": [1, 2]}, [])],
    ("$addToSet", "$addToSet of an equal value"): [
        ({"l": [1]}, update(addToSet={"l": 2}), update(addToSet={"l": 2}), {"l": [1, 2]}, [])],
    ("$pull of x", "$addToSet of x where x is not (any more)"): [
        ({"l": ["x", "y"]}, update(pull={"l": "x"}),
         in_order(update(pull={"l": "x"}), update(addToSet={"l": "x"})), {"l": ["y", "x"]}, [])],
    ("$pull of x", "$addToSet of x where x is"): [
        ({"l": ["x", "y"]}, update(pull={"l": "x"}), update(addToSet={"l": "x"}), {"l": ["y"]},
         [])],
    ("$push", "$set the array"): [
        ({"l": [1]}, push("a"), update(set={"l": [7, 8]}), {"l": [7, 8, "a"]}, [])],
    ("$push", "$unset the array"): [
        ({"l": [1]}, push("a"), update(unset={"l": 1}), {"l": ["a"]}, [])],
    ("$set the array", "$set the array, later"): [
        ({"l": [1]}, update(set={"l": [2]}), update(set={"l": [3]}), {"l": [3]}, [[2]])],
    ("$set an array of documents with an _id each", "the same, or any edit of elements"): [
        ({"l": NAMED}, update(set={"l": WITHOUT_2}), update(set={"l": FOUR}),
         {"l": [*WITHOUT_2, FOUR[3]]}, []),
        ({"l": NAMED}, update(set={"l": WITHOUT_2}),
         in_order(update(set={"l.2.m": 7}), push({"_id": 4})),
         {"l": [WITHOUT_2[0], {"_id": 3, "n": 3, "m": 7}, {"_id": 4}]}, [])],
    ("the same in another order, or sorted", "an edit of an element that moves by it"): [
        ({"l": NAMED}, order(3, 2, 1), update(set={"l.0.n": 9}),
         {"l": [NAMED[2], NAMED[1], {"_id": 1, "n": 9}]}, []),
        ({"l": NAMED}, update(push={"l": {"$each": [], "$sort": {"n": -1}}}),
         update(set={"l.0.n": 9}), {"l": [NAMED[2], NAMED[1], {"_id": 1, "n": 9}]}, [])],
    ("a move of an element", "another move of it, later; its removal"): [
        ({"l": FOUR}, order(4, 2, 3, 1),
         in_order(order(2, 3, 1, 4), update(pull={"l": {"_id": 4}})),
         {"l": [FOUR[1], FOUR[2], FOUR[0]]}, [])],
    ("edit of an element (a.$, a.3.x)", "edit or removal of another"): [
        ({"l": ITEMS}, update(set={"l.0.n": 9}), update(set={"l.1.n": 8}),
         {"l": [{"k": 1, "n": 9}, {"k": 2, "n": 8}, ITEMS[2]]}, []),
        ({"l": ITEMS}, update({"l.k": 1}, set={"l.$.n": 9}), update(pull={"l": {"k": 2}}),
         {"l": [{"k": 1, "n": 9}, ITEMS[2]]}, [])],
    ("$inc a.$.n 2", "$inc of the same element's n 3"): [
        ({"l": ITEMS[:2]}, update({"l.k": 2}, inc={"l.$.n": 2}), update(inc={"l.1.n": 3}),
         {"l": [ITEMS[0], {"k": 2, "n": 7}]}, [])],
    ("edit of a field of an element", "edit of another field of it"): [
        ({"l": ITEMS[:1]}, update(set={"l.0.n": 8}), update(set={"l.0.m": 9}),
         {"l": [{"k": 1, "n": 8, "m": 9}]}, [])],
    ("edit of a field of an element", "edit of the same field, later"): [
        ({"l": ITEMS[:1]}, update(set={"l.0.n": 8}), update(set={"l.0.n": 9}),
         {"l": [{"k": 1, "n": 9}]}, [8])],
    ("edit of a field of an element", "another element in its place ($set a.3), later"): [
        ({"l": ITEMS[:1]}, in_order(update(set={"l.0.m": 8}), update(inc={"l.0.n": 2})),
         update(set={"l.0": {"k": 7, "n": 20}}), {"l": [{"k": 7, "n": 22}]}, [8])],
    ("edit of an element", "its removal"): [
        ({"l": ITEMS[:2]}, update(set={"l.0.n": 8}), update(pull={"l": {"k": 1}}),
         {"l": [ITEMS[1]]}, [8])],
}

TWO = [{"_id": 1, "a": 0}, {"_id": 2, "a": 0}]
DOCUMENTS = {
    ("replaceOne", "replaceOne, later"): [
        ({"a": 0, "b": 0}, replace(a=1, b=0), replace(a=0, b=2), {"a": 0, "b": 2}, [0, 1])],
    ("replaceOne", "$set b, later"): [
        ({"a": 0, "b": 0}, replace(a=1), update(set={"b": 2}), {"a": 1, "b": 2}, [])],
    ("$set b", "replaceOne, later"): [
        ({"a": 0, "b": 0}, update(set={"b": 2}), replace(a=1), {"a": 1}, [2])],
    ("delete", "update"): [({"a": 1}, delete, update(set={"a": 2}), None, [2])],
    ("delete", "delete"): [({"a": 1}, delete, delete, None, [])],
    ("delete, insert again", "delete, or update"): [
        ({"a": 1}, in_order(delete, insert(a=2)), delete, {"a": 2}, []),
        ({"a": 1}, in_order(delete, insert(b=3)), update(set={"a": 2}), {"b": 3}, [2])],
    ("insert _id 1", "insert _id 1, later"): [
        (None, insert(a=1), insert(a=2, b=3), {"a": 2, "b": 3}, [1])],
    ("upsert, $inc n 1", "upsert, $inc n 1"): [
        (None, update(upsert=True, inc={"n": 1}, set={"a": 1}),
         update(upsert=True, inc={"n": 1}, set={"b": 1}), {"n": 2, "a": 1, "b": 1}, [])],
    ("insert _id 1", "upsert, $inc n 1, later"): [
        (None, insert(n=5, a=1), update(upsert=True, inc={"n": 1}, set={"b": 1}),
         {"n": 1, "a": 1, "b": 1}, [5])],
    ("upsert, $inc n 1", "insert _id 1, later"): [
        (None, update(upsert=True, inc={"n": 1}, set={"b": 1}), insert(n=5, a=1),
         {"n": 6, "a": 1}, [1, 1])],
    ("updateMany, deleteMany", "insert of what would match"): [
        (TWO, lambda c: c.update_many({}, {"$set": {"a": 1}}), insert(3, a=0),
         [{"_id": 1, "a": 1}, {"_id": 2, "a": 1}, {"_id": 3, "a": 0}], []),
        (TWO, lambda c: c.delete_many({}), insert(3, a=0), [{"_id": 3, "a": 0}], [])],
    ("findAndModify that takes a job", "the same of the same job, later"): [
        ({"owner": None}, claim("oslo"), claim("paris"), {"owner": "paris"}, ["oslo"])],
    ("a transaction", "a transaction, or a write, later"): [
        (TWO, transaction(a=1), transaction(a=2), [{"_id": 1, "a": 2}, {"_id": 2, "a": 2}],
         [1, 1]),
        (TWO, transaction(a=1), update(set={"a": 2}), [{"_id": 1, "a": 2}, {"_id": 2, "a": 1}],
         [1])],
    ("$set at to a time at which a TTL index has it expire", "$set at to a later time, later"): [
        (expiring({"_id": 1, "at": NEVER, "b": 1}), expire, update(set={"at": NEVER}),
         {"at": NEVER, "b": 1}, [PAST])],
}

# By a rule of the path `v`, or of the namespace where it is a setting of that.
POLICIES = {
    ("lww", "$inc, $push", "the same, later"): [
        ({"v": 1}, update(inc={"v": 2}), update(inc={"v": 3}), {"v": 4}, [3]),
        ({"v": [0]}, update(push={"v": 1}), update(push={"v": 2}), {"v": [0, 2]}, [[0, 1]])],
    ("atomic", "$set v.x", "$set v.y, later"): [
        ({"v": {"x": 0, "y": 0}}, update(set={"v.x": 1}), update(set={"v.y": 2}),
         {"v": {"x": 0, "y": 2}}, [0, 1])],
    ("counter", "$set v", "$inc v"): [
        ({"v": 1}, update(set={"v": 10}), update(inc={"v": 5}), {"v": 15}, [])],
    ("bounded[0, 10]", "$inc v -7", "$inc v -6, of 10"): [
        ({"v": 10}, update(inc={"v": -7}), update(inc={"v": -6}), {"v": 0}, [-3])],
    ("first_wins", "$set v", "$set v, later"): [
        ({}, update(set={"v": 1}), update(set={"v": 2}), {"v": 1}, [2])],
    ("max", "$set v to 9, or to the later date", "$set v to 5, or to the earlier one, later"): [
        ({}, update(set={"v": 9}), update(set={"v": 5}), {"v": 9}, [5]),
        ({}, update(set={"v": NEVER}), update(set={"v": PAST}), {"v": NEVER}, [PAST])],
    ("max", "$max v", "$max v, later"): [
        ({"v": 1}, update(max={"v": 9}), update(max={"v": 5}), {"v": 9}, [5])],
    ("min", "$set v to 3", "$set v to 5, later"): [
        ({}, update(set={"v": 3}), update(set={"v": 5}), {"v": 3}, [5])],
    ("prefer[open, paid, shipped]", "$set v to paid", "$set v to open, later"): [
        ({"v": "open"}, update(set={"v": "paid"}), update(set={"v": "open"}), {"v": "paid"},
         ["open"])],
    ("longest", "$set v to abc", "$set v to x, later"): [
        ({}, update(set={"v": "abc"}), update(set={"v": "x"}), {"v": "abc"}, ["x"])],
    ("multi_value", "$set v", "$set v, later"): [
        ({}, update(set={"v": 1}), update(set={"v": 2}), {"v": 2}, [1])],
    ("union", "$set the array", "the same"): [
        ({"v": [1]}, update(set={"v": [1, 2]}), update(set={"v": [1, 3]}), {"v": [1, 2, 3]}, [])],
    ("set", "$set the array", "the same"): [
        ({"v": [1, 2]}, update(set={"v": [2, 3]}), update(set={"v": [1, 2, 4]}),
         {"v": [2, 3, 4]}, [])],
    ("set(remove_wins)", "$pull of x", "$addToSet of x by who had not seen it"): [
        ({"v": ["x", "y"]}, update(pull={"v": "x"}),
         in_order(update(pull={"v": "x"}), update(addToSet={"v": "x"})), {"v": ["y"]}, ["x"])],
    ("keyed(k)", "$set the array", "the same, or any edit of elements"): [
        ({"v": ITEMS}, update(set={"v": [{"k": 1, "n": 9}, ITEMS[2]]}),
         update(set={"v": [*ITEMS, {"k": 4}]}),
         {"v": [{"k": 1, "n": 9}, ITEMS[2], {"k": 4}]}, []),
        ({"v": ITEMS}, update(set={"v": [{"k": 1, "n": 9}, ITEMS[2]]}), update(set={"v.2.n": 8}),
         {"v": [{"k": 1, "n": 9}, {"k": 3, "n": 8}]}, [])],
    ("escalate: true", "$set v", "$set v, later"): [
        ({}, update(set={"v": 1}), update(set={"v": 2}), {"v": 2}, [1])],
    ("deletes: update_wins", "delete", "update"): [
        ({"a": 1, "b": 1}, delete, update(set={"a": 2}), {"a": 2, "b": 1}, [UNSET])],
    ("replaces: diff", "replaceOne", "the same"): [
        ({"a": 0, "b": 0}, replace(a=1, b=0), replace(a=0, b=2), {"a": 1, "b": 2}, [])],
    ("inserts: merge", "insert _id 1", "the same, later"): [
        (None, insert(a=1, c=4), insert(a=2, b=3), {"a": 2, "b": 3, "c": 4}, [1])],
    ("version_field: __v", "update that names __v", "the same, later"): [
        ({"a": 0, "b": 0, "__v": 0}, update(set={"a": 1}, inc={"__v": 1}),
         update(set={"b": 2}, inc={"__v": 1}), {"a": 0, "b": 2, "__v": 1},
         [{"_id": 1, "a": 1, "b": 0, "__v": 1}])],
    ("version_field: __v", "update that names __v", "any other update"): [
        ({"a": 0, "b": 0, "__v": 0}, update(set={"a": 1}, inc={"__v": 1}), update(set={"b": 2}),
         {"a": 1, "b": 2, "__v": 1}, [0])],
}
