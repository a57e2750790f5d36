"""One case of the differential test: what stands in a collection, and the commands sent to it."""

from bson import ObjectId

C = "<collection>"  # where a command names its collection: every run of a case has one of its own
SEQUENCES = {"insert": "documents", "update": "updates", "delete": "deletes"}


class Case:
    """commands: documents in which C stands for the collection; each may be a pair (connection
    number, document). documents: inserted first. prepare: commands run before those (create,
    indexes). refused: the proxy answers 115 by design where mongod runs the command. code_only:
    why the two texts may differ. differs: why the outcome does, which then must be seen. modes:
    with the statements in the body or in a sequence, with a session, with a number too."""

    def __init__(self, name, *commands, documents=(), prepare=(), refused=False, code_only=None,
                 differs=None, modes=("plain", "sequence", "retryable"), database="shop",
                 replica_set_only=False):
        self.name = name
        self.commands = [c if isinstance(c, tuple) else (0, c) for c in commands]
        self.documents = list(documents)
        self.prepare = list(prepare)
        self.refused = refused
        self.code_only = code_only
        self.differs = differs
        self.modes = modes
        self.database = database
        self.replica_set_only = replica_set_only


def oid(number):
    """An ObjectId that comparisons look at."""
    return ObjectId(b"\xaa\xaa\xaa\xaa" + number.to_bytes(8, "big"))


def insert(*documents, **more):
    return {"insert": C, "documents": list(documents), **more}


def one(q, u, **more):
    """A statement of an update command."""
    return {"q": q, "u": u, **more}


def update(q, u, command=None, **more):
    """An update command of one statement; `command`: fields beside it."""
    return {"update": C, "updates": [one(q, u, **more)], **(command or {})}


def updates(*statements, **more):
    return {"update": C, "updates": list(statements), **more}


def delete(q, limit=1, command=None, **more):
    return {"delete": C, "deletes": [{"q": q, "limit": limit, **more}], **(command or {})}


def deletes(*statements, **more):
    return {"delete": C, "deletes": [{"q": q, "limit": limit} for q, limit in statements], **more}


def modify(**fields):
    return {"findAndModify": C, **fields}


def index(*keys, **options):
    fields = {key: 1 for key in keys}
    return {"createIndexes": C,
            "indexes": [{"key": fields, "name": "_".join(keys), **options}]}


def create(**options):
    return {"create": C, **options}


THINGS = [
    {"_id": 1, "a": 1, "s": "x", "arr": [1, 2, 3], "sub": {"x": 1, "y": {"z": 2}},
     "items": [{"k": 1, "n": 5}, {"k": 2, "n": 6}]},
    {"_id": 2, "a": 2, "s": "y", "arr": [3, 4], "sub": {"x": 2}, "items": []},
    {"_id": 3, "a": 2, "s": "X", "arr": [], "sub": {}, "items": [{"k": 1, "n": 9}]},
    {"_id": "four", "a": 4.5, "s": None},
    {"_id": oid(5), "a": "text"},
]
