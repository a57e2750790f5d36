"""Values, `_id`s and documents by chance. There are few of them, so that writes meet and filters
match, and most are odd: values that compare equal and are stored differently, ends of ranges,
types that hardly anybody uses, names with dots and dollars, documents that are wide or deep."""

import datetime
import struct

import bson
from bson import Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument

WIDE_FIELDS = 550
DEEP_LEVELS = 90


def double(hexadecimal):
    return struct.unpack(">d", bytes.fromhex(hexadecimal))[0]


def our_object_id(number):
    """One that comparisons of replies look at."""
    return ObjectId(b"\xaa\xaa\xaa\xaa" + number.to_bytes(8, "big"))


NAN, NEGATIVE_NAN = double("7ff8000000000000"), double("fff8000000000000")
INFINITY = float("inf")
ZEROS = [0, Int64(0), 0.0, -0.0, Decimal128("0"), Decimal128("-0"), Decimal128("0E+3"),
         Decimal128("0.00")]
ONES = [1, Int64(1), 1.0, Decimal128("1"), Decimal128("1.0"), Decimal128("1.00")]
SMALL = [2, 3, -1, 5, Int64(5), 5.0, 2.5, Decimal128("2.50"), Int64(-7), 10]
ENDS = [2**31 - 1, -2**31, Int64(2**31), Int64(2**63 - 1), Int64(-2**63), Int64(2**53 + 1), 0.1,
        1e300, 5e-324, float(2**53), NAN, NEGATIVE_NAN, INFINITY, -INFINITY, Decimal128("NaN"),
        Decimal128("Infinity"), Decimal128("-Infinity"), Decimal128("0.1"),
        Decimal128("9.999999999999999999999999999999999E+6144"), Decimal128("1E-6176")]
STRINGS = ["", "x", "X", "y", "é", "e\u0301", "É", "10", "9", "$x", "a.b", "x\0y", "long " * 60]
OTHERS = [True, False, None, datetime.datetime(2020, 1, 1), datetime.datetime(1970, 1, 1),
          datetime.datetime(1901, 2, 3, 4, 5, 6, 789000), Binary(b""), Binary(b"x", 0),
          Binary(b"x", 2), Binary(b"x", 128), Binary(bytes(16), 4), our_object_id(1),
          our_object_id(2), Regex("^x", "i"), Code("f()"), Code("f()", {"y": 1}), Timestamp(0, 0),
          Timestamp(1, 2), Timestamp(2**32 - 1, 2**32 - 1), MinKey(), MaxKey()]
NUMBERS = ZEROS + ONES + SMALL + ENDS

IDS = [1, Int64(1), 1.0, Decimal128("1"), Decimal128("1.0"), 2, 3, 4, "a", "A", "b", "é", "É", None,
       {"k": 1}, {"k": 1.0}, {"k": Int64(1), "s": "a"}, {"k": 1, "s": "A"}, our_object_id(7)]
ODD_IDS = [0, -0.0, 0.0, Decimal128("-0"), NAN, Decimal128("NaN"), INFINITY, True, False, "",
           "x\0y", datetime.datetime(2020, 1, 1), Binary(b"x"), Binary(b"x", 5), Timestamp(0, 0),
           Timestamp(1, 1), MinKey(), MaxKey(), Code("f()"), {}, {"": 1}, {"a.b": 1},
           {"deep": {"n": [1, {"m": 1.0}]}}, {"deep": {"n": [1.0, {"m": 1}]}}, 2**31 - 1,
           Int64(2**63 - 1), float(2**63), "long " * 60, {"k": {"l": None}}, 1.5,
           Decimal128("1.5"), DBRef("c", 1)]
# Without those that a collation may take for another one: only one of such a pair can be stored.
UNLIKE_IDS = [1, Int64(1), 1.0, Decimal128("1.0"), 2, 3, 4, "a", "b", "c", None, {"k": 1},
              {"k": 1.0}, {"k": Int64(1), "s": "a"}, {"k": 1, "s": "b"}, our_object_id(7)]
REFUSED_IDS = [[1], Regex("x"), {"$a": 1}]


def an_id(chance):
    if chance.random() < 0.01:
        return chance.choice(REFUSED_IDS)
    return chance.choice(IDS if chance.random() < 0.8 else ODD_IDS)


def an_unlike_id(chance):
    return chance.choice(UNLIKE_IDS)


