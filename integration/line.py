"""A TCP line that can be cut and healed, so that a partition needs no root.

A cut line drops nothing and says nothing: bytes stop, connections stay, as when a cable is pulled;
what was under way arrives after healing. A broken line also resets its connections and refuses new
ones, as when a router between the sites restarts.
"""

import socket
import struct
import threading

from waiting import free_port

CHUNK_BYTES = 64 * 1024


class Line:
    """Listens on `port` and carries each connection to `target_port`.

    Forward is the way of the one who dials. Both ways can be cut on their own.
    """

    def __init__(self, target_port):
        self.target_port = target_port
        self.port = free_port()
        self.bytes_forward = 0
        self.bytes_backward = 0
        self._forward_open = threading.Event()
        self._backward_open = threading.Event()
        self._lock = threading.Lock()
        self._sockets = set()
        self._broken = False
        self._closed = False
        self.heal()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, forward=True, backward=True):
        if forward:
            self._forward_open.clear()
        if backward:
            self._backward_open.clear()

    def break_off(self):
        with self._lock:
            self._broken = True
            sockets = list(self._sockets)
        for one in sockets:
            self._reset(one)

    def heal(self):
        with self._lock:
            self._broken = False
        self._forward_open.set()
        self._backward_open.set()

    def close(self):
        self._closed = True
        # Closing alone would leave accept() waiting.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.break_off()
        self._forward_open.set()
        self._backward_open.set()

    def _accept(self):
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near):
        # A dialler behind a cut line waits, as it would for an answer to its SYN.
        self._forward_open.wait()
        self._backward_open.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self.target_port), timeout=10)
            far.settimeout(None)
        except OSError:
            self._reset(near)
            return
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._sockets.update((near, far))
            broken = self._broken
        if broken:
            self._reset(near)
            self._reset(far)
        forward = threading.Thread(target=self._pump, args=(near, far, True), daemon=True)
        forward.start()
        self._pump(far, near, False)
        forward.join()
        with self._lock:
            self._sockets -= {near, far}
        near.close()
        far.close()

    def _pump(self, source, sink, is_forward):
        is_open = self._forward_open if is_forward else self._backward_open
        try:
            while data := source.recv(CHUNK_BYTES):
                is_open.wait()
                sink.sendall(data)
                if is_forward:
                    self.bytes_forward += len(data)
                else:
                    self.bytes_backward += len(data)
            is_open.wait()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._reset(source)
            self._reset(sink)

    @staticmethod
    def _reset(one):
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in recv()
        except OSError:
            pass
        one.close()
