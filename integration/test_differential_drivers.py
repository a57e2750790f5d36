"""Apps on real drivers see the same through the proxy as directly."""

import json
import subprocess
from pathlib import Path

import pymongo
import pytest

from cluster import Cluster
from differential.driver_cases import DOCUMENTS, OPERATIONS, outcome
from real_mongod import RealMongod

NODE_CRUD = Path(__file__).parent / "differential" / "node_crud.js"


class Sides:
    """A mongod of its own, and a site; URIs differ in nothing but the port."""

    def __init__(self, mongod, site):
        self.mongod = mongod
        self.site = site
        self.is_set = mongod.replica_set

    def uris(self, options):
        query = "&".join(option for option in options.split("&") if option)
        return [f"mongodb://{address}/?{query}"
                for address in (self.mongod.address, self.site.sidecar.proxy_address)]


@pytest.fixture(scope="module", params=["standalone", "replica_set"])
def sides(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("drivers")
    is_set = request.param == "replica_set"
    mongod = RealMongod(directory / "direct", replica_set=is_set)
    cluster = Cluster(directory / "proxied", ("oslo",), replica_set=is_set)
    try:
        mongod.start()
        cluster.start()
        yield Sides(mongod, cluster.oslo)
        cluster.oslo.sidecar.stop()
    finally:
        mongod.discard()
        cluster.discard()


def run_all(uri, database, every=1):
    """What every operation, or every third, gave and left behind."""
    out = {}
    with pymongo.MongoClient(uri, serverSelectionTimeoutMS=20000) as client:
        for number, (name, operation) in enumerate(list(OPERATIONS.items())[::every]):
            collection = client[database][f"c{number}"]
            collection.insert_many(DOCUMENTS)
            out[name] = [outcome(operation, collection),
                         outcome(lambda c: list(c.find()), collection)]
    return out


CONNECTIONS = {
    "plain": "",
    "direct": "directConnection=true",
    "compressed": "compressors=zstd,snappy",
    "not retried": "retryWrites=false&retryReads=false",
    "causal majority": "w=majority&readConcernLevel=majority",
}


def check_connection(sides, name, options, every):
    direct, proxied = (run_all(uri, f"app_{name.replace(' ', '_')}", every)
                       for uri in sides.uris(options))
    for operation in direct:
        # An unacknowledged write may or may not be there yet when another connection reads.
        if operation != "w 0 then read":
            assert proxied[operation] == direct[operation], operation


@pytest.mark.short
def test_pymongo_sees_the_same(sides):
    check_connection(sides, "plain", CONNECTIONS["plain"], every=1)


@pytest.mark.parametrize("name", [name for name in CONNECTIONS if name != "plain"])
def test_pymongo_sees_the_same_however_it_connects(sides, name):
    check_connection(sides, name, CONNECTIONS[name], every=3)


def test_pymongo_finds_the_set_by_its_name(sides):
    direct, proxied = sides.uris("replicaSet=rs0")
    if sides.is_set:
        assert run_all(proxied, "app_set", 3) == run_all(direct, "app_set", 3)
        with pymongo.MongoClient(proxied) as client:
            client.admin.command("ping")
            assert client.topology_description.topology_type_name == "ReplicaSetWithPrimary"
            assert client.nodes == {("127.0.0.1", sides.site.sidecar.proxy_port)}
    else:
        with pymongo.MongoClient(proxied, serverSelectionTimeoutMS=500) as client:
            with pytest.raises(pymongo.errors.ServerSelectionTimeoutError):
                client.admin.command("ping")


def test_a_standalone_is_shown_as_one(sides):
    with pymongo.MongoClient(sides.uris("")[1]) as client:
        client.admin.command("ping")
        kinds = [server.server_type_name for server in
                 client.topology_description.server_descriptions().values()]
    # Without replicaSet= in the URI a single seed is talked to directly.
    assert kinds == ["RSPrimary" if sides.is_set else "Standalone"]


def node_results(uri, database):
    result = subprocess.run(["node", NODE_CRUD, uri, database], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return {line["name"]: line for line in map(json.loads, result.stdout.splitlines())}


@pytest.mark.parametrize("options", ["", "retryWrites=false&compressors=zlib"])
def test_node_sees_the_same(sides, options):
    direct, proxied = (node_results(uri, f"node_{len(options)}") for uri in sides.uris(options))
    assert len(direct) >= 40
    for name, seen in direct.items():
        assert proxied[name] == seen, name