def number(chance):
    return chance.choice(SMALL + ONES if chance.random() < 0.6 else NUMBERS)


def scalar(chance):
    pick = chance.random()
    if pick < 0.45:
        return number(chance)
    return chance.choice(STRINGS if pick < 0.75 else OTHERS)


def small_scalar(chance):
    """Of very few, for what is looked up again."""
    return chance.choice([1, 1.0, Int64(1), 2, 3, "x", "X", "y", None, True])


def array(chance, most=5):
    return [small_scalar(chance) if chance.random() < 0.7 else value(chance, 1)
            for _ in range(chance.randint(0, most))]


def item(chance):
    """An element of `items`."""
    made = {"k": chance.choice([1, 2, 3, 1.0, "x"]), "n": number(chance)}
    if chance.random() < 0.3:
        made["tags"] = array(chance, 3)
    if chance.random() < 0.1:
        made.pop("k")
    return made


def items(chance, most=4):
    return [item(chance) for _ in range(chance.randint(0, most))]


def name(chance):
    return chance.choice(["a", "b", "x", "y", "0", "1", "z", "", "é", "a.b", "$d", "_id", "-1"])


def document(chance, depth=2):
    return {name(chance): value(chance, depth - 1) for _ in range(chance.randint(0, 4))}


def value(chance, depth=2):
    pick = chance.random()
    if depth <= 0 or pick < 0.6:
        return scalar(chance)
    if pick < 0.75:
        return document(chance, depth)
    if pick < 0.9:
        return [value(chance, depth - 1) for _ in range(chance.randint(0, 4))]
    return items(chance) if pick < 0.97 else DBRef("other", 1, "db")


def wide(chance):
    return {f"f{i}": small_scalar(chance) for i in range(WIDE_FIELDS)}


def deep(chance):
    made = scalar(chance)
    for level in range(DEEP_LEVELS):
        made = [made] if level % 7 == 3 else {"d": made}
    return made


def repeated_names():
    """The bytes of {a: 1, b: {x: 1, x: "x"}, a: "again"}, which no dict can hold."""
    inner = _document(b"\x10x\0\1\0\0\0" + b"\x02x\0\2\0\0\0x\0")
    return RawBSONDocument(_document(
        b"\x10a\0\1\0\0\0" + b"\x03b\0" + inner + b"\x02a\0\6\0\0\0again\0"))


def _document(elements):
    return struct.pack("<i", len(elements) + 5) + elements + b"\0"


FIELDS = {
    "n": number, "m": number, "s": scalar, "t": value, "arr": array, "items": items,
    "sub": lambda chance: {"x": scalar(chance), "y": {"z": number(chance)}},
}
ODD_FIELDS = {
    "": scalar, "a.b": scalar, "$d": scalar, "0": value, "é": value, "nested": value,
    "grid": lambda chance: [array(chance) for _ in range(3)],
    "when": lambda chance: Timestamp(0, 0), "wide": wide, "deep": deep,
    "ref": lambda chance: DBRef("other", an_id(chance)),
}


def whole(chance, with_id=None):
    """A document as an app would store it. with_id: a function that gives the _id, or None."""
    made = {}
    fields = [field for field in FIELDS if chance.random() < 0.7]
    chance.shuffle(fields)
    for field in fields:
        made[field] = FIELDS[field](chance) if chance.random() < 0.95 else value(chance)
    if chance.random() < 0.2:
        field = chance.choice(list(ODD_FIELDS))
        made[field] = ODD_FIELDS[field](chance)
    if with_id:
        return _with_id(chance, made, with_id(chance))
    return made


def _with_id(chance, made, identity):
    if chance.random() < 0.02:
        raw = bson.encode({"_id": identity})[4:-1] + repeated_names().raw[4:-1]
        return RawBSONDocument(_document(raw))
    if chance.random() < 0.8:
        return {"_id": identity, **made}
    return {**made, "_id": identity}


def show(value):
    """`value` as Python text from which it can be made again, with its type."""
    if isinstance(value, RawBSONDocument):
        return f"RawBSONDocument({value.raw!r})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {show(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if isinstance(value, Int64):
        return f"Int64({int(value)})"
    if isinstance(value, float) and (value != value or value in (INFINITY, -INFINITY)):
        return f"double('{struct.pack('>d', value).hex()}')"
    return repr(value)
