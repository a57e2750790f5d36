"""`unique: keep` and an index that is away: it is shown, and waits to be made anew. Apps drop it as
one that is there, and it is not made any more; its name is for no other index."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from cluster import Cluster
from keeping import (SETTINGS, alarm, all_kept, at_last, fail, index_of, kept, listed, names_of,
                     share, unique, unique_again)
from waiting import wait_until


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Whose mongods can be told to fail, and are given to nobody else."""
    with Cluster(tmp_path_factory.mktemp("pair"), settings=SETTINGS,
                 parameters={"enableTestCommands": 1}) as cluster:
        yield cluster


DROPS = {"by_name": "k", "with_another": ["k", "n_1"], "by_keys": {"mail": 1}, "all": "*"}


@contextlib.contextmanager
def away(pair, *names):
    """Collections with an index k that is away at paris, and stays so for this long."""
    both = [pair.collections(name) for name in names]
    for users in both:
        unique(pair, users, "mail")
        users[0].create_index("n")
    pair.wait_converged(["shop"])
    fail(pair.paris, "createIndexes", 67)
    try:
        for users in both:
            share(pair, users)
        for name in names:
            alarm(pair.paris, f"the unique index k of shop.{name} is away, and cannot be made")
        yield both
    finally:
        at_last(pair.paris)


def gone(pair, users, left):
    """No site has the index, nor shows it."""
    pair.wait_converged(["shop"])
    wait_until(lambda: all(names_of(each) == left for each in users) and
               not any(index_of(site, each) for site, each in zip(pair, users)),
               lambda: [names_of(each) for each in users])
    kept(pair, users, [], [0, 100])


def test_what_is_away_is_dropped_as_what_is_there(pair):
    with away(pair, *DROPS) as both:
        for how, users in zip(DROPS.values(), both):
            assert names_of(users[1]) == {"_id_", "k", "n_1"}
            with pytest.raises(OperationFailure) as why:
                users[1].database.command("dropIndexes", users[1].name, index=["k", "nothing"])
            assert why.value.code == 27 and names_of(users[1]) == {"_id_", "k", "n_1"}
            dropped = users[1].database.command("dropIndexes", users[1].name, index=how)
            assert dropped["nIndexesWas"] == 3, dropped
            with pytest.raises(OperationFailure) as why:
                users[1].drop_index("k")
            assert why.value.code == 27
        pair.paris.sidecar.kill()
    pair.paris.sidecar.start()
    for how, users in zip(DROPS, both):
        gone(pair, users, {"all": {"_id_"}, "with_another": {"_id_"}}.get(how, {"_id_", "n_1"}))


def conflict(collection, *specs):
    """... with an index that is there: none of these is made."""
    before = names_of(collection)
    with pytest.raises(OperationFailure) as why:
        collection.database.command("createIndexes", collection.name, indexes=list(specs))
    assert why.value.code == 86, why.value
    assert names_of(collection) == before


UNIQUE = {"key": {"mail": 1}, "name": "k", "unique": True}
PLAIN = {"key": {"mail": 1}, "name": "k"}
NEW = {"key": {"m": 1}, "name": "m_1"}


def test_an_index_that_is_away_has_its_name_and_is_listed_in_all_forms(pair):
    with away(pair, "named") as [users]:
        conflict(users[1], NEW, PLAIN)
        for how in ("includeBuildUUIDs", "includeIndexBuildInfo"):
            shown = [each.get("spec", each) for each in listed(users[1], **{how: True})]
            assert sorted(each["name"] for each in shown) == ["_id_", "k", "n_1"]
            assert {"v": 2, **UNIQUE} in shown
        users[1].database.command("createIndexes", users[1].name, indexes=[UNIQUE, NEW])
        assert names_of(users[1]) == {"_id_", "k", "n_1", "m_1"}
        assert index_of(pair.paris, users[1]).get("prepareUnique")
    users[0].delete_one({"_id": 0})
    unique_again(pair, users)


