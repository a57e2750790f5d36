"""The ledger is bounded: what is dropped is said, what is kept is read page by page."""

import subprocess

import pytest

from sidecar import program
from waiting import wait_until

BYTES_MAX = 2**20
LOST_BYTES = 100_000
DOCUMENTS = 40


@pytest.fixture
def bounded_sites(make_cluster):
    return make_cluster(settings={"ledger": {"max_bytes": "1MiB"}}).start()


def set_apart(cluster):
    """Every document is set at both sites while they cannot talk: one value of each is lost."""
    cluster.cut("oslo", "paris")
    for site, letter in zip(cluster, "op"):
        for number in range(DOCUMENTS):
            site.app().shop.items.update_one({"_id": number}, {"$set": {"v": letter * LOST_BYTES}},
                                             upsert=True)
    cluster.heal_all()
    cluster.wait_converged(["shop"])


def wait_trimmed(site):
    """Until every conflict has come, and as many have gone as must."""
    def trimmed():
        ledger = site.status()["ledger"]
        return (ledger["dropped"] > 0 and ledger["bytes"] <= BYTES_MAX
                and ledger["entries"] + ledger["dropped"] == DOCUMENTS)
    wait_until(trimmed, lambda: site.status()["ledger"])


def test_the_oldest_conflicts_go_when_there_are_too_many(bounded_sites):
    oslo = bounded_sites.oslo
    set_apart(bounded_sites)
    wait_trimmed(oslo)
    ledger = oslo.status()["ledger"]
    assert ledger["bytes"] <= ledger["max_bytes"] == BYTES_MAX
    assert ledger["entries"] + ledger["dropped"] == DOCUMENTS
    assert ledger["oldest_ms"] == oslo.sidecar.conflicts(1000)[-1]["time_ms"]
    assert oslo.sidecar.metric("ledger_bytes") == ledger["bytes"]
    assert oslo.sidecar.metric("ledger_dropped_total") == ledger["dropped"]
    oslo.sidecar.wait_log("oldest closed entries were dropped")
    oslo.sidecar.restart()
    assert oslo.status()["ledger"] == {**ledger, "oldest_ms": oslo.status()["ledger"]["oldest_ms"]}


def test_what_is_older_than_may_be_goes_and_what_is_open_stays(make_cluster):
    sites = make_cluster(settings={"ledger": {"keep_for": "2s"}, "replicate": [
        {"namespace": "*", "fields": {"title": {"type": "lww", "escalate": True}}}]}).start()
    with sites.apart("oslo", "paris"):
        for site in sites:
            site.app().shop.items.update_one({"_id": 1}, {"$set": {
                "title": site.name, "room": site.name}}, upsert=True)
    sites.wait_converged(["shop"])
    for site in sites:
        wait_until(lambda: site.status()["ledger"]["dropped"] == 1, lambda: site.status()["ledger"])
        left, = site.app().outrigger.conflicts.find()
        assert (left["path"], left["state"]) == ("title", "open")
        assert site.status()["ledger"]["dropped_open"] == 0


def test_conflicts_are_read_page_by_page(bounded_sites):
    oslo = bounded_sites.oslo
    set_apart(bounded_sites)
    wait_trimmed(oslo)
    all_of_them = oslo.sidecar.conflicts(1000)
    assert len({each["_id"] for each in all_of_them}) == oslo.status()["ledger"]["entries"]
    page = oslo.sidecar.get_json("/conflicts?limit=3")
    assert page["conflicts"] == all_of_them[:3] and page["more"]
    page = oslo.sidecar.get_json(f"/conflicts?limit=3&from={page['next']}")
    assert page["conflicts"] == all_of_them[3:6]
    assert oslo.sidecar.get("/conflicts?from=yesterday")[0] == 400
    ctl = [program("outriggerctl"), "--admin", oslo.sidecar.admin_address, "conflicts"]
    text = subprocess.check_output([*ctl, "--limit", "3"], text=True)
    assert f"--from {oslo.sidecar.get_json('/conflicts?limit=3')['next']}" in text
    last = subprocess.check_output([*ctl, "--limit", "1000"], text=True)
    assert "--from" not in last
