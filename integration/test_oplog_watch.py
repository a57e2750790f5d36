"""While one writes, and often, a cursor waits at the end of mongod's oplog; else there is none."""

import threading

import pytest

from waiting import wait_until


@pytest.fixture
def site(make_cluster):
    return make_cluster(sites=("oslo",)).start().oslo


def is_watched(site):
    running = site.mongod.client().admin.aggregate([{"$currentOp": {}}])
    return any(op.get("ns") == "local.oplog.rs" and op["op"] == "getmore" for op in running)


def test_the_oplog_is_watched_while_one_app_writes_often_and_not_longer(site):
    things = site.client().shop.things
    things.insert_one({"_id": 1})
    assert not is_watched(site)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            things.update_one({"_id": 1}, {"$inc": {"n": 1}})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: is_watched(site), lambda: "watched")
    finally:
        stop.set()
        writer.join()
    wait_until(lambda: not is_watched(site), lambda: "not watched")
