"""What an error of MongoDB means: its own words reach the app, the connection stays, and what it
wrote all the same stands at the other site. Both presentations."""

import itertools
import struct
import time

import bson
import pytest
from bson import SON

from cluster import Cluster
from differential.comparing import code_of
from differential.raw import RawClient, body_section
from waiting import wait_until

SLOW = {"$function": {"body": "function() { sleep(300); return 1; }", "args": [], "lang": "js"}}
COUNT = itertools.count(1)


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def pair(request, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("errors"), replica_set=request.param) as cluster:
        yield cluster


@pytest.fixture
def name():
    """A collection of the test's own."""
    return f"c{next(COUNT)}"


class Answered:
    def __init__(self, site, name):
        self.raw = RawClient(site.sidecar.proxy_address)
        self.name = name

    def __call__(self, command, more):
        """The code of the answer; fails when the connection was closed instead."""
        first = {command: self.name}
        reply = self.raw.command(SON({**first, **more, "$db": "shop"}))
        assert reply is not None, "the connection was closed"
        self.reply = reply
        return code_of(reply)


@pytest.fixture
def say(pair, name):
    """say("update", {...}): to oslo, always over the same connection."""
    answered = Answered(pair.oslo, name)
    yield answered
    assert answered("find", {"limit": 1}) == 0
    answered.raw.close()


PIPELINE = [{"$replaceWith": {"$mergeObjects": ["$$ROOT", {"b": "t"}]}}]
BEHIND_THE_WRITE = {
    "pipeline": {"query": {}, "update": PIPELINE, "fields": {"docs.$": 1}},
    "pipeline, new": {"query": {"_id": 4}, "update": PIPELINE, "fields": {"docs.$": 1},
                      "new": True},
    "set": {"query": {"n": 1}, "update": {"$set": {"b": 1}}, "fields": {"docs.$": 1}},
    "increment": {"query": {"_id": 4}, "update": {"$inc": {"n": 5}}, "fields": {"docs.$": 1}},
    "push": {"query": {"n": 1}, "update": {"$push": {"docs": 5}}, "fields": {"docs.$": 1}},
    "replacement": {"query": {"n": 1}, "update": {"n": 9}, "fields": {"docs.$": 1}},
    "an expression that cannot be": {"query": {"_id": 4}, "update": {"$inc": {"n": 5}},
                                     "fields": {"x": {"$divide": [1, "$zero"]}}},
    "a conversion that cannot be": {"query": {"n": 1}, "update": PIPELINE,
                                    "fields": {"x": {"$toInt": "$s"}}},
    "remove": {"query": {"n": 1}, "remove": True, "fields": {"x": {"$toInt": "$s"}}},
    "upsert": {"query": {"_id": 5}, "update": {"$set": {"s": "x"}, "$inc": {"n": 1}},
               "fields": {"x": {"$toInt": "$s"}}, "new": True, "upsert": True},
    "upsert by a field": {"query": {"k": 5}, "update": {"$set": {"s": "x"}, "$inc": {"n": 1}},
                          "fields": {"x": {"$toInt": "$s"}}, "new": True, "upsert": True},
}


@pytest.mark.parametrize("form", BEHIND_THE_WRITE, ids=lambda form: form.replace(" ", "_"))
def test_what_is_written_before_the_answer_fails_is_at_both_sites(pair, name, say, form):
    shop = pair.oslo.app().shop[name]
    shop.insert_one({"_id": 4, "docs": [{"y": False}], "n": 1, "zero": 0, "s": "x"})
    pair.wait_converged(["shop"])
    # MongoDB alone answers the same, and does the same.
    direct = pair.oslo.direct().alone[name]
    direct.insert_one({"_id": 4, "docs": [{"y": False}], "n": 1, "zero": 0, "s": "x"})
    alone = RawClient(pair.oslo.mongod.address)
    answer = alone.command(SON({"findAndModify": name, **BEHIND_THE_WRITE[form], "$db": "alone"}))
    alone.close()
    assert say("findAndModify", BEHIND_THE_WRITE[form]) == code_of(answer)
    if form != "upsert by a field":
        assert list(shop.find()) == list(direct.find())
    assert shop.count_documents({}) == direct.count_documents({})
    pair.wait_converged(["shop"])


def test_a_batch_whose_answer_is_too_large_is_at_both_sites(pair, name):
    """mongod writes what it may, and cannot say what it refused: 6.0.5 ends the connection, 6.0.27
    says that the answer is too large."""
    long = {"$jsonSchema": {"properties": {"kind": {"enum": ["x" * 30_000]}}}}
    direct = pair.oslo.direct()
    for database in ("shop", "alone"):
        direct[database].create_collection(name, validator=long)
    documents = [{"_id": i, "kind": "y"} if i % 5 < 3 else {"_id": i} for i in range(1000)]
    said = []
    for address, database in ((pair.oslo.mongod.address, "alone"),
                              (pair.oslo.sidecar.proxy_address, "shop")):
        client = RawClient(address)
        command = SON({"insert": name, "documents": documents, "ordered": False, "$db": database})
        answer = client.command(command)
        said.append(answer and bson.decode(answer)["code"])
        client.close()
    assert said in ([None, None], [10334, 10334])
    assert direct.shop[name].count_documents({}) == direct.alone[name].count_documents({}) == 400
    pair.wait_converged(["shop"])


