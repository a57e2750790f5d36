"""What a killed sidecar left running is ended when it comes back; what somebody else runs from the
port it had is not."""

import threading

import bson
import pymongo.errors
import pytest

from differential.raw import RawClient, body_section
from waiting import wait_until

SLOW = {"$where": "sleep(200) || true"}  # of each document


def in_flight(site, **what):
    """The command that fits `what`, as mongod lists it."""
    everything = {"$currentOp": {"allUsers": True}}
    return next(site.direct().admin.aggregate([everything, {"$match": what}]), None)


def leave_running(site):
    """Kills the sidecar while mongod runs an update of its; the port it came from."""
    app = site.client(retryWrites=False).shop.things
    slow = {"_id": 1, "$where": "sleep(2000) || true"}
    thread = threading.Thread(target=lambda: pytest.raises(
        pymongo.errors.AutoReconnect, app.update_one, slow, {"$inc": {"n": 1}}))
    thread.start()
    ours = {"ns": "shop.things", "op": "update", "active": True}
    # One look can fall between two of its steps: of what was seen, the port.
    port = int(wait_until(lambda: in_flight(site, **ours), "the update")["client"].split(":")[1])
    site.sidecar.kill()
    thread.join()
    return port


def connect_from(site, port):
    """A client whose own port is that one, once the kernel gives it away again."""
    def connected():
        try:
            return RawClient(site.mongod.address, from_port=port)
        except OSError:
            return None
    return wait_until(connected, f"port {port}", 90)


@pytest.mark.long_on("replica_set")
@pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])
def test_a_strangers_query_from_a_port_the_sidecar_had_goes_on(make_cluster, replica_set):
    cluster = make_cluster(("oslo",), replica_set=replica_set).start()
    site = cluster.oslo
    site.client().shop.things.insert_one({"_id": 1, "n": 0})
    site.direct().shop.others.insert_many([{} for _ in range(40)])
    with connect_from(site, leave_running(site)) as stranger:
        stranger.send_msg([body_section({"find": "others", "filter": SLOW, "$db": "shop"})])
        wait_until(lambda: in_flight(site, ns="shop.others", op="query"), "the query")
        site.sidecar.start()
        wait_until(lambda: in_flight(site, ns="shop.others", op="query"),
                   "it goes on when the sidecar serves", 2)
        reply = bson.decode(stranger.receive_body())
    assert reply["ok"] == 1 and len(reply["cursor"]["firstBatch"]) == 40
    assert site.direct().shop.things.find_one() in ({"_id": 1, "n": 0}, {"_id": 1, "n": 1})
