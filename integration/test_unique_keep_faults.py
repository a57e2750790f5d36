"""`unique: keep` where something is in the way: an index that cannot be made, a MongoDB that
behaves as an older one, members that are down, elections, rules that come as records."""

import pytest

from cluster import Cluster
from keeping import (RULES, SETTINGS, alarm, all_kept, entries, index_of, refused, share, unique,
                     unique_again)
from waiting import wait_until

PARK = {"replicate": [{"namespace": "shop.*"}], "log": {"level": "info"}}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Whose mongods can be told to fail, and are given to nobody else."""
    with Cluster(tmp_path_factory.mktemp("pair"), settings=SETTINGS,
                 parameters={"enableTestCommands": 1}) as cluster:
        yield cluster


def in_vain(site, times):
    site.direct().admin.command("configureFailPoint", "failCommand", mode={"times": times}, data={
        "errorCode": 67, "failCommands": ["createIndexes"], "appName": "outrigger"})


def test_an_index_that_cannot_be_made_anew_is_at_once_what_it_was(pair):
    users = pair.collections("restored")
    unique(pair, users, "mail")
    in_vain(pair.paris, 1)
    share(pair, users)
    alarm(pair.paris, "the unique index k of shop.restored cannot be relaxed")
    assert index_of(pair.paris, users[1]).get("unique")
    assert pair.paris.status()["not_applied"] == 1
    users[1].delete_one({"_id": 100})
    unique_again(pair, users)


@pytest.mark.long
def test_one_that_cannot_be_made_at_all_is_made_later(pair):
    users = pair.collections("away")
    unique(pair, users, "mail")
    in_vain(pair.paris, 2)
    share(pair, users)
    alarm(pair.paris, "the unique index k of shop.away is away, and cannot be made")
    assert not index_of(pair.paris, users[1])
    wait_until(lambda: index_of(pair.paris, users[1]), "it is tried again", 60)
    all_kept(pair, users)
    wait_until(lambda: not pair.paris.status()["alarms"], pair.paris.status)
    users[0].delete_one({"_id": 0})
    unique_again(pair, users)  # no MongoDB goes back to an older version before


def as_of(cluster, version):
    for site in cluster:
        site.direct().admin.command("setFeatureCompatibilityVersion", version)


def writes_of_all_kinds(users, by):
    """... which the collection sees again and again."""
    one, other = users
    one.insert_one({"_id": by, "n": 0, "l": [1, 2]})
    one.insert_many([{"_id": f"{by}{i}", "by": by, "n": i} for i in range(3)])
    one.update_one({"_id": by}, {"$inc": {"n": 1}})
    one.update_one({"by": by, "n": 1}, {"$set": {"found": True}})
    one.update_many({"by": by}, {"$inc": {"n": 10}})
    one.update_one({"_id": by, "l": 2}, {"$set": {"l.$": 5}})
    assert one.find_one_and_update({"_id": by}, {"$inc": {"n": 1}})["n"] == 1
    one.replace_one({"_id": f"{by}0"}, {"by": by, "whole": True})
    one.delete_one({"_id": f"{by}2"})
    wait_until(lambda: other.count_documents({"by": by}) == 2, "they are there")
    other.update_one({"_id": by}, {"$inc": {"n": 1}})
    wait_until(lambda: one.find_one({"_id": by})["n"] == 3, lambda: one.find_one({"_id": by}))


def test_a_mongodb_that_behaves_as_an_older_one_takes_writes_and_keeps_nothing(pair):
    users = pair.collections("older")
    writes_of_all_kinds(users, "before")
    try:
        as_of(pair, "5.0")
        writes_of_all_kinds(users, "while")
        said = "unique: keep, as of namespace shop.*, needs MongoDB 6.0, and its " \
               "featureCompatibilityVersion is 5.0 (run setFeatureCompatibilityVersion"
        pair.paris.sidecar.stop()
        assert said in pair.paris.sidecar.start_refused()
        with_rule, pair.paris.sidecar.settings["replicate"] = (
            pair.paris.sidecar.settings["replicate"], PARK["replicate"])
        pair.paris.sidecar.start()
        writes_of_all_kinds(users, "anew")
    finally:
        as_of(pair, "6.0")
    writes_of_all_kinds(users, "after")
    pair.paris.sidecar.stop()
    pair.paris.sidecar.settings["replicate"] = with_rule
    pair.paris.sidecar.start()
    pair.wait_converged(["shop"])


@pytest.mark.long
def test_a_version_that_is_lowered_while_all_runs_leaves_the_index_unique(pair):
    users = pair.collections("lowered")
    unique(pair, users, "mail")
    share(pair, users)
    all_kept(pair, users)
    users[0].delete_many({})
    unique_again(pair, users)
    try:
        as_of(pair, "5.0")
        share(pair, users)
        alarm(pair.paris, "featureCompatibilityVersion 5.0")
        assert index_of(pair.paris, users[1]).get("unique")
    finally:
        as_of(pair, "6.0")
    all_kept(pair, users)
    wait_until(lambda: not pair.paris.status()["alarms"], pair.paris.status)
    users[0].delete_one({"_id": 0})
    unique_again(pair, users)


def change(site, replicate):
    """In its file, and the sidecar is started again."""
    site.sidecar.settings["replicate"] = replicate
    site.sidecar.stop()
    site.sidecar.start()


def test_the_rule_comes_as_a_record(make_cluster):
    cluster = make_cluster(settings=PARK, parameters={"enableTestCommands": 1}).start()
    users = cluster.collections("users")
    unique(cluster, users, "mail")
    share(cluster, users)
    wait_until(lambda: [site.status()["not_applied"] for site in cluster] == [1, 1],
               lambda: [site.status() for site in cluster])
    cluster.paris.direct().admin.command("setFeatureCompatibilityVersion", "5.0")
    change(cluster.oslo, RULES)
    alarm(cluster.paris, "needs MongoDB 6.0, and this is 6.0")
    assert users[1].count_documents({}) == 1
    cluster.paris.direct().admin.command("setFeatureCompatibilityVersion", "6.0")
    all_kept(cluster, users)
    wait_until(lambda: not cluster.paris.status()["alarms"], cluster.paris.status)


# ---- sets of several members

@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """oslo, on a set of three, and paris, on a set of one."""
    with Cluster(tmp_path_factory.mktemp("members"), sets={"oslo": {"members": 3}},
                 settings=SETTINGS) as cluster:
        yield cluster


def index_of_primary(sites, collection):
    primary = sites.oslo.mongod.primary()
    return sites.oslo.mongod.bare(primary)["shop"][collection.name].index_information().get("k")


@pytest.mark.long
def test_a_member_of_the_set_is_down_while_an_index_is_relaxed(sites):
    users = sites.collections("down")
    unique(sites, users, "mail")
    down = sites.oslo.mongod.secondaries()[0]
    sites.oslo.mongod.kill(down)
    share(sites, users, 5)
    all_kept(sites, users, 5)
    refused(users[0], {"_id": "new", "mail": "1"})
    users[1].delete_many({"_id": {"$lt": 100}})
    wait_until(lambda: (index_of_primary(sites, users[0]) or {}).get("unique"),
               lambda: index_of_primary(sites, users[0]), 40)
    sites.oslo.mongod.start(down)
    sites.oslo.mongod.wait_whole()
    wait_until(lambda: "unique" in (
        sites.oslo.mongod.bare(down)["shop"]["down"].index_information().get("k") or {}),
        "the member that was down has it, too", 40)


@pytest.mark.long
def test_an_election_in_the_middle(sites):
    users = sites.collections("elected")
    unique(sites, users, "mail")
    sites.oslo.mongod.wait_whole()
    share(sites, users, 30)
    wait_until(lambda: entries(sites.oslo, users[0]), "the first one is kept")
    sites.oslo.mongod.step_down()
    sites.oslo.wait_served()
    all_kept(sites, users, 30)
    refused(users[0], {"_id": "new", "mail": "7"})
    users[1].delete_many({"_id": {"$lt": 100}})
    sites.oslo.mongod.step_down()
    wait_until(lambda: (index_of_primary(sites, users[0]) or {}).get("unique"),
               lambda: index_of_primary(sites, users[0]), 60)
    refused(users[0], {"_id": "new", "mail": "7"})
