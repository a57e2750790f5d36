"""What an app may do is mongod's decision on the app's connection; what the capture must read, the
sidecar reads with its own user where the app's user may not."""

import itertools
import time

import pymongo
import pymongo.errors
import pytest
from bson import SON, ObjectId

from cluster import Cluster
from differential.comparing import code_of, text_of
from differential.raw import RawClient, body_section
from waiting import wait_until

DOCUMENTS = [{"_id": i, "n": i, "kind": "even" if i % 2 == 0 else "odd", "tags": ["a"]}
             for i in range(6)]
COUNT = itertools.count(1)


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def pair(request, tmp_path_factory):
    """Two sites whose mongods ask for a login, with users of few rights."""
    with Cluster(tmp_path_factory.mktemp("rights"), replica_set=request.param,
                 auth=True) as cluster:
        for site in cluster:
            admin = site.mongod.client().admin
            for role, actions in {"writer": ["insert", "update", "remove"], "updater": ["update"],
                                  "reader": ["find"], "nobody": []}.items():
                privileges = [{"resource": {"db": "", "collection": ""}, "actions": actions}]
                admin.command("createRole", role, privileges=privileges if actions else [],
                              roles=[])
                site.mongod.add_user(role, "pw", [role])
        yield cluster


@pytest.fixture
def name():
    """A collection of the test's own."""
    return f"c{next(COUNT)}"


def as_user(site, user):
    client = pymongo.MongoClient(site.mongod.uri(user, "pw").replace(
        site.mongod.address, site.sidecar.proxy_address), serverSelectionTimeoutMS=20000,
        retryWrites=site.mongod.replica_set)
    site._clients.append(client)
    return client


def direct_as_user(site, user):
    client = pymongo.MongoClient(site.mongod.uri(user, "pw"), serverSelectionTimeoutMS=20000,
                                 retryWrites=site.mongod.replica_set)
    site._clients.append(client)
    return client


FORMS = {
    "insert": lambda c: c.insert_one({"_id": 9}).acknowledged,
    "increment by _id": lambda c: c.update_one({"_id": 1}, {"$inc": {"n": 5}}).raw_result["n"],
    "increment a nested field": lambda c: c.update_one({"_id": 1}, {"$inc": {"x.y": 5}})
    .modified_count,
    "set by _id": lambda c: c.update_one({"_id": 1}, {"$set": {"s": 5}}).modified_count,
    "push by _id": lambda c: c.update_one({"_id": 1}, {"$push": {"tags": "b"}}).modified_count,
    "pipeline by _id": lambda c: c.update_one(
        {"_id": 1}, [{"$set": {"n": {"$add": ["$n", 1]}}}]).modified_count,
    "pipeline by a field": lambda c: c.update_one(
        {"n": 3}, [{"$set": {"n": {"$add": ["$n", 1]}}}]).modified_count,
    "replace": lambda c: c.replace_one({"_id": 2}, {"whole": "new"}).modified_count,
    "many": lambda c: c.update_many({"kind": "odd"}, {"$inc": {"n": 10}}).modified_count,
    "many by pipeline": lambda c: c.update_many(
        {"kind": "odd"}, [{"$set": {"n": {"$add": ["$n", 1]}}}]).modified_count,
    "upsert by _id": lambda c: c.update_one(
        {"_id": 77}, {"$inc": {"n": 2}}, upsert=True).upserted_id,
    "upsert by a field": lambda c: c.update_one(
        {"kind": "new"}, {"$inc": {"n": 2}}, upsert=True).matched_count,
    "upsert that finds": lambda c: c.update_one(
        {"kind": "odd", "n": 1}, {"$inc": {"n": 2}}, upsert=True).matched_count,
    "delete by a field": lambda c: c.delete_one({"n": 2}).deleted_count,
    "delete many": lambda c: c.delete_many({"kind": "even"}).deleted_count,
    "nothing": lambda c: c.update_one({"kind": "none"}, {"$inc": {"n": 2}}).matched_count,
    "several": lambda c: c.bulk_write([
        pymongo.UpdateOne({"_id": i}, {"$inc": {"n": 1}}) for i in range(6)]).modified_count,
}


def outcome(act, collection):
    try:
        return act(collection)
    except pymongo.errors.OperationFailure as error:
        return error.code


def contents(collection):
    """Without the _ids that two servers can never make alike."""
    return sorted(repr({k: v for k, v in document.items() if not isinstance(v, ObjectId)})
                  for document in collection.find())


def test_who_may_write_and_not_read_writes_as_with_mongodb_alone(pair):
    through = as_user(pair.oslo, "writer")
    alone = direct_as_user(pair.oslo, "writer")
    for form, act in FORMS.items():
        name = f"c{next(COUNT)}"
        if form not in ("upsert by a field", "insert"):
            pair.oslo.direct().alone[name].insert_many(DOCUMENTS)
            for site in pair:
                site.direct().shop[name].insert_many(DOCUMENTS)
        assert outcome(act, through.shop[name]) == outcome(act, alone.alone[name]), form
        direct = pair.oslo.direct()
        assert contents(direct.shop[name]) == contents(direct.alone[name]), form
    pair.wait_converged(["shop"])


