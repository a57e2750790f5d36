"""What tests of `unique: keep` do and look at: documents that share a key, and their index."""

import pytest
from pymongo.errors import DuplicateKeyError

from waiting import wait_until

RULES = [{"namespace": "shop.*", "unique": "keep"}]
SETTINGS = {"replicate": RULES, "log": {"level": "info"}}


def unique(cluster, users, keys, name="k", **options):
    users[0].create_index(keys, unique=True, name=name, **options)
    cluster.wait_converged(["shop"])
    for each in users:
        wait_until(lambda: name in each.index_information(), f"the index of {each}")


def entries(site, collection, state="open"):
    return list(site.app().outrigger.conflicts.find(
        {"namespace": collection.full_name, "kind": "kept", "state": state}))


def kept(cluster, users, ids, shown):
    """These are in every ledger, alike, and all sites show the same."""
    def is_so():
        return all(sorted(each["document"] for each in entries(site, c)) == sorted(ids) and
                   {each["_id"] for each in c.find()} == set(shown)
                   for site, c in zip(cluster, users))
    wait_until(is_so, lambda: [(list(c.find()), entries(site, c))
                               for site, c in zip(cluster, users)], 40)
    cluster.wait_converged(["shop"])
    found = [sorted(entries(site, c), key=str) for site, c in zip(cluster, users)]
    assert all(each == found[0] for each in found), found
    return found[0]


def index_of(site, collection, name="k"):
    """As mongod has it."""
    return site.direct()["shop"][collection.name].index_information().get(name, {})


def listed(collection, **how):
    """As apps are shown its indexes."""
    found = collection.database.command("listIndexes", collection.name, **how)
    return found["cursor"]["firstBatch"]


def unique_again(cluster, users, name="k"):
    wait_until(lambda: all(index_of(site, c, name).get("unique") for site, c in
                           zip(cluster, users)),
               lambda: [index_of(site, c, name) for site, c in zip(cluster, users)], 40)
    assert not any(entries(site, c) for site, c in zip(cluster, users))


def refused(collection, *documents):
    for document in documents:
        with pytest.raises(DuplicateKeyError):
            collection.insert_one(dict(document))


def apart_with_one_key(cluster, users, first=1, second=2):
    """A document of this _id at each site, and both are kept."""
    with cluster.apart(*cluster.names[:2]):
        users[0].insert_one({"_id": first, "mail": "a"})
        users[1].insert_one({"_id": second, "mail": "a"})
    return kept(cluster, users, [second], [first, second])


def alarm(site, text):
    wait_until(lambda: any(text in each for each in site.status()["alarms"]),
               lambda: site.status()["alarms"], 40)


def share(cluster, users, number=1):
    cluster.cut("oslo", "paris")
    users[0].insert_many([{"_id": i, "mail": str(i)} for i in range(number)])
    users[1].insert_many([{"_id": 100 + i, "mail": str(i)} for i in range(number)])
    cluster.heal("oslo", "paris")


def all_kept(cluster, users, number=1):
    kept(cluster, users, range(100, 100 + number), [*range(number), *range(100, 100 + number)])


def fail(site, command, code=0, times=0):
    """Whenever the sidecar sends it, until `at_last`. Without a code: so often an app's is cut off
    from its answer."""
    how = {"errorCode": code, "appName": "outrigger"} if code else {"closeConnection": True}
    site.direct().admin.command(
        "configureFailPoint", "failCommand", mode={"times": times} if times else "alwaysOn",
        data={"failCommands": [command], **how})


def at_last(site):
    site.direct().admin.command("configureFailPoint", "failCommand", mode="off")


def names_of(collection):
    return set(collection.index_information())
