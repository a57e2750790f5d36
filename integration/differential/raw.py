"""A client that speaks the wire protocol by hand, so that tests decide about every byte."""

import itertools
import socket
import struct

import bson

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
CHECKSUM_PRESENT, MORE_TO_COME = 1, 2


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def body_section(document):
    return b"\0" + as_bytes(document)


def sequence_section(name, documents):
    data = name.encode() + b"\0" + b"".join(as_bytes(document) for document in documents)
    return b"\1" + struct.pack("<i", len(data) + 4) + data


def as_bytes(document):
    return document if isinstance(document, bytes) else bson.encode(document)


class RawClient:
    def __init__(self, address, timeout_s=20, from_port=0):
        """from_port: the port of this side."""
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=timeout_s,
                                               source_address=(host, from_port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ids = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, op_code, payload):
        """Returns the request's id."""
        request_id = next(self._ids)
        self.socket.sendall(
            struct.pack("<iiii", 16 + len(payload), request_id, 0, op_code) + payload)
        return request_id

    def send_msg(self, sections, flags=0, checksum=None):
        """sections: as made by body_section and sequence_section. checksum: "good" or "bad"."""
        if checksum:
            flags |= CHECKSUM_PRESENT
        payload = struct.pack("<I", flags) + b"".join(sections)
        if checksum:
            length = 16 + len(payload) + 4
            header = struct.pack("<iiii", length, next(self._ids), 0, OP_MSG)
            crc = crc32c(header + payload) ^ (1 if checksum == "bad" else 0)
            self.socket.sendall(header + payload + struct.pack("<I", crc))
            return
        self.send(OP_MSG, payload)

    def receive(self):
        """(op code, payload behind the header); None when the other side closed."""
        header = self._read(16)
        if header is None:
            return None
        length, _, _, op_code = struct.unpack("<iiii", header)
        return op_code, self._read(length - 16)

    def receive_body(self):
        """The body of an OP_MSG reply as BSON bytes; None when the other side closed."""
        message = self.receive()
        if message is None:
            return None
        op_code, payload = message
        assert op_code == OP_MSG, f"a reply with opcode {op_code}"
        assert payload[4] == 0, "a reply that does not open with its body"
        return payload[5:]

    def command(self, document, sequence=None):
        """sequence: the name of the array field that travels as a document sequence."""
        if sequence and sequence in document:
            rest = {name: value for name, value in document.items() if name != sequence}
            self.send_msg([body_section(rest), sequence_section(sequence, document[sequence])])
        else:
            self.send_msg([body_section(document)])
        return self.receive_body()

    def query(self, namespace, document, flags=0):
        """A legacy OP_QUERY; (flags, cursor id, starting from, documents) of its reply."""
        self.send(OP_QUERY, struct.pack("<I", flags) + namespace.encode() + b"\0" +
                  struct.pack("<ii", 0, -1) + as_bytes(document))
        message = self.receive()
        if message is None:
            return None
        op_code, payload = message
        assert op_code == OP_REPLY, f"a reply with opcode {op_code}"
        reply_flags, cursor, start, _ = struct.unpack("<iqii", payload[:20])
        return reply_flags, cursor, start, payload[20:]

    def _read(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                assert not data, "the connection ended inside a message"
                return None
            data += piece
        return data
