"""Losses between a sidecar and its mongod: what gets lost of one write command, and of which."""

import struct
import threading

import bson

from impostor import Impostor

COMMAND = "command"  # mongod never sees it
ANSWER = "answer"    # the connection breaks in place of it
IMAGE = "image"      # the answer comes; what is read for the record behind it does not
ERROR = "error"      # in its place one that says nothing of whether it was done
KILL = "kill"        # the sidecar is killed, and started again, when mongod has answered
WRITES = (b"insert", b"update", b"delete", b"findAndModify", b"findandmodify")
INTERRUPTED = 11602


class LossyLine:
    """Stands in front of the mongod of a site; between lose() and the end of the step one write of
    an app comes to harm, no more."""

    def __init__(self, site):
        self.site = site
        self.impostor = Impostor(site.mongod.port)
        self.impostor.swallow = self._before
        self.impostor.lie = self._behind
        self.uri = f"mongodb://127.0.0.1:{self.impostor.port}/?directConnection=true"
        self.what = ""
        self.left = 0
        self.is_hit = False
        self.started = threading.Event()  # the sidecar, after KILL
        self.own = ""
        self.own_hits = 0

    def lose(self, what, after=0):
        """after: so many write commands pass before."""
        self.started.clear()
        self.what, self.left, self.is_hit = what, after, False

    def lose_own(self, what):
        """Of the next write of the sidecar's own user: COMMAND or ANSWER."""
        self.own = what

    def spare(self):
        """Nothing comes to harm any more; is_hit stays."""
        self.what = ""

    def close(self):
        self.impostor.close()

    def _strike_own(self, what, request):
        if self.own == what and is_write(request):
            self.own = ""
            self.own_hits += 1
            raise ConnectionError

    def _before(self, request, is_own):
        if is_own:
            self._strike_own(COMMAND, request)
        if self.what != COMMAND or is_own or not is_write(request):
            return
        if self._is_it():
            raise ConnectionError

    def _behind(self, request, is_own):
        if is_own:
            self._strike_own(ANSWER, request)
        if is_own or self.what in ("", COMMAND):
            return None
        if self.what == IMAGE and self.is_hit:
            self.what = ""
            raise ConnectionError
        if not is_write(request) or self.is_hit or not self._is_it():
            return None
        if self.what == IMAGE:
            return None
        if self.what == ERROR:
            return interrupted(request)
        if self.what == KILL:
            self.site.sidecar.kill()
            self.site.sidecar.start(wait_ready=False)
            self.started.set()
        raise ConnectionError

    def _is_it(self):
        self.left -= 1
        self.is_hit = self.is_hit or self.left < 0
        return self.left == -1


def is_write(request):
    """A message (OP_MSG) whose body comes first and opens with the name of a write command."""
    return any(request[26:].startswith(name + b"\0") for name in WRITES)


def interrupted(request):
    body = bson.encode({"ok": 0.0, "errmsg": "interrupted", "code": INTERRUPTED,
                        "codeName": "InterruptedDueToReplStateChange"})
    number = struct.unpack_from("<i", request, 4)[0]
    return struct.pack("<iiiiIB", 21 + len(body), 0, number, 2013, 0, 0) + body
