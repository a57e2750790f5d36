"""The link protocol spoken by a test: a member that says whatever the test wants.

Only what a test must say is here; what the other side sends in batches is given back as credit and
not read. The grammar stands in replication/link/link.h and replication/record/record_codec.h.
"""

import re
import socket
import struct

import bson

VERSION = 4
HELLO, WELCOME, REFUSE, BATCH, REPORTS, CREDIT, PING, PONG, BYE, MEMBERS = range(1, 11)
MORE = 1
FRAME_MAX = 1 << 20
BLOCK_MAX = 256 * 1024


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return varint(len(data)) + data


def vector(entries):
    """{(site id, epoch): stamp} in the form of link messages."""
    out = varint(len(entries))
    for (site, epoch), stamp in sorted(entries.items()):
        out += site + struct.pack("<QQ", epoch, stamp)
    return out


def zigzag(value):
    return varint((value << 1 ^ value >> 63) & (1 << 64) - 1)


def literals(plain):
    """An LZ4 block that holds its bytes as they are."""
    out = bytearray([min(len(plain), 15) << 4])
    left = len(plain) - 15
    while left >= 0:
        out.append(min(left, 255))
        left -= 255
    return bytes(out) + plain


def value_of(value):
    """type:u8 [length] bytes, from a BSON document with this one element."""
    document = bson.encode({"v": value})
    kind, data = document[4], document[7:-1]
    fixed = {1: 8, 7: 12, 8: 1, 9: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x06: 0, 0x13: 16,
             0xFF: 0, 0x7F: 0}
    return bytes([kind]) + (b"" if kind in fixed else varint(len(data))) + data


class Reader:
    def __init__(self, data):
        self.data = data

    def raw(self, size):
        part, self.data = self.data[:size], self.data[size:]
        return part

    def varint(self):
        value = shift = 0
        while True:
            byte = self.raw(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self):
        return self.raw(self.varint()).decode()

    def vector(self):
        entries = {}
        for _ in range(self.varint()):
            site = self.raw(16)
            epoch, stamp = struct.unpack("<QQ", self.raw(16))
            entries[site, epoch] = stamp
        return entries


class Batch:
    """Stretches of logs as bytes; what is in them is up to the test."""

    def __init__(self):
        self.origins, self.namespaces, self.paths = {}, {}, {}
        self.segments = []

    @staticmethod
    def _index(table, item):
        return varint(table.setdefault(item, len(table)))

    def segment(self, origin, after, through, records=()):
        """records: [(stamp, body)] with a body made by body()."""
        out = self._index(self.origins, origin) + varint(after) + varint(through - after)
        out += varint(len(records))
        previous = after
        for stamp, body in records:
            out += varint(stamp - previous) + body
            previous = stamp
        self.segments.append(out)
        return self

    def body(self, documents, deps=b"\x00"):
        return deps + varint(len(documents)) + b"".join(documents)

    def deps(self, stamp, entries):
        """Corrections of the guess {own origin: stamp - 1}."""
        out = varint(len(entries))
        for origin, seen in entries.items():
            self._index(self.origins, origin)
            out += varint(2 * self.origins[origin])
            out += zigzag(stamp - seen)
        return out

    def document(self, namespace, identity, effects):
        identity = identity if isinstance(identity, bytes) else value_of(identity)
        return (self._index(self.namespaces, namespace) + identity + varint(len(effects)) +
                b"".join(effects))

    def insert(self, document):
        """The effects of a new document."""
        return [b"\x01" + value_of(document)]

    def assign(self, name, value):
        return b"\x04" + self._index(self.paths, name) + value_of(value)

    def increment(self, name, stamp, origin, first, last, total):
        return (b"\x06" + self._index(self.paths, name) + self._index(self.origins, origin) +
                zigzag(stamp - first) + zigzag(stamp - last) + value_of(total))

    def encode(self):
        out = b"\x02\x00" + varint(len(self.origins))
        for site, epoch in self.origins:
            out += site + struct.pack("<Q", epoch)
        out += varint(len(self.namespaces)) + b"".join(text(name) for name in self.namespaces)
        out += varint(len(self.paths))
        for name in self.paths:
            out += b"\x00\x01" + text(name)
        return out + varint(len(self.segments)) + b"".join(self.segments)


