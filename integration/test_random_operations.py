"""Write commands by chance, of every kind, with every odd value. One client beside a bare mongod
sees the same replies and leaves the same documents; two sites apart, or many clients at once, end
with equal documents, bit for bit but for the order of fields, and then cost nothing.

A failure prints its seed and the shortest program found that still fails; OUTRIGGER_SEED=N runs
that seed alone."""

import os
import random
import time

import pytest

from cluster import Cluster
from random_load import programs
from random_load.client import Wrong
from random_load.crowd import Crowd
from random_load.running import Runner
from random_load.shrinking import Shrinker
from real_mongod import RealMongod

LONG_S = 150  # a test; there are four
SHRINK_S = 60


def seeds(*fixed):
    """OUTRIGGER_SEED alone, or `fixed` and a new one."""
    if given := os.environ.get("OUTRIGGER_SEED"):
        return [int(given)]
    return [*fixed, random.randrange(1 << 32)]


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


def run(run_program, program):
    """Fails with the smallest program found that fails."""
    try:
        run_program(program)
    except Wrong as wrong:
        small, why = Shrinker(lambda smaller: why_wrong(run_program, smaller), program, wrong,
                              SHRINK_S).run()
        pytest.fail(f"seed {program.seed}: {wrong}\nthe end of it:\n"
                    + "\n".join(wrong.story[-4:]) + f"\nshorter: {small}\n{why}\n"
                    + "\n".join(why.story))


def why_wrong(run_program, program):
    try:
        run_program(program)
    except Wrong as wrong:
        return wrong
    return None


def alone(runner, seed):
    run(runner.compare, programs.alone(seed, 50))


def apart(runner, seed):
    run(runner.run, programs.apart(seed, 2, 25))


def at_once(runner, seed, seconds):
    """Clients at both sites write to the same documents while the line comes and goes."""
    chance = random.Random(seed)
    options = programs.collections(chance)
    names = runner.create(options)
    crowd = Crowd(runner.cluster, seed, names, options)
    end = time.monotonic() + seconds
    with crowd:
        while time.monotonic() < end and not crowd.wrong:
            runner.cluster.cut(*runner.cluster.names)
            crowd.wait_sent(chance.randint(10, 100))
            runner.cluster.heal_all()
            crowd.wait_sent(chance.randint(10, 100))
    try:
        crowd.check()
        runner.meet(names, crowd.story)
    except Wrong as wrong:
        pytest.fail(f"seed {seed}, collections {options}: {wrong}")


@pytest.mark.long
def test_a_client_sees_what_a_mongod_alone_would_say_and_store(runner):
    for seed in seeds(1, 2, 3, 4, 5, 6):
        alone(runner, seed)


@pytest.mark.long
def test_sites_that_wrote_apart_become_equal(runner):
    for seed in seeds(1, 2, 3, 4, 5):
        apart(runner, seed)
    runner.wait_quiet()


@pytest.mark.long
def test_sites_that_many_clients_write_to_at_once_become_equal(runner):
    for seed in seeds(1):
        at_once(runner, seed, 2)
    runner.wait_quiet()


@pytest.mark.long
@pytest.mark.parametrize("kind", [alone, apart, lambda r, seed: at_once(r, seed, 10)],
                         ids=["alone", "apart", "at_once"])
def test_the_same_for_many_programs(runner, kind):
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        kind(runner, seeds()[0])
    runner.wait_quiet()