@pytest.mark.long_on("replica_set")
def test_as_many_documents_as_mongod_takes_go_in_at_once(pair, name, say):
    assert say("insert", {"documents": [{"_id": i} for i in range(100_000)],
                          "ordered": False}) == 0
    pair.wait_converged(["shop"])


def test_a_message_that_says_more_is_to_come_locks_nothing(pair, name, say):
    pair.oslo.app().shop[name].insert_one({"_id": 1, "n": 0})
    body = bson.encode(SON({"update": name, "writeConcern": {"w": 1, "j": True}, "$db": "shop",
                            "lsid": {"id": bson.Binary(b"m" * 16, 4)},
                            "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}))
    more_to_come = 2
    say.raw.socket.sendall(struct.pack("<iiiiIB", 21 + len(body), 1, 0, 2013, more_to_come, 0) +
                           body)
    wait_until(lambda: pair.oslo.direct().shop[name].find_one()["n"] == 1, "the write")
    assert pair.oslo.app().shop[name].update_one({"_id": 1}, {"$inc": {"n": 1}}).matched_count == 1
    pair.wait_converged(["shop"])


@pytest.mark.long_on("replica_set")
def test_an_answer_that_cannot_be_made_does_not_lose_increments_of_both_sites(pair, name, say):
    oslo, paris = pair.collections(name)
    oslo.insert_one({"_id": 1, "n": 0, "s": "x"})
    pair.wait_converged(["shop"])
    pair.cut("oslo", "paris")
    for _ in range(3):
        assert say("findAndModify", {"query": {"_id": 1}, "update": [{"$set": {"p": 1}}],
                                     "fields": {"x": {"$toInt": "$s"}}}) == 241
    paris.update_one({"_id": 1}, {"$inc": {"n": 2}})
    pair.heal("oslo", "paris")
    pair.wait_converged(["shop"])
    assert oslo.find_one()["n"] == 2 and oslo.find_one()["p"] == 1


def test_a_write_that_runs_out_of_time_is_answered_in_time(pair, name, say):
    shop = pair.oslo.app().shop[name]
    shop.insert_many([{"_id": i} for i in range(4)])
    for command, more in {
        "update": {"updates": [{"q": {"$where": "sleep(1000) || false"}, "u": {"$set": {"a": 1}}}]},
        "delete": {"deletes": [{"q": {"$where": "sleep(1000) || false"}, "limit": 0}]},
        "findAndModify": {"query": {"$where": "sleep(1000) || false"}, "remove": True},
    }.items():
        began = time.monotonic()
        assert say(command, {**more, "maxTimeMS": 100}) == 50, command
        # mongod notices between two documents.
        assert time.monotonic() - began < 3, command
    assert shop.count_documents({}) == 4


def test_what_a_write_did_before_it_ran_out_of_time_is_at_both_sites(pair, name, say):
    shop = pair.oslo.app().shop[name]
    shop.insert_many([{"_id": i, "n": 0} for i in range(6)])
    slow = [{"$set": {"a": SLOW, "n": {"$add": ["$n", 1]}}}]
    for _ in range(3):
        began = time.monotonic()
        # Code that runs inside is interrupted (11601), as by MongoDB alone.
        assert say("update", {"updates": [{"q": {"_id": i}, "u": slow} for i in range(6)],
                              "maxTimeMS": 500}) in (50, 11601)
        assert time.monotonic() - began < 5
    say("findAndModify", {"query": {"_id": 5}, "update": slow, "maxTimeMS": 50})
    say("update", {"updates": [{"q": {}, "u": slow, "multi": True}], "maxTimeMS": 500})
    pair.wait_converged(["shop"])


def test_a_write_waits_for_another_no_longer_than_it_may(pair, name, say):
    shop = pair.oslo.app().shop[name]
    shop.insert_one({"_id": 1, "n": 0})
    other = Answered(pair.oslo, name)
    slow = [{"$set": {"a": {"$function": {
        "body": "function() { sleep(2000); return 1; }", "args": [], "lang": "js"}}}}]
    holds = {"updates": [{"q": {"_id": 1}, "u": slow}]}
    other.raw.send_msg([body_section(SON({"update": name, **holds, "$db": "shop"}))])
    wait_until(lambda: pair.oslo.status()["open_writes"] == 1, "the slow write is under way")
    began = time.monotonic()
    assert say("update", {"updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}],
                          "maxTimeMS": 200}) == 50
    assert time.monotonic() - began < 1.5
    other.raw.receive()
    other.raw.close()
    pair.wait_converged(["shop"])
    assert shop.find_one() == {"_id": 1, "n": 0, "a": 1}


def test_one_time_limit_covers_all_that_is_asked_for_a_write(pair, name, say):
    shop = pair.oslo.app().shop[name]
    shop.insert_many([{"_id": i, "n": 0} for i in range(3)])
    # Each of the questions alone would fit.
    slow = {"$where": "sleep(120) || true"}
    began = time.monotonic()
    assert say("update", {"updates": [{"q": slow, "u": {"$inc": {"n": 1}}}] * 8,
                          "maxTimeMS": 600}) == 50
    assert time.monotonic() - began < 3
    pair.wait_converged(["shop"])
