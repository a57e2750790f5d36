"""Rules of paths that are changed in the file of one site, and what the others make of that."""

import random

import pytest

from waiting import wait_until


def rules(**fields):
    return [{"namespace": "shop.*", "fields": fields}, {"namespace": "audit.*", "replicate": False}]


@pytest.fixture
def pair(make_cluster):
    cluster = make_cluster(("oslo", "paris"), settings={"replicate": rules(v="max")})
    return cluster.start()


def change(site, replicate, kill=False):
    """In its file, and the sidecar is started again."""
    site.sidecar.settings["replicate"] = replicate
    site.sidecar.process.kill() if kill else site.sidecar.process.stop()
    site.sidecar.start()


def state(site):
    return site.status()["rules"]


def wait_rules_of(by, *sites):
    wait_until(lambda: all(state(site).get("by") == by for site in sites),
               lambda: f"the rules of {by}: {[state(site) for site in sites]}")
    wait_until(lambda: len({state(site)["name"] for site in sites}) == 1,
               lambda: f"the same rules: {[state(site) for site in sites]}")


def outcome(cluster, first, later):
    """What stands of two values that were given to v at sites that were apart."""
    oslo, paris = cluster.collections("docs")
    which = oslo.count_documents({}) + 1
    oslo.insert_one({"_id": which})
    cluster.wait_converged(["shop"])
    with cluster.apart("oslo", "paris"):
        oslo.update_one({"_id": which}, {"$set": {"v": first}})
        paris.update_one({"_id": which}, {"$set": {"v": later}})
    return cluster.one_alike((oslo, paris), which)["v"]


def test_rules_that_change_in_one_file_hold_at_every_site(pair):
    assert outcome(pair, 9, 5) == 9
    change(pair.oslo, rules(v="min"))
    wait_rules_of("oslo", *pair)
    assert outcome(pair, 5, 9) == 5
    log = pair.paris.sidecar.process.log_text()
    assert "oslo has changed the rules" in log and "+ namespace: shop.*, field: v = min" in log


def test_a_file_that_says_what_held_before_changes_nothing(pair):
    change(pair.oslo, rules(v="min"))
    wait_rules_of("oslo", *pair)
    change(pair.paris, rules(v="max"))  # as it was
    wait_rules_of("oslo", *pair)
    assert outcome(pair, 5, 9) == 5
    assert state(pair.paris)["file_differs"] == [
        "- namespace: shop.*, field: v = max", "+ namespace: shop.*, field: v = min"]
    assert "another site has changed the rules" in pair.paris.sidecar.process.log_text()
    change(pair.paris, rules(v="min"))
    wait_until(lambda: state(pair.paris)["file_differs"] == [], "the file says what holds")
    wait_rules_of("oslo", *pair)


def test_a_site_that_was_away_gets_them_with_what_was_written(pair):
    pair.cut("oslo", "paris")
    change(pair.oslo, rules(v="min"))
    wait_rules_of("oslo", pair.oslo)
    oslo, paris = pair.collections("docs")
    oslo.insert_one({"_id": 1})
    paris.insert_one({"_id": 2})
    pair.heal("oslo", "paris")
    wait_rules_of("oslo", *pair)
    assert {document["_id"] for document in pair.alike((oslo, paris))} == {1, 2}
    assert outcome(pair, 5, 9) == 5


def test_of_two_files_the_one_that_was_changed_later_holds(pair):
    pair.cut("oslo", "paris")
    change(pair.paris, rules(v="min"))
    wait_rules_of("paris", pair.paris)
    change(pair.oslo, rules(v="longest"))
    wait_rules_of("oslo", pair.oslo)
    # By their stamps: those of a site that was started again lie ahead for a moment.
    later = max(pair, key=lambda site: state(site)["since_ms"])
    pair.heal("oslo", "paris")
    wait_rules_of(later.name, *pair)
    assert outcome(pair, "bbb", "a") == {"oslo": "bbb", "paris": "a"}[later.name]


def test_they_are_told_once_whatever_is_killed(pair):
    chance = random.Random(7)
    last = None
    for number in range(4):
        site = chance.choice(list(pair))
        last = ["min", "max", "lww", "longest"][number]
        change(site, rules(v=last), kill=True)
        other = chance.choice(list(pair))
        other.sidecar.process.kill()
        other.sidecar.start()
        wait_rules_of(site.name, *pair)
    assert all(state(site)["name"].endswith("+") for site in pair)
    assert outcome(pair, "long", "x") == "long"


def test_which_namespaces_travel_is_for_each_file_to_say(pair):
    change(pair.oslo, rules(v="max")[:1])
    wait_until(lambda: "have different replicate rules" in pair.oslo.sidecar.process.log_text(),
               "the difference is named")
    assert "namespace: audit.*, replicate: false" in pair.oslo.sidecar.process.log_text()
    change(pair.paris, rules(v="max")[:1])
    oslo, paris = pair.collections("docs")
    oslo.insert_one({"_id": 1})
    wait_until(lambda: paris.find_one({"_id": 1}), "they talk again")
