"""What must be in a document by its history alone: which writes there were, in which order of
time, and which of them each had seen. Nothing here knows how a sidecar gets there, nor a state that
was merged: `expected` is a function of the set of writes, by README's table.

Writes are made one after the other, at sites that are joined or apart, so their order in time is
the order of their stamps, and what a write has seen is what its site was joined with before it."""

from dataclasses import dataclass, field
from typing import Any

ABSENT = object()  # no field there, or no document
LEAVES = [("a",), ("b",), ("n",), ("c", "x"), ("c", "n"), ("c", "d", "y"), ("l",),
          ("i",)]
COUNTERS = [("n",), ("c", "n")]
BOUNDS = {("n",): (0, 40), ("c", "n"): (-5, 90)}  # where rules say so
LIST = ("l",)
SET = ("s",)  # of few values; what is taken from it stays away
ITEMS = ("i",)  # documents with an _id each, which no two ever share


@dataclass(frozen=True)
class Write:
    """`at`: its place in the order of time, and its name: one statement may be several writes."""
    at: int
    site: str
    kind: str  # insert, replace, delete, set, unset, inc, push, pull; of ITEMS also w, q, front
    # of SET alone: add, take
    path: tuple = ()
    value: Any = None
    seen: frozenset = field(default=frozenset(), repr=False)  # of earlier writes, by their names

    def gives(self):
        """Does it give its path a value, or take the field away, with all that lies below?"""
        return self.kind in ("insert", "replace", "set", "unset")


def name_of(element):
    return element["_id"] if isinstance(element, dict) else element


def covers(above, path):
    return path[:len(above)] == above


def value_at(value, path):
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return ABSENT
        value = value[name]
    return value


class Births:
    """Which inserts of a document still stand: those that no delete has seen, nor a later insert,
    which found nothing there. Where updates win, deletes end nothing unless together they have
    seen all that was written to it: to all inserts that were one document to any of them."""

    def __init__(self, writes, updates_win):
        self.writes = writes
        self.updates_win = updates_win
        self.touched = {}  # by a write's name: the inserts that stood as it was made
        for write in sorted(writes, key=lambda write: write.at):
            self.touched[write.at] = self.standing(
                [other for other in writes if other.at in write.seen])

    def standing(self, writes):
        ending = [write for write in writes if write.kind == "insert"
                  or (write.kind == "delete" and not self.updates_win)]
        births = {write.at for write in writes if write.kind == "insert"
                  and not any(write.at in by.seen for by in ending)}
        if not self.updates_win:
            return births
        deletes = [write for write in writes if write.kind == "delete"]
        for one in self.joined(births, deletes):
            seen = set().union(*(by.seen for by in deletes if self.touched[by.at] & one))
            if all(write.at in seen for write in writes if write.kind != "delete"
                   and (write.at in one or self.touched[write.at] & one)):
                births -= one
        return births

    def joined(self, births, deletes):
        """Of these inserts those that were one document to who deleted it."""
        groups = []
        for delete in deletes:
            one = self.touched[delete.at] & births
            if not one:
                continue
            one = one.union(*(other for other in groups if other & one))
            groups = [other for other in groups if not other & one] + [one]
        return groups

    def that_count(self):
        """The writes to what is left."""
        left = self.standing(self.writes)
        return [write for write in self.writes if write.kind != "delete" and
                (write.at in left if write.kind == "insert" else self.touched[write.at] & left)]


