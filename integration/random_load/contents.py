"""What stands in a mongod, as bytes: two sites are equal when every document is, type by type, with
the names of each document in any order."""

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

from differential.comparing import ARRAY, DOCUMENT, elements

RAW = CodecOptions(document_class=RawBSONDocument)
# MongoDB shortens texts in the middle of a character, and dates need not be years.
FOR_PEOPLE = CodecOptions(unicode_decode_error_handler="replace",
                          datetime_conversion=DatetimeConversion.DATETIME_AUTO)


def canonical(data):
    """A document's bytes with its names sorted, at every depth; repeated names keep their order."""
    return tuple(sorted(((name, kind, _canonical_value(kind, value))
                         for kind, name, value in elements(data)), key=lambda one: one[0]))


def _canonical_value(kind, value):
    if kind == DOCUMENT:
        return canonical(value)
    if kind == ARRAY:
        return tuple((inner, _canonical_value(inner, item)) for inner, _, item in elements(value))
    return bytes(value)


def identity(data):
    """(type, bytes) of a document's _id: 1 and 1.0 are two."""
    return next((kind, _canonical_value(kind, value))
                for kind, name, value in elements(data) if name == "_id")


def documents(client, database, collection):
    """{identity: bytes} of a collection, past the sidecar."""
    found = client[database].get_collection(collection, codec_options=RAW).find(batch_size=5000)
    return {identity(document.raw): document.raw for document in found}


def unequal(here, there):
    """Identities of documents that two collections do not hold alike."""
    return [key for key in here.keys() | there.keys()
            if key not in here or key not in there
            or (here[key] != there[key] and canonical(here[key]) != canonical(there[key]))]


def repeats_names(data):
    """Whether a name stands twice in a document of these bytes, or in one inside it that paths
    lead to: not through an array."""
    found = list(elements(data))
    return len({name for _, name, _ in found}) < len(found) or any(
        kind == DOCUMENT and repeats_names(value) for kind, _, value in found)


def shown(data, limit=1500):
    if data is None:
        return "not there"
    return f"{decoded(data)!r:.{limit}} {data.hex():.{limit}}"


def decoded(data):
    return bson.decode(data, FOR_PEOPLE)
