"""Many clients at both sites write to the same documents at once, while writes of the first come to
harm. Both sites hold one thing in the end. Where the clients count, of each command all or nothing
is there, once; what was answered is there."""

import itertools
import random
from collections import Counter

from bson import Int64

from random_load import losses, programs
from random_load.client import DATABASE, Wrong
from random_load.contents import decoded, documents
from random_load.crowd import Crowd
from random_load.doubts import FewUpserts
from waiting import wait_until

A_DOCUMENT = 60  # commands; each counts in a bit of its own
LOSSES = [losses.COMMAND, losses.ANSWER, losses.ANSWER, losses.IMAGE, losses.ERROR, losses.KILL]
FIELDS = ["n", "sub.n", "sub.y.n", "years.2024", "years.2025.m"]
LISTS = ["list", "in.list"]
RESTART_S = 30


class Countings:
    """numbers: an iterator that all clients share; it is the command's number, whose document all
    of them are at."""
    repeatable = False

    def __init__(self, chance, numbers):
        self.chance = chance
        self.numbers = numbers

    def any(self, collection, options):
        chance = self.chance
        number = next(self.numbers)
        update = {"$inc": {path: Int64(1 << number % A_DOCUMENT)
                           for path in chance.sample(FIELDS, chance.randint(1, 3))}}
        if chance.random() < 0.5:
            update["$push"] = {chance.choice(LISTS): number}
        if chance.random() < 0.5:
            update["$set"] = {f"done.c{number}": 1}
        which = {"_id": number // A_DOCUMENT}
        if chance.random() < 0.5:
            return {"update": collection, "updates": [{"q": which, "u": update, "upsert": True}]}
        return {"findAndModify": collection, "query": which, "update": update, "upsert": True,
                **chance.choice([{}, {"new": True}, {"fields": {"n": 1}}])}


def run_counting(runner, seed, strikes):
    """Raises Wrong."""
    numbers = itertools.count()
    names = runner.create([{}])
    crowd = Crowd(runner.cluster, seed, names, [{}], may_break=True,
                  commands=lambda chance, repeatable: Countings(chance, numbers))
    run_crowd(runner, random.Random(seed), crowd, strikes)
    check_all_or_nothing(runner, names[0], crowd)


def run_upserts(runner, seed, strikes):
    """Upserts of every kind, of few documents. Raises Wrong."""
    chance = random.Random(seed)
    options = programs.collections(chance)[:2]
    names = runner.create(options)
    crowd = Crowd(runner.cluster, seed, names, options, may_break=True, commands=FewUpserts)
    run_crowd(runner, chance, crowd, strikes)


def run_crowd(runner, chance, crowd, strikes):
    line = runner.line
    with crowd:
        for _ in range(strikes):
            what = chance.choice(LOSSES)
            if chance.random() < 0.3:
                line.lose_own(chance.choice([losses.COMMAND, losses.ANSWER]))
            line.lose(what, chance.choice([0, 0, 1, 5]))
            wait_until(lambda: line.is_hit or crowd.wrong, "a write to be lost", interval_s=0.002)
            runner.hits[what] += 1
            if what == losses.KILL:
                wait_until(line.started.is_set, "the sidecar to start again", RESTART_S)
                runner.sites[0].sidecar.wait_ready()
            crowd.wait_sent(chance.randint(1, 30))
    line.spare()
    line.lose_own("")
    crowd.check()
    runner.sent += crowd.sent
    runner.wait_settled()
    runner.meet(crowd.names, crowd.story)


def check_all_or_nothing(runner, name, crowd):
    found = Counter(one for data in documents(runner.sites[0].direct(), DATABASE, name).values()
                    for one in counted_in(decoded(data)))
    for site, step, reply in crowd.all_told():
        update, number = parts_of(step.command)
        there = [found.pop((path, number), 0) for path in paths_of(update)]
        told = decoded(reply) if reply else None
        is_refused = told is not None and (not told["ok"] or "writeErrors" in told)
        may_miss = is_refused or told is None
        may_be = not is_refused
        # A standalone does not tell what of a count in doubt was done.
        may_be_half = told is None and not runner.sites[0].mongod.replica_set and site == 0
        if (set(there) - {0, 1} or (len(set(there)) > 1 and not may_be_half)
                or (0 in there and not may_miss) or (1 in there and not may_be)):
            raise Wrong(f"there {there} times, each of {paths_of(update)}, of number {number}:\n"
                        f"{step}\n{told}\n" + crowd.story(0, one_document(runner, name, number)))
    if found:
        raise Wrong(f"nobody sent {found}")


def one_document(runner, name, number):
    for data in documents(runner.sites[0].direct(), DATABASE, name).values():
        if decoded(data)["_id"] == number // A_DOCUMENT:
            return data
    raise Wrong(f"there is no document of number {number}")


def parts_of(command):
    """(update, number)."""
    update = command["update"]
    which = command.get("query")
    if which is None:
        update, which = command["updates"][0]["u"], command["updates"][0]["q"]
    bit = next(iter(update["$inc"].values())).bit_length() - 1
    return update, which["_id"] * A_DOCUMENT + bit


def paths_of(update):
    return [path if operator != "$set" else "done" for operator, fields in update.items()
            for path in fields]


def counted_in(document):
    """(path, number of the command), as often as it is there."""
    first = document["_id"] * A_DOCUMENT
    for path in FIELDS:
        value = _at(document, path) or 0
        if value < 0:
            raise Wrong(f"{path} is {value}")
        yield from ((path, first + bit) for bit in range(64) if value >> bit & 1)
    for path in LISTS:
        yield from ((path, number) for number in _at(document, path) or [])
    yield from (("done", int(name[1:])) for name in document.get("done", {}))


def _at(value, path):
    for name in path.split("."):
        value = (value or {}).get(name)
    return value