class LinkPeer:
    """One connection to a sidecar's port for peers, as the member `site`."""

    def __init__(self, port, site, members, site_id, epoch, policy_hash="", applied=None):
        self.site, self.site_id, self.epoch = site, site_id, epoch
        self.members, self.policy_hash = sorted(members), policy_hash
        self.applied = applied or {}
        self.serial = 1
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.buffer = b""
        self.hello = None  # of the other side
        self.ended = None  # its last words

    @property
    def origin(self):
        return self.site_id, self.epoch

    def send(self, kind, payload, flags=0):
        length = struct.pack("<I", len(payload) + 2)
        body = bytes([kind, flags]) + payload
        self.socket.sendall(length + struct.pack("<I", crc32c(length + body)) + body)

    def read(self):
        """(kind, payload) of the next frame; None at the end."""
        while True:
            if len(self.buffer) >= 8:
                length = struct.unpack("<I", self.buffer[:4])[0]
                if len(self.buffer) >= 8 + length:
                    body = self.buffer[8:8 + length]
                    self.buffer = self.buffer[8 + length:]
                    return body[0], body[2:]
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self.buffer += data

    def greet(self):
        """Says hello; True once the link is open, False when it was refused (see .ended)."""
        self.send(HELLO, b"OUTRLINK" + varint(VERSION) + varint(VERSION) + varint(8 << 20) +
                  text(self.site) + self.site_id + struct.pack("<Q", self.epoch) +
                  text(self.policy_hash) + varint(len(self.members)) +
                  b"".join(text(name) for name in self.members) +
                  vector(self.applied) + vector({}) + vector({}) + varint(0))
        while True:
            frame = self.read()
            if frame is None:
                return False
            kind, payload = frame
            if kind == HELLO:
                self.hello = self._hello(Reader(payload))
                self.send(WELCOME, varint(VERSION))
            elif kind == WELCOME:
                return True
            elif kind in (REFUSE, BYE):
                reader = Reader(payload)
                reader.raw(1)
                self.ended = reader.text()
                return False

    @staticmethod
    def _hello(reader):
        reader.raw(len(b"OUTRLINK"))
        for _ in range(3):
            reader.varint()
        hello = {"site": reader.text(), "site_id": reader.raw(16)}
        hello["epoch"] = struct.unpack("<Q", reader.raw(8))[0]
        reader.text()
        for _ in range(reader.varint()):
            reader.text()
        hello["applied"], hello["stable"] = reader.vector(), reader.vector()
        return hello

    def send_plain(self, plain):
        """A batch of these bytes."""
        blocks = [plain[at:at + BLOCK_MAX] for at in range(0, len(plain), BLOCK_MAX)]
        for number, block in enumerate(blocks):
            more = MORE if number + 1 < len(blocks) else 0
            self.send(BATCH, varint(len(block)) + literals(block), more)

    def send_batch(self, batch):
        self.send_plain(batch.encode())

    def report(self, site_id, epoch, applied, issued=None, serial=None):
        self.serial += 1
        serial = self.serial if serial is None else serial
        self.send(REPORTS, varint(1) + site_id + struct.pack("<Q", epoch) + varint(serial) +
                  vector(applied) + vector(issued or {}) + vector({}))

    def answer_until(self, done):
        """Answers pings and gives credit until done(); False when the other side hangs up."""
        self.socket.settimeout(0.05)
        try:
            while not done():
                try:
                    frame = self.read()
                except TimeoutError:
                    continue
                if frame is None:
                    return False
                kind, payload = frame
                if kind == PING:
                    self.send(PONG, payload)
                elif kind == BATCH:
                    self.send(CREDIT, varint(Reader(payload).varint()))
                elif kind == BYE:
                    reader = Reader(payload)
                    reader.raw(1)
                    self.ended = reader.text()
                    return False
        except (BrokenPipeError, ConnectionResetError):
            return False
        finally:
            self.socket.settimeout(20)
        return True

    def close(self):
        self.socket.close()


def policy_hash_of(port, site, members, site_id):
    """What the sidecar behind `port` calls its policy: it names it when it refuses another one."""
    stranger = LinkPeer(port, site, members, site_id, 1, policy_hash="none")
    assert not stranger.greet()
    stranger.close()
    found = re.search(r"policy hash ([0-9a-f-]+[+]?)", stranger.ended)
    assert found, stranger.ended
    return found.group(1)
