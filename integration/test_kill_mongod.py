"""kill -9 of mongods under load: what was acknowledged (majority, journaled) is still there
afterwards, at every site, once. The sidecar stays up, or goes down with its mongod."""

import os
import random
import threading
import time

import pytest

from oracle import DATABASE, Oracle

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])


def kill_mongods(sites, chance, times, with_sidecar):
    for number in range(times):
        time.sleep(chance.uniform(0.5, 2))
        site = sites[number % len(sites)]
        if with_sidecar:
            site.sidecar.kill()
        site.mongod.kill()
        if with_sidecar and chance.random() < 0.5:
            # It waits for its store.
            site.sidecar.start(wait_ready=False)
        site.mongod.start()
        if with_sidecar and not site.sidecar.process.is_running():
            site.sidecar.start(wait_ready=False)
        site.sidecar.wait_ready()


def run_kills(make_cluster, replica_set, times, with_sidecar, victims=("oslo", "paris"),
              threads=2):
    seed = int(os.environ.get("OUTRIGGER_SEED", random.randrange(1 << 32)))
    cluster = make_cluster(replica_set=replica_set, settings={"log": {"level": "info"}}).start()
    with Oracle(cluster, seed, threads=threads) as oracle:
        kill_mongods([cluster.sites[name] for name in victims], random.Random(seed), times,
                     with_sidecar)
    oracle.check_all()
    assert oracle.acknowledged["increment"] and oracle.acknowledged["insert"]
    return cluster


@FORMS
def test_acknowledged_writes_outlive_a_killed_mongod(make_cluster, replica_set):
    run_kills(make_cluster, replica_set, 2, with_sidecar=False)


@pytest.mark.long  # the kills under random load are of both, too
@FORMS
def test_acknowledged_writes_outlive_a_mongod_killed_with_its_sidecar(make_cluster, replica_set):
    run_kills(make_cluster, replica_set, 2, with_sidecar=True)


@pytest.mark.long
@pytest.mark.parametrize("with_sidecar", [True, False], ids=["both", "mongod"])
@FORMS
def test_acknowledged_writes_outlive_many_kills(make_cluster, replica_set, with_sidecar):
    run_kills(make_cluster, replica_set, 30, with_sidecar)


@FORMS
def test_a_mongod_killed_while_peers_records_are_applied_to_it(make_cluster, replica_set):
    cluster = make_cluster(replica_set=replica_set, settings={"log": {"level": "info"}}).start()
    oslo = cluster.oslo.client()[DATABASE]
    oslo.counters.insert_one({"_id": 0, "n": 0})

    def write():
        for start in range(0, 5000, 250):
            oslo.things.insert_many([{"_id": i, "n": i} for i in range(start, start + 250)])
            for _ in range(5):
                oslo.counters.update_one({"_id": 0}, {"$inc": {"n": 1}})

    writer = threading.Thread(target=write)
    writer.start()
    for pause in (0.3, 0.1):
        time.sleep(pause)
        cluster.paris.mongod.kill()
        cluster.paris.mongod.start()
    writer.join()
    cluster.wait_converged([DATABASE])
    there = cluster.paris.direct()[DATABASE]
    assert there.things.count_documents({}) == 5000
    assert there.counters.find_one() == {"_id": 0, "n": 100}