class Outcome:
    """Of one document's writes."""

    def __init__(self, writes, updates_win, bounds):
        self.bounds = bounds
        self.writes = Births(writes, updates_win).that_count()

    def giving(self, path):
        return [write for write in self.writes if write.gives() and covers(write.path, path)]

    def governing(self, path):
        """The latest that gave the path a value, or what is above it: (write, value)."""
        giving = self.giving(path)
        if not giving:
            return None, ABSENT
        last = max(giving, key=lambda write: write.at)
        if last.kind == "unset":
            return last, ABSENT
        return last, value_at(last.value, path[len(last.path):])

    def left(self, kind, path, giving):
        """Increments or pushes that none of those who gave the path a value had seen."""
        return [write for write in self.writes if write.kind == kind and write.path == path
                and not any(write.at in other.seen for other in giving)]

    def counter(self, path):
        """What stands, and the increments its writer had not seen: whatever became of them where
        they were made, they happened."""
        governing, base = self.governing(path)
        added = self.left("inc", path, [governing])
        if not added:
            return base
        number = (0 if base is ABSENT else base) + sum(write.value for write in added)
        low, high = self.bounds.get(path, (number, number))
        return min(max(number, low), high)

    def elements(self, path):
        governing, base = self.governing(path)
        pulls = [write for write in self.writes if write.kind == "pull" and write.path == path]

        def stays(value, by):
            return not any(pull.value == name_of(value) and by.at in pull.seen for pull in pulls)
        assigned = [] if base is ABSENT else [value for value in base if stays(value, governing)]
        pushed = [write for write in self.left("push", path, self.giving(path))
                  if stays(write.value, write)]
        return assigned + [write.value for write in sorted(pushed, key=lambda write: write.at)]

    def set_of_values(self):
        """Those whose giver had seen all that took an equal one away, and that nobody who had seen
        them took away or replaced."""
        governing, base = self.governing(SET)
        given = [(value, governing) for value in ([] if base is ABSENT else base)]
        given += [(write.value, write) for write in self.left("add", SET, self.giving(SET))]
        takes = [write for write in self.writes if write.kind == "take"]
        return sorted({value for value, by in given
                       if all(take.at in by.seen for take in takes if take.value == value)})

    def items(self):
        """With what was written into them: the latest value of `w`, and all that `q` was given. In
        front of all others those that were put there, the latest first."""
        out = []
        in_front = {}
        for item in self.elements(ITEMS):
            mine = [write for write in self.writes if write.path == (*ITEMS, item["_id"])]
            item = {**item, "q": item["q"] + sum(each.value for each in mine if each.kind == "q")}
            for last in sorted(mine, key=lambda write: write.at):
                item = {**item, "w": last.value} if last.kind == "w" else item
            fronts = [each.at for each in mine if each.kind == "front"]
            in_front[item["_id"]] = max(fronts, default=-1)
            out.append(item)
        return sorted(out, key=lambda item: -in_front[item["_id"]])

    def document(self):
        if not any(write.kind == "insert" for write in self.writes):
            return ABSENT
        out = {}
        for path in (*LEAVES, SET):
            if path == LIST:
                value = self.elements(path)
            elif path == SET:
                value = self.set_of_values()
            elif path == ITEMS:
                value = self.items()
            elif path in COUNTERS:
                value = self.counter(path)
            else:
                value = self.governing(path)[1]
            if value is ABSENT:
                continue
            level = out
            for name in path[:-1]:
                level = level.setdefault(name, {})
            level[path[-1]] = value
        return without_empty(out)


def without_empty(value):
    """An array or a document with nothing in it may be there or not: that is not what is asked."""
    if not isinstance(value, dict):
        return value
    kept = {name: without_empty(each) for name, each in value.items()}
    return {name: each for name, each in kept.items() if each not in ({}, [])}


def expected(writes, updates_win=False, bounds=None):
    """The document, but for its _id; None: there is none."""
    document = Outcome(writes, updates_win, bounds or {}).document()
    return None if document is ABSENT else document


