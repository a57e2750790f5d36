"""A site that was away for long gets all it missed."""

import time

from pymongo import UpdateOne

DOCUMENTS = 40_000
UPDATES = 10_000


def test_a_peer_away_during_fifty_thousand_writes_catches_up(two_sites):
    paris, oslo = two_sites.paris, two_sites.oslo
    paris.sidecar.stop()
    carts = oslo.app().shop.carts
    started = time.monotonic()
    for first in range(0, DOCUMENTS, 5_000):
        carts.insert_many([{"_id": first + n, "n": 0, "name": f"cart {n}"} for n in range(5_000)])
    carts.bulk_write([UpdateOne({"_id": n}, {"$inc": {"n": 1}, "$set": {"seen": True}})
                      for n in range(UPDATES)], ordered=False)
    written = time.monotonic()
    assert oslo.status()["peers"][0]["records_behind"] > 0
    paris.sidecar.start()
    two_sites.wait_converged(["shop"])
    print(f"50,000 writes: {written - started:.1f} s, caught up {time.monotonic() - written:.1f} s")
    assert paris.direct().shop.carts.count_documents({"n": 1, "seen": True}) == UPDATES
    assert paris.direct().shop.carts.count_documents({}) == DOCUMENTS
    assert time.monotonic() - started < 60
    two_sites.wait_quiet()


def test_both_sites_away_from_each_other_exchange_what_they_wrote(two_sites):
    two_sites.break_off("oslo", "paris")
    for site in two_sites:
        site.app().shop.carts.insert_many([{"_id": f"{site.name} {n}"} for n in range(5_000)])
    two_sites.heal("oslo", "paris")
    two_sites.wait_converged(["shop"])
    assert two_sites.oslo.direct().shop.carts.count_documents({}) == 10_000


def test_records_not_yet_sent_survive_restarts_of_both(two_sites):
    two_sites.break_off("oslo", "paris")
    for site, carts in zip(two_sites, two_sites.collections("carts")):
        carts.insert_many([{"_id": f"{site.name} {n}", "n": 0} for n in range(500)])
        carts.update_one({"_id": "shared"}, {"$inc": {"n": 1}}, upsert=True)
        site.sidecar.restart()
        carts.update_one({"_id": "shared"}, {"$inc": {"n": 10}})
    two_sites.heal("oslo", "paris")
    two_sites.wait_converged(["shop"])
    assert two_sites.paris.direct().shop.carts.count_documents({}) == 1001
    assert two_sites.oslo.direct().shop.carts.find_one({"_id": "shared"})["n"] == 22
    two_sites.wait_quiet()
