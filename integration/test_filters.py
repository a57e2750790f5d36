"""Writers that meet in the same documents: whose turn it is, and who was answered what. What an app
asks for by a filter is chosen as a bare mongod chooses it, once, and both sites hold the same."""

import threading
import time

import pytest

from cluster import Cluster
from waiting import wait_until


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """oslo and paris, running, shared by the tests of this file: each takes its own collection."""
    with Cluster(tmp_path_factory.mktemp("pair")) as cluster:
        yield cluster


@pytest.fixture
def shop(pair, request):
    """The test's collection through the sidecar of oslo, and through that of paris."""
    return pair.collections(request.node.originalname)


class Crowd:
    """`with Crowd(32, work):` that many threads do `work(number)` again and again meanwhile."""

    def __init__(self, count, work):
        self._stop = threading.Event()
        self._failure = None
        self._threads = [threading.Thread(target=self._run, args=(work, i)) for i in range(count)]

    def _run(self, work, number):
        try:
            while not self._stop.is_set():
                work(number)
        except Exception as error:  # shown by the thread that waits
            self._failure = error

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failure:
            raise self._failure


def test_a_peer_has_its_turn_at_a_document_that_many_write_to(pair, shop):
    oslo, paris = shop
    oslo.insert_many([{"_id": i, "n": 0} for i in range(2)])
    pair.wait_converged(["shop"])
    with Crowd(32, lambda _: oslo.update_one({"_id": 0}, {"$inc": {"n": 1}})):
        wait_until(lambda: oslo.find_one({"_id": 0})["n"] > 100, "the crowd at work")
        for turn in range(1, 4):
            began = time.monotonic()
            paris.update_one({"_id": 1}, {"$set": {"turn": turn}})
            paris.update_many({}, {"$set": {"both": turn}})
            wait_until(lambda: oslo.find_one({"_id": 1, "turn": turn, "both": turn}) and
                       oslo.find_one({"_id": 0, "both": turn}), f"what paris wrote, {turn}")
            assert time.monotonic() - began < 2
    pair.wait_converged(["shop"])
