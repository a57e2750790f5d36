"""Rules of paths: what two sites that do not hear of each other make of one document."""

import datetime
import subprocess

import pytest

from cluster import Cluster
from sidecar import program
from waiting import wait_until

RULES = [{"namespace": "shop.*", "fields": {
    "tags": "list",
    "total": "counter",
    "at": "atomic",
    "*.note": "lww",
    "score": "lww",
    "maker": "first_wins",
    "high": "max",
    "low": "min",
    "status": "prefer[open, paid, shipped]",
    "chair": "site[paris, oslo]",
    "due": "max",
    "title": {"type": "longest", "escalate": True},
    "answer": "multi_value",
    "deep.best": "max",
    "labels": "union",
    "price": {"type": "lww", "escalate": {"differs_by": 10}},
    "seen": {"type": "max", "escalate": {"older_than": "30d", "differs_by": 1000}},
}}]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("pair"), settings={"replicate": RULES}) as cluster:
        yield cluster


@pytest.fixture
def carts(pair, request):
    collections = pair.collections(request.node.name)
    collections[0].insert_one({
        "_id": 1, "tags": ["a"], "total": 10, "score": 1, "at": {"lat": 1, "lon": 1},
        "talk": {"note": [0], "other": [0]}})
    pair.wait_converged(["shop"])
    return collections


def lost(pair, collection):
    """(path, value) of what the ledgers hold of a collection, which is the same at both sites."""
    found = [sorted((c["path"], str(c.get("lost"))) for c in site.sidecar.conflicts()
                    if c["namespace"] == collection.full_name) for site in pair]
    assert found[0] == found[1]
    return found[0]


