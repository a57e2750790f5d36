"""An app that remembers: threads at every site write, and every attempt and every answer is kept.

What must hold afterwards follows from that memory alone, whatever was killed meanwhile: what was
acknowledged is there, what was not is there everywhere or nowhere, nothing happened twice. A call
counts as one attempt, also when the driver sends it again by itself (retryable writes)."""

import itertools
import random
import threading
from collections import defaultdict

import pymongo
import pymongo.errors
from pymongo import ReturnDocument

from waiting import Pause

DATABASE = "shop"
COUNTERS = range(4)
FIELDS = ["a", "b", "c"]
GROUP = range(5)
JOBS = 1000  # a site


class Oracle:
    def __init__(self, cluster, seed, threads=3, retry_writes=True, **client_options):
        self.cluster = cluster
        self.seed = seed
        self.threads = threads
        self.client_options = {"retryWrites": retry_writes, **client_options}
        self.attempted = defaultdict(dict)   # kind -> call -> what it was
        self.acknowledged = defaultdict(set)  # kind -> calls
        self.wrong = []       # answers that can never be right
        self.troubles = defaultdict(int)     # errors clients saw, by type
        self._lock = threading.Lock()
        self._calls = itertools.count()
        self._stop = threading.Event()
        self.pause = Pause()
        self._workers = []

    # ---- the app

    def prepare(self):
        """What the threads write to; before anything is killed."""
        first = next(iter(self.cluster)).client()[DATABASE]
        first.counters.insert_many([{"_id": i, "n": 0} for i in COUNTERS])
        first.fields.insert_many([{"_id": i} for i in COUNTERS])
        first.groups.insert_many([{"_id": i, "group": "g", "n": 0} for i in GROUP])
        for site in self.cluster:
            first.jobs.insert_many([{"_id": f"{site.name}-{i}", "site": site.name, "state": "new",
                                     "taken": 0} for i in range(JOBS)])
        self.cluster.wait_converged([DATABASE])

    def start(self):
        print(f"seed {self.seed}")
        for site in self.cluster:
            for number in range(self.threads):
                # What MongoDB alone forgets when it is killed is not to be forgotten either.
                concern = {} if number % 2 == 0 else {"w": 1}
                worker = threading.Thread(target=self._work,
                                          args=(site, f"{site.name}{number}", concern))
                worker.start()
                self._workers.append(worker)
        return self

    def stop(self):
        self._stop.set()
        self.pause.end()
        for worker in self._workers:
            worker.join()
        done = {kind: f"{len(self.acknowledged[kind])}/{len(calls)}"
                for kind, calls in sorted(self.attempted.items())}
        print(f"acknowledged/attempted: {done}; errors: {dict(self.troubles)}")

    def __enter__(self):
        self.prepare()
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def make_writer(self, *arguments):
        return Writer(self, *arguments)

    def _work(self, site, name, concern):
        writer = self.make_writer(site, name, random.Random(f"{self.seed} {name}"), concern)
        with self.pause.worker() as goes_on:
            while goes_on():
                writer.step()

    def attempt(self, kind, what, call, stop=None):
        """Runs call(), keeps what became of it; the answer, or None when there was none."""
        with self._lock:
            number = next(self._calls)
            self.attempted[kind][number] = what
        try:
            answer = call()
        except (pymongo.errors.DuplicateKeyError, pymongo.errors.BulkWriteError) as error:
            # No _id is ever used twice.
            self.wrong.append(f"{kind} {what}: {error}")
            return None
        except pymongo.errors.PyMongoError as error:
            self.troubles[type(error).__name__] += 1
            self._stop.wait(0.02)
            return None
        with self._lock:
            self.acknowledged[kind].add(number)
        return answer

    # ---- what must hold

    def check(self):
        """After stop(), once the sites agree: an AssertionError names all that is wrong."""
        for site in self.cluster:
            faults = list(Checker(self, site.direct()[DATABASE]).faults())
            assert not faults + self.wrong, "\n".join(
                [f"seed {self.seed}, {site.name}:", *(faults + self.wrong)[:30]])

    def check_all(self, timeout_s=60):
        for site in self.cluster:
            site.sidecar.wait_ready(timeout_s)
        self.cluster.wait_converged([DATABASE], timeout_s)
        self.check()
        for site in self.cluster:
            assert site.status()["open_writes"] == 0, site.status()
            assert site.status()["not_applied"] == 0, site.status()


