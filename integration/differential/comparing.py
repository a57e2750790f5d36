"""What must be equal in two replies: every field, in order, with type and bytes, except what two
servers can never say alike."""

import re
import struct
import time

# Fields that name a server, a time or a position: taken out wherever they stand.
VOLATILE = {
    "$clusterTime", "operationTime", "opTime", "electionId", "connectionId", "localTime",
    "topologyVersion", "lastWrite", "uuid", "collectionUUID", "serverInfo", "me", "hosts",
    "primary", "setVersion", "executionTimeMillis", "executionTimeMillisEstimate", "processId",
    "oidMachine",
}
# Those that must at least be there on both sides.
MARKED = {"opTime", "electionId", "operationTime", "$clusterTime"}
# ObjectIds the tests make begin so; any other was made by a driver or a server.
OUR_OBJECT_ID = b"\xaa\xaa\xaa\xaa"

DOCUMENT, ARRAY, OBJECT_ID, DATE, INT32, TIMESTAMP, INT64, STRING = 3, 4, 7, 9, 16, 17, 18, 2
SIZES = {1: 8, 6: 0, OBJECT_ID: 12, 8: 1, DATE: 8, 10: 0, INT32: 4, TIMESTAMP: 8, INT64: 8,
         19: 16, 127: 0, 255: 0}
NOW_S = 3600  # a date this close to now was made by the server


def elements(data, start=0):
    """(type, name, value bytes) of a BSON document, in order, repeated names too."""
    at = start + 4
    while data[at]:
        kind = data[at]
        end_of_name = data.index(b"\0", at + 1)
        name = data[at + 1:end_of_name].decode("utf-8", "replace")
        at = end_of_name + 1
        size = _size(kind, data, at)
        yield kind, name, data[at:at + size]
        at += size


def _size(kind, data, at):
    if kind in SIZES:
        return SIZES[kind]
    if kind == 11:  # regular expression: two strings
        first = data.index(b"\0", at) + 1
        return data.index(b"\0", first) + 1 - at
    length = struct.unpack_from("<i", data, at)[0]
    if kind in (STRING, 13, 14):
        return 4 + length
    if kind == 5:
        return 5 + length
    if kind == 12:
        return 4 + length + 12
    return length  # document, array, code with scope


def comparable(data):
    """A document as nested lists of (name, type, value) without what is volatile."""
    out = []
    for kind, name, value in elements(data):
        if name in MARKED:
            # Before a connection has written anything mongod names a position by its time alone.
            out.append((name, DOCUMENT if name == "opTime" else kind, "*"))
        elif name not in VOLATILE:
            out.append((name, kind, _value(kind, name, value)))
    return out


def _value(kind, name, value):
    if kind in (DOCUMENT, ARRAY):
        return comparable(value)
    if kind == OBJECT_ID and not value.startswith(OUR_OBJECT_ID):
        return "an ObjectId made elsewhere"
    if kind == DATE and abs(struct.unpack("<q", value)[0] / 1000 - time.time()) < NOW_S:
        return "now"
    if kind == TIMESTAMP and abs(struct.unpack("<q", value)[0] / 2**32 - time.time()) < NOW_S:
        return "now"
    if kind == INT64 and name == "id" and value != bytes(8):
        return "a cursor"
    if kind == STRING:
        return _text(value[4:-1].decode("utf-8", "replace"))
    if kind == INT32:
        return struct.unpack("<i", value)[0]
    if kind == INT64:
        return struct.unpack("<q", value)[0]
    if kind == 1:
        return struct.unpack("<d", value)[0].hex()
    return value


def _text(text):
    text = re.sub(r"ObjectId\('(?!aaaaaaaa)[0-9a-f]{24}'\)", "ObjectId(*)", text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID(*)", text)
    text = re.sub(r"Timestamp\(\d{9,}, \d+\)", "Timestamp(*)", text)
    # The query as it was planned, which for a narrowed statement is another one.
    text = re.sub(r"(error processing query: ).*( planner returned error)", r"\1*\2", text,
                  flags=re.DOTALL)
    return re.sub(r"cursor id \d+", "cursor id *", text)


def differences(direct, proxied, path=""):
    """Lines that say where two comparable documents differ; none when they are equal."""
    if direct == proxied:
        return []
    if not (isinstance(direct, list) and isinstance(proxied, list)):
        return [f"{path or '.'}: direct {direct!r}, proxied {proxied!r}"]
    names = [name for name, _, _ in direct], [name for name, _, _ in proxied]
    if names[0] != names[1]:
        return [f"{path or '.'}: direct has {show(direct)}, proxied has {show(proxied)}"]
    out = []
    for (name, kind, value), (_, other_kind, other) in zip(direct, proxied):
        here = f"{path}.{name}"
        if kind != other_kind:
            out.append(f"{here}: direct type {kind} {value!r}, proxied type {other_kind} {other!r}")
        else:
            out += differences(value, other, here)
    return out


def show(document):
    """Short text of a comparable document."""
    if not isinstance(document, list):
        return repr(document)
    return "{" + ", ".join(f"{name}: {show(value)}" for name, _, value in document) + "}"


def code_of(data):
    for kind, name, value in elements(data):
        if name == "code" and kind == INT32:
            return struct.unpack("<i", value)[0]
    return 0


def text_of(data, field="errmsg"):
    for kind, name, value in elements(data):
        if name == field and kind == STRING:
            return value[4:-1].decode()
    return ""
