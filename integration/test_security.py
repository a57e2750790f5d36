"""Who may speak to whom: certificates between sites, users and rights at the store."""

import hashlib
import json
import uuid
from urllib.parse import quote

import pymongo
import pymongo.errors
import pytest
from bson import Binary, Int64

from cluster import make_certificates, tls_settings
from differential.raw import RawClient
from transactions import RawTransaction
from waiting import wait_until

# "onlooker" is a role made below: clusterMonitor would bring the right to read `local` with it.
# So is "replicator", which may bypass validators.
RIGHTS = ["readWriteAnyDatabase", "replicator", "onlooker", "hostManager",
          {"role": "read", "db": "local"}]


@pytest.fixture
def tls_sites(make_cluster):
    """oslo and paris with certificates of one CA; not started."""
    return make_cluster(tls=True)


def wait_error(site, peer, text):
    """Waits until `site` says in /status that there is no link to `peer` because of `text`."""
    wait_until(lambda: text in site.peer(peer)["last_error"],
               lambda: f"'{text}' in {site.peer(peer)}")
    assert site.peer(peer)["state"] != "open"
    assert text in site.sidecar.process.log_text()


@pytest.mark.short
def test_sites_with_certificates_of_one_ca_exchange_writes(tls_sites):
    tls_sites.start()
    oslo, paris = tls_sites.collections("carts")
    oslo.insert_one({"_id": 1})
    paris.insert_one({"_id": 2})
    assert len(tls_sites.wait_converged(["shop"])["shop.carts"]) == 2


def test_a_certificate_for_another_name_is_refused_by_both(tls_sites):
    certificates = tls_sites.directory / "certs"
    make_certificates(certificates, "rome")
    tls_sites.paris.sidecar.settings["peers"]["tls"] = tls_settings(certificates, "rome")
    tls_sites.start()
    wait_error(tls_sites.oslo, "paris", "paris")
    tls_sites.oslo.sidecar.wait_log("rome")
    tls_sites.oslo.app().shop.carts.insert_one({"_id": 1})
    assert tls_sites.paris.app().shop.carts.find_one() is None


def test_a_certificate_of_another_ca_is_refused(tls_sites):
    foreign = tls_sites.directory / "foreign"
    make_certificates(foreign, "paris")
    tls_sites.paris.sidecar.settings["peers"]["tls"] = tls_settings(foreign, "paris")
    tls_sites.start()
    wait_error(tls_sites.oslo, "paris", "certificate")
    wait_error(tls_sites.paris, "oslo", "certificate")


def test_a_plain_peer_meets_one_with_tls_and_nothing_passes(tls_sites):
    del tls_sites.paris.sidecar.settings["peers"]["tls"]
    tls_sites.start()
    wait_until(lambda: tls_sites.oslo.peer("paris")["last_error"], "oslo says why")
    assert tls_sites.oslo.peer("paris")["state"] != "open"
    assert tls_sites.paris.peer("oslo")["state"] != "open"


def test_plain_links_beyond_this_machine_are_refused_at_start(one_site):
    one_site.oslo.mongod.start()
    port = one_site.oslo.sidecar.peer_port
    one_site.oslo.sidecar.settings["peers"]["listen"] = f"0.0.0.0:{port}"
    code, said = one_site.oslo.sidecar.check()
    assert code == 2 and "peers.tls" in said and "insecure" in said


@pytest.fixture
def locked_site(make_cluster):
    """One site whose mongod asks for users: `sidecar`, `app` and `reader`, who may only read."""
    cluster = make_cluster(("oslo",), auth=True)
    mongod = cluster.oslo.mongod.start()
    mongod.client().admin.command(
        "createRole", "onlooker", roles=[],
        privileges=[{"resource": {"cluster": True}, "actions": ["inprog"]}])
    mongod.client().admin.command(
        "createRole", "replicator", roles=[],
        privileges=[{"resource": {"db": "", "collection": ""},
                     "actions": ["bypassDocumentValidation"]}])
    mongod.add_user("sidecar", "planted-secret", RIGHTS)
    mongod.add_user("app", "app-secret", [{"role": "readWrite", "db": "shop"}])
    mongod.add_user("reader", "reader-secret", [{"role": "read", "db": "shop"}])
    cluster.oslo.sidecar.settings["store"]["uri"] = mongod.uri("sidecar", "planted-secret")
    return cluster.oslo


def as_user(site, user, password):
    uri = site.mongod.uri(user, password).replace(site.mongod.address, site.sidecar.proxy_address)
    return pymongo.MongoClient(uri, serverSelectionTimeoutMS=10000)


