"""Apps that come by a Unix socket: drivers stay there, and the file is whose it should be."""

import socket
import stat
import tempfile
from pathlib import Path
from urllib.parse import quote

import pymongo
import pytest

from cluster import make_certificates
from real_mongod import RealMongod
from sidecar import Sidecar
from test_drivers import Driver, SEEN, node, python
from test_strangers import Stranger, message
from waiting import wait_until

STRANGER_MESSAGE_BYTES = 128 * 1024


@pytest.fixture(scope="module")
def folder():
    """A test's own is too deep for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="outrigger-") as made:
        yield Path(made)


def sidecar_with(path, directory, mongod, **proxy):
    return Sidecar(directory, "oslo", mongod.uri(),
                   {"proxy": {"socket": str(path), **proxy}})


@pytest.fixture(scope="module", params=[True, False], ids=["replica_set", "standalone"])
def site(request, folder, tmp_path_factory):
    """A running sidecar, with its mongod and the path of its socket."""
    directory = tmp_path_factory.mktemp("site")
    mongod = RealMongod(directory / "mongod", replica_set=request.param).start()
    sidecar = sidecar_with(folder / f"{request.param}.sock".lower(), directory / "sidecar", mongod)
    sidecar.mongod = mongod
    sidecar.socket_path = sidecar.settings["proxy"]["socket"]
    sidecar.options = "?replicaSet=rs0" if request.param else ""
    try:
        yield sidecar.start()
    finally:
        sidecar.discard()
        mongod.discard()


def uri_of(site, options=None):
    shown = quote(site.socket_path, safe="")
    return f"mongodb://{shown}/{site.options if options is None else options}"


@pytest.mark.parametrize("options", [None, "", "?directConnection=true"],
                         ids=["as_the_store", "unknown", "direct"])
def test_a_driver_stays_on_the_socket(site, options):
    with pymongo.MongoClient(uri_of(site, options), serverSelectionTimeoutMS=10000) as app:
        things = app.shop[f"things_{options}"]
        things.insert_one({"_id": 1})
        things.update_one({"_id": 1}, {"$inc": {"n": 2}})
        assert {host for host, _ in app.nodes} == {site.socket_path}
        with site.mongod.client() as direct:
            assert direct.shop[things.name].find_one() == {"_id": 1, "n": 2}


@pytest.mark.parametrize("name, made", [("pymongo", python("pymongo_sync.py")),
                                        pytest.param("node", node("6."), marks=pytest.mark.long)],
                         ids=["pymongo", "node"])
def test_all_that_a_driver_does_works_over_it(site, name, made):
    if not site.options:
        pytest.skip("the drivers' programs use transactions")
    assert Driver(name, *made(None)).run(uri_of(site), name, "work") == SEEN


def test_over_tcp_the_names_stay_those_of_tcp(site):
    if not site.options:
        pytest.skip("a standalone names nobody")
    with pymongo.MongoClient(site.proxy_address, replicaSet="rs0") as app:
        assert app.admin.command("hello")["hosts"] == [site.proxy_address]


def test_tls_is_asked_for_over_it_too_as_mongod_asks_for_it(folder, tmp_path):
    certificates = tmp_path / "certs"
    make_certificates(certificates, "localhost")
    mongod = RealMongod(tmp_path / "mongod").start()
    path = folder / "tls.sock"
    tls = {"certificate": str(certificates / "localhost.crt"),
           "key": str(certificates / "localhost.key")}
    sidecar = sidecar_with(path, tmp_path / "sidecar", mongod, tls=tls, advertise="localhost:1")

    def ping(**options):
        with pymongo.MongoClient(f"mongodb://{quote(str(path), safe='')}/", directConnection=True,
                                 serverSelectionTimeoutMS=2000, **options) as app:
            return app.admin.command("ping")["ok"]

    try:
        sidecar.start()
        with pytest.raises(pymongo.errors.ServerSelectionTimeoutError):
            ping()
        # No certificate has a path for its name.
        assert ping(tls=True, tlsCAFile=str(certificates / "ca.crt"),
                    tlsAllowInvalidHostnames=True) == 1
        sidecar.stop()
    finally:
        sidecar.discard()
        mongod.discard()


class StrangerBySocket(Stranger):
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))


@pytest.mark.long
def test_strangers_are_bounded_there_too(folder, tmp_path):
    mongod = RealMongod(tmp_path / "mongod", auth=True).start()
    sidecar = sidecar_with(folder / "strangers.sock", tmp_path / "sidecar", mongod,
                           limits={"connections": 20})
    try:
        sidecar.start()
        large = StrangerBySocket(folder / "strangers.sock")
        large.say_hello()
        large.socket.sendall(message({"hello": 1, "$db": "admin"}, STRANGER_MESSAGE_BYTES + 1))
        assert large.socket.recv(1) == b""
        silent = [StrangerBySocket(folder / "strangers.sock") for _ in range(25)]
        silent[-1].say_hello()  # in the place of one of them
        wait_until(lambda: any(one.is_closed() for one in silent[:20]), "one of them to go")
        for one in silent:
            one.close()
        sidecar.stop()
    finally:
        sidecar.discard()
        mongod.discard()


def test_the_file_is_its_owners_and_goes_with_a_clean_end(site):
    path = Path(site.socket_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    site.kill()
    assert path.exists()
    site.start()  # in the place of what the killed one left
    with pymongo.MongoClient(uri_of(site)) as app:
        app.admin.command("ping")
    site.stop()
    assert not path.exists()
    site.write_settings({"proxy": {"socket_mode": "0770"}})
    site.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o770


def test_a_socket_of_another_process_is_refused_at_start(site, tmp_path):
    other = sidecar_with(site.socket_path, tmp_path, site.mongod)
    other.settings["replicate"] = [{"namespace": "*", "replicate": False}]  # its store is not new
    said = other.start_refused()
    assert f"listen on unix:{site.socket_path}" in said
    assert "another process listens there" in said
    with pymongo.MongoClient(uri_of(site)) as app:
        app.admin.command("ping")
