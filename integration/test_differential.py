"""The same commands, once to a mongod and once through the proxy to another: equal replies, byte
for byte apart from what names a server, a time or a position, and equal documents behind them.
Each case runs in several forms: body array, document sequence, with a session, numbered; each
presentation takes some of them, and all in the long tests."""

import pytest

from cluster import Cluster
from differential import (id_cases, insert_cases, odd_cases, other_cases, other_write_cases,
                          output_cases, rename_cases, transaction_cases, update_cases)
from differential.runner import Pair
from real_mongod import RealMongod

CASES = (insert_cases.CASES + update_cases.CASES + other_write_cases.CASES + other_cases.CASES +
         output_cases.CASES + odd_cases.CASES + id_cases.CASES + transaction_cases.CASES +
         rename_cases.CASES)
# A few of each kind for the slower builds.
SMOKE = CASES[::len(CASES) // 24]


@pytest.fixture(scope="module", params=["standalone", "replica_set"])
def pair(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("differential")
    is_set = request.param == "replica_set"
    mongod = RealMongod(directory / "direct", replica_set=is_set)
    cluster = Cluster(directory / "proxied", ("oslo",), replica_set=is_set,
                      settings={"log": {"level": "info"}})
    try:
        mongod.start()
        cluster.start()
        pair = Pair(mongod, cluster.oslo)
        yield pair
        pair.close()
        cluster.oslo.sidecar.stop()
    finally:
        mongod.discard()
        cluster.discard()


def check(pair, cases):
    failed = []
    for case in cases:
        lines = pair.run(case)
        if lines:
            failed.append("\n    ".join([case.name, *lines]))
    assert not failed, f"{len(failed)} of {len(cases)} cases:\n" + "\n".join(failed)


def test_names_are_unique_and_cases_are_many():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert sum(len(case.commands) for case in CASES) > 150


@pytest.mark.short
def test_a_few_commands_of_each_kind(pair):
    check(pair, SMOKE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_replies_are_equal(pair, case):
    lines = pair.run(case)
    assert not lines, "\n".join(lines)