def test_one_that_cannot_be_closed_is_given_up_for_no_other(pair):
    users = pair.collections("open")
    unique(pair, users, "mail")
    fail(pair.paris, "collMod", 72)
    share(pair, users)
    alarm(pair.paris, "the unique index k of shop.open refuses no duplicates now")
    conflict(users[1], PLAIN, NEW)
    users[1].database.command("createIndexes", users[1].name, indexes=[NEW])
    at_last(pair.paris)
    wait_until(lambda: index_of(pair.paris, users[1]).get("prepareUnique"), "it is closed")
    all_kept(pair, users)
    users[0].delete_one({"_id": 0})
    unique_again(pair, users)


# ---- what waits to be built, and is dropped

LARGE = 5_001  # documents: an index over them is built beside everything else


@contextlib.contextmanager
def stuck(site):
    """No index over many documents gets anywhere for this long."""
    name = "hangAfterSettingUpIndexBuild"
    site.direct().admin.command("configureFailPoint", name, mode="alwaysOn")
    try:
        yield
    finally:
        site.direct().admin.command("configureFailPoint", name, mode="off")


def large(pair, *names):
    both = [pair.collections(name) for name in names]
    for users in both:
        users[0].insert_many([{"_id": f"a{i}", "mail": f"a{i}"} for i in range(LARGE)])
    pair.wait_converged(["shop"])
    return both


def runs(site, command, users):
    running = site.direct().admin.command("currentOp", {"$all": True})["inprog"]
    return any(each.get("command", {}).get(command) == users[0].name for each in running)


def test_what_waits_to_be_made_anew_is_not_made_once_it_is_dropped(pair):
    first, second = large(pair, "first", "second")
    for users in (first, second):
        unique(pair, users, "mail")
    with stuck(pair.paris):
        share(pair, first)
        wait_until(lambda: runs(pair.paris, "createIndexes", first), "it is made anew")
        share(pair, second)
        wait_until(lambda: not index_of(pair.paris, second[1]), "the other one waits")
        fail(pair.paris, "dropIndexes", times=1)
        with pytest.raises(AutoReconnect):  # what became of it nobody knows: nothing
            second[1].drop_index("k")
        assert "k" in names_of(second[1]) and index_of(pair.oslo, second[0])
        second[1].drop_index("k")
        wait_until(lambda: not index_of(pair.oslo, second[0]), "the other site hears of it")
    pair.wait_converged(["shop"])
    wait_until(lambda: index_of(pair.paris, first[1]).get("prepareUnique"), "it is there")
    assert not any(index_of(site, each) for site, each in zip(pair, second))
    first[0].delete_one({"_id": 0})
    unique_again(pair, first)


def test_what_is_just_being_made_anew_is_dropped_and_stays_so(pair):
    [users] = large(pair, "midway")
    unique(pair, users, "mail")
    with ThreadPoolExecutor() as pool:
        with stuck(pair.paris):
            share(pair, users)
            wait_until(lambda: runs(pair.paris, "createIndexes", users), "it is made anew")
            drop = pool.submit(users[1].drop_index, "k")
            wait_until(lambda: runs(pair.paris, "dropIndexes", users), "it is dropped")
        drop.result()
    pair.paris.sidecar.kill()
    pair.paris.sidecar.start()
    pair.wait_converged(["shop"])
    assert not any("k" in names_of(each) or index_of(site, each)
                   for site, each in zip(pair, users))


def test_what_waits_at_a_peer_is_not_made_once_it_is_dropped(pair):
    first, second = large(pair, "peer_first", "peer_second")
    with stuck(pair.paris):
        for users in (first, second):
            users[0].create_index("n", name="n")
        wait_until(lambda: runs(pair.paris, "createIndexes", first), "it is built")
        pair.paris.sidecar.kill()
        for users in (first, second):
            users[0].drop_index("n")
        pair.paris.sidecar.start(wait_ready=False)
    pair.paris.sidecar.wait_ready()
    pair.wait_converged(["shop"])
    wait_until(lambda: not runs(pair.paris, "createIndexes", first), "it has ended")
    wait_until(lambda: not any("n" in each.index_information()
                               for users in (first, second) for each in users), "it is dropped")
