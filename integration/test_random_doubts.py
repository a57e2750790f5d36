"""Write commands by chance, of which a share comes to harm between the sidecar and its mongod: the
command is lost, or its answer, or what is read for its record behind it, or the sidecar is killed
there. A site alone then holds what a bare mongod holds that was given the same, and both sites hold
one thing, whatever the other wrote meanwhile; counts are there once. Crowds at both sites do the
same at once.

A failure prints its seed and the shortest program found that still fails. OUTRIGGER_SEED=N begins
with that seed, OUTRIGGER_DOUBT_ROUNDS=N changes how many programs each form of store is given."""

import os
import random

import pytest

from cluster import Cluster
from random_load import doubts
from random_load.client import Wrong
from random_load.doubt_running import DoubtRunner
from random_load.doubtful_crowd import run_counting, run_upserts
from random_load.losses import LossyLine
from random_load.shrinking import run_or_shrink
from real_mongod import RealMongod

SHORT_ROUNDS, LONG_ROUNDS = 1, 100
SHRINK_S = 60
STRIKES = 5  # while a crowd is at work


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def runner(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("doubts")
    bare = RealMongod(directory / "bare", replica_set=request.param)
    cluster = Cluster(directory, replica_set=request.param, settings={"log": {"level": "info"}})
    for site in cluster:
        site.mongod.start()
    line = LossyLine(cluster.oslo)
    cluster.oslo.sidecar.settings["store"]["uri"] = line.uri
    for site in cluster:
        site.sidecar.start()
    try:
        yield DoubtRunner(cluster, bare.start(), line)
    finally:
        line.close()
        cluster.discard()
        bare.discard()


def lone(runner, seed):
    run_or_shrink(runner.run_lone, doubts.lone(seed, 30), SHRINK_S)


def apart(runner, seed):
    run_or_shrink(runner.run_doubts, doubts.apart(seed, 2, 15), SHRINK_S)


def counted(runner, seed):
    run_or_shrink(runner.run_counted, doubts.counted(seed, 2, 15), SHRINK_S)


def beside(runner, seed):
    run_or_shrink(runner.run_beside, doubts.beside(seed, 2, 15), SHRINK_S)


def counting_crowd(runner, seed):
    run_counting(runner, seed, STRIKES)


def crowd(runner, seed):
    run_upserts(runner, seed, STRIKES)


KINDS = [counting_crowd, crowd, counted, beside, lone, apart]


def run_rounds(runner, rounds, first_seed):
    seed = int(os.environ.get("OUTRIGGER_SEED", first_seed))
    for number in range(int(os.environ.get("OUTRIGGER_DOUBT_ROUNDS", rounds))):
        for kind in KINDS:
            print(kind.__name__, seed + number, flush=True)
            try:
                kind(runner, seed + number)
            except (Wrong, TimeoutError) as wrong:
                pytest.fail(f"seed {seed + number}: {wrong}")
        runner.wait_quiet()
    print(f"{runner.sent} commands, {dict(runner.hits)} came to harm, "
          f"{runner.line.own_hits} of the sidecar's own")
    assert runner.hits


def test_what_is_lost_on_the_way_leaves_each_write_done_or_not(runner):
    run_rounds(runner, SHORT_ROUNDS, first_seed=1)


@pytest.mark.long
def test_the_same_for_many_programs(runner):
    run_rounds(runner, LONG_ROUNDS, first_seed=random.randrange(1 << 32))
