"""What store.uri says of the connection to MongoDB holds for the apps' connections too."""

import pymongo
import pytest

from cluster import make_certificates
from real_mongod import RealMongod
from waiting import wait_until


class TlsMongod(RealMongod):
    """A mongod that speaks nothing but TLS, with a certificate for localhost."""

    def __init__(self, directory, certificates):
        super().__init__(directory, replica_set=False)
        self.certificates = certificates
        make_certificates(certificates, "localhost", "sidecar")
        for name in ("localhost", "sidecar"):
            pem = certificates / f"{name}.pem"
            pem.write_text((certificates / f"{name}.crt").read_text()
                           + (certificates / f"{name}.key").read_text())
        self.process.arguments += ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile",
                                   str(certificates / "localhost.pem"), "--tlsCAFile",
                                   str(certificates / "ca.crt")]

    def start(self):
        self.process.start()
        with self.client() as bare:
            wait_until(lambda: self._answers(bare), self.process.log_tail, timeout_s=60)
        return self

    @staticmethod
    def _answers(client):
        try:
            return client.admin.command("ping")
        except pymongo.errors.PyMongoError:
            return False

    def tls_uri(self, host="localhost", **options):
        files = {"tls": "true", "tlsCAFile": self.certificates / "ca.crt",
                 "tlsCertificateKeyFile": self.certificates / "sidecar.pem", **options}
        return f"mongodb://{host}:{self.port}/?directConnection=true&" + "&".join(
            f"{name}={value}" for name, value in files.items() if value is not None)

    def client(self, **options):
        return pymongo.MongoClient(self.tls_uri(), serverSelectionTimeoutMS=2000)


@pytest.fixture
def site(make_cluster, tmp_path):
    cluster = make_cluster(("oslo",), replica_set=False)
    oslo = cluster.oslo
    oslo.mongod.discard()
    oslo.mongod = TlsMongod(tmp_path / "tls", tmp_path / "certs")
    oslo.mongod.start()
    yield oslo
    oslo.mongod.discard()


def start(site, **options):
    site.sidecar.settings["store"]["uri"] = site.mongod.tls_uri(**options)
    site.sidecar.start()


def app_of(site):
    return pymongo.MongoClient(f"mongodb://{site.sidecar.proxy_address}/?directConnection=true",
                               serverSelectionTimeoutMS=10000)


def test_apps_reach_a_mongod_that_speaks_only_tls(site):
    start(site)
    with app_of(site) as app:
        app.shop.carts.insert_one({"_id": 1, "text": "x" * 3_000_000})
        app.shop.carts.update_many({}, [{"$set": {"n": 1}}])
        assert app.shop.carts.find_one({"_id": 1}, {"n": 1}) == {"_id": 1, "n": 1}
        # The certificate is the sidecar's: nobody logs in with it.
        with pytest.raises(pymongo.errors.OperationFailure) as refused:
            app["$external"].command("authenticate", 1, mechanism="MONGODB-X509")
        assert refused.value.code == 18


def test_a_host_the_certificate_is_not_for_is_refused_unless_that_is_allowed(site):
    site.sidecar.settings["store"]["uri"] = site.mongod.tls_uri(host="127.0.0.1")
    site.sidecar.start(wait_ready=False)
    site.sidecar.wait_log("waiting for the store")
    site.sidecar.stop()
    start(site, host="127.0.0.1", tlsAllowInvalidHostnames="true")
    with app_of(site) as app:
        app.shop.carts.insert_one({"_id": 1})


def test_an_authority_that_is_not_ours_is_refused_unless_that_is_allowed(site):
    foreign = site.mongod.certificates.parent / "foreign"
    make_certificates(foreign, "other")
    uri = site.mongod.tls_uri(tlsCAFile=foreign / "ca.crt")
    site.sidecar.settings["store"]["uri"] = uri
    site.sidecar.start(wait_ready=False)
    site.sidecar.wait_log("waiting for the store")
    site.sidecar.stop()
    start(site, tlsCAFile=None, tlsInsecure="true")
    with app_of(site) as app:
        app.shop.carts.insert_one({"_id": 1})


@pytest.mark.parametrize("option", ["zlibCompressionLevel=3", "loadBalanced=true", "proxyHost=h",
                                    "tlsCRLFile=/x", "sslMode=on", "LoadBalanced=true"])
def test_an_option_that_cannot_hold_for_apps_is_refused_by_name(one_site, option):
    oslo = one_site.oslo
    oslo.sidecar.settings["store"]["uri"] = f"{oslo.mongod.store_uri()}&{option}"
    code, said = oslo.sidecar.check()
    assert code == 2 and option.split("=")[0] in said