class Writer:
    """One thread of the app: one client, one call after the other."""

    def __init__(self, oracle, site, name, chance, concern):
        self.oracle = oracle
        self.site = site
        self.name = name
        self.chance = chance
        self.db = site.client(**concern, **oracle.client_options)[DATABASE]
        self.serial = itertools.count()
        self.inserted = []  # acknowledged, not deleted yet
        self.doings = [self.insert, self.insert_many, self.increment, self.increment, self.set,
                       self.set, self.push, self.replace, self.delete, self.update_many,
                       self.take_job, self.upsert]

    def step(self):
        self.chance.choice(self.doings)(f"{self.name}-{next(self.serial)}")

    def attempt(self, kind, what, call):
        return self.oracle.attempt(kind, what, call)

    def insert(self, value):
        if self.attempt("insert", value, lambda: self.db.things.insert_one({"_id": value})):
            self.inserted.append(value)

    def insert_many(self, value):
        documents = [{"_id": f"{value}-{i}", "n": i} for i in range(5)]
        self.attempt("insert_many", [d["_id"] for d in documents],
                     lambda: self.db.many.insert_many(documents))

    def delete(self, _):
        if self.inserted:
            value = self.inserted.pop()
            self.attempt("delete", value, lambda: self.db.things.delete_one({"_id": value}))

    def increment(self, _):
        counter, by = self.chance.choice(COUNTERS), self.chance.randint(1, 3)
        self.attempt("increment", (counter, by), lambda: self.db.counters.update_one(
            {"_id": counter}, {"$inc": {"n": by, "of.2026": by}}))

    def set(self, value):
        document, field = self.chance.choice(COUNTERS), self.chance.choice(FIELDS)
        self.attempt("set", (document, field, value, self.site.name),
                     lambda: self.db.fields.update_one({"_id": document}, {"$set": {field: value}}))

    def push(self, value):
        self.attempt("push", (self.name, value), lambda: self.db.lists.update_one(
            {"_id": self.name}, {"$push": {"values": value}}, upsert=True))

    def replace(self, value):
        self.attempt("replace", (self.name, value), lambda: self.db.replaced.replace_one(
            {"_id": self.name}, {"value": value}, upsert=True))

    def update_many(self, _):
        self.attempt("update_many", 1, lambda: self.db.groups.update_many(
            {"group": "g"}, {"$inc": {"n": 1}}))

    def take_job(self, value):
        job = self.attempt("take_job", value, lambda: self.db.jobs.find_one_and_update(
            {"site": self.site.name, "state": "new"},
            {"$set": {"state": "taken", "by": value}, "$inc": {"taken": 1}},
            return_document=ReturnDocument.AFTER))
        if job and job.get("by") != value:
            self.oracle.wrong.append(f"take_job {value}: the answer is {job}")
        if job:
            self.oracle.attempt("taken", (job["_id"], value), lambda: True)

    def upsert(self, value):
        self.attempt("upsert", value, lambda: self.db.upserted.update_one(
            {"_id": value}, {"$inc": {"n": 1}}, upsert=True))


