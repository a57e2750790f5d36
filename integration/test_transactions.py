"""Transactions of apps: at one site as MongoDB's, at the others one record each."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pymongo
import pytest
from pymongo.errors import OperationFailure

from differential.raw import RawClient
from transactions import RawTransaction, everything, transfer
from waiting import wait_until

TRANSIENT = "TransientTransactionError"


@pytest.fixture
def raw(pair):
    clients = []

    def connect(site=None):
        client = RawClient((site or pair.oslo).sidecar.proxy_address)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def collection(request):
    return request.node.name.split("[")[0][len("test_"):][:60]


def is_free(site, collection, document):
    """Somebody else may write to it at once."""
    table = site.client(w=1).shop[collection]
    table.update_one({"_id": document}, {"$set": {"free": True}})


def records_applied(site):
    return site.sidecar.metric("applied_total")


def test_a_transaction_over_two_collections_arrives_whole_and_as_one_record(pair, collection):
    app = pair.oslo.app()
    goods, orders = app.shop[collection], app.shop[collection + "_orders"]
    goods.insert_many([{"_id": i, "left": 10} for i in range(3)])
    pair.wait_converged(["shop"])
    before = records_applied(pair.paris)

    def order(session):
        for i in range(3):
            goods.update_one({"_id": i}, {"$inc": {"left": -2}}, session=session)
        made = orders.insert_one({"of": "ada"}, session=session)
        orders.update_one({"_id": made.inserted_id}, {"$set": {"paid": True}}, session=session)
        assert goods.find_one({"_id": 1}, session=session)["left"] == 8
        assert pair.oslo.direct().shop[collection].find_one({"_id": 1})["left"] == 10

    with app.start_session() as session:
        session.with_transaction(order)
    pair.wait_converged(["shop"])
    left, made = everything(pair.paris, collection, collection + "_orders")
    assert [document["left"] for document in left] == [8, 8, 8]
    assert made[0]["paid"] is True and made[0]["of"] == "ada"
    assert records_applied(pair.paris) == before + 1


def test_every_kind_of_write_in_a_transaction(pair, collection):
    app = pair.oslo.app()
    table = app.shop[collection]
    table.insert_many([{"_id": i, "n": i, "tags": ["a"], "in": {"x": 1}} for i in range(12)])

    def write(session):
        table.update_many({"n": {"$lt": 4}}, {"$inc": {"n": 100}, "$set": {"big": True}},
                          session=session)
        table.update_many({"n": {"$gte": 100}}, {"$inc": {"n": 1}}, session=session)
        table.update_one({"_id": 4}, {"$push": {"tags": "b"}}, session=session)
        table.update_one({"_id": 4}, {"$push": {"tags": "c"}}, session=session)
        table.update_one({"n": 5}, [{"$set": {"twice": {"$multiply": ["$n", 2]}}}],
                         session=session)
        table.replace_one({"_id": 6}, {"other": 1}, session=session)
        table.update_one({"_id": 6}, {"$inc": {"other": 1}}, session=session)
        found = table.find_one_and_update({"_id": 7}, {"$set": {"in": {"y": 1}}},
                                          return_document=True, session=session)
        assert found["in"] == {"y": 1}
        table.update_one({"_id": 7}, {"$set": {"in.z": 2}}, session=session)
        assert table.find_one_and_delete({"n": 8}, session=session)["_id"] == 8
        table.delete_one({"_id": 9}, session=session)
        table.insert_one({"_id": 9, "again": True}, session=session)
        table.insert_one({"_id": "gone"}, session=session)
        table.delete_many({"_id": "gone"}, session=session)
        first = table.update_one({"name": "up"}, {"$inc": {"n": 1}}, upsert=True, session=session)
        again = table.update_one({"name": "up"}, {"$inc": {"n": 2}}, upsert=True, session=session)
        assert first.upserted_id is not None and again.matched_count == 1
        table.bulk_write([pymongo.InsertOne({"_id": "bulk"}),
                          pymongo.UpdateOne({"_id": "bulk"}, {"$set": {"a": 1}}),
                          pymongo.UpdateOne({"_id": 10}, {"$unset": {"in": 1}}),
                          pymongo.DeleteOne({"_id": 11})], session=session)

    with app.start_session() as session:
        session.with_transaction(write)
    pair.wait_converged(["shop"])
    documents = {document["_id"]: document for document in everything(pair.paris, collection)[0]}
    named = [document for document in documents.values() if document.get("name") == "up"]
    assert [documents[i]["n"] for i in range(4)] == [101, 102, 103, 104]
    assert documents[4]["tags"] == ["a", "b", "c"]
    assert documents[5]["twice"] == 10
    assert documents[6] == {"_id": 6, "other": 2}
    assert documents[7]["in"] == {"y": 1, "z": 2}
    assert 8 not in documents and "gone" not in documents and 11 not in documents
    assert documents[9] == {"_id": 9, "again": True}
    assert [document["n"] for document in named] == [3]
    assert documents["bulk"] == {"_id": "bulk", "a": 1}
    assert "in" not in documents[10]


def test_increments_of_both_sites_add_up(pair, collection):
    tables = pair.collections(collection)
    tables[0].insert_one({"_id": 1, "n": 0})
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        for site, times in ((pair.oslo, 3), (pair.paris, 5)):
            app = site.app()

            def count(session, table=app.shop[collection], times=times):
                for _ in range(times):
                    table.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)

            with app.start_session() as session:
                session.with_transaction(count)
    assert everything(pair.oslo, collection) == [[{"_id": 1, "n": 8}]]


def test_an_aborted_transaction_leaves_nothing(pair, collection):
    app = pair.oslo.app()
    table = app.shop[collection]
    table.insert_one({"_id": 1, "n": 0})
    with app.start_session() as session:
        session.start_transaction()
        table.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        table.insert_one({"_id": 2}, session=session)
        session.abort_transaction()
    is_free(pair.oslo, collection, 1)
    pair.wait_converged(["shop"])
    assert everything(pair.paris, collection) == [[{"_id": 1, "n": 0, "free": True}]]


def test_an_error_ends_a_transaction(pair, collection):
    app = pair.oslo.app()
    table = app.shop[collection]
    table.insert_many([{"_id": 1, "n": 0}, {"_id": 2}])
    with app.start_session() as session:
        session.start_transaction()
        table.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        with pytest.raises(OperationFailure) as error:
            table.insert_one({"_id": 2}, session=session)
        assert error.value.code == 11000 or "E11000" in str(error.value)
        is_free(pair.oslo, collection, 1)
        with pytest.raises(OperationFailure) as error:
            session.commit_transaction()
        assert error.value.code == 251


@pytest.mark.parametrize("other", ["transaction", "peer"])
def test_who_meets_another_write_is_told_at_once(pair, raw, collection, other):
    table = pair.oslo.app().shop[collection]
    table.insert_one({"_id": other, "n": 0})
    first, second = RawTransaction(), RawTransaction()
    client = raw()
    assert first.update(client, collection, {"_id": other}, {"$inc": {"n": 1}})["nModified"] == 1
    if other == "transaction":
        said = second.update(client, collection, {"_id": other}, {"$inc": {"n": 1}})
        assert (said["ok"], said["code"], said["errorLabels"]) == (0, 112, [TRANSIENT])
        assert second.commit(client)["code"] == 251
    else:
        pair.wait_converged(["shop"])
        theirs = pair.paris.app().shop[collection]
        theirs.update_one({"_id": other}, {"$inc": {"n": 5}})
        theirs.insert_one({"_id": "beside"})
        # Its own stream waits, and nobody else does.
        pair.oslo.app().shop[collection + "_2"].insert_one({"_id": 1})
    assert first.commit(client)["ok"] == 1
    pair.wait_converged(["shop"])
    wanted = 1 if other == "transaction" else 6
    assert pair.paris.app().shop[collection].find_one({"_id": other})["n"] == wanted


def test_what_is_refused_here_ends_the_transaction(pair, raw, collection):
    table = pair.oslo.app().shop[collection]
    table.insert_many([{"_id": i, "n": 0} for i in range(2)])
    first, second = RawTransaction(), RawTransaction()
    client = raw()
    first.update(client, collection, {"_id": 0}, {"$inc": {"n": 1}})
    assert second.update(client, collection, {"_id": 1}, {"$inc": {"n": 1}})["n"] == 1
    said = second.update(client, collection, {"_id": 0}, {"$inc": {"n": 1}})
    assert (said["ok"], said["code"], said["errorLabels"]) == (0, 112, [TRANSIENT])
    is_free(pair.oslo, collection, 1)
    assert second.commit(client)["code"] == 251
    assert first.commit(client)["ok"] == 1
    pair.wait_converged(["shop"])
    assert everything(pair.paris, collection)[0] == [
        {"_id": 0, "n": 1}, {"_id": 1, "n": 0, "free": True}]


@pytest.mark.parametrize("statement", ["set", "replace", "several", "modify"])
def test_what_is_equal_in_an_old_snapshot_is_not_written_over(pair, raw, collection, statement):
    table = pair.oslo.app().shop[collection]
    one, other = f"{statement} 1", f"{statement} 2"
    table.insert_many([{"_id": one, "status": "open"}, {"_id": other, "status": "open"}])
    transaction = RawTransaction()
    client = raw()
    transaction.send(client, {"find": collection})
    table.update_one({"_id": one}, {"$set": {"status": "closed"}})
    same, opens = {"status": "open"}, {"$set": {"status": "open"}}
    command = {
        "set": {"update": collection, "updates": [{"q": {"_id": one}, "u": opens}]},
        "replace": {"update": collection, "updates": [{"q": {"_id": one}, "u": same}]},
        "several": {"update": collection, "updates": [
            {"q": {"_id": one}, "u": opens}, {"q": {"_id": other}, "u": {"$set": {"n": 1}}}]},
        "modify": {"findAndModify": collection, "query": {"_id": one}, "update": opens},
    }[statement]
    said = transaction.send(client, command)
    assert (said["ok"], said["code"], said["errorLabels"]) == (0, 112, [TRANSIENT])
    assert transaction.commit(client)["code"] == 251
    pair.wait_converged(["shop"])
    documents = [d for d in everything(pair.paris, collection)[0] if d["_id"] in (one, other)]
    assert documents == [{"_id": one, "status": "closed"}, {"_id": other, "status": "open"}]


def test_what_its_snapshot_does_not_show_is_not_removed(pair, raw, collection):
    table = pair.oslo.app().shop[collection]
    table.insert_many([{"_id": 1}, {"_id": 2}])
    transaction = RawTransaction()
    client = raw()
    assert len(transaction.send(client, {"find": collection})["cursor"]["firstBatch"]) == 2
    table.insert_one({"_id": 3})
    said = transaction.send(client, {"delete": collection, "deletes": [
        {"q": {"_id": i}, "limit": 1} for i in (1, 3, 4)]})
    assert said["n"] == 1
    assert transaction.commit(client)["ok"] == 1
    pair.wait_converged(["shop"])
    assert everything(pair.paris, collection) == [[{"_id": 2}, {"_id": 3}]]


def test_nobody_but_who_wants_its_documents_waits_for_a_transaction(pair, raw, collection):
    app = pair.oslo.app()
    table = app.shop[collection]
    table.insert_many([{"_id": i, "n": 0} for i in range(40)])
    pair.wait_converged(["shop"])
    held = RawTransaction()
    client = raw()
    held.update(client, collection, {"_id": 7}, {"$inc": {"n": 1}})
    with ThreadPoolExecutor() as pool:
        many = pool.submit(table.update_many, {}, {"$inc": {"n": 10}})
        at_paris = pair.paris.app().shop[collection]
        theirs = pool.submit(at_paris.update_many, {}, {"$inc": {"n": 100}})
        theirs.result(20)
        wait_until(lambda: pair.oslo.sidecar.metric("inbox_bytes") > 0, "a record waits")
        for i in (3, 12, 39):
            pair.oslo.client(timeoutMS=10000).shop[collection].update_one(
                {"_id": i}, {"$set": {"seen": True}})
        assert not many.done()
        held.commit(client)
        many.result(20)
    pair.wait_converged(["shop"])
    documents = everything(pair.paris, collection)[0]
    assert [document["n"] for document in documents] == [111 if i == 7 else 110 for i in range(40)]


def test_who_wants_the_collection_alone_stops_nobody_meanwhile(pair, raw, collection):
    table = pair.oslo.client(timeoutMS=20000).shop[collection]
    table.create_index("u", unique=True)
    table.insert_many([{"_id": i, "u": i} for i in range(3)])
    held = RawTransaction()
    client = raw()
    held.update(client, collection, {"_id": 2}, {"$set": {"seen": True}})
    with ThreadPoolExecutor() as pool:
        alone = pool.submit(table.update_one, {"x": 5}, {"$set": {"u": 1}}, upsert=True)
        for _ in range(200):
            table.update_one({"_id": 0}, {"$inc": {"n": 1}})
        assert not alone.done()
        held.commit(client)
        with pytest.raises(pymongo.errors.DuplicateKeyError):
            alone.result(20)
    pair.wait_converged(["shop"])


def test_statements_over_several_connections(pair, raw, collection):
    clients = [raw() for _ in range(6)]  # on as many loops as there are
    transaction = RawTransaction()
    for i, client in enumerate(clients):
        assert transaction.insert(client, collection, {"_id": i})["n"] == 1
    assert transaction.send(clients[0], {"find": collection})["cursor"]["firstBatch"][5] == {
        "_id": 5}
    assert transaction.commit(clients[3])["ok"] == 1
    pair.wait_converged(["shop"])
    assert len(everything(pair.paris, collection)[0]) == 6


def test_a_repeated_commit_is_answered_and_records_nothing_twice(pair, raw, collection):
    transaction = RawTransaction()
    transaction.insert(raw(), collection, {"_id": 1})
    pair.wait_converged(["shop"])
    before = records_applied(pair.paris)
    for concern in ({}, {}, {"writeConcern": {"w": "majority"}}, {"writeConcern": {"w": 1}}):
        assert transaction.commit(raw(), **concern)["ok"] == 1
    pair.wait_converged(["shop"])
    assert records_applied(pair.paris) == before + 1
    # What comes after it is refused as by MongoDB.
    assert transaction.insert(raw(), collection, {"_id": 2})["code"] == 256


def test_a_transaction_beyond_one_entry_of_the_oplog_arrives(pair, raw, collection):
    client = raw()

    def is_committed():
        transaction = RawTransaction()  # mongod's cache is small here, and may end it
        for i in range(3):
            transaction.insert(client, collection, {"_id": i, "text": "x" * (6 * 2**20)})
        return transaction.commit(client)["ok"] == 1

    wait_until(is_committed, "it is committed")
    pair.wait_converged(["shop"])
    table = pair.paris.direct().shop[collection]
    assert [document["_id"] for document in table.find({}, {"_id": 1}, sort=[("_id", 1)])] == [
        0, 1, 2]
    for site in pair:  # or it is compared by every test that follows
        site.direct().shop[collection].drop()


def test_a_new_number_ends_the_older_transaction(pair, raw, collection):
    client = raw()
    first = RawTransaction(number=4)
    second = RawTransaction(number=5, lsid=first.lsid)
    first.insert(client, collection, {"_id": "first"})
    assert second.insert(client, collection, {"_id": "first", "by": 2})["n"] == 1
    assert first.commit(raw())["ok"] == 0
    assert second.commit(client)["ok"] == 1
    assert everything(pair.oslo, collection) == [[{"_id": "first", "by": 2}]]


def test_a_transaction_that_was_begun_around_the_sidecar_is_not_gone_on_with(pair, raw, collection):
    transaction = RawTransaction()
    with RawClient(pair.oslo.mongod.address) as around:
        transaction.insert(around, collection, {"_id": 1})
        said = transaction.insert(raw(), collection, {"_id": 2})
        assert (said["code"], said["errorLabels"]) == (251, [TRANSIENT])
        assert transaction.commit(raw())["code"] == 251
    assert everything(pair.oslo, collection) == [[]]


def test_a_transaction_whose_app_is_gone_ends(pair, raw, collection):
    table = pair.oslo.app().shop[collection]
    table.insert_one({"_id": 1})
    transaction = RawTransaction()
    client = RawClient(pair.oslo.sidecar.proxy_address)
    transaction.update(client, collection, {"_id": 1}, {"$set": {"a": 1}})
    client.close()
    is_free(pair.oslo, collection, 1)
    assert transaction.commit(raw())["code"] == 251
    assert everything(pair.oslo, collection) == [[{"_id": 1, "free": True}]]


def test_a_transaction_that_mongod_ends_is_ended_here(pair, raw, collection):
    table = pair.oslo.app().shop[collection]
    table.insert_one({"_id": 1})
    transaction = RawTransaction()
    transaction.update(raw(), collection, {"_id": 1}, {"$set": {"a": 1}})
    pair.oslo.direct().admin.command("killAllSessionsByPattern", [{"lsid": {
        **transaction.lsid, "uid": pair.oslo.direct().admin.aggregate([
            {"$currentOp": {"allUsers": True, "idleSessions": True}},
            {"$match": {"lsid.id": transaction.lsid["id"]}}]).next()["lsid"]["uid"]}}])
    is_free(pair.oslo, collection, 1)
    assert everything(pair.oslo, collection) == [[{"_id": 1, "free": True}]]


def test_transfers_at_two_sites_that_are_cut_off_keep_the_sum(make_cluster):
    cluster = make_cluster(settings={"log": {"level": "info"}}).start()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    accounts = 6
    cluster.oslo.app().bank.accounts.insert_many([{"_id": i, "n": 100} for i in range(accounts)])
    cluster.wait_converged(["bank"])
    with ThreadPoolExecutor() as pool:
        stop = threading.Event()
        at_work = [pool.submit(transfer, site.client(), random.Random(seed + i), accounts,
                               stop.is_set) for i in range(2) for site in cluster]
        for _ in range(3):
            cluster.cut("oslo", "paris")
            stop.wait(0.3)
            cluster.heal("oslo", "paris")
        stop.set()
        for each in at_work:
            each.result(60)
    cluster.wait_converged(["bank"])
    for site in cluster:
        assert sum(account["n"] for account in site.direct().bank.accounts.find()) == 100 * accounts
