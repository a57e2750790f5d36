"""Apps may speak TLS to the sidecar: then all of them do."""

import socket

import pymongo
import pytest

from cluster import make_certificates

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])


@pytest.fixture
def make_site(make_cluster, tmp_path):
    """make_site(ca=False, **options): one site with a certificate for localhost. ca: apps need one,
    too."""
    certificates = tmp_path / "certs"
    make_certificates(certificates, "localhost", "app")
    (certificates / "app.pem").write_text(
        (certificates / "app.crt").read_text() + (certificates / "app.key").read_text())

    def make(ca=False, limits=None, **options):
        cluster = make_cluster(("oslo",), **options)
        oslo = cluster.oslo
        tls = {"certificate": str(certificates / "localhost.crt"),
               "key": str(certificates / "localhost.key")}
        if ca:
            tls["ca"] = str(certificates / "ca.crt")
        port = oslo.sidecar.proxy_address.rsplit(":", 1)[1]
        oslo.sidecar.settings["proxy"] |= {
            "tls": tls, "advertise": f"localhost:{port}", "workers": 2,
            **({"limits": limits} if limits else {})}
        oslo.certificates = certificates
        cluster.start()
        return oslo
    return make


def connect(site, **options):
    port = site.sidecar.proxy_address.rsplit(":", 1)[1]
    return pymongo.MongoClient(f"localhost:{port}", serverSelectionTimeoutMS=5000, **{
        "tls": True, "tlsCAFile": str(site.certificates / "ca.crt"), **options})


@FORMS
def test_apps_write_and_read_over_tls(make_site, replica_set):
    oslo = make_site(replica_set=replica_set)
    how = {"replicaSet": "rs0"} if replica_set else {"directConnection": True}
    with connect(oslo, **how) as client:
        client.shop.things.insert_many([{"_id": i, "text": "x" * 100_000} for i in range(100)])
        assert sum(len(each["text"]) for each in client.shop.things.find()) == 10_000_000
    assert oslo.direct().shop.things.count_documents({}) == 100


def test_a_password_passes_and_who_has_none_is_refused(make_site):
    oslo = make_site(auth=True)
    oslo.mongod.add_user("app", "secret", [{"role": "readWrite", "db": "shop"}])
    with connect(oslo, username="app", password="secret", replicaSet="rs0") as client:
        client.shop.things.insert_one({"_id": 1})
    with connect(oslo, replicaSet="rs0") as stranger:
        with pytest.raises(pymongo.errors.OperationFailure) as refused:
            stranger.shop.things.insert_one({"_id": 2})
    assert refused.value.code == 13


def test_who_speaks_plainly_gets_no_answer(make_site):
    oslo = make_site(replica_set=False)
    host, port = oslo.sidecar.proxy_address.rsplit(":", 1)
    with pytest.raises(pymongo.errors.ServerSelectionTimeoutError):
        connect(oslo, tls=False, tlsCAFile=None, directConnection=True).admin.command("ping")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):  # an alert, and the end
            pass
    with connect(oslo, directConnection=True) as client:
        client.admin.command("ping")


def test_with_an_authority_apps_show_a_certificate(make_site):
    oslo = make_site(ca=True, replica_set=False)
    with pytest.raises(pymongo.errors.ServerSelectionTimeoutError):
        connect(oslo, directConnection=True).admin.command("ping")
    known = {"tlsCertificateKeyFile": str(oslo.certificates / "app.pem")}
    with connect(oslo, directConnection=True, **known) as client:
        client.admin.command("ping")


def test_who_never_shakes_hands_keeps_no_place(make_site):
    oslo = make_site(replica_set=False, limits={"connections": 4})
    host, port = oslo.sidecar.proxy_address.rsplit(":", 1)
    silent = [socket.create_connection((host, int(port))) for _ in range(8)]
    with connect(oslo, directConnection=True, maxPoolSize=1) as client:
        client.admin.command("ping")
    for each in silent:
        each.close()


def test_a_sidecar_ends_while_somebody_shakes_hands(make_site):
    oslo = make_site(replica_set=False)
    host, port = oslo.sidecar.proxy_address.rsplit(":", 1)
    with socket.create_connection((host, int(port))):
        with connect(oslo, directConnection=True) as client:
            client.admin.command("ping")
        oslo.sidecar.stop()
