"""Two sites that have edited one meeting apart, and what is done about what lost."""

import contextlib

import pymongo
import pytest

from waiting import wait_until


def meetings(site):
    return site.app().shop.meetings


def command(site, verb, name):
    return site.app().outrigger.command({verb: name})


def refused(site, verb, name):
    with pytest.raises(pymongo.errors.OperationFailure) as error:
        command(site, verb, name)
    return error.value


def carry_out(client, verb, name):
    with contextlib.suppress(pymongo.errors.ConnectionFailure):
        client.outrigger.command({verb: name})


def entry_of(site, **filter):
    """The one entry of a filter, once it is there."""
    found = site.app().outrigger.conflicts
    wait_until(lambda: found.count_documents(filter) == 1,
               lambda: f"one of {filter}: {list(found.find(filter))}")
    return found.find_one(filter)


def edited_apart(sites):
    """The same field of one meeting set at both sites offline: the later, of paris, stands."""
    meetings(sites.oslo).insert_one({"_id": 1, "title": "?", "room": 5})
    sites.wait_converged(["shop"])
    with sites.apart("oslo", "paris"):
        for name, value in {"oslo": "Budget", "paris": "Picnic"}.items():
            meetings(sites.sites[name]).update_one({"_id": 1}, {"$set": {"title": value}})
    return entry_of(sites.oslo, document=1, path="title")


def both_say(sites, entry, state):
    for site in sites:
        entry_of(site, _id=entry["_id"], state=state)


def both_have(sites, **fields):
    sites.wait_converged(["shop"])
    for site in sites:
        stored = site.direct().shop.meetings.find_one({"_id": 1})
        assert {name: stored.get(name) for name in fields} == fields
