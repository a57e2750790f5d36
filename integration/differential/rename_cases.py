"""renameCollection: what it says, and what it leaves under both names."""

from bson import Binary

from differential.case import C, Case, create, index, insert

NEW = f"{C}_new"
ONLY = {"modes": ("plain", "session")}
FOUND = [{"find": C}, {"find": NEW}, {"listIndexes": NEW},
         {"listIndexes": C}]
MADE = [create(), insert({"_id": 1, "a": 1}, {"_id": 2, "a": 2}), index("a", unique=True)]
TAKEN = [*MADE, {"create": NEW}, {"insert": NEW, "documents": [{"_id": 1, "b": 5}, {"_id": 7}]}]
SERIES = create(timeseries={"timeField": "t"})


def rename(to=f"shop.{NEW}", source=f"shop.{C}", database="admin", **more):
    return {"renameCollection": source, "to": to, **more, "$db": database}


def case(name, command, prepare, **more):
    return Case("rename: " + name, command, *FOUND, prepare=prepare, **ONLY, **more)


RENAMES = [
    ("to a free name", rename(), MADE),
    ("over another", rename(dropTarget=True), TAKEN),
    ("over another, by a number", rename(dropTarget=1), TAKEN),
    ("over nothing", rename(dropTarget=True), MADE),
    ("of an empty one", rename(), [create(capped=True, size=4096)]),
    ("to a name that is taken", rename(), TAKEN),
    ("to a name that is taken, said so", rename(dropTarget=False), TAKEN),
    ("of nothing", rename(), []),
    ("of nothing over another", rename(dropTarget=True), [{"create": NEW}]),
    ("to its own name", rename(f"shop.{C}"), MADE),
    ("to its own name, dropping it", rename(f"shop.{C}", dropTarget=True), MADE),
    ("of a view", rename(), [create(viewOn="things", pipeline=[])]),
    ("over a view", rename(dropTarget=True),
     [*MADE, {"create": NEW, "viewOn": "things", "pipeline": []}]),
    ("of a time series", rename(), [SERIES]),
    ("over a time series", rename(dropTarget=True), [*MADE, {**SERIES, "create": NEW}]),
    ("on another database", rename(database="shop"), MADE),
    ("to no name", rename(""), MADE),
    ("to a database", rename("shop"), MADE),
    ("to a name with a dollar", rename("shop.a$b"), MADE),
    ("to one of the system", rename("shop.system.x"), MADE),
    ("to a number", rename(5), MADE),
    ("of a number", rename(source=5), MADE),
    ("with a wrong dropTarget", rename(dropTarget="yes"), MADE),
    ("with a null dropTarget", rename(dropTarget=None), MADE),
    ("with an unknown field", rename(wrong=1), MADE),
    ("with a write concern", rename(writeConcern={"w": 1}), MADE),
    ("with a wrong write concern", rename(writeConcern={"w": -5}), MADE),
    ("of a collection with another uuid", rename(collectionUUID=Binary(bytes(16), 4)), MADE),
    ("under the strict API", rename(apiVersion="1", apiStrict=True), MADE),
]
CASES = [case(name, command, prepare) for name, command, prepare in RENAMES]
CASES += [
    Case("rename: and what is written to both names then", rename(),
         insert({"_id": 1, "a": 5}), {"insert": NEW, "documents": [{"_id": 3, "a": 1}]},
         {"update": NEW, "updates": [{"q": {"_id": 1}, "u": {"$inc": {"a": 7}}}]},
         *FOUND, rename(dropTarget=True), *FOUND, prepare=MADE, **ONLY),
    Case("rename: refused to another database", rename(f"other.{C}"), prepare=MADE, refused=True,
         **ONLY),
]
