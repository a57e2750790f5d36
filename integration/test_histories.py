"""Random histories of two and three sites, apart and joined as chance has it, on real mongods: each
document must be what its history says (histories.py).

OUTRIGGER_SEED=N begins with that seed, OUTRIGGER_HISTORIES=N changes how many documents there
are."""

import os
import random
import time

import pytest

import histories
from cluster import Cluster
from waiting import wait_until

PHASES = 3
DOCUMENTS_AT_ONCE = 25
SITES = {2: ("oslo", "paris"), 3: ("oslo", "paris", "rome")}
# Which sites are joined while each phase lasts.
GROUPS = {2: [["oslo"], ["paris"]], 3: [["oslo"], ["paris"], ["rome"]]}
PAIRS_JOINED = [[["oslo", "paris"], ["rome"]], [["oslo"], ["paris", "rome"]],
                [["oslo", "rome"], ["paris"]]]


@pytest.fixture(scope="module", params=[2, 3], ids=["two_sites", "three_sites"])
def sites(tmp_path_factory, request):
    with Cluster(tmp_path_factory.mktemp("sites"), sites=SITES[request.param], settings={
            "replicate": [{"namespace": "shop.kept*", "deletes": "update_wins"},
                          {"namespace": "shop.away*", "fields": {"s": "set(remove_wins)"}},
                          {"namespace": "shop.bounded*", "fields": {
                              ".".join(path): f"bounded[{low}, {high}]"
                              for path, (low, high) in histories.BOUNDS.items()}}]}) as cluster:
        yield cluster


class Histories:
    """Of the documents of one collection."""

    def __init__(self, sites, seed, count, rule):
        """`rule`: "plain", "kept" (updates win), "bounded" or "away" (removals win)."""
        self.sites = sites
        self.rule = rule
        self.chance = random.Random(seed)
        self.author = histories.Author(self.chance, rule == "away")
        self.writes = {which: [] for which in range(count)}
        names = [site.name for site in sites]
        self.apps = dict(zip(names, sites.collections(rule + str(seed))))
        self.known = {name: set() for name in names}  # what a site has seen, by all documents
        self.time = 0

    def phase(self):
        """Some sites are apart; each writes; then all meet."""
        groups = GROUPS[len(self.apps)]
        if len(self.apps) == 3 and self.chance.random() < 0.5:
            groups = self.chance.choice(PAIRS_JOINED)
        for one, other in self.lines_between(groups):
            self.sites.cut(one, other)
        for _ in range(len(self.apps)):
            self.everybody_writes(groups)
        self.sites.heal_all()
        self.sites.wait_converged(["shop"])
        everything = set().union(*self.known.values())
        for seen in self.known.values():
            seen |= everything

    @staticmethod
    def lines_between(groups):
        group_of = {name: number for number, names in enumerate(groups) for name in names}
        return [(one, other) for one in group_of for other in group_of
                if one < other and group_of[one] != group_of[other]]

    def everybody_writes(self, groups):
        """Each site to some documents, in turns. Who is joined has seen it before the next turn."""
        for name in self.chance.sample(list(self.apps), len(self.apps)):
            for which in self.writes:
                if self.chance.random() < 0.6:
                    self.write(name, which)
            joined = next(group for group in groups if name in group)
            self.meet(joined)

    def write(self, name, which):
        wait_for_next_ms()  # so that the order of time is that of stamps
        app = self.apps[name]
        statement, writes = self.author.write(app.find_one({"_id": which}))
        self.time += 1
        seen = frozenset(self.known[name])
        self.writes[which] += [histories.Write(self.time, name, *each, seen) for each in writes]
        histories.perform(app, which, statement)
        self.known[name].add(self.time)

    def meet(self, names):
        if len(names) == 1:
            return
        both = [self.sites.sites[name] for name in names]
        wait_until(lambda: len({str(site.vector()) for site in both}) == 1,
                   lambda: f"equal vectors of {names}", interval_s=0.01)
        together = set().union(*(self.known[name] for name in names))
        for name in names:
            self.known[name] |= together

    def check(self):
        app = next(iter(self.apps.values()))
        held = {document.pop("_id"): document for document in app.find()}
        for which, writes in self.writes.items():
            is_there = held.get(which)
            if is_there is not None and "s" in is_there:
                is_there["s"] = sorted(set(is_there["s"]))
            found = None if is_there is None else histories.without_empty(is_there)
            wanted = histories.expected(writes, self.rule == "kept",
                                        histories.BOUNDS if self.rule == "bounded" else None)
            assert found == wanted, "\n".join(
                [f"document {which}: {found}, by its history {wanted}"]
                + [f"{write} had seen {sorted(write.seen & {w.at for w in writes})}"
                   for write in writes])


def wait_for_next_ms():
    now_ms = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == now_ms:
        pass


def run(sites, seed, rule):
    """How many writes there were."""
    print(f"OUTRIGGER_SEED={seed}")
    history = Histories(sites, seed, DOCUMENTS_AT_ONCE, rule)
    for _ in range(PHASES):
        history.phase()
        history.check()
    return sum(len(writes) for writes in history.writes.values())


def run_many(sites, seed, default):
    count = int(os.environ.get("OUTRIGGER_HISTORIES", default))
    seed = int(os.environ.get("OUTRIGGER_SEED", seed))
    rounds = max(1, count // DOCUMENTS_AT_ONCE)
    writes = sum(run(sites, seed + number, ("plain", "kept", "bounded", "away")[number % 4])
                 for number in range(rounds))
    print(f"{rounds * DOCUMENTS_AT_ONCE} documents, {writes} writes")


def test_documents_are_what_their_histories_say(sites):
    run_many(sites, 1, 100)


@pytest.mark.long
def test_documents_are_what_many_histories_say(sites):
    run_many(sites, random.randrange(1 << 32), 300)
