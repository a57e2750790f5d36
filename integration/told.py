"""What an app must be able to count on across crashes, beyond Oracle: threads that also move unique
values between documents, change the catalogue, and read back, at each site, what was answered."""

import itertools
import random
import threading

import pymongo
import pymongo.errors

from oracle import DATABASE, Checker, Oracle, Writer

PLACES = range(4)  # documents of a thread; of unique values it has two fewer


class Teller(Writer):
    """A writer that in addition moves, counts and tells in documents of its own: nobody else
    writes them, so it knows exactly what they must hold."""

    def __init__(self, oracle, site, name, chance, concern):
        super().__init__(oracle, site, name, chance, concern)
        self.turns = itertools.count(1)
        self.places = None  # value by document, or nothing where an answer was missing
        self.doings += [self.tell, self.tell, self.count_exactly, self.move, self.move]

    def tell(self, _):
        number = next(self.turns)
        if self.attempt("tell", (self.name, number), lambda: self.db.told.update_one(
                {"_id": self.name}, {"$set": {"n": number}})):
            self.oracle.told[self.name] = number

    def count_exactly(self, _):
        """The sum stands beside what it is the sum of."""
        call, by = f"c{next(self.turns)}", self.chance.randint(1, 9)
        self.attempt("count_exactly", (self.name, call, by), lambda: self.db.exact.update_one(
            {"_id": self.name}, {"$inc": {"n": by}, "$set": {call: by}}))

    def move(self, _):
        """A value of the unique index goes from one document to another."""
        if self.places is None:
            self._clear_places()
            return
        free = [place for place in PLACES if place not in self.places]
        if len(free) > 2:
            value = f"{self.name}-{len(self.places)}"
            self._take(self.chance.choice(free), value)
            return
        place = self.chance.choice(sorted(self.places))
        value = self.places[place]
        if self._write(place, None):
            self._take(self.chance.choice(free), value)

    def _take(self, place, value):
        self._write(place, value)

    def _write(self, place, value):
        turn = next(self.turns)
        change = {"$set": {"turn": turn}}
        if value is None:
            change["$unset"] = {"value": 1}
        else:
            change["$set"]["value"] = value
        done = self.attempt("place", (f"{self.name}-{place}", turn, value),
                            lambda: self.db.places.update_one(
                                {"_id": f"{self.name}-{place}"}, change))
        if not done:
            self.places = None
            return False
        self.places.pop(place, None)
        if value is not None:
            self.places[place] = value
        return True

    def _clear_places(self):
        """After an answer that never came: whatever it did, now no document has a value."""
        turn = next(self.turns)
        calls = [(f"{self.name}-{place}", turn, None) for place in PLACES]
        if self.attempt("places", calls, lambda: self.db.places.update_many(
                {"of": self.name}, {"$set": {"turn": turn}, "$unset": {"value": 1}})):
            self.places = {}