def code_of(act):
    with pytest.raises(pymongo.errors.OperationFailure) as error:
        act()
    return error.value.code


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_users_log_in_at_mongod_through_the_sidecar(locked_site, mechanism):
    locked_site.sidecar.start()
    uri = locked_site.mongod.uri("app", "app-secret").replace(
        locked_site.mongod.address, locked_site.sidecar.proxy_address)
    with pymongo.MongoClient(uri, authMechanism=mechanism) as app:
        app.shop.carts.insert_one({"_id": 1})
        app.shop.carts.update_one({"_id": 1}, [{"$set": {"n": 1}}])
        assert app.shop.carts.find_one() == {"_id": 1, "n": 1}
        assert code_of(lambda: app.other.carts.insert_one({})) == 13
    with as_user(locked_site, "app", "wrong") as nobody:
        assert code_of(lambda: nobody.shop.carts.find_one()) == 18


def test_an_app_without_the_right_gets_mongods_own_refusal(locked_site):
    locked_site.sidecar.start()
    writes = [lambda c: c.insert_one({"_id": 2}), lambda c: c.delete_one({"_id": 1}),
              lambda c: c.update_one({"_id": 1}, {"$set": {"n": 1}}),
              lambda c: c.update_many({"n": {"$gt": 0}}, {"$inc": {"n": 1}}),
              lambda c: c.replace_one({"_id": 1}, {"n": 2}),
              lambda c: c.find_one_and_delete({"n": 1})]
    with as_user(locked_site, "app", "app-secret") as app:
        app.shop.carts.insert_one({"_id": 1, "n": 1})
    with as_user(locked_site, "reader", "reader-secret") as reader:
        for write in writes:
            assert code_of(lambda: write(reader.shop.carts)) == 13
        assert reader.shop.carts.find_one() == {"_id": 1, "n": 1}
    assert locked_site.status()["open_writes"] == 0


def test_nobody_ends_another_users_transaction(locked_site):
    locked_site.sidecar.start()
    with as_user(locked_site, "app", "app-secret") as app, app.start_session() as session, \
            as_user(locked_site, "reader", "reader-secret") as reader, \
            RawClient(locked_site.sidecar.proxy_address) as stranger:
        session.start_transaction()
        app.shop.carts.insert_one({"_id": 1}, session=session)
        lsid = {**session.session_id, "uid": hashlib.sha256(b"app@admin").digest()}
        for number in (1, 9):
            transaction = RawTransaction(number, lsid)
            assert transaction.update(stranger, "carts", {}, {"$set": {"a": 1}})["code"] == 13
            assert transaction.abort(stranger)["code"] == 13
        with reader.start_session() as forged:
            forged.start_transaction()
            forged.session_id.update(lsid)
            assert code_of(lambda: reader.shop.carts.find_one({}, session=forged)) == 13
            assert code_of(lambda: reader.shop.carts.update_one(
                {}, {"$set": {"a": 1}}, session=forged)) == 13
            forged.abort_transaction()
        session.commit_transaction()
        assert app.shop.carts.find_one() == {"_id": 1}
    assert locked_site.sidecar.metric("transactions_total", end="aborted") == 0


def test_nobody_without_a_login_reads_or_writes(locked_site):
    locked_site.sidecar.start()
    with pymongo.MongoClient(locked_site.sidecar.proxy_address, directConnection=True) as nobody:
        assert code_of(lambda: nobody.shop.carts.insert_one({})) == 13
        assert code_of(lambda: nobody.shop.carts.find_one()) == 13


@pytest.mark.parametrize("named, missing", {
    "inprog": "onlooker", "killAnySession": "hostManager",
    "bypassDocumentValidation": "replicator",
    "readWriteAnyDatabase": "readWriteAnyDatabase",
    "local": {"role": "read", "db": "local"}}.items())
def test_a_right_that_the_store_user_lacks_is_named_at_start(locked_site, named, missing):
    locked_site.mongod.add_user("weak", "pw", [right for right in RIGHTS if right != missing])
    locked_site.sidecar.settings["store"]["uri"] = locked_site.mongod.uri("weak", "pw")
    said = locked_site.sidecar.start_refused()
    assert "lacks" in said and named in said


def test_a_wrong_password_for_the_store_is_refused_and_secrets_stay_out_of_the_log(locked_site):
    locked_site.sidecar.start()
    locked_site.sidecar.stop()
    locked_site.sidecar.settings["store"]["uri"] = locked_site.mongod.uri("sidecar", "not-planted")
    assert "uthentication failed" in locked_site.sidecar.start_refused()
    assert "planted" not in locked_site.sidecar.process.log_text()


def numbered(client, lsid, number, command):
    """The command under a session id and a transaction number of the test's choice."""
    with client.start_session() as session:
        session._materialize(None)
        session._server_session.session_id = {"id": Binary(lsid, 4)}
        session._server_session.mark_dirty()  # not to be used by others
        reply = client.shop.command({**command, "txnNumber": Int64(number)}, session=session,
                                    check=False)
    return {name: reply.get(name) for name in ("ok", "n", "nModified", "value", "code",
                                               "retriedStmtId", "retriedStmtIds")}


def increment(collection, document):
    return {"findAndModify": collection, "query": {"_id": document}, "update": {"$inc": {"n": 1}},
            "new": True}


