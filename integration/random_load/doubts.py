"""Programs in which writes of the first site come to harm between its sidecar and its mongod, while
the other site writes to the same few documents."""

import random
from dataclasses import dataclass

from bson import Int64

from random_load import losses, updates, values
from random_load.commands import Commands, Upserts
from random_load.programs import CUT, HEAL, MEET, Program, Send, collections, send

DOCUMENTS = 3  # a collection, of those that many write to


@dataclass
class Doubtful(Send):
    """lost: what comes to harm (see losses.py). after: so many writes of the command are well
    before. gives_up: the driver does not send it again though it has a number.
    own: what then comes to harm of the next write of the first sidecar itself."""
    lost: str = ""
    after: int = 0
    gives_up: bool = False
    own: str = ""

    def __str__(self):
        marks = f" [{self.lost} lost after {self.after}]" * bool(self.lost)
        return super().__str__() + marks + " gives up" * self.gives_up + (
            f" [then {self.own} of its own lost]" * bool(self.own))


class FewUpserts(Upserts):
    """Of still fewer documents."""

    def filter(self, update=None):
        self.an_id = lambda chance: chance.randrange(DOCUMENTS)
        return super().filter(update)


class Counts:
    """Writes that come to the same in any order, whoever sends them: elements added, fields that no
    other sets, and counts, each in a bit of its own."""

    def __init__(self, chance):
        self.chance = chance
        self.repeatable = False
        self.number = 0

    def any(self, collection, options):
        chance = self.chance
        self.number += 1
        update = {"$set": {f"done.c{self.number}": 1}} if chance.random() < 0.5 else {}
        roots = chance.sample(["n", "sub.n", "sub.y.n", "years.2024", "years.2025.m"],
                              chance.randint(1, 3))
        update["$inc"] = {root: Int64(1 << self.number) for root in roots}
        if chance.random() < 0.4:
            field = chance.choice(["list", "in.list"])
            update["$push" if chance.random() < 0.6 else "$addToSet"] = {field: self.number}
        which = {"_id": chance.randrange(DOCUMENTS)}
        if chance.random() < 0.5:
            return {"update": collection, "updates": [{"q": which, "u": update, "upsert": True}]}
        shows = chance.choice([{}, {}, {"new": True}, {"fields": {"n": 1}}])
        return {"findAndModify": collection, "query": which, "update": update,
                "upsert": True, **shows}


class OneSide:
    """Updates of every kind by the first site, of fields that are its own in documents of both."""
    repeatable = True

    def __init__(self, chance):
        self.chance = chance

    def any(self, collection, options):
        chance = self.chance
        while True:
            update = (updates.pipeline(chance, True) if chance.random() < 0.15
                      else updates.modifiers(chance))
            if isinstance(update, dict) and chance.random() < 0.3:
                update.setdefault("$inc", {})["shared.one"] = 1
            if update and not any(word in repr(update) for word in AMBIGUOUS):
                break
        filters = updates.array_filters(chance, update)
        more = {"upsert": True, **({"arrayFilters": filters} if filters else {})}
        which = {"_id": chance.randrange(DOCUMENTS)}
        if chance.random() < 0.5:
            return {"update": collection, "updates": [{"q": which, "u": update, **more}]}
        shows = chance.choice([{}, {}, {"new": True}, {"fields": {"n": 1}}])
        return {"findAndModify": collection, "query": which, "update": update, **more, **shows}


# What depends on whether the document was there before, or is of all its fields.
AMBIGUOUS = ("$setOnInsert", "$project", "_id", "'$d'")


class OtherSide:
    """Updates of the same documents by the other site, in fields of its own."""
    repeatable = True

    def __init__(self, chance):
        self.chance = chance

    def any(self, collection, options):
        chance = self.chance
        update = chance.choice([
            {"$set": {"other.a": values.value(chance)}}, {"$inc": {"other.n": 1}},
            {"$push": {"other.list": 1}}, {"$unset": {"other.a": 1}}, {"$inc": {"shared.other": 1}},
            {"$set": {"shared.other": values.scalar(chance)}}, {"$unset": {"shared.other": 1}}])
        return {"update": collection, "updates": [
            {"q": {"_id": chance.randrange(DOCUMENTS)}, "u": update, "upsert": True}]}


def doubtful(chance, step):
    """`step` of the first site; a share of them comes to harm. What the other site sends may come
    to harm where it is applied."""
    if step.site and chance.random() < 0.1:
        return Doubtful(step.site, step.command, step.is_numbered, step.in_sequence,
                        own=chance.choice([losses.COMMAND, losses.ANSWER]))
    if step.site or chance.random() > 0.45:
        return Doubtful(step.site, step.command, step.is_numbered, step.in_sequence)
    lost = chance.choices([losses.COMMAND, losses.ANSWER, losses.IMAGE, losses.ERROR, losses.KILL],
                          [6, 8, 4, 4, 1])[0]
    return Doubtful(step.site, step.command, step.is_numbered, step.in_sequence, lost,
                    chance.choice([0, 0, 0, 0, 1, 2]), chance.random() < 0.4)


def some(commands, options, count, sites):
    chance = commands[0].chance
    return [doubtful(chance, send(chance.choice(commands), options, chance.choice(sites),
                                  outlives_kills=True)) for _ in range(count)]


def lone(seed, count):
    chance = random.Random(seed)
    options = collections(chance)[:2]
    return Program(seed, options, [*some([FewUpserts(chance), Upserts(chance), Commands(chance)],
                                         options, count, [0]), MEET])


def apart(seed, rounds, count):
    chance = random.Random(seed)
    options = collections(chance)[:2]
    kinds = [FewUpserts(chance, repeatable=False), FewUpserts(chance, repeatable=False),
             Commands(chance, repeatable=False)]
    return Program(seed, options, _in_rounds(chance, rounds,
                                             lambda: some(kinds, options, count, [0, 1])))


def counted(seed, rounds, count):
    chance = random.Random(seed)
    options = [{}]
    kinds = [Counts(chance)]
    return Program(seed, options, _in_rounds(chance, rounds,
                                             lambda: some(kinds, options, count, [0, 0, 1])))


def beside(seed, rounds, count):
    chance = random.Random(seed)
    kinds = [[OneSide(chance)], [OtherSide(chance)]]
    return Program(seed, [{}], _in_rounds(chance, rounds, lambda: [
        step for site in chance.choices([0, 0, 1], k=count)
        for step in some(kinds[site], [{}], 1, [site])]))


def _in_rounds(chance, rounds, steps):
    made = []
    for _ in range(rounds):
        made += [CUT if chance.random() < 0.6 else HEAL, *steps(), HEAL]
        made += [MEET] if chance.random() < 0.7 else []
    return [*made, MEET]
