"""Runs programs at two sites, and against a bare mongod beside them, and says what went wrong."""

import itertools
import time
from urllib.parse import urlencode

from bson import json_util

from differential.comparing import comparable, differences
from random_load.client import DATABASE, Client, Wrong, client_of
from random_load.commands import INDEXES
from random_load.contents import decoded, documents, repeats_names, shown, unequal
from random_load.crowd import short
from random_load.programs import CUT, HEAL, MEET, Send, Transact

SETTLE_S = 60
# Equal vectors that do not move for so long, and the documents differ: that is final.
STILL_S = 2

_names = itertools.count(1)


class Runner:
    """bare: a mongod without a sidecar, for programs that are compared with it."""

    def __init__(self, cluster, bare=None):
        self.cluster = cluster
        self.sites = list(cluster)
        self.bare = bare
        self.bare_store = bare and bare.client()
        self.sent = 0
        self.created = []
        self.set_aside = {site.name: 0 for site in self.sites}

    def create(self, collections):
        """Names of collections of a run's own, made at every store with these options."""
        stores = [site.direct() for site in self.sites]
        stores += [self.bare_store] if self.bare else []
        names = [f"c{next(_names)}" for _ in collections]
        for store in stores:
            for name, options in zip(names, collections):
                store[DATABASE].command({"create": name, **options})
                store[DATABASE].command({"createIndexes": name, "indexes": INDEXES})
        self.created += names
        return names

    def wait_quiet(self):
        """Once the sites are equal and nobody writes: they remember nothing they need not."""
        store = self.sites[0].direct()
        self.cluster.wait_quiet(rows=sum(
            repeats_names(data) for name in self.created
            for data in documents(store, DATABASE, name).values()))

    # ---- both sites

    def run(self, program):
        """Raises Wrong, with the story so far."""
        names = self.create(program.collections)
        clients = [client_of(site) for site in self.sites]
        self.cluster.heal_all()
        story = []
        try:
            for number, step in enumerate(program.steps):
                story.append(f"{number}: {step}")
                if isinstance(step, Send):
                    self.sent += 1
                    reply = clients[step.site].send(step, names)
                    story.append(f"    {reply and short(reply)}")
                elif isinstance(step, Transact):
                    reply = _transact(clients[step.site], step)
                    story.append(f"    {reply and short(reply)}")
                else:
                    for client in clients:
                        client.settle()
                    self._event(step, names)
        except Wrong as wrong:
            wrong.story = story
            raise
        finally:
            self.cluster.heal_all()
            for client in clients:
                client.close()

    def _event(self, step, names):
        if step == CUT:
            self.cluster.cut(*self.cluster.names)
        elif step == HEAL:
            self.cluster.heal_all()
        elif step == MEET:
            self.meet(names)

    def meet(self, names, story=None):
        """Waits until the sites say that they have seen the same; then they must hold the same.
        story(collection number, bytes): what to add about a document that differs."""
        deadline = time.monotonic() + SETTLE_S
        seen, still_since = None, 0
        while True:
            vectors = [site.vector() for site in self.sites]
            differing = self._differing(names)
            is_one = all(vector == vectors[0] for vector in vectors)
            if is_one and not differing:
                break
            # What was answered a moment ago may not be in the vectors yet; nor is what a site has
            # not sent.
            if vectors != seen or not self._is_at_rest():
                seen, still_since = vectors, time.monotonic()
            is_final = is_one and time.monotonic() > still_since + STILL_S
            if is_final or time.monotonic() > deadline:
                why = "" if is_one else f"the vectors differ after {SETTLE_S} s: {vectors}\n"
                raise Wrong(why + self._describe(names, differing, story),
                            {number for number, _ in differing})
            time.sleep(0.02)
        for site in self.sites:
            before, now = self.set_aside[site.name], site.status()["not_applied"]
            self.set_aside[site.name] = now
            if now > before:
                raise Wrong(f"{site.name} has set {now - before} documents aside: "
                            f"{site.sidecar.conflicts(3)}")

    def _is_at_rest(self):
        """Every site has told the others all that it knows, as far as it says."""
        states = [site.status() for site in self.sites]
        return all(status["open_writes"] == 0 and status["inbox"]["records"] == 0
                   and all(peer["state"] == "open" and peer.get("records_behind", 0) == 0
                           for peer in status["peers"]) for status in states)

    def _differing(self, names):
        here, there = [[documents(site.direct(), DATABASE, name) for name in names]
                       for site in self.sites]
        return [(number, key) for number in range(len(names))
                for key in unequal(here[number], there[number])]

    def _describe(self, names, differing, story):
        lines = [f"{len(differing)} documents differ"]
        for number, key in differing[:5]:
            found = [documents(site.direct(), DATABASE, names[number]).get(key)
                     for site in self.sites]
            for site, data in zip(self.sites, found):
                lines.append(f"  {names[number]} (collection {number}) at {site.name}: "
                             f"{shown(data)}")
            lines += [self._life(site, names[number], next(filter(None, found)))
                      for site in self.sites]
            if story:
                lines.append(story(number, next(filter(None, found))))
        return "\n".join(lines)

    @staticmethod
    def _life(site, name, data):
        """What a site itself says of a document."""
        question = urlencode({"namespace": f"{DATABASE}.{name}",
                              "id": json_util.dumps(decoded(data)["_id"]), "path": ""})
        status = site.status()
        return (f"  {site.name} says, not_applied {status['not_applied']}, rows {status['rows']}: "
                f"{' '.join(site.sidecar.get('/explain?' + question)[1].split())[:2000]}")

    # ---- one site beside a bare mongod

    def compare(self, program):
        """As run(), with every command also sent to the bare mongod: replies must be equal, and in
        the end documents, here in order, at the other site in any. Raises Wrong."""
        names = self.create(program.collections)
        direct = Client(self.bare.address, self.bare.replica_set)
        proxied = client_of(self.sites[0])
        story = []
        try:
            for number, step in enumerate(program.steps):
                story.append(f"{number}: {step}")
                self.sent += 1
                self._compare_one(step, names, direct, proxied)
            direct.settle()
            proxied.settle()
            self._compare_contents(names)
            self.meet(names)
        except Wrong as wrong:
            wrong.story = story
            raise
        finally:
            direct.close()
            proxied.close()

    @staticmethod
    def _compare_one(step, names, direct, proxied):
        left, right = [_or_wrong(client, step, names) for client in (direct, proxied)]
        about = {step.collection()} if isinstance(step, Send) else set(range(len(names)))
        if isinstance(left, Wrong) or isinstance(right, Wrong):
            if not (isinstance(left, Wrong) and isinstance(right, Wrong)):
                raise Wrong(f"direct: {left}, proxied: {right}", about)
        elif left is not None:
            found = differences(comparable(left), comparable(right))
            if found:
                raise Wrong("replies differ:\n" + "\n".join(found), about)

    def _compare_contents(self, names):
        for number, name in enumerate(names):
            here, there = [
                sorted((comparable(data) for data in documents(store, DATABASE, name).values()),
                       key=repr) for store in (self.bare_store, self.sites[0].direct())]
            if here != there:
                raise Wrong(f"collection {number}: documents differ:\n" + "\n".join(
                    [f"bare {one}" for one in here if one not in there]
                    + [f"{self.sites[0].name} {one}" for one in there if one not in here]),
                    {number})


def _transact(client, step):
    return client.end(step.end) if step.end else client.begin()


def _or_wrong(client, step, names):
    try:
        return _transact(client, step) if isinstance(step, Transact) else client.send(step, names)
    except Wrong as wrong:
        return wrong
