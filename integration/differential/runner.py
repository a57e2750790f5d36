"""Runs cases against a mongod directly and against another one through a sidecar."""

import copy
import os
import uuid

from bson import Binary, Int64

from differential.case import C, SEQUENCES
from differential.comparing import code_of, comparable, differences, text_of
from differential.raw import RawClient

NUMBERED = {"insert", "update", "delete", "findAndModify", "findandmodify"}
COMMAND_NOT_SUPPORTED = 115
SHARED = "shared"


class Side:
    """One way to a mongod. `address`: where commands go; `direct`: the mongod behind."""

    def __init__(self, address, direct):
        self.address = address
        self.clients = {}
        self.direct = RawClient(direct)

    def client(self, number):
        if number not in self.clients:
            self.clients[number] = RawClient(self.address)
        return self.clients[number]

    def send(self, number, command, sequence=None):
        """The reply's bytes, or None when the connection was closed (the next call dials anew)."""
        reply = self.client(number).command(command, sequence)
        if reply is None:
            self.clients.pop(number).close()
        return reply

    def contents(self, database, collection):
        reply = self.direct.command({"find": collection, "batchSize": 5000, "$db": database})
        return comparable(reply)

    def close(self):
        self.direct.close()
        for client in self.clients.values():
            client.close()


def named(command, collection, lsid):
    """`command` with its own collection, also inside pipelines and names, and its own session."""
    def walk(value, key=None):
        if key == "lsid" and value == C:
            return lsid
        if isinstance(value, str):
            return value.replace(C, collection)
        if isinstance(value, dict):
            return {name: walk(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        return value
    return walk(command)


class Pair:
    """A mongod, and another one behind a sidecar, of one presentation."""

    def __init__(self, mongod, site):
        self.replica_set = mongod.replica_set
        self.direct = Side(mongod.address, mongod.address)
        self.proxied = Side(site.sidecar.proxy_address, site.mongod.address)
        self.count = 0

    def close(self):
        self.direct.close()
        self.proxied.close()

    def run(self, case):
        """Lines that say what differed."""
        out = []
        if case.replica_set_only and not self.replica_set:
            return out
        for mode in self._modes(case):
            collection = self._collection(case)
            lsid = {"id": Binary(uuid.uuid4().bytes, 4)}
            out += [f"[{mode}] {line}" for line in self._run(case, mode, collection, lsid)]
        if case.differs:
            return [] if out else [f"no difference any more: {case.differs}"]
        return out

    def _modes(self, case):
        """Of several, each presentation runs some; both run all of them in the long tests."""
        half = len(case.modes) // 2
        if case.differs or case.replica_set_only or os.environ.get("OUTRIGGER_TEST_ALL") == "1":
            return case.modes
        return case.modes[half:] if self.replica_set or not half else case.modes[:half]

    def _collection(self, case):
        """An empty one. Making collections takes most of the time, so one is used again and again
        by all cases that only need documents in it."""
        if case.documents and not case.prepare:
            for side in (self.direct, self.proxied):
                self._ok(side, {"delete": SHARED, "deletes": [{"q": {}, "limit": 0}]})
            return SHARED
        self.count += 1
        return f"c{self.count}"

    def _run(self, case, mode, collection, lsid):
        for side in (self.direct, self.proxied):
            for command in case.prepare:
                self._ok(side, named(command, collection, lsid))
            for at in range(0, len(case.documents), 1000):
                self._ok(side, {"insert": collection, "documents": case.documents[at:at + 1000]})
        out = []
        txn_number = 100
        for connection, command in case.commands:
            txn_number += 1
            command = self._dressed(case, mode, command, collection, lsid, txn_number)
            sequence = SEQUENCES.get(next(iter(command), "")) if mode == "sequence" else None
            proxied = self.proxied.send(connection, command, sequence)
            if case.refused:
                out += self._refusal(proxied)
                continue
            direct = self.direct.send(connection, command, sequence)
            out += self._compare(case, direct, proxied)
        if not case.refused:
            here = self.direct.contents(case.database, collection)
            there = self.proxied.contents(case.database, collection)
            out += ["documents: " + line for line in differences(here, there)]
        return out

    def _ok(self, side, command):
        reply = side.send("setup", {**command, "$db": "shop"})
        assert code_of(reply) == 0 and b"writeErrors" not in reply[:60], text_of(reply)

    def _dressed(self, case, mode, command, collection, lsid, txn_number):
        command = named(copy.copy(command), collection, lsid)
        if mode in ("session", "retryable") and "lsid" not in command:
            command["lsid"] = lsid
        if mode == "retryable" and self.replica_set and next(iter(command)) in NUMBERED:
            command["txnNumber"] = Int64(txn_number)
        command.setdefault("$db", case.database)
        return command

    @staticmethod
    def _refusal(reply):
        if reply is None:
            return ["the connection was closed instead of refusing"]
        code, text = code_of(reply), text_of(reply)
        if code != COMMAND_NOT_SUPPORTED or "not replicated by Outrigger yet: " not in text:
            return [f"not refused: code {code}, {text!r}"]
        return []

    @staticmethod
    def _compare(case, direct, proxied):
        if direct is None or proxied is None:
            return [] if direct is proxied else [
                f"closed: direct {direct is None}, proxied {proxied is None}"]
        if case.code_only:
            codes = code_of(direct), code_of(proxied)
            return [] if codes[0] == codes[1] else [f"codes: direct {codes[0]}, proxied {codes[1]}"]
        return differences(comparable(direct), comparable(proxied))