def test_two_users_whose_sessions_have_one_id_do_not_meet(locked_site):
    """As at mongod, which keeps what a session did apart by user as well."""
    locked_site.sidecar.start()
    for user in ("ada", "bob"):
        locked_site.mongod.add_user(user, "secret", [{"role": "readWrite", "db": "shop"}])
    lsid = uuid.uuid4().bytes
    with as_user(locked_site, "ada", "secret") as ada, as_user(locked_site, "bob", "secret") as bob:
        ada.shop.carts.insert_many([{"_id": whose, "n": 0} for whose in ("ada's", "bob's")])
        first = numbered(ada, lsid, 5, increment("carts", "ada's"))
        assert first["value"] == {"_id": "ada's", "n": 1}
        assert numbered(bob, lsid, 5, increment("carts", "bob's"))["value"] == {
            "_id": "bob's", "n": 1}
        assert numbered(ada, lsid, 5, increment("carts", "ada's"))["value"] == first["value"]
        # The same with one more statement than the other user's command had.
        update = {"update": "carts", "updates": [
            {"q": {"_id": whose}, "u": {"$inc": {"n": 10}}} for whose in ("ada's", "bob's")]}
        assert numbered(ada, lsid, 6, {**update, "updates": update["updates"][:1]})["n"] == 1
        assert numbered(bob, lsid, 6, update)["n"] == 2
        assert numbered(bob, lsid, 6, update)["n"] == 2
        assert [cart["n"] for cart in ada.shop.carts.find().sort("_id")] == [21, 11]


def test_a_number_used_again_for_something_else_is_answered_as_by_mongod(make_cluster):
    site = make_cluster(("oslo",)).start().oslo
    insert = {"insert": "a", "documents": [{"_id": 7}, {"_id": 8}]}
    set_one = {"update": "a", "updates": [{"q": {"_id": 1}, "u": {"$set": {"s": 1}}}]}
    remove = {"delete": "a", "deletes": [{"q": {"_id": 1}, "limit": 1}]}
    commands = [insert, set_one, remove, increment("a", 1), increment("b", 1), increment("a", 2),
                {**set_one, "update": "b"},
                {"update": "a", "updates": [{"q": {"n": 0}, "u": {"$inc": {"n": 1}}}]}]
    left = {}
    for client in (site.app(), site.direct()):
        seen = left.setdefault(client, [])
        for first in commands:
            for second in commands:
                for name in ("a", "b"):
                    client.shop[name].delete_many({})
                    client.shop[name].insert_many([{"_id": i, "n": 0} for i in (1, 2)])
                lsid = uuid.uuid4().bytes
                said = [numbered(client, lsid, 1, command) for command in (first, second)]
                seen.append((said, [list(client.shop[name].find().sort("_id"))
                                    for name in ("a", "b")]))
    assert left[site.app()] == left[site.direct()]


@pytest.mark.parametrize("password", ["pa:ss@word/x?y%z", "p@:ss"])
def test_a_password_of_odd_characters_appears_nowhere(locked_site, password):
    mongod, sidecar = locked_site.mongod, locked_site.sidecar
    mongod.add_user("odd", password, RIGHTS)
    right = mongod.uri("odd", quote(password, safe=""))
    wrong = mongod.uri("odd", quote(password + "no", safe=""))
    raw = mongod.uri("odd", password)  # as people paste it
    said = ""
    for uri in (raw, wrong):
        sidecar.settings["store"]["uri"] = uri
        said += sidecar.check()[1]
        sidecar.start(wait_ready=False)
        assert sidecar.process.wait_exit() != 0
    sidecar.settings["store"] = {raw: "x"}
    said += sidecar.check()[1]
    sidecar.settings["store"] = {"uri": right}
    sidecar.start()
    said += sidecar.process.log_text() + sidecar.get("/status")[1] + sidecar.get("/metrics")[1]
    mongod.stop()
    wait_until(lambda: not sidecar.is_ready(), "the store is missed")
    said += sidecar.process.log_text() + sidecar.get("/readyz")[1]
    for form in (password, quote(password, safe=""), password[:5]):
        assert form not in said


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_name_with_control_characters_forges_no_line_of_the_log(make_cluster, log_format):
    sites = make_cluster(settings={"log": {"format": log_format}}).start()
    site = sites.oslo
    name = "c\n2026-01-01T00:00:00.000Z error outrigger: forged\x1b[2J\x9b31m\u202e\u2028"
    site.direct().shop.create_collection(name, viewOn="others", pipeline=[])
    sites.paris.app().shop[name].insert_one({})
    site.sidecar.wait_log("forged")
    log = site.sidecar.process.log_path.read_bytes()
    assert not [line for line in log.split(b"\n") if line.startswith(b"2026-01-01")]
    assert b"\x1b" not in log and "\u202e".encode() not in log and "\x9b".encode() not in log
    if log_format == "json":
        # As it is loaded, libmongoc may say that a killed process of this number left its counters.
        ours = [line for line in log.splitlines() if line and b" mongoc: " not in line]
        assert any(name[:1] in json.loads(line)["message"] for line in ours)
