"""A site whose store is a replica set of three, while nothing happens to it: its members as drivers
see them, reads at secondaries, what is refused there."""

import subprocess
import uuid
from urllib.parse import quote

import bson
import pymongo
import pytest
from pymongo.read_preferences import Secondary

from choices import both_have, edited_apart
from differential.raw import RawClient
from sidecar import Sidecar, program
from waiting import free_port, wait_until


@pytest.fixture
def sites(sites_on_a_set):
    return sites_on_a_set


@pytest.fixture
def oslo(oslo_on_a_set):
    return oslo_on_a_set


def test_a_driver_sees_the_members_under_the_names_of_their_listeners(oslo):
    app, members = oslo.app(), oslo.mongod.members
    shown = {("localhost", member.listen_port) for member in members}
    wait_until(lambda: set(app.nodes) == shown, lambda: f"{shown}: {app.nodes}")
    hello = app.admin.command("hello")
    primary = oslo.mongod.primary()
    assert hello["me"] == hello["primary"] == primary.shown_as
    said = oslo.mongod.hello(primary)
    for field in ("electionId", "setVersion", "setName", "isWritablePrimary", "tags"):
        assert hello[field] == said[field], field
    assert app.topology_description.topology_type_name == "ReplicaSetWithPrimary"
    wait_until(lambda: [each["member"] for each in oslo.status()["members"] if each["primary"]]
               == [primary.address], lambda: f"{primary.address}: {oslo.status()['members']}")
    assert all(each["in_set"] for each in oslo.status()["members"])


def test_a_driver_that_comes_by_a_socket_sees_the_members_by_theirs(oslo):
    sockets = {oslo.mongod.socket_of(member) for member in oslo.mongod.members}
    one = quote(min(sockets), safe="")
    with pymongo.MongoClient(f"mongodb://{one}/?replicaSet=rs0") as app:
        wait_until(lambda: {host for host, _ in app.nodes} == sockets,
                   lambda: f"{sockets}: {app.nodes}")
        app.shop.by_socket.insert_one({"_id": 1})
        assert app.admin.command("hello")["me"] == oslo.mongod.socket_of(oslo.mongod.primary())
    assert oslo.app().shop.by_socket.find_one() == {"_id": 1}


def test_without_listeners_for_its_members_a_set_is_refused_with_the_lines_to_write(
        oslo, tmp_path):
    members = oslo.mongod.members
    uri = f"mongodb://{members[0].address}/?replicaSet=rs0"
    said = Sidecar(tmp_path, "rome", uri).start_refused()
    for number, member in enumerate(members):
        assert f'{{member: "{member.address}", listen: "127.0.0.1:{27117 + number}"}}' in said
    # Listed as the set does not name them: drivers would be shown no member.
    others = [{"member": f"localhost:{member.port}", "listen": f"127.0.0.1:{free_port()}"}
              for member in members]
    said = Sidecar(tmp_path, "rome", uri, settings={
        "proxy": {"listen": None, "members": others}}).start_refused()
    assert "lists none of the members" in said


def test_writes_arrive_and_secondaries_are_read(sites, oslo):
    things = oslo.app().shop.things
    things.insert_many([{"_id": i, "n": i} for i in range(50)])
    followers = things.with_options(read_preference=Secondary())
    wait_until(lambda: followers.count_documents({}) == 50, "50 documents at a secondary")
    tagged = things.with_options(read_preference=Secondary(
        [{"number": "1"}, {"number": "2"}, {"number": "0"}]))
    wait_until(lambda: tagged.find_one({"_id": 7}) == {"_id": 7, "n": 7}, "a read by its tag")
    sites.wait_converged(["shop"])
    assert sites.paris.direct().shop.things.count_documents({}) == 50
    sites.paris.app().shop.things.update_one({"_id": 7}, {"$inc": {"n": 1}})
    sites.wait_converged(["shop"])
    assert things.find_one({"_id": 7}) == {"_id": 7, "n": 8}


def refusal(client, command, **fields):
    try:
        return client.shop.command(command, "things", **fields)
    except (pymongo.errors.OperationFailure, pymongo.errors.NotPrimaryError) as error:
        return error.details


def test_a_write_to_a_secondary_is_answered_as_mongod_answers_it(oslo):
    member = oslo.mongod.secondaries()[0]
    through = pymongo.MongoClient(member.listens_at, directConnection=True)
    direct = oslo.mongod.bare(member)
    inserts = {"documents": [{"_id": "never"}]}
    numbered = {"txnNumber": bson.Int64(1),
                "lsid": {"id": bson.Binary(uuid.uuid4().bytes, bson.UUID_SUBTYPE)}}
    with through:
        for extra in ({}, numbered, {**numbered, "startTransaction": True, "autocommit": False}):
            said = refusal(direct, "insert", **inserts, **extra)
            answered = refusal(through, "insert", **inserts, **extra)
            assert said["topologyVersion"]
            for reply in (said, answered):
                for times in ("$clusterTime", "operationTime"):
                    assert reply.pop(times)
            assert answered == said
        others = {"update": {"updates": [{"q": {}, "u": {"$set": {"a": 1}}}]},
                  "delete": {"deletes": [{"q": {}, "limit": 1}]},
                  "findAndModify": {"query": {}, "remove": True},
                  "create": {}, "drop": {},
                  "aggregate": {"pipeline": [{"$out": "others"}], "cursor": {}}}
        for command, fields in others.items():
            assert refusal(through, command, **fields)["code"] == 10107, command
        assert through.shop.things.count_documents({}) > 0  # a read goes on
    assert oslo.app().shop.things.find_one({"_id": "never"}) is None


@pytest.mark.parametrize("preference", [{}, {"$readPreference": {"mode": "primary"}}])
def test_a_read_at_the_primary_is_not_answered_by_a_secondary(oslo, preference):
    member = oslo.mongod.secondaries()[0]

    def answer(address):
        with RawClient(address) as client:
            return bson.decode(client.command({"find": "things", "$db": "shop", **preference}))

    said, answered = answer(member.address), answer(member.listens_at)
    assert said["code"] == 13435
    # The words go by what the client has said of itself.
    for field in ("ok", "code", "codeName", "topologyVersion"):
        assert answered[field] == said[field], field


def test_no_members_own_monitor_expires_documents(oslo):
    def working():
        return [bool(oslo.mongod.bare(member).admin.command(
            "getParameter", 1, ttlMonitorEnabled=1)["ttlMonitorEnabled"])
            for member in oslo.mongod.members]

    dated = oslo.app().shop.dated
    dated.create_index("at", expireAfterSeconds=3600)
    wait_until(lambda: not any(working()), lambda: f"none works: {working()}", 40)
    oslo.sidecar.stop()
    assert all(working())
    oslo.sidecar.start()
    wait_until(lambda: not any(working()), lambda: f"none works: {working()}", 40)
    with oslo.client() as later:
        later.shop.dated.drop()


def test_what_lost_is_chosen_over_the_admin_port_whoever_is_primary(sites, oslo):
    entry = edited_apart(sites)
    chosen = subprocess.run([program("outriggerctl"), "--admin", oslo.sidecar.admin_address,
                             "conflicts", "choose", entry["_id"]], text=True, capture_output=True,
                            timeout=60)
    assert chosen.returncode == 0, chosen.stderr
    both_have(sites, title=entry["lost"], room=5)
