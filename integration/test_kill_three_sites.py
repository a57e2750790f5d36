"""kill -9 of mongods in a loop, some with their sidecars, some once more while what they forgot is
put back; three sites, writes that wait for no journal and writes that do, unique values that move,
changes of the catalogue. After each round nothing acknowledged is missing anywhere, sums are exact,
the sites are equal, and nobody has read what was answered go back.

OUTRIGGER_SEED=N begins with that seed, OUTRIGGER_KILL_ROUNDS=N changes how many rounds each form
of store is given."""

import os
import random
import time

import pytest

from told import TellingOracle

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])
SITES = ("oslo", "paris", "rome")
SHORT_ROUNDS, LONG_ROUNDS = 2, 100


def kill_round(cluster, chance):
    """Says what it did."""
    victims = chance.choice([list(cluster), *([site] for site in cluster)])
    with_sidecar = chance.random() < 0.4
    again = chance.choice([0, 0, 1, 2])
    for site in victims:
        if with_sidecar:
            site.sidecar.kill()
        site.mongod.kill()
    for site in victims:
        if with_sidecar and chance.random() < 0.5:
            site.sidecar.start(wait_ready=False)  # it waits for its store
        site.mongod.start()
        if not site.sidecar.process.is_running():
            site.sidecar.start(wait_ready=False)
    for _ in range(again):
        time.sleep(chance.uniform(0, 0.15))
        victims[0].mongod.kill()
        victims[0].mongod.start()
    for site in victims:
        site.wait_served()
    return (f"{'both' if with_sidecar else 'mongod'} of "
            f"{', '.join(site.name for site in victims)}, {again} times more")


def run_rounds(make_cluster, replica_set, rounds, seed):
    rounds = int(os.environ.get("OUTRIGGER_KILL_ROUNDS", rounds))
    seed = int(os.environ.get("OUTRIGGER_SEED", seed))
    chance = random.Random(seed)
    cluster = make_cluster(sites=SITES, replica_set=replica_set,
                           settings={"log": {"level": "info"}}).start()
    happened = []
    try:
        with TellingOracle(cluster, seed, threads=2) as oracle:
            for _ in range(rounds):
                time.sleep(chance.uniform(0.3, 1.2))
                happened.append(kill_round(cluster, chance))
                with oracle.pause.held():
                    oracle.check_all()
    except (AssertionError, TimeoutError) as error:
        pytest.fail(f"seed {seed}, after {happened}: {error}")
    for kind in ("tell", "count_exactly", "place", "increment"):
        assert oracle.acknowledged[kind]
    cluster.wait_quiet()


@pytest.mark.long_on("standalone")
@FORMS
def test_what_three_sites_answered_outlives_their_mongods(make_cluster, replica_set):
    run_rounds(make_cluster, replica_set, SHORT_ROUNDS, seed=1)


@pytest.mark.long
@FORMS
def test_the_same_over_a_hundred_rounds(make_cluster, replica_set):
    run_rounds(make_cluster, replica_set, LONG_ROUNDS, random.randrange(1 << 32))
