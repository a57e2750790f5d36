"""Three sites, as a mesh and as a chain: in the chain oslo and rome never meet, and what they write
goes through paris."""

import pytest

from cluster import Cluster
from waiting import wait_until

SITES = ("oslo", "paris", "rome")
LINKS = {"mesh": None, "chain": [("oslo", "paris"), ("paris", "rome")]}


@pytest.fixture(scope="module", params=LINKS)
def trio(request, tmp_path_factory):
    """The three sites, running, shared by the tests of this file: each takes its own collection."""
    directory = tmp_path_factory.mktemp(request.param)
    with Cluster(directory, SITES, links=LINKS[request.param]) as cluster:
        yield cluster


@pytest.fixture
def shop(trio, request):
    """The test's collection through the sidecars of oslo, paris and rome."""
    return trio.collections(request.node.originalname)


def test_writes_of_every_site_reach_every_other(trio, shop):
    for i, collection in enumerate(shop):
        collection.insert_many([{"_id": f"{i}-{n}", "n": n} for n in range(50)])
    trio.wait_converged(["shop"])
    assert [collection.count_documents({}) for collection in shop] == [150] * 3


def test_clashes_of_three_sites_converge_and_counters_add_up(trio, shop):
    shop[0].insert_one({"_id": 1, "n": 0})
    trio.wait_converged(["shop"])
    for site in SITES:
        trio.isolate(site)
    for i, collection in enumerate(shop):
        collection.update_one({"_id": 1}, {"$inc": {"n": 10 ** i}, "$set": {"by": SITES[i]}})
        collection.insert_one({"_id": "same", f"from{i}": True})
    trio.heal_all()
    trio.wait_converged(["shop"])
    assert shop[0].find_one({"_id": 1}) == {"_id": 1, "n": 111, "by": "rome"}
    assert shop[1].find_one({"_id": "same"}) == shop[2].find_one({"_id": "same"})
    assert {loser["lost"] for loser in trio.oslo.losers(shop[0]) if loser["path"] == "by"} == {
        "oslo", "paris"}


def test_writes_of_a_site_that_went_down_spread_through_another(trio, shop):
    trio.cut("oslo", "rome")
    trio.cut("paris", "rome")
    shop[0].insert_many([{"_id": n} for n in range(100)])
    wait_until(lambda: shop[1].count_documents({}) == 100, "paris has what oslo wrote")
    trio.oslo.sidecar.stop()
    trio.heal("paris", "rome")
    wait_until(lambda: shop[2].count_documents({}) == 100, "rome has what oslo wrote")
    trio.heal_all()
    trio.oslo.sidecar.start()
    trio.wait_converged(["shop"])


def test_nothing_is_kept_once_all_three_have_it(trio, shop):
    for collection in shop:
        collection.update_one({"_id": 1}, {"$inc": {"n": 1}}, upsert=True)
    trio.wait_converged(["shop"])
    trio.wait_quiet()
    assert all(site.status()["inbox"]["records"] == 0 for site in trio)
