"""A line that is cut, broken and healed under random clashing writes, against a model of what must
come out. OUTRIGGER_SEED repeats a run."""

import os
import random
import threading

import pytest

from waiting import wait_until

DOCUMENTS = range(12)
ROUNDS = ("cut", "break_off", "one_way", "back_way")


class Shop:
    """Two sites' writes and what must stand after healing, whatever the order of arrival."""

    def __init__(self, cluster, seed):
        self.collections = cluster.collections("carts")
        self.random = random.Random(seed)
        self.increments = {i: 0 for i in DOCUMENTS}
        self.last_sets = {}  # (_id, field) -> {site index: last value}
        self.inserted = set()
        self.deleted = set()
        self.serial = 0
        self.failure = None

    def stock(self):
        self.collections[0].insert_many([{"_id": i, "n": 0, "list": []} for i in DOCUMENTS])

    def write(self):
        site = self.random.randrange(2)
        verb = self.random.choice([self.inc, self.inc, self.inc_many, self.set, self.set,
                                   self.insert, self.delete, self.push, self.pipeline, self.clash])
        verb(site, self.collections[site], self.random.choice(DOCUMENTS))

    def inc(self, site, collection, i):
        by = self.random.randint(-5, 20)
        assert collection.update_one({"_id": i}, {"$inc": {"n": by}}).matched_count == 1
        self.increments[i] += by

    def inc_many(self, site, collection, i):
        result = collection.update_many({"_id": {"$lt": i}}, {"$inc": {"n": 1}})
        for j in range(i):
            self.increments[j] += 1
        assert result.matched_count == i

    def set(self, site, collection, i):
        self.serial += 1
        field = self.random.choice(["a", "b.c", "b.d"])
        collection.find_one_and_update({"_id": i}, {"$set": {field: self.serial}})
        self.last_sets.setdefault((i, field), {})[site] = self.serial

    def insert(self, site, collection, i):
        self.serial += 1
        collection.insert_one({"_id": f"new-{self.serial}", "site": site})
        self.inserted.add(f"new-{self.serial}")

    def delete(self, site, collection, i):
        if self.inserted and self.random.random() < 0.5:
            gone = self.random.choice(sorted(self.inserted))
            if collection.delete_one({"_id": gone}).deleted_count == 1:
                self.inserted.remove(gone)
                self.deleted.add(gone)

    def push(self, site, collection, i):
        self.serial += 1
        collection.update_one({"_id": i}, {"$push": {"list": self.serial}})

    def pipeline(self, site, collection, i):
        shown = {"$concat": ["#", {"$toString": "$n"}]}
        collection.update_one({"_id": i}, [{"$set": {"shown": shown}}])

    def clash(self, site, collection, i):
        """Both sites insert, replace or delete the same document."""
        self.serial += 1
        for collection in self.collections:
            if self.random.random() < 0.3:
                collection.delete_one({"_id": f"clash-{i}"})
            else:
                collection.replace_one({"_id": f"clash-{i}"}, {"v": self.serial}, upsert=True)

    def check(self, collection):
        found = {document["_id"]: document for document in collection.find()}
        assert {i: found[i]["n"] for i in DOCUMENTS} == self.increments
        assert self.inserted <= found.keys()
        assert not self.deleted & found.keys()
        for (i, field), by_site in self.last_sets.items():
            value = found[i]
            for name in field.split("."):
                value = value[name]
            assert value in by_site.values(), (i, field)


def seed():
    value = int(os.environ.get("OUTRIGGER_SEED", random.randrange(1 << 32)))
    print(f"OUTRIGGER_SEED={value}")
    return value


def part(cluster, how):
    if how == "break_off":
        cluster.break_off("oslo", "paris")
    elif how == "back_way":
        cluster.cut("paris", "oslo", one_way=True)
    else:
        cluster.cut("oslo", "paris", one_way=how == "one_way")


@pytest.mark.long  # random operations do the same in less
@pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])
def test_partitions_under_clashing_writes_lose_and_invent_nothing(make_cluster, replica_set):
    cluster = make_cluster(replica_set=replica_set).start()
    shop = Shop(cluster, seed())
    shop.stock()
    cluster.wait_converged(["shop"])
    for how in ROUNDS:
        part(cluster, how)
        for _ in range(150):
            shop.write()
        cluster.heal_all()
        cluster.wait_converged(["shop"])
        for collection in shop.collections:
            shop.check(collection)
    cluster.wait_quiet()


@pytest.mark.short
def test_a_line_that_flaps_while_both_write(make_cluster):
    cluster = make_cluster().start()
    shop = Shop(cluster, seed())
    shop.stock()
    cluster.wait_converged(["shop"])
    for n in range(300):
        if n % 30 == 0:
            cluster.break_off("oslo", "paris")
        if n % 30 == 10:
            cluster.heal("oslo", "paris")
        shop.write()
    cluster.heal_all()
    cluster.wait_converged(["shop"])
    for collection in shop.collections:
        shop.check(collection)


@pytest.mark.long
@pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])
def test_many_clients_at_both_sites_at_once_on_the_same_few_documents(make_cluster, replica_set):
    cluster = make_cluster(replica_set=replica_set).start()
    base = seed()
    shops = [Shop(cluster, base + n) for n in range(6)]
    shops[0].stock()
    cluster.wait_converged(["shop"])
    clients = [threading.Thread(target=crowd, args=(shop, n % 2)) for n, shop in enumerate(shops)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert [shop.failure for shop in shops] == [None] * 6
    cluster.wait_converged(["shop"])
    found = {document["_id"]: document for document in shops[0].collections[1].find()}
    for i in DOCUMENTS:
        assert found[i]["n"] == sum(shop.increments[i] for shop in shops)
    cluster.wait_quiet()


def crowd(shop, site):
    """One client of a crowd: what it does commutes with what the others do, or may lose."""
    collection = shop.collections[site]
    verbs = [shop.inc, shop.inc, shop.inc_many, shop.set, shop.push, shop.pipeline, shop.clash]
    try:
        for _ in range(120):
            shop.random.choice(verbs)(site, collection, shop.random.choice(DOCUMENTS))
    except Exception as error:  # the thread's own end would say nothing
        shop.failure = error


def test_a_frozen_peer_holds_nobody_up_and_gets_everything(two_sites):
    oslo, paris = two_sites.collections("carts")
    oslo.insert_one({"_id": 1, "n": 0})
    two_sites.wait_converged(["shop"])
    two_sites.paris.sidecar.process.freeze()
    for _ in range(300):
        oslo.update_one({"_id": 1}, {"$inc": {"n": 1}})
    wait_until(lambda: two_sites.oslo.peer("paris")["state"] != "open", "the silence is noticed")
    assert two_sites.oslo.sidecar.metric("peer_lag_records", peer="paris") >= 300
    two_sites.paris.sidecar.process.thaw()
    two_sites.wait_converged(["shop"])
    assert paris.find_one({"_id": 1})["n"] == 300


def test_a_site_cut_off_reads_and_writes_as_before(two_sites):
    two_sites.break_off("oslo", "paris")
    wait_until(lambda: all(site.status()["peers"][0]["state"] != "open" for site in two_sites),
               "both sites know that they are apart")
    for site in two_sites:
        assert site.sidecar.is_ready()
        site.app().shop.carts.insert_one({"_id": site.name})
        assert site.app().shop.carts.find_one() == {"_id": site.name}
    assert two_sites.oslo.status()["peers"][0]["last_error"]
    two_sites.heal("oslo", "paris")
    two_sites.wait_converged(["shop"])
