"""Updates by chance: modifiers of every kind, replacements, pipelines. Paths fit the documents of
values.whole() most of the time, and what is odd about them is chosen often."""

from random_load import values

NUMERIC = ["n", "m", "sub.y.z", "new", "sub.n", "items.0.n", "arr.0", "grid.0.0",
           "sub.2024", "years.7"]
SCALAR = ["s", "t", "sub.x", "sub.7", "fresh", "sub.fresh.deep", "n", "nested.x", "é"]
ARRAYS = ["arr", "arr", "arr", "items", "items.0.tags", "grid.0", "sub.list", "fresh_list",
          "sub.9", "years.lists.7"]
ELEMENTS = ["arr.0", "arr.1", "arr.3", "items.0.k", "items.1", "items.1.n", "grid.1.0", "arr.7"]
BY_FILTER = ["arr.$", "items.$.n", "items.$", "items.$.tags"]
ALL = ["arr.$[]", "items.$[].n", "items.$[].fresh", "grid.$[].$[]"]
BY_ARRAY_FILTER = ["arr.$[e]", "items.$[i].n", "items.$[i].tags", "items.$[i].tags.$[e]"]
ODD = ["", "a.", ".a", "a..b", "$d", "_id", "a.b", "nested..", "wide.f7", "wide.f549", "0",
       "deep.d", "_id.k", "sub"]
ARRAY_FILTERS = {
    "e": [{"e": 1}, {"e": {"$gte": 2}}, {"e": "x"}, {"e": {"$in": [1, "X", None]}}],
    "i": [{"i.k": 1}, {"i.n": {"$gt": 1}}, {"i.k": {"$exists": True}}, {"i.k": "x"}],
}


def path_of(chance, usual):
    pick = chance.random()
    if pick < 0.8:
        return chance.choice(usual)
    if pick < 0.84:
        return chance.choice(BY_FILTER)
    if pick < 0.89:
        return chance.choice(ALL)
    if pick < 0.94:
        return chance.choice(BY_ARRAY_FILTER)
    return chance.choice(ODD if pick < 0.98 else SCALAR + NUMERIC + ARRAYS)


def _set(chance):
    path = path_of(chance, chance.choice([SCALAR, NUMERIC, ARRAYS, ELEMENTS]))
    if path in ARRAYS and chance.random() < 0.8:
        return path, values.items(chance) if path == "items" else values.array(chance)
    if path in NUMERIC and chance.random() < 0.8:
        return path, values.number(chance)
    return path, values.value(chance)


def _unset(chance):
    return path_of(chance, SCALAR + NUMERIC + ARRAYS + ELEMENTS), chance.choice(["", 1, True])


def _arithmetic(chance):
    return path_of(chance, NUMERIC), values.number(chance) if chance.random() < 0.6 else \
        chance.choice(values.ZEROS + values.ONES)


def _extreme(chance):
    return path_of(chance, NUMERIC + SCALAR), values.scalar(chance)


def _rename(chance):
    return chance.choice(["s", "t", "n", "sub.x", "sub", "arr", "fresh", "nested"]), \
        chance.choice(["moved", "t", "sub.moved", "s", "nested.in", "fresh"])


def _current_date(chance):
    return chance.choice(["at", "sub.at", "s", "t"]), chance.choice(
        [True, {"$type": "date"}, {"$type": "timestamp"}])


def _elements(chance, path):
    if path == "items":
        return values.items(chance)
    return values.array(chance)


def _push(chance):
    path = path_of(chance, ARRAYS)
    if chance.random() < 0.4:
        return path, values.item(chance) if path == "items" else values.small_scalar(chance)
    what = {"$each": _elements(chance, path)}
    if chance.random() < 0.4:
        what["$position"] = chance.choice([0, 1, 2, -1, -3, 100])
    if chance.random() < 0.4:
        what["$slice"] = chance.choice([0, 1, 2, 5, -1, -2, -5])
    if chance.random() < 0.3:
        what["$sort"] = chance.choice([1, -1]) if path != "items" else chance.choice(
            [{"k": 1}, {"n": -1}, {"k": -1, "n": 1}])
    return path, what


def _add_to_set(chance):
    path = path_of(chance, ARRAYS)
    if chance.random() < 0.5:
        return path, values.item(chance) if path == "items" else values.small_scalar(chance)
    return path, {"$each": _elements(chance, path)}


def _pull(chance):
    path = path_of(chance, ARRAYS)
    if path == "items":
        return path, chance.choice([{"k": 1}, {"n": {"$gt": 1}}, {"k": {"$in": [2, "x"]}}, {}])
    return path, chance.choice([1, "x", {"$gte": 2}, {"$in": [1, "y"]}, None, {"$ne": 1}])