class Checker:
    """Compares one site's documents with what was attempted and acknowledged."""

    def __init__(self, oracle, db):
        self.oracle = oracle
        self.db = db

    def faults(self):
        for check in (self.inserts, self.counters, self.groups, self.fields, self.lists,
                      self.replaced, self.jobs, self.upserts):
            yield from check()

    def _calls(self, kind):
        """(what, acknowledged) of every call, in the order they were begun."""
        done = self.oracle.acknowledged[kind]
        return [(what, call in done) for call, what in self.oracle.attempted[kind].items()]

    def _found(self, collection):
        return {document["_id"]: document for document in self.db[collection].find()}

    def inserts(self):
        things = self._found("things")
        deletes = dict(self._calls("delete"))
        for value, acknowledged in self._calls("insert"):
            if acknowledged and value not in things and value not in deletes:
                yield f"insert {value} was acknowledged and is not there"
        for value, acknowledged in deletes.items():
            if acknowledged and value in things:
                yield f"delete {value} was acknowledged, yet it is there"
        known = {value for value, _ in self._calls("insert")}
        yield from (f"{value} was never inserted" for value in things.keys() - known)
        many = self._found("many")
        for values, acknowledged in self._calls("insert_many"):
            missing = [value for value in values if value not in many]
            if acknowledged and missing:
                yield f"insert_many was acknowledged, {missing} are not there"

    def _bounds(self, kind, key):
        calls = [(what, acknowledged) for what, acknowledged in self._calls(kind)
                 if key is None or what[0] == key]
        by = (lambda what: what) if key is None else (lambda what: what[1])
        return (sum(by(what) for what, acknowledged in calls if acknowledged),
                sum(by(what) for what, _ in calls))

    def counters(self):
        found = self._found("counters")
        for counter in COUNTERS:
            low, high = self._bounds("increment", counter)
            for seen in (found[counter]["n"], found[counter].get("of", {}).get("2026", 0)):
                if not low <= seen <= high:
                    yield f"counter {counter}: {low} <= {seen} <= {high} does not hold"

    def groups(self):
        low, high = self._bounds("update_many", None)
        for document in self._found("groups").values():
            if not low <= document["n"] <= high:
                yield f"group: {low} <= {document} <= {high} does not hold"

    def fields(self):
        found = self._found("fields")
        calls = defaultdict(list)
        for (document, field, value, site), acknowledged in self._calls("set"):
            calls[document, field].append((value, site, acknowledged))
        for (document, field), attempts in calls.items():
            present = found[document].get(field)
            values = [value for value, _, _ in attempts]
            if present is None:
                if any(acknowledged for _, _, acknowledged in attempts):
                    yield f"fields {document}.{field}: acknowledged, yet nothing is there"
            elif present not in values:
                yield f"fields {document}.{field}: {present} was never set"
            else:
                yield from self._overtaken(f"fields {document}.{field}", present, attempts)

    @staticmethod
    def _overtaken(what, present, attempts):
        """A value may not stand over a later acknowledged one of the same thread."""
        thread, number = present.split("-")
        for value, _, acknowledged in attempts:
            other, later = value.split("-")
            if other == thread and int(later) > int(number) and acknowledged:
                yield f"{what} is {present}, but {value} was acknowledged later"

    def lists(self):
        found = {name: document["values"] for name, document in self._found("lists").items()}
        attempted = defaultdict(list)
        for (name, value), acknowledged in self._calls("push"):
            attempted[name].append(value)
            times = found.get(name, []).count(value)
            if times > 1 or (acknowledged and times == 0):
                yield f"push {value}: acknowledged {acknowledged}, there {times} times"
        for name, values in found.items():
            if values != [value for value in attempted[name] if value in values]:
                yield f"list {name} is out of order or holds what was never pushed"

    def replaced(self):
        found = self._found("replaced")
        attempts = defaultdict(list)
        for (name, value), acknowledged in self._calls("replace"):
            attempts[name].append((value, None, acknowledged))
        for name, calls in attempts.items():
            if name in found:
                yield from self._overtaken(f"replaced {name}", found[name]["value"], calls)
            elif any(acknowledged for _, _, acknowledged in calls):
                yield f"replaced {name} was acknowledged and is not there"

    def jobs(self):
        found = self._found("jobs")
        calls = {value for value, _ in self._calls("take_job")}
        holders = set()
        for job, document in found.items():
            by = document.get("by")
            if document["taken"] != (by is not None) or (by is not None) != (
                    document["state"] == "taken"):
                yield f"job {document}"
            if by is not None and (by not in calls or by in holders):
                yield f"job {job}: {by} never asked, or holds two"
            holders.add(by)
        for (job, value), _ in self._calls("taken"):
            if found[job].get("by") != value:
                yield f"job {job} was given to {value}, but is {found[job]}"

    def upserts(self):
        found = self._found("upserted")
        for value, acknowledged in self._calls("upsert"):
            if value in found and found[value]["n"] != 1:
                yield f"upsert {value}: {found[value]}"
            if acknowledged and value not in found:
                yield f"upsert {value} was acknowledged and is not there"
