"""Transactions when the sidecar or its mongod dies, or says nothing: each ends in the truth."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from differential.raw import RawClient
from test_redo import Forgetful
from transactions import RawTransaction, everything, transfer
from waiting import wait_until


@pytest.fixture
def sites(make_cluster):
    return make_cluster(parameters={"enableTestCommands": 1, "transactionLifetimeLimitSeconds": 2},
                        settings={"log": {"level": "info"}}).start()


def fail_point(site, name, mode, **data):
    site.mongod.client().admin.command("configureFailPoint", name, mode=mode,
                                       **({"data": data} if data else {}))


def test_a_restarted_sidecar_knows_what_was_committed(one_site):
    cluster = one_site.start()
    site = cluster.oslo
    done, begun = RawTransaction(), RawTransaction()
    with RawClient(site.sidecar.proxy_address) as client:
        done.insert(client, "things", {"_id": "done"})
        done.commit(client)
        begun.insert(client, "things", {"_id": "begun"})
    site.sidecar.kill()
    site.sidecar.start()
    with RawClient(site.sidecar.proxy_address) as client:
        assert done.commit(client)["ok"] == 1
        assert begun.commit(client)["code"] == 251
        # Nothing of it is left at mongod, either.
        other = RawTransaction()
        assert other.insert(client, "things", {"_id": "begun"})["n"] == 1
        assert other.commit(client)["ok"] == 1
    assert len(everything(site, "things")[0]) == 2


def test_a_sidecar_killed_in_the_middle_of_commits(make_cluster):
    """Whatever the app was told is so, and both sites hold all of a transaction or nothing."""
    cluster = make_cluster(settings={"log": {"level": "info"}}).start()
    site = cluster.oslo
    sent, told = [], {}
    stop = threading.Event()

    def commit(worker):
        i = 0
        while not stop.is_set():
            i += 1
            transaction = RawTransaction()
            name = f"{worker}-{i}"
            try:
                with RawClient(site.sidecar.proxy_address) as client:
                    transaction.insert(client, "a", {"_id": name})
                    transaction.insert(client, "b", {"_id": name})
                    sent.append((name, transaction))
                    told[name] = transaction.commit(client)["ok"] == 1
            except (OSError, AssertionError):
                stop.wait(0.01)  # the sidecar is away

    with ThreadPoolExecutor() as pool:
        workers = [pool.submit(commit, worker) for worker in range(4)]
        for _ in range(3):
            seen = len(told)
            wait_until(lambda: len(told) > seen + 20, "commits")
            site.sidecar.kill()
            site.sidecar.start()
        stop.set()
        for worker in workers:
            worker.result(60)
    with RawClient(site.sidecar.proxy_address) as client:
        for name, transaction in sent:
            again = transaction.commit(client)
            assert again["ok"] == 1 or again["code"] == 251
            assert told.setdefault(name, again["ok"] == 1) == (again["ok"] == 1)
    cluster.wait_converged(["shop"])
    committed = {name for name, is_done in told.items() if is_done}
    for each in cluster:
        for collection in ("a", "b"):
            there = {document["_id"] for document in each.direct().shop[collection].find()}
            assert there == committed


@pytest.mark.parametrize("concern", [{"w": 1}, {"w": "majority"}], ids=str)
def test_a_sidecar_killed_between_the_commit_and_its_reply(sites, concern):
    """mongod has committed, and nobody has been told so."""
    site = sites.oslo
    site.app().shop.things.insert_one({"_id": 1, "n": 5})
    transaction = RawTransaction()
    fail_point(site, "waitAfterCommandFinishesExecution", "alwaysOn",
               commands=["commitTransaction"])
    with ThreadPoolExecutor() as pool, RawClient(site.sidecar.proxy_address) as client:
        transaction.update(client, "things", {"_id": 1}, {"$inc": {"n": 2}})
        transaction.insert(client, "things", {"_id": 2})
        answer = pool.submit(transaction.commit, client, writeConcern=concern)
        wait_until(lambda: site.direct().shop.things.find_one({"_id": 2}), "it is committed")
        site.sidecar.kill()
        with pytest.raises(OSError):
            answer.result()
    fail_point(site, "waitAfterCommandFinishesExecution", "off")
    site.sidecar.start()
    with RawClient(site.sidecar.proxy_address) as client:
        for _ in range(2):
            assert transaction.commit(client, writeConcern=concern)["ok"] == 1
    sites.paris.app().shop.things.update_one({"_id": 1}, {"$inc": {"n": 10}})
    sites.wait_converged(["shop"])
    assert everything(sites.paris, "things") == [[{"_id": 1, "n": 17}, {"_id": 2}]]


def test_a_commit_whose_connection_to_mongod_breaks(sites):
    site = sites.oslo
    done, lost = RawTransaction(), RawTransaction()
    address = site.sidecar.proxy_address
    with RawClient(address) as client:
        lost.insert(client, "things", {"_id": "lost"})
        fail_point(site, "failCommand", {"times": 1}, failCommands=["commitTransaction"],
                   closeConnection=True)
        with pytest.raises(OSError):
            lost.commit(client)
    with RawClient(address) as client:
        assert lost.commit(client)["code"] == 251
        # Its documents are free, here and at mongod.
        done.insert(client, "things", {"_id": "lost", "again": True})
        assert done.commit(client)["ok"] == 1
    sites.wait_converged(["shop"])
    assert everything(sites.paris, "things") == [[{"_id": "lost", "again": True}]]


@pytest.mark.parametrize("code", [11602, 91, 50])
def test_a_commit_that_mongod_answers_with_an_error_that_says_nothing(sites, code):
    site = sites.oslo
    transaction = RawTransaction()
    with RawClient(site.sidecar.proxy_address) as client:
        transaction.insert(client, "things", {"_id": 1})
        fail_point(site, "failCommand", {"times": 1}, failCommands=["commitTransaction"],
                   errorCode=code)
        assert transaction.commit(client)["code"] == code
    with RawClient(site.sidecar.proxy_address) as client:
        assert transaction.commit(client)["code"] == 251
    sites.wait_converged(["shop"])
    assert everything(sites.paris, "things") == [[]]


def test_what_a_killed_mongod_forgot_of_transactions_is_put_back(sites):
    site = sites.oslo
    site.app().shop.things.insert_many([{"_id": i, "n": 0} for i in range(5)])
    site.app().shop.made.insert_one({"_id": "first"})  # to make a collection writes the journal
    sites.wait_converged(["shop"])
    told = []
    # What mongod has handed to the operating system outlives it: now and then it is all of it.
    for _ in range(10):
        with Forgetful(site), RawClient(site.sidecar.proxy_address) as client:
            for _ in range(5):
                transaction = RawTransaction()
                for i in range(5):
                    transaction.update(client, "things", {"_id": i}, {"$inc": {"n": 1}})
                transaction.insert(client, "made", {"_id": len(told)})
                assert transaction.commit(client, writeConcern={"w": 1})["ok"] == 1
                told.append(transaction)
        if site.sidecar.metric("documents_put_back_total") > 0:
            break
    assert site.sidecar.metric("documents_put_back_total") > 0
    with RawClient(site.sidecar.proxy_address) as client:
        for transaction in told:
            assert transaction.commit(client)["ok"] == 1
    sites.wait_converged(["shop"])
    for each in sites:
        things, made = everything(each, "things", "made")
        assert [thing["n"] for thing in things] == [len(told)] * 5 and len(made) == len(told) + 1


def test_mongod_is_killed_under_an_open_transaction(sites):
    site = sites.oslo
    transaction = RawTransaction()
    with RawClient(site.sidecar.proxy_address) as client:
        transaction.insert(client, "things", {"_id": 1})
        site.mongod.kill()
        site.mongod.start()
        site.sidecar.wait_ready()
    with RawClient(site.sidecar.proxy_address) as client:
        assert transaction.commit(client)["code"] == 251
    site.client(w=1).shop.things.insert_one({"_id": 1, "free": True})


def test_a_transaction_that_stays_open_for_too_long_is_ended(sites):
    """mongod ends it, and we hear of that."""
    site = sites.oslo
    transaction = RawTransaction()
    with RawClient(site.sidecar.proxy_address) as client:
        transaction.insert(client, "things", {"_id": 1})
        site.client(w=1).shop.things.insert_one({"_id": 1, "free": True})
        assert transaction.commit(client)["code"] == 251
    assert everything(site, "things") == [[{"_id": 1, "free": True}]]


def test_transfers_while_sidecars_and_a_mongod_are_killed_keep_the_sum(sites):
    """Drivers retry what they are told to, and no money comes or goes."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    accounts = 8
    sites.oslo.app().bank.accounts.insert_many([{"_id": i, "n": 100} for i in range(accounts)])
    sites.wait_converged(["bank"])
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        chance = random.Random(seed)
        at_work = [pool.submit(transfer, site.client(), random.Random(chance.random()), accounts,
                               stop.is_set) for _ in range(2) for site in sites]
        for victim in (sites.oslo.sidecar, sites.oslo.mongod, sites.paris.sidecar,
                       sites.oslo.sidecar):
            stop.wait(chance.uniform(0.3, 1))
            victim.kill()
            victim.start()
        for site in sites:
            site.sidecar.wait_ready()
        stop.set()
        assert sum(each.result(100) for each in at_work) > 0
    sites.wait_converged(["bank"])
    for site in sites:
        assert sum(account["n"] for account in site.direct().bank.accounts.find()) == 100 * accounts


def test_transactions_on_a_standalone_are_refused_as_by_mongodb(make_cluster):
    cluster = make_cluster(("oslo",), replica_set=False).start()
    with RawClient(cluster.oslo.sidecar.proxy_address) as client:
        for transaction in (RawTransaction(), RawTransaction()):
            assert transaction.insert(client, "things", {"_id": 1})["code"] == 20
