"""Write commands by chance, of every kind, with every odd value. One client beside a bare mongod
sees the same replies and leaves the same documents; two sites apart, or many clients at once, end
with equal documents, bit for bit but for the order of fields, and then cost nothing.

A failure prints its seed and the shortest program found that still fails; OUTRIGGER_SEED=N runs
that seed alone. OUTRIGGER_RANDOM_SECONDS=N changes how long both forms of store take together."""

import itertools
import os
import random
import time

import pytest

from cluster import Cluster
from random_load import programs
from random_load.client import Wrong
from random_load.crowd import Crowd
from random_load.running import Runner
from random_load.shrinking import run_or_shrink
from real_mongod import RealMongod

SHORT_S, LONG_S = 20, 600
SHRINK_S = 60


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def runner(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("random")
    bare = RealMongod(directory / "bare", replica_set=request.param)
    with Cluster(directory, replica_set=request.param,
                 settings={"log": {"level": "info"}}) as cluster:
        try:
            yield Runner(cluster, bare.start())
        finally:
            bare.discard()


def alone(runner, seed):
    run_or_shrink(runner.compare, programs.alone(seed, 50), SHRINK_S)


def apart(runner, seed):
    run_or_shrink(runner.run, programs.apart(seed, 2, 25), SHRINK_S)


def at_once(runner, seed):
    """Clients at both sites write to the same documents while the line comes and goes."""
    chance = random.Random(seed)
    options = programs.collections(chance)
    names = runner.create(options)
    crowd = Crowd(runner.cluster, seed, names, options)
    with crowd:
        for _ in range(chance.choice([2, 2, 5, 20])):
            if crowd.wrong:
                break
            runner.cluster.cut(*runner.cluster.names)
            crowd.wait_sent(chance.randint(10, 100))
            runner.cluster.heal_all()
            crowd.wait_sent(chance.randint(10, 100))
    try:
        crowd.check()
        runner.meet(names, crowd.story)
    except Wrong as wrong:
        pytest.fail(f"seed {seed}, collections {options}: {wrong}")


KINDS = [alone, apart, at_once]


def run_for(runner, seconds, seeds):
    """Programs of all kinds in turn, for half the time: there are two forms of store."""
    if given := os.environ.get("OUTRIGGER_SEED"):
        for kind in KINDS:
            kind(runner, int(given))
        return runner.wait_quiet()
    end = time.monotonic() + float(os.environ.get("OUTRIGGER_RANDOM_SECONDS", seconds)) / 2
    for kind in itertools.cycle(KINDS):
        if time.monotonic() > end:
            break
        seed = seeds.randrange(1 << 32)
        print(kind.__name__, seed)
        kind(runner, seed)
    runner.wait_quiet()
    print(f"{runner.sent} commands, and those of crowds")


def test_sites_come_to_the_same_whatever_is_written(runner):
    run_for(runner, SHORT_S, random.Random(1))  # the same each time: a failure is the change's


@pytest.mark.long
def test_the_same_for_many_programs(runner):
    run_for(runner, LONG_S, random.Random())
