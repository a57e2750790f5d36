"""What happens when two sites write without seeing each other: one case for each line of README's
table, by the line's own words."""

import re

import pytest

from cluster import Cluster
from sidecar import ROOT
from waiting import wait_until


def update(change, **options):
    return lambda c: c.update_one({"_id": 1}, change, **options)


def delete(c):
    c.delete_one({"_id": 1})


def insert(**fields):
    return lambda c: c.insert_one({"_id": 1, **fields})


def replace(**fields):
    return lambda c: c.replace_one({"_id": 1}, fields)


def push(value):
    return update({"$push": {"l": value}})


def twice(first, second):
    def both(c):
        first(c)
        second(c)
    return both


def order(*ids):
    return update({"$set": {"l": [{"_id": each, "n": each} for each in ids]}})


# What is there, what one site does, what the other does later, what is there then at both, and what
# the ledger says was lost.
ITEMS = [{"k": 1, "n": 1}, {"k": 2, "n": 2}, {"k": 3, "n": 3}]
NAMED = [{"_id": 1, "n": 1}, {"_id": 2, "n": 2}, {"_id": 3, "n": 3}]
FOUR = [*NAMED, {"_id": 4, "n": 4}]
OTHER_ELEMENT = [{"k": 1, "n": 9}, {"k": 3, "n": 3}]
PAIRS = {
    ("$set a", "$set b"): (
        {}, update({"$set": {"a": 1}}), update({"$set": {"b": 2}}), {"a": 1, "b": 2}, []),
    ("$inc n 2", "$inc n 3"): (
        {"n": 1}, update({"$inc": {"n": 2}}), update({"$inc": {"n": 3}}), {"n": 6}, []),
    ("$set a", "$set a, later"): (
        {"a": 0}, update({"$set": {"a": 1}}), update({"$set": {"a": 2}}), {"a": 2}, [1]),
    ("$set n", "$inc n"): (
        {"n": 1}, update({"$set": {"n": 10}}), update({"$inc": {"n": 5}}), {"n": 15}, []),
    ("$inc n -7, under bounded[0, 10]", "$inc n -6, of 10"): (
        {"n": 10}, update({"$inc": {"n": -7}}), update({"$inc": {"n": -6}}), {"n": 0}, [-3]),
    ("$push", "$push"): ({"l": [0]}, push("a"), push("b"), {"l": [0, "a", "b"]}, []),
    ("$push", "$pull, $pop"): (
        {"l": [1, 2, 3]}, push("a"),
        twice(update({"$pull": {"l": 1}}), update({"$pop": {"l": 1}})), {"l": [2, "a"]}, []),
    ("$addToSet", "$addToSet of an equal value"): (
        {"l": [1]}, update({"$addToSet": {"l": 2}}), update({"$addToSet": {"l": 2}}),
        {"l": [1, 2]}, []),
    ("$pull of x, under set(remove_wins)", "$addToSet of x by who had not seen it"): (
        {"l": ["x", "y"]}, update({"$pull": {"l": "x"}}),
        twice(update({"$pull": {"l": "x"}}), update({"$addToSet": {"l": "x"}})), {"l": ["y"]},
        ["x"]),
    ("$push", "$set the array"): (
        {"l": [1]}, push("a"), update({"$set": {"l": [7, 8]}}), {"l": [7, 8, "a"]}, []),
    ("$set the array", "$set the array, later"): (
        {"l": [1]}, update({"$set": {"l": [2]}}), update({"$set": {"l": [3]}}), {"l": [3]},
        [[2]]),
    ("$set an array of documents with an _id each", "the same, or any edit of elements"): (
        {"l": NAMED}, update({"$set": {"l": [{"_id": 1, "n": 9}, {"_id": 3, "n": 3}]}}),
        update({"$set": {"l": [*NAMED, {"_id": 4, "n": 4}]}}),
        {"l": [{"_id": 1, "n": 9}, {"_id": 3, "n": 3}, {"_id": 4, "n": 4}]}, []),
    ("the same in another order, or sorted", "an edit of an element that moves by it"): (
        {"l": NAMED}, update({"$push": {"l": {"$each": [], "$sort": {"n": -1}}}}),
        update({"$set": {"l.0.n": 9}}), {"l": [NAMED[2], NAMED[1], {"_id": 1, "n": 9}]}, []),
    ("a move of an element", "another move of it, later; its removal"): (
        {"l": FOUR}, order(4, 2, 3, 1),
        twice(order(2, 3, 1, 4), update({"$pull": {"l": {"_id": 4}}})),
        {"l": [FOUR[1], FOUR[2], FOUR[0]]}, []),
    ("edit of an element (a.$, a.3.x)", "edit or removal of another"): (
        {"l": ITEMS}, update({"$set": {"l.0.n": 9}}), update({"$pull": {"l": {"k": 2}}}),
        {"l": OTHER_ELEMENT}, []),
    ("$inc a.$.n 2", "$inc of the same element's n 3"): (
        {"l": ITEMS[:2]},
        lambda c: c.update_one({"l.k": 2}, {"$inc": {"l.$.n": 2}}),
        update({"$inc": {"l.1.n": 3}}), {"l": [ITEMS[0], {"k": 2, "n": 7}]}, []),
    ("edit of a field of an element", "edit of another field of it"): (
        {"l": ITEMS[:1]}, update({"$set": {"l.0.n": 8}}), update({"$set": {"l.0.m": 9}}),
        {"l": [{"k": 1, "n": 8, "m": 9}]}, []),
    ("edit of a field of an element", "edit of the same field, later"): (
        {"l": ITEMS[:1]}, update({"$set": {"l.0.n": 8}}), update({"$set": {"l.0.n": 9}}),
        {"l": [{"k": 1, "n": 9}]}, [8]),
    ("edit of a field of an element", "another element in its place ($set a.3), later"): (
        {"l": ITEMS[:1]},
        twice(update({"$set": {"l.0.m": 8}}), update({"$inc": {"l.0.n": 2}})),
        update({"$set": {"l.0": {"k": 7, "n": 20}}}), {"l": [{"k": 7, "n": 22}]}, [8]),
    ("edit of an element", "its removal"): (
        {"l": ITEMS[:2]}, update({"$set": {"l.0.n": 8}}), update({"$pull": {"l": {"k": 1}}}),
        {"l": [{"k": 2, "n": 2}]}, [8]),
    ("replaceOne", "replaceOne, later"): (
        {"a": 0, "b": 0}, replace(a=1, b=0), replace(a=0, b=2), {"a": 0, "b": 2}, [0, 1]),
    ("replaceOne, under replaces: diff", "the same"): (
        {"a": 0, "b": 0}, replace(a=1, b=0), replace(a=0, b=2), {"a": 1, "b": 2}, []),
    ("update that names __v, under version_field: __v", "the same, later"): (
        {"a": 0, "b": 0, "__v": 0}, update({"$set": {"a": 1}, "$inc": {"__v": 1}}),
        update({"$set": {"b": 2}, "$inc": {"__v": 1}}), {"a": 0, "b": 2, "__v": 1},
        [{"_id": 1, "a": 1, "b": 0, "__v": 1}]),
    ("update that names __v, under version_field: __v", "any other update"): (
        {"a": 0, "b": 0, "__v": 0}, update({"$set": {"a": 1}, "$inc": {"__v": 1}}),
        update({"$set": {"b": 2}}), {"a": 1, "b": 2, "__v": 1}, [0]),
    ("$set the array, under union", "the same"): (
        {"l": [1]}, update({"$set": {"l": [1, 2]}}), update({"$set": {"l": [1, 3]}}),
        {"l": [1, 2, 3]}, []),
    ("delete", "update"): ({"a": 1}, delete, update({"$set": {"a": 2}}), None, [2]),
    ("delete, under deletes: update_wins", "update"): (
        {"a": 1, "b": 1}, delete, update({"$set": {"a": 2}}), {"a": 2, "b": 1},
        ["(unset)"]),
    ("delete, insert again", "delete, or update"): (
        {"a": 1}, twice(delete, insert(a=2)), delete, {"a": 2}, []),
    ("insert _id 1", "insert _id 1, later"): (
        None, insert(a=1), insert(a=2, b=3), {"a": 2, "b": 3}, [1]),
    ("insert _id 1, under inserts: merge", "the same, later"): (
        None, insert(a=1, c=4), insert(a=2, b=3), {"a": 2, "b": 3, "c": 4}, [1]),
    ("upsert, $inc n 1", "upsert, $inc n 1"): (
        None, update({"$inc": {"n": 1}, "$set": {"a": 1}}, upsert=True),
        update({"$inc": {"n": 1}, "$set": {"b": 1}}, upsert=True), {"n": 2, "a": 1, "b": 1}, []),
}


