"""Cases as those of pairs.py, of collections with their unique keys, indexes and options."""

import pymongo.errors
import pytest

from pairs import insert, update


def make_index(*names, **options):
    return lambda c: c.create_index([(name, 1) for name in names], **options)


def refused(code, act):
    def act_and_hear_it(c):
        with pytest.raises(pymongo.errors.OperationFailure) as error:
            act(c)
        assert error.value.code == code, error.value
    return act_and_hear_it


def with_unique_mail(*found):
    def make(c):
        c.create_index("mail", unique=True)
        if found:
            c.insert_many(found)
    return make


def mail(which, address="a"):
    return {"_id": which, "mail": address}


BY_MAIL = {"mail_1": ["mail"]}
BOTH = [mail(1, "x"), mail(2, "y")]
# What is there then is the documents, the indexes and the options of the collection; a pair of them
# where the two sites differ.
KEYS = {
    ("insert with a unique key", "insert with the same key, later"): [
        (with_unique_mail(), insert(1, mail="a"), insert(2, mail="a"), ([mail(1)], BY_MAIL, {}),
         [mail(2)])],
    ("update to a unique key", "insert with that key, or update to it, later"): [
        (with_unique_mail(BOTH[0]), update(set={"mail": "a"}), insert(2, mail="a"),
         ([mail(1)], BY_MAIL, {}), [mail(2)]),
        (with_unique_mail(*BOTH), update(set={"mail": "a"}), update({"_id": 2}, set={"mail": "a"}),
         ([mail(1)], BY_MAIL, {}), [mail(2)])],
}
KEYS_BY_RULE = {
    ("unique: keep", "insert with a unique key", "insert with the same key, later"): [
        (with_unique_mail(), insert(1, mail="a"), insert(2, mail="a"),
         ([mail(1), mail(2)], BY_MAIL, {}), [{"mail": "a"}])],
}


def holding(*documents, index=None, **options):
    def make(c):
        c.insert_many(documents)
        if index:
            c.create_index(index)
        if options:
            coll_mod(**options)(c)
    return make


def coll_mod(**options):
    return lambda c: c.database.command("collMod", c.name, **options)


def rename(c):
    c.rename(c.name + "_renamed")


HAS_A, HAS_B = {"a": {"$exists": True}}, {"b": {"$exists": True}}
ONE = [{"_id": 1}]
COLLECTIONS = {
    ("drop", "insert"): [
        (holding(*ONE, index="a"), lambda c: c.drop(), insert(2), ([{"_id": 2}], {}, {}), [])],
    ("drop", "update of a document in it"): [
        (holding(*ONE), lambda c: c.drop(), update(set={"a": 2}), ([], {}, {}), [2])],
    ("renameCollection", "anything"): [
        (holding(*ONE), refused(115, rename), update(set={"a": 2}), ([{"_id": 1, "a": 2}], {}, {}),
         [])],
    ("createIndexes a", "createIndexes b"): [
        (holding(*ONE), make_index("a"), make_index("b"),
         (ONE, {"a_1": ["a"], "b_1": ["b"]}, {}), [])],
    ("dropIndexes a", "createIndexes b, or a write"): [
        (holding(*ONE, index="a"), lambda c: c.drop_index("a_1"), make_index("b"),
         (ONE, {"b_1": ["b"]}, {}), []),
        (holding(*ONE, index="a"), lambda c: c.drop_index("a_1"), update(set={"a": 2}),
         ([{"_id": 1, "a": 2}], {}, {}), [])],
    ("an index or option", "another by its name, later"): [
        (holding(*ONE), make_index("a", name="x"), make_index("b", name="x"),
         (ONE, {"x": ["b"]}, {}), [[[["a", 1]], {"v": 2}]]),
        (holding(*ONE), coll_mod(validator=HAS_A), coll_mod(validator=HAS_B),
         (ONE, {}, {"validator": HAS_B}), [[HAS_A]])],
    ("an index", "the same under another name"): [
        (holding(*ONE), make_index("a", name="x"), make_index("a", name="y"),
         ((ONE, {"x": ["a"]}, {}), (ONE, {"y": ["a"]}, {})), [["x", "y"]])],
}
