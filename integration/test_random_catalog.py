"""Changes of the catalogue and writes at random, at sites that are apart now and then: once all is
healed the sites hold the same documents, collections, options and indexes."""

import os
import random

import pymongo
import pymongo.errors
import pytest

from test_catalog import catalogue
from waiting import wait_until

SEED = int(os.environ.get("OUTRIGGER_SEED", "1"))
ROUNDS = int(os.environ.get("OUTRIGGER_ROUNDS", "3"))
COLLECTIONS = ["a", "b", "c"]
FIELDS = ["x", "y", "z"]
VIEWS = ["v", "w"]
PIPELINES = [[], [{"$match": {"x": {"$gt": 3}}}], [{"$project": {"y": 1}}, {"$limit": 5}]]
VALIDATORS = [{}, {"x": {"$exists": True}}, {"y": {"$type": "number"}}]


def insert(rng, database):
    database[rng.choice(COLLECTIONS)].insert_many(
        [{"_id": rng.getrandbits(40), **{field: rng.randrange(9) for field in FIELDS}}
         for _ in range(rng.choice([1, 1, 20]))])


def update(rng, database):
    database[rng.choice(COLLECTIONS)].update_many(
        {"x": rng.randrange(9)}, {"$inc": {"y": 1}, "$set": {"z": rng.randrange(9)}})


def delete(rng, database):
    database[rng.choice(COLLECTIONS)].delete_many({"x": {"$lt": rng.randrange(9)}})


def create(rng, database):
    database.create_collection(rng.choice(COLLECTIONS), validator=rng.choice(VALIDATORS))


def modify(rng, database):
    database.command("collMod", rng.choice(COLLECTIONS), validator=rng.choice(VALIDATORS))


def create_view(rng, database):
    database.create_collection(rng.choice(VIEWS), viewOn=rng.choice(COLLECTIONS),
                               pipeline=rng.choice(PIPELINES))


def modify_view(rng, database):
    database.command("collMod", rng.choice(VIEWS), viewOn=rng.choice(COLLECTIONS),
                     pipeline=rng.choice(PIPELINES))


def drop_view(rng, database):
    database[rng.choice(VIEWS)].drop()


def create_index(rng, database):
    """Of a few names, each meaning now one thing, now another."""
    database[rng.choice(COLLECTIONS)].create_index(
        [(rng.choice(FIELDS), rng.choice([1, -1]))], name=rng.choice(["i", "j.k", "$l", "7"]),
        sparse=rng.random() < 0.5)


def drop_index(rng, database):
    database[rng.choice(COLLECTIONS)].drop_index(rng.choice(["i", "j.k", "$l", "7", "*"]))


def drop(rng, database):
    database[rng.choice(COLLECTIONS)].drop()


def drop_database(rng, database):
    database.client.drop_database(database.name)


ACTIONS = {insert: 30, update: 10, delete: 5, create: 5, modify: 5, create_view: 5, modify_view: 4,
           drop_view: 2, create_index: 20, drop_index: 8, drop: 6, drop_database: 2}


def act(rng, site, count):
    database = site.app().shop
    for _ in range(count):
        action = rng.choices(list(ACTIONS), weights=ACTIONS.values())[0]
        try:
            action(rng, database)
        except pymongo.errors.PyMongoError as error:
            # An index of this name means something else, a validator says no: as mongod alone does.
            assert not isinstance(error, pymongo.errors.AutoReconnect), error
            assert getattr(error, "code", 0) != 115, error


def remembered(site):
    """Without collections that hold nothing and say nothing: those are as good as none. Indexes by
    what they are: one that two sites called differently has the name it has at each, and the
    ledger says so."""
    client = site.direct()
    found = {}
    for name, (_, options, indexes) in catalogue(client).items():
        specs = {str({**spec, "name": ""}) for spec in indexes.values()}
        if options or len(specs) > 1 or client.shop[name].find_one():
            found[name] = options, specs
    return found


@pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])
def test_the_sites_end_alike(make_cluster, replica_set):
    rng = random.Random(f"{SEED}/{replica_set}")
    sites = make_cluster(sites=("oslo", "paris", "rome"), replica_set=replica_set,
                         settings={"log": {"level": "info"}}).start()
    for turn in range(ROUNDS):
        away = rng.choice([site.name for site in sites])
        sites.isolate(away)
        for _ in range(rng.randrange(3, 9)):
            act(rng, rng.choice(list(sites)), rng.randrange(1, 9))
        sites.heal_all()
        sites.wait_converged(["shop"])
        wait_until(lambda: all(remembered(site) == remembered(sites.oslo) for site in sites),
                   lambda: f"one catalogue, seed {SEED}, turn {turn}:\n" + "\n".join(  # noqa: B023
                       f"{site.name}: {remembered(site)}" for site in sites))