def test_list_and_counter_keep_what_both_did(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$push": {"tags": "b"}, "$inc": {"total": 1}})
        carts[1].update_one({"_id": 1}, {"$push": {"tags": "c"}, "$inc": {"total": 2}})
    document = pair.one_alike(carts)
    assert (document["tags"], document["total"]) == (["a", "b", "c"], 13)
    assert lost(pair, carts[0]) == []


def test_lww_lets_the_later_write_stand_alone(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$inc": {"score": 1}, "$push": {"talk.note": 1}})
        carts[1].update_one({"_id": 1}, {"$inc": {"score": 5}, "$push": {"talk.note": 2}})
        carts[1].update_one({"_id": 1}, {"$push": {"talk.other": 2}})
    document = pair.one_alike(carts)
    assert (document["score"], document["talk"]) == (6, {"note": [0, 2], "other": [0, 2]})
    assert [path for path, _ in lost(pair, carts[0])] == ["score", "talk.note"]


def test_atomic_takes_one_site_s_value_with_all_that_is_in_it(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$set": {"at.lat": 2}})
        carts[1].update_one({"_id": 1}, [{"$set": {"at.lon": 3, "at.alt": {"$add": [1, 2]}}}])
    assert pair.one_alike(carts)["at"] == {"lat": 1, "lon": 3, "alt": 3}
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 2}, {"$set": {"at.lat": 1, "a": 1}}, upsert=True)
        carts[1].update_one({"_id": 2}, {"$set": {"at.lon": 1}, "$inc": {"score": 4}}, upsert=True)
    made = pair.one_alike(carts, 2)
    assert made == {"_id": 2, "at": {"lon": 1}, "a": 1, "score": 4}


# path -> what oslo writes, what paris writes later, which of them stands
CONTESTS = {
    "maker": ("oslo", "paris", 0),
    "high": (9, 1.5, 0),
    "low": (3, "text", 0),
    "status": ("shipped", "paid", 0),
    "chair": ("Ada", "Bob", 0),
    "title": ("the longer one", "short", 0),
    "answer": (41, 42, 1),
    "deep.best": (7, 5, 0),
}


@pytest.mark.parametrize("path", CONTESTS)
def test_of_two_values_the_rule_chooses_one_and_the_ledger_has_the_other(pair, carts, path):
    values, stands = CONTESTS[path][:2], CONTESTS[path][2]
    with pair.apart("oslo", "paris"):
        for collection, value in zip(carts, values):
            collection.update_one({"_id": 1}, {"$set": {path: value}})
    shown = pair.one_alike(carts)
    for name in path.split("."):
        shown = shown[name]
    assert shown == values[stands]
    for site in pair:
        entry, = (c for c in site.sidecar.conflicts() if c["namespace"] == carts[0].full_name)
        assert (entry["path"], entry["lost"]) == (path, values[1 - stands])
        assert (entry.get("open") or False) == (path in ("title", "answer"))
        rules = {**RULES[0]["fields"], "title": "longest"}
        assert entry["reason"].endswith(f"the rule of it decided: {rules[path]}")
        assert entry["rule"] == rules[path].split("[")[0]
        names = ("oslo", "paris")
        assert (entry["won_site"], entry["lost_site"]) == (names[stands], names[1 - stands])
    carts[1].update_one({"_id": 1}, {"$set": {path: values[1 - stands]}})
    shown = pair.one_alike(carts)
    for name in path.split("."):
        shown = shown[name]
    assert shown == values[1 - stands]


def test_of_two_dates_the_later_stands_and_the_entry_is_found_by_its_rule(pair, carts):
    first, later = (datetime.datetime(year, 3, 1, 12) for year in (1969, 2027))
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$set": {"due": later}})
        carts[1].update_one({"_id": 1}, {"$set": {"due": first}})
    assert pair.one_alike(carts)["due"] == later
    for site in pair:
        entry, = site.app().outrigger.conflicts.find(
            {"rule": "max", "lost_site": "paris", "namespace": carts[0].full_name})
        assert (entry["lost"], entry["won"], entry["won_site"]) == (first, later, "oslo")


def test_a_union_shows_what_both_gave_until_somebody_who_saw_it_gives_another(pair, carts):
    carts[0].update_one({"_id": 1}, {"$set": {"labels": ["new"]}})
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$push": {"labels": "red"}})
        carts[1].find_one_and_update({"_id": 1}, [{"$set": {"labels": ["blue", 1]}}])
        with carts[1].database.client.start_session() as session, session.start_transaction():
            carts[1].update_one({"_id": 1}, {"$addToSet": {"labels": 1.0}}, session=session)
    assert pair.one_alike(carts)["labels"] == ["new", "red", "blue", 1]
    assert lost(pair, carts[0]) == []
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$pull": {"labels": "new"}})
        carts[1].replace_one({"_id": 1}, {"labels": "none"})
    assert pair.one_alike(carts) == {"_id": 1, "labels": ["red", "blue", 1, "none"]}
    carts[0].update_one({"_id": 1}, {"$pull": {"labels": {"$in": ["red", 1]}}})
    assert pair.one_alike(carts)["labels"] == ["blue", "none"]


# path, what oslo writes, what paris writes later, whether somebody is to decide about it
ESCALATIONS = [("price", 100, 110, False), ("price", 100, 110.5, True), ("price", 7, "free", True),
               ("seen", 5, 900, False), ("seen", 5, 1006, True)]


def test_what_lost_by_little_is_closed_and_what_lost_by_much_is_open_until_chosen(pair, carts):
    for path, lost_value, stands, is_open in ESCALATIONS:
        with pair.apart("oslo", "paris"):
            carts[0].update_one({"_id": 1}, {"$set": {path: lost_value}})
            carts[1].update_one({"_id": 1}, {"$set": {path: stands}})
        assert pair.one_alike(carts)[path] == stands
        newest = [next(c for c in site.app().outrigger.conflicts.find(
            {"namespace": carts[0].full_name, "path": path})) for site in pair]
        assert newest[0] == newest[1]
        assert (newest[0]["lost"], newest[0]["state"] == "open") == (lost_value, is_open), path
    expect_open_counted(pair)
    assert pair.oslo.app().outrigger.command({"choose": newest[0]["_id"]})["state"] == "resolved"
    assert pair.one_alike(carts)["seen"] == 5
    expect_open_counted(pair)
    for policy, lost_by_it in (("lww", 3), ("max", 2)):
        assert pair.oslo.sidecar.metric("conflicts_total", namespace=carts[0].full_name,
                                        policy=policy) == lost_by_it


def expect_open_counted(pair):
    for site in pair:
        found = site.app().outrigger.conflicts.count_documents({"state": "open"})
        assert site.sidecar.metric("ledger_open") == site.status()["ledger"]["open"] == found


def test_whole_documents_and_counted_values_take_part_in_a_contest(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$inc": {"high": 9}})
        carts[1].replace_one({"_id": 1}, {"high": 4, "deep": {"best": 1}})
        carts[0].update_one({"_id": 1}, [{"$set": {"deep.best": {"$add": [1, 1]}}}])
    document = pair.one_alike(carts)
    assert (document["high"], document["deep"]) == (9, {"best": 2})


def test_rules_hold_in_transactions_and_in_updates_of_many(pair, carts):
    carts[0].insert_many([{"_id": n, "at": {"lat": 0, "lon": 0}, "score": 0} for n in (3, 4)])
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        carts[0].update_many({"_id": {"$gt": 2}}, {"$set": {"at.lat": 1}, "$inc": {"score": 1}})
        with carts[1].database.client.start_session() as session, session.start_transaction():
            for _ in range(2):
                carts[1].update_one({"_id": 3}, {"$set": {"at.lon": 2}, "$inc": {"score": 2}},
                                    session=session)
    assert pair.one_alike(carts, 3) == {"_id": 3, "at": {"lat": 0, "lon": 2}, "score": 4}
    assert pair.one_alike(carts, 4) == {"_id": 4, "at": {"lat": 1, "lon": 0}, "score": 1}


def test_explain_names_the_line_that_decides(pair):
    config = pair.sites["oslo"].sidecar.config_path
    said = subprocess.run([program(), "--config", config, "--check", "--explain", "shop.carts",
                           "at.lat"], text=True, stdout=subprocess.PIPE, timeout=30, check=True)
    line = 1 + config.read_text().splitlines().index("    at: atomic")
    assert f"outrigger.yaml:{line}: 'at = atomic' decides: one value" in said.stdout
    assert "at.lat is a part of the value at at\n" in said.stdout


def test_sites_with_other_rules_are_refused_by_the_line_that_differs(make_cluster):
    cluster = make_cluster(("oslo", "paris"), settings={"replicate": RULES})
    other = {**RULES[0], "fields": {**RULES[0]["fields"], "score": "counter"}}
    cluster.sites["paris"].sidecar.settings["replicate"] = [other]
    cluster.start()
    log = cluster.sites["oslo"].sidecar.process
    wait_until(lambda: "field: score = lww" in log.log_text(), "the difference named")


def test_an_operator_that_finds_nothing_inside_a_whole_leaves_it_alone(pair, carts):
    for collection in carts:
        collection.update_one({"_id": 2}, {"$set": {"x": 0}}, upsert=True)
        pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        carts[1].update_one({"_id": 2}, {"$set": {"at": {"lat": 2}}})
        carts[1].update_one({"_id": 2}, {"$set": {"maker": {"name": "ada"}}})
        carts[0].update_one({"_id": 2}, {
            "$set": {"x": 1}, "$unset": {"at.old": "", "maker.old": ""}})
    document = pair.one_alike(carts, 2)
    assert (document["at"], document["maker"]) == ({"lat": 2}, {"name": "ada"})


# The last: the stamps of a site that was killed lie some seconds ahead for a while.
def test_a_contest_outlives_a_restart_of_everything(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$set": {"status": "shipped", "labels": ["a", "b"]}})
        carts[1].update_one({"_id": 1}, {"$set": {"status": "paid", "labels": ["b", "c"]}})
        pair.sites["oslo"].sidecar.process.kill()
        pair.sites["oslo"].sidecar.start()
    document = pair.one_alike(carts)
    assert (document["status"], sorted(document["labels"])) == ("shipped", ["a", "b", "c"])
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$set": {"status": "open"}})
        carts[1].update_one({"_id": 1}, {"$unset": {"status": ""}})
    assert pair.one_alike(carts)["status"] == "open"
