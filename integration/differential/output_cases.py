"""Aggregations and mapReduce that write: what `$out` and `$merge` say, and what they leave."""

from bson import Binary, Code, Decimal128, Int64, Regex

from differential.case import C, Case, create, index, oid

OLD = [{"_id": 1, "a": 1, "k": "x"}, {"_id": 2, "a": 2, "k": "y"}, {"_id": oid(3), "k": "z"}]
UNIQUE = [index("k", unique=True)]
NEW = [{"_id": 2, "a": 20, "b": 1}, {"_id": 4, "a": 40}]
KEYED = [{"k": "y", "n": 1}, {"k": "new", "n": 2}]


def of(documents, last, **more):
    """What is written of these documents by the stage `last`."""
    return {"aggregate": 1, "cursor": {}, "pipeline": [{"$documents": documents}, last], **more}


def out(documents, **more):
    return of(documents, {"$out": C}, **more)


def merge(documents, command=None, **stage):
    return of(documents, {"$merge": {"into": C, **stage}}, **(command or {}))


def reduced(out_to, **more):
    return {"mapReduce": C, "map": "function() { if (this.a) emit('sum', this.a) }",
            "reduce": "function(key, values) { return Array.sum(values) }", "out": out_to, **more}


SUM = Code("function(key, values) { return Array.sum(values) }")
HALF = "function(key, value) { return value / 2 }"
ADD = [{"$set": {"a": {"$add": ["$a", "$$new.a"]}}}]
OUTPUTS = [
    ("$out", out(NEW)),
    ("$out of nothing", out([])),
    ("$out of what is there", out(OLD)),
    ("$out twice", out(NEW), out([{"_id": 2, "c": 1}, {"_id": 9}])),
    ("$out of an array as _id", out([{"_id": [1]}])),
    ("$out of a regular expression as _id", out([{"_id": Regex("x")}])),
    ("$out of documents as _id", out([{"_id": {"a": 1}}, {"_id": {"a": 1, "b": 2}}])),
    ("$out of null as _id", out([{"_id": None, "a": 1}])),
    ("$out of many types of _id", out([{"_id": each} for each in (
        Int64(7), 1.5, Decimal128("3.25"), "s", True, Binary(b"x"), oid(9), "")])),
    ("$out to a number", of(NEW, {"$out": 5})),
    ("$out to half a name", of(NEW, {"$out": {"db": "shop"}})),
    ("$out to a name of the system", of(NEW, {"$out": "system.mine"})),
    ("$out with a stage behind", {"aggregate": C, "cursor": {}, "pipeline": [
        {"$out": C}, {"$match": {}}]}),
    ("$out of a pipeline that fails", out([{"_id": 7, "a": {"$divide": [1, 0]}}])),
    ("$out of itself", {"aggregate": C, "cursor": {}, "pipeline": [
        {"$set": {"a": {"$multiply": ["$a", 2]}}}, {"$out": C}]}),
    ("$out of documents that all stay", {"aggregate": C, "cursor": {}, "pipeline": [{"$out": C}]}),
    ("$out with writeConcern", out(NEW, writeConcern={"w": 1})),
    ("$out with a comment and time", out(NEW, comment="c", maxTimeMS=9000)),
    ("$out with an unknown field", out(NEW, wrong=1)),
    ("$out without cursor", {"aggregate": C, "pipeline": [{"$out": C}]}),
    ("$out with a batch size", {"aggregate": C, "cursor": {"batchSize": 1}, "pipeline": [
        {"$match": {"a": {"$exists": True}}}, {"$out": C}]}),
    ("$out with a read concern", out(NEW, readConcern={"level": "local"})),
    ("$out with linearizable reads", out(NEW, readConcern={"level": "linearizable"})),
    ("$out with let", {"aggregate": C, "cursor": {}, "let": {"v": 5}, "pipeline": [
        {"$set": {"a": "$$v"}}, {"$out": C}]}),
    ("$merge", merge(NEW)),
    ("$merge by name alone", of(NEW, {"$merge": C})),
    ("$merge of nothing", merge([])),
    ("$merge of an empty document's fields", merge([{"_id": 1}])),
    ("$merge of null as _id", merge([{"_id": None}])),
    ("$merge of an array as _id", merge([{"_id": [1]}])),
    ("$merge to replace", merge(NEW, whenMatched="replace")),
    ("$merge to keep", merge(NEW, whenMatched="keepExisting")),
    ("$merge to fail", merge(NEW, whenMatched="fail")),
    ("$merge to fail, none there", merge([{"_id": 9}, {"_id": 8}], whenMatched="fail")),
    ("$merge, discard", merge(NEW, whenNotMatched="discard")),
    ("$merge, replace or discard", merge(NEW, whenMatched="replace", whenNotMatched="discard")),
    ("$merge, fail where none is", merge(NEW, whenNotMatched="fail")),
    ("$merge, all are there", merge([{"_id": 1, "z": 1}], whenNotMatched="fail")),
    ("$merge by a pipeline", merge(NEW, whenMatched=ADD)),
    ("$merge by a pipeline, discard", merge(NEW, whenMatched=ADD, whenNotMatched="discard")),
    ("$merge by a pipeline, fail", merge(NEW, whenMatched=ADD, whenNotMatched="fail")),
    ("$merge by a pipeline with let", merge(
        NEW, let={"v": "$a", "w": "$nothing"}, whenMatched=[{"$set": {"was": "$$v"}}])),
    ("$merge by a pipeline that names what is not given", merge(
        NEW, let={"w": "$nothing"}, whenMatched=[{"$set": {"was": "$$w"}}])),
    ("$merge by a wrong pipeline", merge(NEW, whenMatched=[{"$wrong": 1}])),
    ("$merge, wrong whenMatched", merge(NEW, whenMatched="wrong")),
    ("$merge, wrong whenNotMatched", merge(NEW, whenNotMatched="wrong")),
    ("$merge, keep or discard", merge(NEW, whenMatched="keepExisting", whenNotMatched="discard")),
    ("$merge on a field without an index", merge(KEYED, on="b")),
    ("$merge with an unknown field", merge(NEW, wrong=1)),
    ("$merge of itself", {"aggregate": C, "cursor": {}, "pipeline": [
        {"$set": {"b": "$a"}}, {"$merge": C}]}),
    ("$merge with a changed _id", {"aggregate": C, "cursor": {}, "pipeline": [
        {"$match": {"a": 1}}, {"$set": {"_id": 77}}, {"$merge": C}]}),
]
ON = [
    ("on a key", merge(KEYED, on="k")),
    ("on a list of one", merge(KEYED, on=["k"])),
    ("on a key, to replace", merge(KEYED, on="k", whenMatched="replace")),
    ("on a key, to keep", merge(KEYED, on="k", whenMatched="keepExisting")),
    ("on a key, to fail", merge(KEYED, on="k", whenMatched="fail")),
    ("on a key, by a pipeline", merge(
        KEYED, on="k", whenMatched=[{"$set": {"n": {"$add": ["$$new.n", 10]}}}])),
    ("on a key, discard", merge(KEYED, on="k", whenNotMatched="discard")),
    ("on a key that is missing", merge([{"n": 1}], on="k")),
    ("on a key that is null", merge([{"k": None}], on="k")),
    ("on a key that is an array", merge([{"k": ["x"]}], on="k")),
    ("on a key, another _id", merge([{"_id": 50, "k": "x"}], on="k")),
    ("on a key, to replace with another _id", merge(
        [{"_id": 50, "k": "x"}], on="k", whenMatched="replace")),
    ("a key of another document", merge([{"_id": 1, "k": "y"}])),
    ("by a pipeline, a key of another document", merge([{"_id": 9, "k": "y"}], whenMatched=ADD)),
    ("$out where keys change places", out([{"_id": 1, "k": "y"}, {"_id": 2, "k": "x"}])),
    ("$out of a key of a document that goes", out([{"_id": 8, "k": "y"}])),
]
VALIDATED = [create(validator={"a": {"$lt": 30}})]
REDUCED = [
    ("mapReduce into it", reduced(C)),
    ("mapReduce to replace", reduced({"replace": C})),
    ("mapReduce to merge", reduced({"merge": C})),
    ("mapReduce to reduce", reduced({"reduce": C}), reduced({"reduce": C}), reduced({"reduce": C})),
    ("mapReduce to reduce, by code", reduced({"reduce": C}, reduce=SUM), reduced(
        {"reduce": C}, reduce=SUM, query={"a": {"$gt": 1}})),
    ("mapReduce to reduce, finalized", reduced({"reduce": C}, finalize=HALF), reduced(
        {"reduce": C}, finalize=HALF)),
    ("mapReduce to reduce, finalized by nothing", reduced({"reduce": C}, finalize=None), reduced(
        {"reduce": C}, finalize=None)),
    ("mapReduce to reduce what it throws at", reduced({"reduce": C}), reduced(
        {"reduce": C}, reduce="function(key, values) { throw 'no' }")),
    ("mapReduce to nowhere", reduced({"wrong": C})),
    ("mapReduce, a wrong function", reduced({"merge": C}, reduce="function(")),
]
TEMPORARY = "mongod names a collection that it writes to first"
MODES = {"modes": ("plain", "session")}

