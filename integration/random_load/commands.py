"""Write commands by chance, as a driver would send them: insert, update, delete, findAndModify,
with every option that changes what is written."""

from bson import Int64

from random_load import updates, values

COLLATIONS = [{"locale": "en", "strength": 2}, {"locale": "en", "strength": 1},
              {"locale": "en", "numericOrdering": True}, {"locale": "simple"}]
HINTS = ["_id_", {"_id": 1}, {"n": 1}, "arr_1", {"none": 1}]
INDEXES = [{"key": {"n": 1}, "name": "n_1"}, {"key": {"arr": 1}, "name": "arr_1"}]


class Commands:
    """repeatable: nothing depends on chance inside MongoDB, so that two servers say the same."""

    def __init__(self, chance, repeatable=True):
        self.chance = chance
        self.repeatable = repeatable
        self.an_id = values.an_id

    def any(self, collection, options):
        """One command on a collection that was created with `options`; without $db, session and
        number."""
        # Sites apart may store what a collation takes for one _id; then each keeps its own.
        is_unlike = not self.repeatable and options
        self.an_id = values.an_unlike_id if is_unlike else values.an_id
        chance = self.chance
        kind = chance.choices(["insert", "update", "delete", "findAndModify"], [4, 9, 2, 4])[0]
        command = {"insert": self.insert, "update": self.update, "delete": self.delete,
                   "findAndModify": self.find_and_modify}[kind](collection)
        if chance.random() < 0.25:
            command["writeConcern"] = chance.choice(
                [{"w": 1}, {"w": 1, "j": True}, {"w": "majority"}, {"w": 1, "j": False}])
        elif kind != "findAndModify" and chance.random() < 0.04:
            command["writeConcern"] = {"w": 0}
        if chance.random() < 0.05:
            command["bypassDocumentValidation"] = True
        if chance.random() < 0.05:
            command["maxTimeMS"] = 60000
        if chance.random() < 0.05:
            command["comment"] = chance.choice(["why", {"a": 1}])
        return command

    def insert(self, collection):
        chance = self.chance
        count = chance.choice([1, 1, 1, 2, 3, 8])
        return {"insert": collection, "documents": [self.born() for _ in range(count)],
                **self.ordered()}

    def born(self):
        no_id = self.repeatable is False and self.chance.random() < 0.05
        return values.whole(self.chance, None if no_id else self.an_id)

    def ordered(self):
        return {"ordered": False} if self.chance.random() < 0.35 else {}

    def filter(self, update=None):
        """One for a statement; with an `update` that needs an array in it: with that."""
        chance = self.chance
        pick = chance.random()
        if pick < 0.62:
            made = {"_id": self.an_id(chance)}
        elif pick < 0.67:
            made = {"_id": {"$in": [self.an_id(chance) for _ in range(3)]}}
        else:
            made = self.by_field()
        text = repr(update)
        if ".$'" in text or ".$." in text or chance.random() < 0.03:
            made = {**made, **(chance.choice([{"items.k": 1}, {"items": {"$elemMatch": {"k": 1}}}])
                               if "items.$" in text else {"arr": chance.choice([1, "x", None])})}
        return made

    def by_field(self):
        chance = self.chance
        made = chance.choice([
            {"n": values.number(chance)}, {"n": {"$gte": 1}}, {"s": values.scalar(chance)},
            {"arr": values.small_scalar(chance)}, {"items.k": 1}, {"sub.x": {"$exists": True}},
            {"t": {"$type": "string"}}, {"$expr": {"$gt": ["$n", "$m"]}}, {"s": {"$regex": "^x"}},
            {"$or": [{"n": 1}, {"m": {"$lt": 1}}]}, {"_id": {"$gte": "a"}}, {}, {"s": "x"},
            {"items": {"$elemMatch": {"k": 1, "n": {"$gt": 0}}}}, {"n": 1, "m": {"$ne": 2}},
            {"sub": {"x": 1, "y": {"z": 1}}}, {"$nor": [{"s": "x"}]}, {"_id.k": 1}, {"sub.y.z": 5},
            {"$and": [{"n": 1}, {"s": "x"}]}, {"$expr": {"$eq": ["$s", "$$v"]}}, {"fresh": None},
            {"_id": {"$ne": 1}}, {"$where": "this.n === 1"}])
        if not self.repeatable and chance.random() < 0.1:
            made = {"$expr": {"$lt": [{"$rand": {}}, 0.5]}}
        return made

    def options(self, command, statement, text):
        """Adds to a statement what any of them may carry."""
        chance = self.chance
        if chance.random() < 0.12:
            statement["collation"] = chance.choice(COLLATIONS)
        if chance.random() < 0.06:
            statement["hint"] = chance.choice(HINTS)
        if "$$v" in text and chance.random() < 0.9:
            command["let"] = {"v": values.scalar(chance)}

    def update(self, collection):
        chance = self.chance
        command = {"update": collection, "updates": []}
        for _ in range(chance.choice([1, 1, 1, 1, 2, 3, 6])):
            command["updates"].append(self.update_statement(command))
        return {**command, **self.ordered()}

    def update_statement(self, command):
        chance = self.chance
        update = updates.any_update(chance, self.an_id, self.repeatable)
        statement = {"q": self.filter(update), "u": update}
        if chance.random() < 0.35:
            statement["upsert"] = True
        if chance.random() < 0.2:
            statement["multi"] = True
        if filters := updates.array_filters(chance, update):
            statement["arrayFilters"] = filters
        self.options(command, statement, repr(statement))
        return statement

    def delete(self, collection):
        chance = self.chance
        command = {"delete": collection, "deletes": []}
        for _ in range(chance.choice([1, 1, 2, 4])):
            statement = {"q": self.filter(), "limit": 1 if chance.random() < 0.9 else 0}
            self.options(command, statement, repr(statement))
            command["deletes"].append(statement)
        return {**command, **self.ordered()}

    def find_and_modify(self, collection):
        chance = self.chance
        command = {"findAndModify": collection}
        remove = chance.random() < 0.15
        update = None if remove else updates.any_update(chance, self.an_id, self.repeatable)
        command["query"] = self.filter(update)
        if remove:
            command["remove"] = True
        else:
            command["update"] = update
            if chance.random() < 0.35:
                command["upsert"] = True
            if chance.random() < 0.5:
                command["new"] = True
            if filters := updates.array_filters(chance, update):
                command["arrayFilters"] = filters
        if chance.random() < 0.3:
            command["sort"] = chance.choice([{"n": 1, "_id": 1}, {"_id": -1}, {"s": 1, "_id": 1}])
        if chance.random() < 0.3:
            command["fields"] = chance.choice(
                [{"n": 1}, {"arr": 0}, {"_id": 0, "s": 1}, {"items.$": 1}, {"x": {"$add": [1, 1]}},
                 {"arr": {"$slice": 1}}, {"sub.y": 1}, {"a": 1, "b": 0}])
        self.options(command, command, repr(command))
        return command


