"""A TCP line to a mongod on which answers can be lies, or get lost."""

import socket
import struct
import threading

from waiting import free_port


class Impostor:
    """In front of a mongod: passes everything, but for answers that `lie` replaces, and requests
    that `swallow` takes. Either ends the connection by a ConnectionError."""

    def __init__(self, mongod_port):
        self.port = free_port()
        self.mongod_port = mongod_port
        self.lie = None  # lie(request, is_own): bytes, or None for the truth
        self.swallow = None  # swallow(request, is_own), before mongod sees it
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.mongod_port))
            threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near, far):
        is_own = None  # of the sidecar's own user: its driver says its name first
        try:
            while True:
                request = self._message(near)
                if is_own is None:
                    is_own = b"mongoc" in request
                if self.swallow:
                    self.swallow(request, is_own)
                far.sendall(request)
                reply = self._message(far)
                lie = self.lie(request, is_own) if self.lie else None
                near.sendall(reply if lie is None else lie)
        except (OSError, ConnectionError):
            pass
        finally:
            near.close()
            far.close()

    @staticmethod
    def _message(stream):
        head = Impostor._read(stream, 16)
        return head + Impostor._read(stream, struct.unpack("<i", head[:4])[0] - 16)

    @staticmethod
    def _read(stream, count):
        data = b""
        while len(data) < count:
            piece = stream.recv(count - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data


def lose(impostor, *names, answered):
    """The next command of one of these names is lost, or the answer to it; gives what was."""
    lost = []

    def strike(request, is_own):
        if is_own or lost or not any(name + b"\0" in request[:60] for name in names):
            return None
        lost.append(request)
        raise ConnectionError

    impostor.lie = strike if answered else None
    impostor.swallow = None if answered else strike
    return lost
