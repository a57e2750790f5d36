"""The admin port is reachable by more than operators: what they may cost."""

import socket
import threading
import time

import pytest

from test_resources import rss_bytes
from waiting import wait_until

GROWTH_BYTES_MAX = 64 * 2**20


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory):
    from cluster import Cluster
    cluster = Cluster(tmp_path_factory.mktemp("admin"), ("oslo",))
    cluster.start()
    yield cluster.oslo.sidecar
    cluster.discard()


class Caller:
    def __init__(self, sidecar, sends=b""):
        self.socket = socket.create_connection(("127.0.0.1", sidecar.admin_port), timeout=20)
        self.socket.sendall(sends)

    def flood(self, piece, total_bytes):
        """Sends without reading; stops when the other end has had enough."""
        try:
            for _ in range(total_bytes // len(piece)):
                self.socket.sendall(piece)
        except OSError:
            pass

    def answer(self):
        data = b""
        try:
            while part := self.socket.recv(65536):
                data += part
        except OSError:
            pass
        return data.decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def ask(sidecar, head):
    with Caller(sidecar, head.encode()) as caller:
        return caller.answer()


def assert_answers_fast(sidecar):
    for path in ("/healthz", "/readyz", "/status", "/metrics"):
        started = time.monotonic()
        status, said = sidecar.get(path)
        while status == 503 and "try again" in said and time.monotonic() - started < 2:
            status, said = sidecar.get(path)  # others have asked for much just now
        assert status == 200, f"{path}: {said}"
        assert time.monotonic() - started < 2, path


def test_slow_callers_keep_nobody_waiting(sidecar):
    callers = [Caller(sidecar, b"GET /healthz HTTP/1.1\r\nHost: loc") for _ in range(100)]
    assert_answers_fast(sidecar)
    slow_readers = [Caller(sidecar, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    for _ in range(50)]
    assert_answers_fast(sidecar)
    started = time.monotonic()
    assert callers[-1].answer() == ""  # its time to ask is over
    assert time.monotonic() - started < 10
    for one in callers + slow_readers:
        one.socket.close()


def test_endless_heads_and_bodies_cost_no_memory(sidecar):
    before = rss_bytes(sidecar.process.pid)
    start = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    floods = [(start + "X: ", b"x" * 65536), (start, b"X: y\r\n" * 1000),
              (start + "Content-Length: 4000000000\r\n\r\n", b"x" * 65536),
              ("POST /status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
               b"1000\r\n" + b"x" * 4096 + b"\r\n"), ("", b"G" * 65536)]
    callers = [Caller(sidecar, head.encode()) for head, _ in floods]
    threads = [threading.Thread(target=caller.flood, args=(piece, 200 * 2**20))
               for caller, (_, piece) in zip(callers, floods)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert rss_bytes(sidecar.process.pid) < before + GROWTH_BYTES_MAX
    assert_answers_fast(sidecar)
    for caller in callers:
        caller.socket.close()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9117", "10.0.0.1",
                                  "127.0.0.1.evil.example"])
def test_a_page_of_another_name_reads_nothing(sidecar, host):
    for path in ("/status", "/conflicts", "/metrics", "/healthz"):
        said = ask(sidecar, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert said.startswith("HTTP/1.1 421 "), said
        assert "oslo" not in said and "outrigger_" not in said


def test_what_is_no_request_is_refused_by_name(sidecar):
    host = "Host: localhost\r\n"
    for head, status in (
            (f"POST /status HTTP/1.1\r\n{host}\r\n", 405), (f"GET /no HTTP/1.1\r\n{host}\r\n", 404),
            ("GET /status HTTP/1.1\r\n\r\n", 400), ("\r\n\r\n", 400),
            (f"PUT /status HTTP/1.1\r\n{host}\r\n", 405),
            (f"GET /quarantine/retry?record=x HTTP/1.1\r\n{host}\r\n", 405),
            (f"POST /quarantine/retry?record=x HTTP/1.1\r\n{host}\r\n", 404),
            (f"POST /quarantine/retry?record=x HTTP/1.1\r\n{host}Origin: http://evil\r\n\r\n", 403),
            (f"GET /status HTTP/1.1\r\n{host}Content-Length: 1\r\n\r\nx", 413),
            (f"GET /status HTTP/1.1\r\n{host}X: {'x' * 9000}\r\n\r\n", 431)):
        assert ask(sidecar, head).startswith(f"HTTP/1.1 {status} "), head[:60]
    assert ask(sidecar, f"HEAD /healthz HTTP/1.1\r\n{host}\r\n").endswith("\r\n\r\n")


def test_a_second_process_on_the_port_says_so(sidecar, one_site):
    oslo = one_site.oslo
    oslo.sidecar.settings["admin"]["listen"] = f"127.0.0.1:{sidecar.admin_port}"
    oslo.mongod.start()
    said = oslo.sidecar.start_refused()
    assert "admin.listen" in said and str(sidecar.admin_port) in said
    wait_until(lambda: sidecar.is_ready(), "the first one goes on")