def _pull_all(chance):
    path = path_of(chance, ARRAYS)
    return path, _elements(chance, path)


def _pop(chance):
    return path_of(chance, ARRAYS), chance.choice([1, -1])


def _bit(chance):
    return path_of(chance, NUMERIC), {
        chance.choice(["and", "or", "xor"]): chance.choice([0, 1, 6, values.Int64(9), -1])}


OPERATORS = {
    "$set": (_set, 8), "$unset": (_unset, 3), "$inc": (_arithmetic, 6), "$mul": (_arithmetic, 2),
    "$min": (_extreme, 2), "$max": (_extreme, 2), "$rename": (_rename, 1),
    "$currentDate": (_current_date, 1), "$setOnInsert": (_set, 1), "$push": (_push, 4),
    "$addToSet": (_add_to_set, 3), "$pull": (_pull, 3), "$pullAll": (_pull_all, 1),
    "$pop": (_pop, 2), "$bit": (_bit, 1),
}
NAMES = [name for name, (_, weight) in OPERATORS.items() for _ in range(weight)]


def modifiers(chance):
    """An update document of operators."""
    made, taken = {}, set()
    for _ in range(chance.choice([1, 1, 1, 2, 2, 3, 5])):
        operator = chance.choice(NAMES)
        path, argument = OPERATORS[operator][0](chance)
        root = path.split(".")[0]
        # Two changes of one path are an error; a few of those are enough.
        if root in taken and chance.random() < 0.9:
            continue
        taken.add(root)
        made.setdefault(operator, {})[path] = argument
    return made


def replacement(chance, an_id):
    return values.whole(chance, an_id if chance.random() < 0.2 else None)


def _computed(chance):
    return chance.choice([
        {"n": {"$add": ["$n", values.number(chance)]}}, {"n": {"$multiply": ["$m", 2]}},
        {"m": {"$ifNull": ["$n", 0]}}, {"sub.x": "$s"}, {"s": {"$type": "$t"}},
        {"arr": {"$concatArrays": [{"$cond": [{"$isArray": "$arr"}, "$arr", []]}, [1, "x"]]}},
        {"t": "$$REMOVE"}, {"t": {"$literal": values.value(chance)}}, {"sub": {"y": {"z": 1}}},
        {"items": {"$cond": [{"$isArray": "$items"}, {"$reverseArray": "$items"}, "$items"]}},
        {"items.n": values.number(chance)}, {"count": {"$size": {"$ifNull": ["$none", [1]]}}},
        {"t": "$$ROOT.sub"}, {"_id": "$_id"}, {"n": "$$v"}, {"arr.x": 1},
    ])


def pipeline(chance, repeatable):
    """repeatable: whoever runs it comes to the same, but for the time of day."""
    stages = []
    for _ in range(chance.choice([1, 1, 2, 3])):
        pick = chance.random()
        if pick < 0.55:
            stages.append({chance.choice(["$set", "$addFields"]): _computed(chance)})
        elif pick < 0.7:
            stages.append({"$unset": chance.choice(["s", ["t", "arr"], "sub.x", "items.k"])})
        elif pick < 0.8:
            stages.append({chance.choice(["$replaceWith", "$replaceRoot"]): {
                "$mergeObjects": ["$$ROOT", values.document(chance, 1)]}})
        elif pick < 0.86:
            stages.append({"$replaceWith": {"$setField": {
                "field": {"$literal": chance.choice(["a.b", "$d", "s"])}, "input": "$$ROOT",
                "value": chance.choice(["$n", "$$REMOVE", 1])}}})
        elif pick < 0.92:
            stages.append({"$project": chance.choice([{"s": 1, "n": 1}, {"arr": 0}, {"m": "$n"}])})
        else:
            stages.append({"$set": {"at": "$$NOW"}} if repeatable or chance.random() < 0.5
                          else {"$set": {"by_chance": {"$rand": {}}}})
    for stage in stages:
        if "$replaceRoot" in stage:
            stage["$replaceRoot"] = {"newRoot": stage["$replaceRoot"]}
    return stages


def array_filters(chance, update):
    """One for each identifier `update` names; sometimes one too few or too many."""
    text = repr(update)
    names = [key for key in ARRAY_FILTERS if f"$[{key}]" in text]
    if chance.random() < 0.02:
        names = ["e"]
    return [chance.choice(ARRAY_FILTERS[key]) for key in names]


def any_update(chance, an_id, repeatable):
    pick = chance.random()
    if pick < 0.75:
        return modifiers(chance)
    if pick < 0.86:
        return replacement(chance, an_id)
    return pipeline(chance, repeatable)
