"""Mongods that a test left as it found them, kept running for the next one: to start one takes
longer than most tests. One that was stopped, killed, frozen, given options or left with anything
this does not know how to undo is not kept. Nothing is kept until keep() is called: whoever does
calls end_all() at the end."""

import shutil
import tempfile
from pathlib import Path

import bson.errors
import pymongo
import pymongo.errors

SYSTEM_DATABASES = ("admin", "config", "local")

_spares = {True: [], False: []}  # by whether it is a replica set
_spares_max = 0


def keep(spares_max):
    """At most so many of each kind from now on."""
    global _spares_max
    _spares_max = spares_max


class Spare:
    """A running mongod without documents: its process, port and files."""

    def __init__(self, process, port, directory):
        self.process = process
        self.port = port
        self.directory = directory

    def end(self):
        self.process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def new_directory():
    """For the files of a mongod that may outlive its test."""
    return Path(tempfile.mkdtemp(prefix="outrigger-mongod-"))


def take(replica_set):
    """A spare that still runs, or None."""
    while _spares[replica_set]:
        spare = _spares[replica_set].pop()
        if spare.process.is_running():
            return spare
        spare.end()
    return None


def give(spare, replica_set):
    """Keeps it, if it can be made as good as new."""
    if len(_spares[replica_set]) < _spares_max and _emptied(spare, replica_set):
        _spares[replica_set].append(spare)
    else:
        spare.end()


def _emptied(spare, replica_set):
    try:
        with pymongo.MongoClient(f"127.0.0.1:{spare.port}", directConnection=True,
                                 timeoutMS=2000) as client:
            client.admin.command("killAllSessions", [])
            client.admin.command("setParameter", 1, ttlMonitorEnabled=True)
            for name in client.list_database_names():
                if name not in SYSTEM_DATABASES:
                    client.drop_database(name)
            return _is_as_new(client, replica_set)
    except (pymongo.errors.PyMongoError, bson.errors.BSONError):  # also names that are not UTF-8
        return False


def _is_as_new(client, replica_set):
    for name in ("admin", "local"):
        for collection in client[name].list_collection_names():
            if not collection.startswith(("system.", "replset.", "oplog.rs", "startup_log")):
                return False
    admin = client.admin
    if admin["system.users"].find_one() or admin["system.roles"].find_one():
        return False
    if list(admin.aggregate([{"$currentOp": {"allUsers": True}}, {"$match": {
            "client": {"$exists": True}, "active": True, "op": {"$ne": "none"},
            "command.hello": {"$exists": False},
            "command.pipeline.0.$currentOp": {"$exists": False}}}])):
        return False
    if not replica_set:
        return True
    config = admin.command("replSetGetConfig")["config"]
    return config["version"] == 1 and "updateOpTime" not in admin.command("getDefaultRWConcern")


def end_all():
    for spares in _spares.values():
        while spares:
            spares.pop().end()