class Upserts(Commands):
    """Mostly upserts, of a few documents: what is in doubt at a kill found its document or made it,
    and peers write to the same one."""

    def any(self, collection, options):
        command = super().any(collection, options)
        self.an_id = lambda chance: chance.randrange(12)
        made = {"update": self.update, "findAndModify": self.find_and_modify,
                "delete": self.delete}.get(next(iter(command)), self.update)(collection)
        return {**made, **({"writeConcern": command["writeConcern"]} if "writeConcern" in command
                           else {})}

    def filter(self, update=None):
        return {"_id": self.an_id(self.chance)} if self.chance.random() < 0.8 \
            else super().filter(update)

    def update_statement(self, command):
        statement = super().update_statement(command)
        return {**statement, "upsert": True} if self.chance.random() < 0.8 else statement


def collection_options(chance):
    """What `create` of a collection is given: some have a collation of their own."""
    return chance.choice([{}, {}, {"collation": COLLATIONS[0]}, {"collation": COLLATIONS[2]}])


def numbered(command, lsid, number):
    """As a retryable write; a statement that touches many cannot be one."""
    if any(s.get("multi") or s.get("limit") == 0
           for s in command.get("updates", []) + command.get("deletes", [])):
        return {**command, "lsid": lsid}
    return {**command, "lsid": lsid, "txnNumber": Int64(number)}
