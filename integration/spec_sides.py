"""What the specifications of drivers say an app sees, as cases of our own: the same steps with
PyMongo on a bare MongoDB and through a sidecar in front of another. A case is a generator that is
given a side and yields what it sees; of a function it yields, what that returns or raises is seen.
What was seen, the commands with their replies, what MongoDB holds behind it and, at the end of a
file, what the second site holds have to be equal, field by field."""

import datetime
import re
from concurrent.futures import ThreadPoolExecutor

import bson
import gridfs
import pymongo
from bson import Binary, Code, Int64, ObjectId, Regex, Timestamp
from pymongo import monitoring
from pymongo.command_cursor import CommandCursor
from pymongo.cursor import Cursor
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from cluster import Cluster
from differential.comparing import comparable, differences
from real_mongod import RealMongod
from test_catalog import catalogue, wait_alike
from waiting import close_all

TEST_COMMANDS = {"enableTestCommands": "1"}
BSON_TYPES = (type(None), bool, int, float, str, bytes, ObjectId, Binary, Code, Int64, Regex,
              Timestamp, datetime.datetime)
NAMES_ITS_OWN = {"lsid", "afterClusterTime", "atClusterTime", "host", "cursorsKilled"}
TIMES = {"$clusterTime", "operationTime"}
LOGIN = {"hello", "ismaster", "isMaster", "endSessions"}


def plain(value):
    """As BSON has it, without what no two servers say alike."""
    if isinstance(value, dict):
        if "_data" in value:
            return "a token"
        if value.get("ok") == 0:
            # In an error that is the sidecar's own there are no times, and labels come last.
            value = {name: value[name] for name in sorted(value) if name not in TIMES}
        return {str(name): plain(item) for name, item in value.items()
                if name not in NAMES_ITS_OWN}
    if isinstance(value, (list, tuple, Cursor, CommandCursor)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, PyMongoError):
        return failure(value)
    for told in ("raw_result", "bulk_api_result", "inserted_ids", "inserted_id"):
        if hasattr(type(value), told):
            return plain(getattr(value, told))
    if isinstance(value, Binary) and value.subtype == 4:
        return "a uuid"
    if isinstance(value, str):  # addresses
        value = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:*", value)
        return re.sub(r'0x[0-9a-f]+|_data: "\w+"', "*", value)
    return value if isinstance(value, BSON_TYPES) else type(value).__name__


def failure(error):
    seen = {"error": type(error).__name__, "labels": sorted(error._error_labels)}
    if isinstance(error, (BulkWriteError, OperationFailure)):
        return {**seen, "code": error.code, "details": plain(error.details)}
    if isinstance(error, pymongo.errors.ConnectionFailure):
        return seen  # its text is the driver's, about its socket
    return {**seen, "text": plain(str(error))}


def outcome(action):
    try:
        return plain(action())
    except (PyMongoError, gridfs.errors.GridFSError, ValueError, TypeError) as error:
        return failure(error) if isinstance(error, PyMongoError) else [type(error).__name__,
                                                                       str(error)]


class Told(monitoring.CommandListener):
    """Commands as a driver's monitoring tells them. `is_on`: whether they are kept."""

    def __init__(self):
        self.is_on = True
        self.heard = []
        self.sent = []  # (name, command), as they were sent

    def _keep(self, what):
        # How often a driver asks again while nothing comes is a matter of time.
        if self.is_on and not (what[1] == "getMore" and what in self.heard[-2:]):
            self.heard.append(what)

    def started(self, event):
        self.sent.append((event.command_name, event.command))
        fields = set(event.command) - {"$clusterTime"}
        self._keep(["started", event.command_name, sorted(fields)])

    def succeeded(self, event):
        if event.command_name not in LOGIN:
            self._keep(["succeeded", event.command_name, plain(event.reply)])

    def failed(self, event):
        self._keep(["failed", event.command_name, plain(
            event.failure if "ok" in event.failure else {"network": True})])