# What is shown, and what is open in the ledger.
KEYS = {
    ("insert with a unique key", "insert with the same key, later"): (
        {"_id": 1, "mail": "a"}, {"_id": 2, "mail": "a"}, [1], "unique"),
    ("insert with a unique key, under unique: keep", "the same"): (
        {"_id": 1, "mail": "a"}, {"_id": 2, "mail": "a"}, [1, 2], "kept"),
}


def create_index(*names, **options):
    return lambda c: c.create_index([(name, 1) for name in names], **options)


# What is there, what each site does, what both say of their indexes then, how many entries more.
CATALOGUE = {
    ("drop", "insert"): (
        create_index("a"), lambda c: c.drop(), lambda c: c.insert_one({"_id": 2}), {}, 0),
    ("createIndexes a", "createIndexes b"): (
        None, create_index("a"), create_index("b"), {"a_1": ["a"], "b_1": ["b"]}, 0),
    ("an index or option", "another by its name, later"): (
        None, create_index("a", name="x"), create_index("b", name="x"), {"x": ["b"]}, 1),
    ("an index", "the same under another name"): (
        None, create_index("a", name="x"), create_index("a", name="y"), None, 1),
}


def named(line):
    return re.sub(r"\W+", "_", " beside ".join(line))


RULES = [{"namespace": f"shop.{named(line)}", **rule} for line in [*PAIRS, *KEYS]
         for word, rule in (("update_wins", {"deletes": "update_wins"}),
                            ("keep", {"unique": "keep"}),
                            ("diff", {"replaces": "diff"}),
                            ("inserts: merge", {"inserts": "merge"}),
                            ("version_field", {"version_field": "__v"}),
                            ("bounded", {"fields": {"n": "bounded[0, 10]"}}),
                            ("union", {"fields": {"l": "union"}}),
                            ("remove_wins", {"fields": {"l": "set(remove_wins)"}}))
         if word in line[0]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("pair"), settings={"replicate": RULES}) as cluster:
        yield cluster