@pytest.mark.parametrize("user", ["updater", "reader", "nobody"])
def test_who_may_not_write_is_refused_as_by_mongodb_alone(pair, name, user):
    through = as_user(pair.oslo, user)
    alone = direct_as_user(pair.oslo, user)
    for form, act in FORMS.items():
        assert outcome(act, through.shop[name]) == outcome(act, alone.alone[name]), form


def test_find_and_modify_needs_the_right_to_read(pair, name):
    pair.oslo.app().shop[name].insert_one({"_id": 1, "n": 1})
    for query in ({"_id": 1}, {"n": 1}):
        with pytest.raises(pymongo.errors.OperationFailure) as refused:
            as_user(pair.oslo, "writer").shop[name].find_one_and_update(
                query, {"$inc": {"n": 1}})
        assert refused.value.code == 13
    assert pair.oslo.app().shop[name].find_one() == {"_id": 1, "n": 1}


def test_a_refusal_shows_the_command_as_the_app_sent_it(pair, name):
    command = SON({"update": name, "updates": [{"q": {"kind": "odd"}, "u": {"$set": {"n": 1}}}]})
    texts = []
    for client in (as_user(pair.oslo, "nobody"), direct_as_user(pair.oslo, "nobody")):
        with pytest.raises(pymongo.errors.OperationFailure) as refused:
            client.shop.command(command)
        texts.append(refused.value.details["errmsg"].split(", lsid:")[0])
    assert texts[0] == texts[1]


def flood(address, command, seconds=3):
    """Sends the command again and again without ever reading, until nothing more is taken."""
    client = RawClient(address)
    client.socket.settimeout(seconds)
    try:
        while True:
            client.send_msg([body_section(command)])
    except OSError:
        pass
    return client


def test_a_stranger_who_never_reads_an_answer_locks_nothing(pair, name):
    orders = pair.oslo.app().shop[name]
    orders.insert_one({"_id": 1})
    client = flood(pair.oslo.sidecar.proxy_address,
                   SON({"create": name, "comment": "x" * 2000, "$db": "shop"}))
    try:
        began = time.monotonic()
        orders.insert_one({"_id": 2})
        orders.update_one({"_id": 2}, {"$set": {"a": 1}})
        assert time.monotonic() - began < 3
    finally:
        client.close()
    pair.wait_converged(["shop"])


@pytest.mark.parametrize("command", [
    {"insert": "orders", "documents": [{"_id": 1}]},
    {"update": "orders", "updates": [{"q": {"a": 1}, "u": {"$set": {"b": 1}}, "multi": True}]},
    {"update": "orders", "updates": [{"q": {"_id": 1}, "u": {"$set": {"b": 1}}, "upsert": True}]},
    {"delete": "orders", "deletes": [{"q": {"a": 1}, "limit": 0}]},
    {"findAndModify": "orders", "query": {"a": 1}, "remove": True},
    {"create": "orders"}, {"createIndexes": "orders", "indexes": [{"key": {"a": 1}, "name": "a"}]},
], ids=lambda command: next(iter(command)))
def test_a_stranger_is_refused_in_the_words_of_mongodb(pair, command):
    answers = []
    for address in (pair.oslo.sidecar.proxy_address, pair.oslo.mongod.address):
        with RawClient(address) as stranger:
            reply = stranger.command(SON({**command, "$db": "shop"}))
            answers.append((code_of(reply), text_of(reply)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 13
    assert pair.oslo.status()["open_writes"] == 0


def test_a_stranger_makes_nobody_plan_or_ask_for_it(pair, name):
    """Nothing of a stranger's command is prepared, and no catalogue is read for it."""
    oslo = pair.oslo
    before = oslo.sidecar.metric("capture_seconds_count")
    with RawClient(oslo.sidecar.proxy_address) as stranger:
        fields = {f"f{i}": 1 for i in range(2000)}
        reply = stranger.command(SON({"update": name, "updates": [
            {"q": {"_id": 1}, "u": {"$min": fields}}], "$db": "shop"}))
        assert reply is None or code_of(reply) == 13
    assert oslo.sidecar.metric("capture_seconds_count") == before


def test_in_a_transaction_nobody_reads_for_who_may_not(pair, name):
    """What it sees only the app's own user can see: what needs no look can be written."""
    if not pair.oslo.mongod.replica_set:
        pytest.skip("a standalone knows no transactions")
    pair.oslo.direct().shop[name].insert_many(DOCUMENTS)
    client = as_user(pair.oslo, "writer")
    table = client.shop[name]
    with client.start_session() as session:
        with session.start_transaction():
            table.insert_one({"_id": 50}, session=session)
            table.update_one({"_id": 0}, {"$set": {"n": 7}}, session=session)
            table.delete_one({"_id": 1}, session=session)
        session.start_transaction()
        with pytest.raises(pymongo.errors.OperationFailure) as refused:
            table.update_one({"kind": "odd"}, {"$set": {"n": 8}}, session=session)
        assert refused.value.code == 13
        with pytest.raises(pymongo.errors.OperationFailure) as ended:
            session.commit_transaction()
        assert ended.value.code == 251
    documents = {one["_id"]: one for one in pair.oslo.direct().shop[name].find()}
    assert documents[0]["n"] == 7 and 1 not in documents and 50 in documents
    assert documents[3]["n"] == 3