class Author:
    """Draws what an app may do to a document as it sees it."""

    def __init__(self, chance, has_sets=False):
        self.chance = chance
        self.has_sets = has_sets
        self.values = 0

    def fresh(self):
        self.values += 1
        return self.values

    def document(self):
        chance = self.chance
        out = {name: self.fresh() for name in "ab" if chance.random() < 0.6}
        if chance.random() < 0.5:
            out["n"] = self.fresh()
        if chance.random() < 0.5:
            out["c"] = self.container()
        if chance.random() < 0.5:
            out["l"] = [self.fresh() for _ in range(chance.randrange(3))]
        if self.has_sets and chance.random() < 0.7:
            out["s"] = sorted(chance.sample("xyz", chance.randrange(4)))
        if chance.random() < 0.5:
            out["i"] = [self.item() for _ in range(chance.randrange(3))]
        return out

    def container(self):
        chance = self.chance
        out = {name: self.fresh() for name in "xn" if chance.random() < 0.6}
        if chance.random() < 0.4:
            out["d"] = {"y": self.fresh()}
        return out

    def item(self):
        return {"_id": self.fresh(), "q": 0, "w": self.fresh()}

    def write(self, document):
        """(statement, [(kind, path, value)]): what an app does to a document that is there, or is
        not, and what of it is a write."""
        chance = self.chance
        if document is None:
            return self.whole("insert")
        if self.has_sets and chance.random() < 0.5:
            return self.set_of_values(document.get("s"))
        kind = chance.choices(["set", "unset", "inc", "push", "pull", "items", "replace", "delete"],
                              [7, 2, 6, 5, 3, 8, 1, 1])[0]
        if kind in ("replace", "delete"):
            return self.whole(kind)
        if kind == "items":
            return self.items(document.get("i"))
        if kind == "inc":
            return simple(kind, chance.choice(COUNTERS), chance.choice([1, 2, 5, -3]))
        if kind == "pull" and document.get("l"):
            return simple(kind, LIST, chance.choice(document["l"]))
        if kind in ("push", "pull"):
            return simple("push", LIST, self.fresh())
        path = chance.choice([*LEAVES[:-1], ("c",), ("c", "d")])
        if kind == "unset" and value_at(document, path) is not ABSENT:  # else it is no write
            return simple(kind, path, None)
        return simple("set", path, self.value_for(path))

    def whole(self, kind):
        value = None if kind == "delete" else self.document()
        return (kind, value), [(kind, (), value)]

    def set_of_values(self, there):
        """$addToSet, $pull, or the array as the app wants it: what of that is new, and what is left
        out."""
        value = self.chance.choice("xyz")
        if there is None:
            return simple("set", SET, [value])
        if self.chance.random() < 0.2:
            wanted = self.chance.sample("xyz", 2)
            new = [("add", SET, each) for each in wanted if each not in there]
            out = [("take", SET, each) for each in set(there) if each not in wanted]
            return ("update", {"$set": {"s": wanted}}), out + new
        is_there = value in there
        operator = "$pull" if is_there else "$addToSet"
        return ("update", {operator: {"s": value}}), [("take" if is_there else "add", SET, value)]

    def items(self, there):
        """One operator on an element, or the whole array as the app wants it."""
        chance = self.chance
        if not there or chance.random() < 0.3:
            item = self.item()
            return ("update", {"$push": {"i": item}}), [("push", ITEMS, item)]
        one = chance.choice(there)
        if chance.random() < 0.2:
            return ("update", {"$pull": {"i": {"_id": one["_id"]}}}), [("pull", ITEMS, one["_id"])]
        if chance.random() < 0.4:
            number = chance.randrange(1, 5)
            return (("update", {"$inc": {f"i.{there.index(one)}.q": number}}),
                    [("q", (*ITEMS, one["_id"]), number)])
        if chance.random() < 0.4:
            value = self.fresh()
            return (("update", {"$set": {f"i.{there.index(one)}.w": value}}),
                    [("w", (*ITEMS, one["_id"]), value)])
        return self.assigned_items(there)

    def assigned_items(self, there):
        """Some are gone, some changed, one has come to the front, one is new."""
        chance = self.chance
        all_, writes = [], []
        for item in there:
            pick = chance.random()
            if pick < 0.2:
                writes.append(("pull", ITEMS, item["_id"]))
                continue
            if pick < 0.5:
                item = {**item, "w": self.fresh()}
                writes.append(("w", (*ITEMS, item["_id"]), item["w"]))
            all_.append(item)
        if len(all_) > 2 and chance.random() < 0.4:
            all_.insert(0, all_.pop(chance.randrange(2, len(all_))))
            writes.append(("front", (*ITEMS, all_[0]["_id"]), None))
        all_.append(self.item())
        writes.append(("push", ITEMS, all_[-1]))
        return ("update", {"$set": {"i": all_}}), writes

    def value_for(self, path):
        if path == ("c",):
            return self.container()
        if path == ("c", "d"):
            return {"y": self.fresh()}
        if path == LIST:
            return [self.fresh() for _ in range(self.chance.randrange(1, 4))]
        return self.fresh()


def simple(kind, path, value):
    """One operator at one path."""
    return (("update", {f"${kind}": {".".join(path): 1 if kind == "unset" else value}}),
            [(kind, path, value)])


def perform(collection, which, statement):
    """As any app would."""
    kind, value = statement
    if kind == "insert":
        collection.insert_one({"_id": which, **value})
    elif kind == "replace":
        collection.replace_one({"_id": which}, value)
    elif kind == "delete":
        collection.delete_one({"_id": which})
    else:
        collection.update_one({"_id": which}, value)