def entries(site, namespace):
    return list(site.app().outrigger.conflicts.find({"namespace": namespace}))


def lost_of(entry):
    """Who deleted it before hears of the update alone; who updated it has the whole document, or
    the whole element of an array."""
    if entry.get("element"):
        return entry["lost"]["n"] if isinstance(entry["lost"], dict) else entry["lost"]
    return entry["lost"]["a"] if entry["lost"] == {"_id": 1, "a": 2} else entry["lost"]


def words(line):
    return tuple(cell.strip().replace("`", "") for cell in line.strip("|\n").split("|"))[:2]


def test_each_line_of_the_readme_has_its_case():
    text = (ROOT / "README.md").read_text()
    table = text.split("| one site | the other | result |\n", 1)[1].split("\n\n", 1)[0]
    lines = [words(line) for line in table.splitlines()[1:]]
    assert lines == [*PAIRS, *KEYS, *CATALOGUE]


def collections(pair, line):
    return pair.collections(named(line))


@pytest.mark.parametrize("line", PAIRS, ids=" beside ".join)
def test_of_documents(pair, line):
    before, one, other, after, lost = PAIRS[line]
    oslo, paris = collections(pair, line)
    if before is not None:
        oslo.insert_one({"_id": 1, **before})
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        one(oslo)
        other(paris)
    pair.wait_converged(["shop"])
    assert oslo.find_one() == paris.find_one() == (after and {"_id": 1, **after})
    for site in pair:
        assert [lost_of(entry) for entry in entries(site, oslo.full_name)] == lost


@pytest.mark.parametrize("line", KEYS, ids=" beside ".join)
def test_of_unique_keys(pair, line):
    one, other, shown, kind = KEYS[line]
    oslo, paris = collections(pair, line)
    oslo.create_index("mail", unique=True)
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        oslo.insert_one(one)
        paris.insert_one(other)
    for site, each in zip(pair, (oslo, paris)):
        wait_until(lambda: [found["_id"] for found in each.find().sort("_id")] == shown,
                   lambda: list(each.find()))
        wait_until(lambda: entries(site, each.full_name), "an entry")
        [entry] = entries(site, each.full_name)
        lost = other if kind == "unique" else {"mail": "a"}
        assert (entry["kind"], entry["state"], entry["lost"]) == (kind, "open", lost)
        assert (entry["document"], entry["won"]) == (2, 1)


def indexes(collection):
    return {name: [field for field, _ in index["key"]]
            for name, index in collection.index_information().items() if name != "_id_"}


@pytest.mark.parametrize("line", CATALOGUE, ids=" beside ".join)
def test_of_the_catalogue(pair, line):
    before, one, other, after, more = CATALOGUE[line]
    oslo, paris = collections(pair, line)
    oslo.insert_one({"_id": 1})
    if before:
        before(oslo)
    pair.wait_converged(["shop"])
    known = len(entries(pair.oslo, "outrigger.catalog"))
    with pair.apart("oslo", "paris"):
        one(oslo)
        other(paris)
    if after is None:
        wait_until(lambda: len(entries(pair.oslo, "outrigger.catalog")) > known, "an open entry")
        assert (list(indexes(oslo)), list(indexes(paris))) == (["x"], ["y"])
        return
    pair.wait_converged(["shop"])
    wait_until(lambda: indexes(oslo) == indexes(paris) == after,
               lambda: f"{indexes(oslo)}, {indexes(paris)}: {after}")
    assert len(entries(pair.oslo, "outrigger.catalog")) == known + more
