"""A program: which client sends what at which site, and when the line between the sites is cut or
healed. It is made of one seed, whole, before it runs, so that it can be run again and cut down."""

import random
from dataclasses import dataclass, field

from random_load.commands import Commands, collection_options
from random_load.values import show

CUT, HEAL, MEET = "cut", "heal", "meet"  # meet: wait until the sites are equal
COMMIT, ABORT = "commitTransaction", "abortTransaction"
COLLECTIONS = 3


@dataclass
class Send:
    """command: without session, number and $db; its collection is a number (see collections)."""
    site: int
    command: dict
    is_numbered: bool = False
    in_sequence: bool = False

    def collection(self):
        return next(iter(self.command.values()))

    def __str__(self):
        marks = " numbered" * self.is_numbered + " in a sequence" * self.in_sequence
        return f"{self.site}{marks} {show(self.command)}"


@dataclass
class Transact:
    """The client of a site begins a transaction, or ends the one that is open."""
    site: int
    end: str = ""

    def __str__(self):
        return f"{self.site} {self.end or 'begins a transaction'}"


@dataclass
class Program:
    seed: int
    collections: list = field(default_factory=list)  # the options each is created with
    steps: list = field(default_factory=list)        # Send, Transact, CUT, HEAL, MEET

    def with_steps(self, steps):
        return Program(self.seed, self.collections, steps)

    def __str__(self):
        return "\n".join([f"seed {self.seed}, collections {self.collections}",
                          *(f"  {number}: {step}" for number, step in enumerate(self.steps))])


def send(commands, options, site, outlives_kills=False):
    """A command on one of the collections that were created with `options`. outlives_kills: only
    what a mongod that is killed has again afterwards: what it logged as a whole document comes back
    with the time in place of an empty timestamp (seen on 6.0.5, without any proxy)."""
    chance = commands.chance
    number = chance.randrange(len(options))
    while True:
        command = commands.any(number, options[number])
        text = show(command)
        if outlives_kills and "Timestamp(0, 0)" in text:
            continue
        # mongod makes an `_id` of it that it takes from nobody; the sidecar refuses (new_id.h).
        if commands.repeatable and "'_id." in text and "'$" in text.split("'_id.", 1)[1]:
            continue
        if is_storable(command, number):
            break
    return Send(site, command, chance.random() < 0.5, chance.random() < 0.2)


def is_storable(command, collection):
    """The last collection is the one with documents that repeat a name. No command of MongoDB puts
    such a one in another's place if it also has a name with a dollar or an empty timestamp, and a
    pipeline on it can be the end of mongod itself (seen on 6.0.5, without any proxy: an invariant
    of its diff)."""
    text = show(command)
    if collection != COLLECTIONS - 1:
        return "RawBSONDocument" not in text
    updates = [statement.get("u") for statement in command.get("updates", [command])]
    has_pipeline = any(isinstance(u, list) for u in [*updates, command.get("update")])
    return not has_pipeline and "'$d'" not in text and "Timestamp(0, 0)" not in text


def collections(chance):
    """The options of COLLECTIONS collections."""
    return [{}] + [collection_options(chance) for _ in range(COLLECTIONS - 1)]


def alone(seed, count):
    """`count` commands by one client at one site, for the comparison with a bare mongod."""
    chance = random.Random(seed)
    commands, options = Commands(chance, repeatable=True), collections(chance)
    return Program(seed, options, some(commands, options, count, [0]))


def some(commands, options, count, sites):
    """So many commands, some of them in transactions, by the clients of these sites."""
    chance = commands.chance
    steps = []
    while count > 0:
        site = chance.choice(sites)
        size = min(count, chance.randint(1, 6))
        count -= size
        sent = [send(commands, options, site) for _ in range(size)]
        if chance.random() < 0.3:
            sent = [Transact(site), *sent, Transact(site, chance.choice([COMMIT] * 4 + [ABORT]))]
        steps += sent
    return steps


def apart(seed, rounds, count):
    """Rounds of `count` commands at both sites in turn; the line is cut in most of them."""
    chance = random.Random(seed)
    commands, options = Commands(chance, repeatable=False), collections(chance)
    steps = []
    for _ in range(rounds):
        steps.append(CUT if chance.random() < 0.8 else HEAL)
        steps += some(commands, options, count, [0, 1])
        steps += [HEAL, *([MEET] if chance.random() < 0.8 else [])]
    return Program(seed, options, [*steps, HEAL, MEET])
