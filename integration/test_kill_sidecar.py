"""kill -9 of sidecars at random moments under load. The oracle knows what may be there."""

import os
import random
import time

import pytest
from pymongo.errors import AutoReconnect

from oracle import DATABASE, Oracle
from waiting import wait_until

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])


def new_seed():
    return int(os.environ.get("OUTRIGGER_SEED", random.randrange(1 << 32)))


def kill_in_a_loop(sites, chance, seconds):
    """Kills one of `sites` after the other for about `seconds`, now and then in the middle of its
    recovery; how often."""
    kills = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.3, 1.5))
        site = sites[kills % len(sites)]
        site.sidecar.kill()
        time.sleep(chance.choice([0, 0.2]))
        while chance.random() < 0.3:
            site.sidecar.start(wait_ready=False)
            time.sleep(chance.uniform(0, 0.2))
            site.sidecar.kill()
            kills += 1
        site.sidecar.start()
        kills += 1
    return kills


def run_kills(make_cluster, replica_set, retry_writes, victims, seconds, threads=3, **options):
    seed = new_seed()
    cluster = make_cluster(replica_set=replica_set, settings={"log": {"level": "info"}},
                           **options).start()
    oracle = Oracle(cluster, seed, threads=threads, retry_writes=retry_writes)
    with oracle:
        kills = kill_in_a_loop([cluster.sites[name] for name in victims],
                               random.Random(seed), seconds)
    print(f"{kills} kills")
    oracle.check_all()
    assert oracle.acknowledged["increment"] and oracle.acknowledged["insert"]


@FORMS
def test_nothing_acknowledged_is_lost_or_doubled(make_cluster, replica_set):
    run_kills(make_cluster, replica_set, True, ["oslo", "paris"], 15)


@pytest.mark.long
def test_nor_without_retries_by_the_driver(make_cluster):
    run_kills(make_cluster, True, False, ["oslo"], 8)


@pytest.mark.long
def test_nor_with_the_store_behind_a_unix_socket(make_cluster):
    run_kills(make_cluster, False, False, ["oslo"], 8, unix_socket=True)


def test_mongod_shows_connections_through_a_unix_socket_under_names_of_their_own(make_cluster):
    """The fence finds what a broken connection left running by that name."""
    cluster = make_cluster(unix_socket=True).start()
    cluster.oslo.app().shop.carts.insert_one({"_id": 1})
    everything = {"$currentOp": {"allUsers": True, "idleConnections": True}}
    names = [operation["client"]
             for operation in cluster.oslo.direct().admin.aggregate([everything])
             if operation.get("client", "").startswith(str(cluster.oslo.sidecar.data_dir))]
    assert names and len(set(names)) == len(names)


@pytest.mark.long
@pytest.mark.parametrize("retry_writes", [True, False], ids=["retries", "no_retries"])
@FORMS
def test_nothing_is_lost_or_doubled_over_many_kills(make_cluster, replica_set, retry_writes):
    run_kills(make_cluster, replica_set, retry_writes, ["oslo", "paris", "paris"], 180, threads=4)


@FORMS
@pytest.mark.parametrize("update, upsert", [
    ({"$push": {"list": 1}}, True), ({"$set": {"g": 1}, "$inc": {"n": 10}}, True),
    ([{"$set": {"g": "$n"}}], False), ([{"$set": {"g": "$n"}}], True)], ids=str)
def test_a_write_in_doubt_costs_no_edit_of_a_peer_beside_it(make_cluster, replica_set, update,
                                                            upsert):
    cluster = make_cluster(replica_set=replica_set, parameters={"enableTestCommands": 1}).start()
    oslo, paris = (site.client(retryWrites=False).shop.things for site in cluster)
    oslo.insert_one({"_id": 1, "n": 0, "f": 0, "list": []})
    cluster.wait_converged(["shop"])
    cluster.wait_quiet()
    with cluster.apart("oslo", "paris"):
        paris.update_one({"_id": 1}, {"$inc": {"n": 1}, "$set": {"f": 1}})
        cluster.oslo.direct().admin.command(
            "configureFailPoint", "failCommand", mode={"times": 1},
            data={"failCommands": ["update", "findAndModify"], "closeConnection": True})
        with pytest.raises(AutoReconnect):
            oslo.update_one({"_id": 1}, update, upsert=upsert)
        wait_until(lambda: cluster.oslo.status()["open_writes"] == 0, "the doubt settled")
    found = cluster.paris.direct().shop.things.find_one()
    assert (found["n"], found["f"]) == (1, 1)
    cluster.wait_quiet()


@FORMS
def test_a_kill_while_a_peer_catches_up(make_cluster, replica_set):
    cluster = make_cluster(replica_set=replica_set, settings={"log": {"level": "info"}}).start()
    seed = new_seed()
    print(f"seed {seed}")
    chance = random.Random(seed)
    cluster.cut("oslo", "paris")
    oslo = cluster.oslo.client()[DATABASE]
    oslo.counters.insert_one({"_id": 0, "n": 0})
    for start in range(0, 5000, 500):
        oslo.things.insert_many([{"_id": i, "n": i} for i in range(start, start + 500)])
    for _ in range(500):
        oslo.counters.update_one({"_id": 0}, {"$inc": {"n": 1}})
    cluster.heal("oslo", "paris")
    for victim in (cluster.paris, cluster.paris, cluster.oslo, cluster.paris):
        time.sleep(chance.uniform(0, 0.3))
        victim.sidecar.kill()
        victim.sidecar.start()
    cluster.wait_converged([DATABASE])
    there = cluster.paris.direct()[DATABASE]
    assert there.things.count_documents({}) == 5000
    assert there.counters.find_one() == {"_id": 0, "n": 500}


@FORMS
def test_both_sidecars_are_killed_at_once(make_cluster, replica_set):
    cluster = make_cluster(replica_set=replica_set, settings={"log": {"level": "info"}}).start()
    seed = new_seed()
    chance = random.Random(seed)
    with Oracle(cluster, seed, threads=2) as oracle:
        for _ in range(4):
            time.sleep(chance.uniform(0.3, 1))
            for site in cluster:
                site.sidecar.kill()
            for site in cluster:
                site.sidecar.start(wait_ready=False)
            for site in cluster:
                site.sidecar.wait_ready()
    oracle.check_all()
