"""kill -9 of sidecars, of mongods, of both, at random moments under a load of every kind of write.
After each round all is up again and quiet for a moment: every start serves, the sites are equal,
and what the oracle was told is there, once.

OUTRIGGER_SEED=N begins with that seed, OUTRIGGER_KILL_ROUNDS=N changes how many rounds each form
of store is given."""

import os
import random
import time

import pytest

from oracle import DATABASE, Oracle
from random_load import programs
from random_load.client import Wrong
from random_load.commands import Commands, Upserts
from random_load.crowd import Crowd
from random_load.running import Runner

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])
SHORT_ROUNDS, LONG_ROUNDS = 3, 50  # of each form of store
ROUNDS_A_CLUSTER = 25


def kill_round(cluster, chance):
    """One or both sites lose a process or two at once; then everything is up again."""
    victims = chance.choice([list(cluster), *([site] for site in cluster)])
    parts = chance.choice(["sidecar", "sidecar", "mongod", "both"])
    for site in victims:
        if parts != "mongod":
            site.sidecar.kill()
        if parts != "sidecar":
            site.mongod.kill()
    for site in victims:
        if parts == "both" and chance.random() < 0.5:
            site.sidecar.start(wait_ready=False)  # it waits for its store
        if parts != "sidecar":
            site.mongod.start()
        if not site.sidecar.process.is_running():
            site.sidecar.start(wait_ready=False)
    if parts != "mongod" and chance.random() < 0.25:
        # Once more in the middle of its recovery.
        time.sleep(chance.uniform(0, 0.3))
        victims[0].sidecar.kill()
        victims[0].sidecar.start(wait_ready=False)
    for site in cluster:
        site.wait_served()
    return f"{parts} of {', '.join(site.name for site in victims)}"


def run_all(make_cluster, replica_set, rounds, threads, first_seed, commands=Commands):
    left = int(os.environ.get("OUTRIGGER_KILL_ROUNDS", rounds))
    seed = int(os.environ.get("OUTRIGGER_SEED", first_seed))
    while left > 0:
        run_rounds(make_cluster, replica_set, min(left, ROUNDS_A_CLUSTER), threads, seed, commands)
        left -= ROUNDS_A_CLUSTER
        seed += 1


def run_rounds(make_cluster, replica_set, rounds, threads, seed, commands):
    chance = random.Random(seed)
    cluster = make_cluster(replica_set=replica_set, settings={"log": {"level": "info"}}).start()
    runner = Runner(cluster)
    options = programs.collections(chance)
    names = runner.create(options)
    crowd = Crowd(cluster, seed, names, options, threads, may_break=True, commands=commands)
    happened = []
    try:
        with Oracle(cluster, seed, threads=threads) as oracle, crowd:
            for _ in range(rounds):
                time.sleep(chance.uniform(0.2, 1.2))
                happened.append(kill_round(cluster, chance))
                with oracle.pause.held(), crowd.pause.held():
                    crowd.check()
                    runner.meet(names, crowd.story)
                    oracle.check_all()
        assert oracle.acknowledged["increment"] and oracle.acknowledged["insert"] and crowd.sent
    except (Wrong, AssertionError, TimeoutError) as error:
        pytest.fail(f"seed {seed}, after {happened}: {error}")
    runner.wait_quiet()


@FORMS
def test_nothing_is_lost_or_doubled_and_every_start_serves(make_cluster, replica_set):
    run_all(make_cluster, replica_set, SHORT_ROUNDS, threads=1, first_seed=1)


@FORMS
def test_upserts_of_a_few_documents_are_done_once_or_not(make_cluster, replica_set):
    run_all(make_cluster, replica_set, SHORT_ROUNDS, threads=2, first_seed=1, commands=Upserts)


@pytest.mark.long
@FORMS
def test_the_same_over_a_hundred_rounds(make_cluster, replica_set):
    run_all(make_cluster, replica_set, LONG_ROUNDS, threads=2, first_seed=random.randrange(1 << 32))