class TellingOracle(Oracle):
    """An Oracle whose writers are Tellers; beside them, at each site, one thread reads and one
    changes the catalogue."""

    def __init__(self, cluster, seed, threads):
        super().__init__(cluster, seed, threads)
        self.told = {}  # by thread, the last number that was answered
        self.catalogue = {site.name: [] for site in cluster}  # (collection, indexes), answered

    def prepare(self):
        super().prepare()
        names = [f"{site.name}{number}" for site in self.cluster for number in range(self.threads)]
        for site in self.cluster:
            site.client()[DATABASE].places.create_index(
                "value", unique=True, partialFilterExpression={"value": {"$exists": True}})
        first = next(iter(self.cluster)).client()[DATABASE]
        for collection in (first.told, first.exact):
            collection.insert_many([{"_id": name, "n": 0} for name in names])
        first.places.insert_many([{"_id": f"{name}-{place}", "of": name, "turn": 0}
                                  for name in names for place in PLACES])
        self.cluster.wait_converged([DATABASE])

    def make_writer(self, *arguments):
        return Teller(self, *arguments)

    def start(self):
        super().start()
        for site in self.cluster:
            for work in (self._watch, self._change_catalogue):
                worker = threading.Thread(target=work, args=(site,))
                worker.start()
                self._workers.append(worker)
        return self

    def _watch(self, site):
        """What was answered, or was read of what was answered, never goes back."""
        told = site.client()[DATABASE].told
        seen = {}
        with self.pause.worker() as goes_on:
            while goes_on():
                before = dict(self.told)
                try:
                    found = {each["_id"]: each["n"] for each in told.find()}
                except pymongo.errors.PyMongoError:
                    self._stop.wait(0.02)
                    continue
                for name, number in found.items():
                    least = before.get(name, 0) if name.startswith(site.name) else 0
                    # What was seen counts once it is answered.
                    least = max(least, min(seen.get(name, 0), before.get(name, 0)))
                    if number < least:
                        self.wrong.append(f"{site.name} read {number} of {name} after {least}")
                    seen[name] = max(seen.get(name, 0), number)
                self._stop.wait(0.005)

    def _change_catalogue(self, site):
        database = site.client()[DATABASE]
        chance = random.Random(f"{self.seed} {site.name} catalogue")
        with self.pause.worker() as goes_on:
            for number in itertools.count():
                if not goes_on():
                    return
                try:
                    self._make(site, database, f"made-{site.name}-{number}", chance)
                except pymongo.errors.PyMongoError as error:
                    self.troubles[f"catalogue: {type(error).__name__}"] += 1
                self._stop.wait(chance.uniform(0.3, 1))

    def _make(self, site, database, name, chance):
        """Each step that was answered is noted before the next is asked for."""
        made = {"name": name, "indexes": set(), "documents": 0}
        made_at = self.catalogue[site.name]
        collection = database.get_collection(name, write_concern=pymongo.WriteConcern(w=1))
        if chance.random() < 0.5:
            database.create_collection(name)
            made_at.append(made)
            collection.create_index("a", unique=True)
        else:
            collection.create_index("a", unique=True)  # makes the collection
            made_at.append(made)
        made["indexes"].add("a_1")
        collection.insert_one({"_id": 1, "a": 1})
        made["documents"] = 1
        if chance.random() < 0.3:
            made["indexes"].clear()  # from here on it may be gone
            collection.drop_index("a_1")
            collection.create_index("b")
            made["indexes"].add("b_1")

    def check(self):
        super().check()
        for site in self.cluster:
            direct = site.direct()[DATABASE]
            faults = [*TellingChecker(self, direct).more_faults(), *self._lost_catalogue(site)]
            assert not faults, "\n".join([f"seed {self.seed}, {site.name}:", *faults[:30]])

    def _lost_catalogue(self, site):
        direct = site.direct()[DATABASE]
        there = set(direct.list_collection_names())
        made = self.catalogue[site.name]
        for each in made:
            if each["name"] not in there:
                yield f"collection {each['name']} was made and is not there"
                continue
            missing = each["indexes"] - set(direct[each["name"]].index_information())
            if missing:
                yield f"indexes {missing} of {each['name']} were made and are not there"
            if direct[each["name"]].count_documents({}) < each["documents"]:
                yield f"the document of {each['name']} is not there"
        made.clear()  # looked at once


class TellingChecker(Checker):
    def more_faults(self):
        for check in (self.numbers, self.exact, self.places):
            yield from check()

    def numbers(self):
        found = self._found("told")
        last = {}
        for (name, number), _ in self._calls("tell"):
            last[name] = number
        for name, number in last.items():
            if not self.oracle.told.get(name, 0) <= found[name]["n"] <= number:
                yield (f"told {name}: {found[name]['n']}, answered {self.oracle.told.get(name)}, "
                       f"asked for {number}")

    def exact(self):
        found = self._found("exact")
        known = {(name, call): by for (name, call, by), _ in self._calls("count_exactly")}
        for (name, call, _), acknowledged in self._calls("count_exactly"):
            if acknowledged and call not in found[name]:
                yield f"exact {name}: {call} was acknowledged and is not there"
        for name, document in found.items():
            parts = {call: by for call, by in document.items() if call not in ("_id", "n")}
            if sum(parts.values()) != document["n"] or any(
                    known.get((name, call)) != by for call, by in parts.items()):
                yield f"exact {name}: {document}"

    def places(self):
        found = self._found("places")
        wanted = {place: {0: None} for place in found}
        last = dict.fromkeys(found, 0)
        calls = self._calls("place") + [(call, done) for calls, done in self._calls("places")
                                        for call in calls]
        for (place, turn, value), acknowledged in calls:
            wanted[place][turn] = value
            if acknowledged:
                last[place] = max(last[place], turn)
        for place, document in found.items():
            turn = document["turn"]
            if turn < last[place]:
                yield f"place {place}: {document}, but turn {last[place]} was acknowledged"
            if document.get("value") != wanted[place].get(turn, "never asked for"):
                yield f"place {place}: {document}, it was {wanted[place].get(turn)}"