class Side:
    """One of the two ways to a MongoDB, as a case sees it. `is_direct`: no sidecar is between."""

    def __init__(self, uri, direct, is_direct):
        self.uri = uri
        self.direct = direct  # past the sidecar
        self.is_direct = is_direct
        self._clients = []

    def begin(self, case):
        self.case = case
        self.told = Told()
        self.app = self.client()
        self.db = self.app[case]
        self.things = self.db.things

    def client(self, **options):
        client = pymongo.MongoClient(self.uri, **{
            "appname": self.case, "serverSelectionTimeoutMS": 20000, "heartbeatFrequencyMS": 500,
            "event_listeners": [self.told], **options})
        self._clients.append(client)
        return client

    def fill(self, *documents):
        """What stands there before, by nobody who is watched; small numbers are `_id`s."""
        made = [{"_id": each, "n": each} if isinstance(each, int) else each for each in documents]
        self.told.is_on = False
        self.things.insert_many(made)
        self.told.is_on = True

    def fail(self, *commands, mode=None, **how):
        """The next of these commands of this case fails in MongoDB."""
        self.direct.admin.command(
            "configureFailPoint", "failCommand", mode=mode or {"times": 1},
            data={"failCommands": list(commands), "appName": self.case, **how})

    def heal(self):
        self.direct.admin.command("configureFailPoint", "failCommand", mode="off")

    def sent(self, name):
        """The last command of this name, as the driver sent it."""
        return [command for each, command in self.told.sent if each == name][-1]

    def run(self, case):
        """What it saw."""
        seen = []
        try:
            for each in case(self):
                seen.append(outcome(each if callable(each) else lambda each=each: each))
        finally:
            self.heal()
            close_all(self._clients)
        return {"seen": seen, "commands": self.told.heard}

    def left(self):
        """What MongoDB holds of it."""
        names = sorted(self.direct[self.case].list_collection_names())
        listed = plain(catalogue(self.direct, self.case))
        return {"catalogue": dict(sorted(listed.items())), "documents": [
            [name, list(self.direct[self.case][name].find().sort("_id"))] for name in names
            if not name.startswith("system.")]}


class Sides:
    def __init__(self, mongod, cluster):
        self.cluster = cluster
        self.bare = Side(mongod.uri(), mongod.client(), True)
        self.proxied = Side(cluster.oslo.uri(), cluster.oslo.direct(), False)
        self.databases = []

    def compare(self, name, case, commands):
        def whole(side):
            side.begin(name)
            return side.run(case), side.left()
        self.databases.append(name)
        with ThreadPoolExecutor(2) as both:
            seen, left = zip(*both.map(whole, (self.bare, self.proxied)))
        assert seen[0]["seen"], "a case yields what it sees"
        if not commands:
            for each in seen:
                each.pop("commands")
        lines = different(*seen) + different(*left)
        assert not lines, "\n".join(lines)

    def wait_alike(self):
        """The second site has all of it."""
        while self.databases:
            wait_alike(self.cluster, self.databases.pop())


def different(one, other):
    return differences(*(comparable(bson.encode({"": each})) for each in (one, other)))


def made_sides(directory):
    """A running Sides, and what ends it."""
    mongod = RealMongod(directory / "bare", parameters=TEST_COMMANDS)
    cluster = Cluster(directory / "sites", parameters=TEST_COMMANDS,
                      settings={"log": {"level": "info"}})

    def discard():
        mongod.discard()
        cluster.discard()
    try:
        mongod.launch()
        cluster.start()
        mongod.wait_writable()
        return Sides(mongod, cluster), discard
    except BaseException:
        discard()
        raise


def on_both(case=None, *, commands=True):
    """Makes a test of a case. commands=False: how often a driver asks is a matter of time there."""
    if case is None:
        return lambda each: on_both(each, commands=commands)

    def test(spec_sides):
        spec_sides.compare(case.__name__.removeprefix("test_")[:60], case, commands)
    test.__name__ = case.__name__
    test.__module__ = case.__module__
    return test
