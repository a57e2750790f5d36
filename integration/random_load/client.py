"""An app's connection, by hand: it numbers its commands as drivers do for retryable writes, and
sends one again under its number when the connection broke."""

import socket
import time
import uuid

from bson import Int64
from bson.binary import Binary

from differential.case import SEQUENCES
from differential.comparing import code_of, text_of
from differential.raw import MORE_TO_COME, RawClient, body_section
from random_load.commands import numbered

DATABASE = "chance"
ANSWER_S = 60
RETRY_S = 60
# MongoDB gives none of these to the commands we send while it is up: something broke.
BROKEN = {1: "InternalError", 6: "HostUnreachable", 7: "HostNotFound", 8: "UnknownError",
          89: "NetworkTimeout", 91: "ShutdownInProgress", 115: "CommandNotSupported",
          189: "PrimarySteppedDown", 262: "ExceededTimeLimit", 9001: "SocketException",
          10107: "NotWritablePrimary", 11600: "InterruptedAtShutdown",
          11602: "InterruptedDueToReplStateChange", 13435: "NotPrimaryNoSecondaryOk",
          13436: "NotPrimaryOrSecondary"}


class Wrong(Exception):
    """What must not be. collections: the numbers of those it is about, when that is known.
    `story` is filled in by who ran the program: its steps until then."""

    def __init__(self, text, collections=()):
        super().__init__(text)
        self.collections = set(collections)
        self.story = []


class Client:
    """numbers: whether its server knows retryable writes. may_break: servers are killed meanwhile,
    so that a broken connection is no fault."""

    def __init__(self, address, numbers, may_break=False):
        self.address = address
        self.numbers = numbers
        self.may_break = may_break
        self.sends_again = True  # a numbered command whose connection broke
        self.raw = None
        self.lsid = {"id": Binary(uuid.uuid4().bytes, 4)}
        self.number = 0
        self.is_in_transaction = False
        self.begins = False  # with the next command

    def send(self, step, names):
        """The reply's bytes; None when there is none: not asked for, or nobody knows what became
        of it. Raises Wrong."""
        command = dict(step.command)
        kind = next(iter(command))
        command[kind] = names[command[kind]]
        if self.is_in_transaction:
            return self._send_in_transaction(command)
        is_silent = command.get("writeConcern") == {"w": 0}
        if step.is_numbered and self.numbers and not is_silent:
            self.number += 1
            command = numbered(command, self.lsid, self.number)
        command["$db"] = DATABASE
        sequence = SEQUENCES.get(kind) if step.in_sequence else None
        deadline = time.monotonic() + RETRY_S
        while True:
            reply, trouble = self._exchange(command, sequence, is_silent)
            if not trouble:
                return reply
            if not self.may_break:
                raise Wrong(trouble)
            if "txnNumber" not in command or not self.sends_again or time.monotonic() > deadline:
                return None
            time.sleep(0.05)

    # ---- transactions; a server that knows no numbers knows none

    def begin(self):
        if self.numbers:
            self.end("abortTransaction")
            self.number += 1
            self.is_in_transaction = self.begins = True

    def end(self, command):
        """commitTransaction or abortTransaction, if one is open; the reply's bytes or None."""
        is_open = self.is_in_transaction and not self.begins
        self.is_in_transaction = False
        return self._send_in_transaction({command: 1}, "admin") if is_open else None

    def _send_in_transaction(self, command, database=DATABASE):
        command.pop("writeConcern", None)
        command |= {"lsid": self.lsid, "txnNumber": Int64(self.number), "autocommit": False,
                    "$db": database}
        if self.begins:
            command["startTransaction"] = True
        self.begins = False
        reply, trouble = self._exchange(command, None, False)
        if trouble:
            self.is_in_transaction = False
            raise Wrong(trouble)
        # An error ends it, mostly; so that nobody need know which do not, it is ended.
        if self.is_in_transaction and (code_of(reply) or b"writeErrors\0" in reply):
            self.end("abortTransaction")
        return reply

    def _exchange(self, command, sequence, is_silent):
        """(reply, what broke)."""
        try:
            self.raw = self.raw or RawClient(self.address, timeout_s=ANSWER_S)
            if is_silent:
                self.raw.send_msg([body_section(command)], flags=MORE_TO_COME)
                return None, None
            reply = self.raw.command(command, sequence)
        except socket.timeout:
            self.close()
            return None, f"no answer within {ANSWER_S} s"
        except (OSError, AssertionError) as error:
            self.close()
            return None, f"the connection broke: {error}"
        if reply is None:
            self.close()
            return None, "the connection was closed"
        if code_of(reply) in BROKEN:
            return reply, f"answered {BROKEN[code_of(reply)]}: {text_of(reply)}"
        return reply, None

    def settle(self):
        """Returns when all that was sent has been carried out, also what asked for no answer."""
        self.end("abortTransaction")
        if self.raw:
            self.raw.command({"ping": 1, "$db": DATABASE})

    def close(self):
        if self.raw:
            self.raw.close()
            self.raw = None


def client_of(site, may_break=False):
    """An app's client through the sidecar of a site."""
    return Client(site.sidecar.proxy_address, site.mongod.replica_set, may_break)