CASES = [Case(f"output: {name}", *commands, documents=OLD, **MODES)
         for name, *commands in OUTPUTS + REDUCED]
CASES += [Case(f"output: {name}", command, documents=OLD, prepare=UNIQUE, **MODES)
          for name, command in ON]
CASES += [
    Case("output: $out makes the collection", out(NEW), **MODES),
    Case("output: $out of nothing makes the collection", out([]), **MODES),
    Case("output: $merge makes the collection", merge(NEW), **MODES),
    Case("output: $merge of nothing makes none", merge([]), **MODES),
    Case("output: $merge that a validator refuses", merge(NEW), prepare=VALIDATED,
         documents=OLD[:2], **MODES),
    Case("output: $merge past a validator", merge(
        NEW, {"bypassDocumentValidation": True}), prepare=VALIDATED, documents=OLD[:2], **MODES),
    Case("output: $out to a capped collection", out(NEW),
         prepare=[create(capped=True, size=4096)], **MODES),
    Case("output: $out to a view", out(NEW), prepare=[create(viewOn="things", pipeline=[])],
         **MODES),
    Case("output: $merge into a view", merge(NEW), prepare=[create(viewOn="things", pipeline=[])],
         **MODES),
]
CASES += [
    Case("output: $out of an _id twice", out([{"_id": 5}, {"_id": 5}]), code_only=TEMPORARY,
         **MODES),
    Case("output: $out of a key twice", out([{"_id": 8, "k": "y"}, {"_id": 9, "k": "y"}]),
         prepare=UNIQUE, differs="what was written before it stays, and what it names", **MODES),
    Case("output: $out that is asked for its first batch later",
         {"aggregate": C, "cursor": {"batchSize": 0}, "pipeline": [{"$match": {"a": 1}},
                                                                   {"$out": C}]},
         documents=OLD, differs="it is written at once, as with any other batch size", **MODES),
]
