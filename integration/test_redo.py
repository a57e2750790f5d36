"""A mongod that is killed forgets what its journal did not hold. Before any app is let in again it
is all there, by the outbox."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pymongo
import pytest

from line import CHUNK_BYTES, Line
from waiting import wait_until

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])


@pytest.fixture
def sites(make_cluster, replica_set):
    return make_cluster(replica_set=replica_set, parameters={"enableTestCommands": 1},
                        settings={"log": {"level": "info"}}).start()


def documents(client, names):
    return {name: sorted(client.shop[name].find(), key=lambda d: str(d["_id"])) for name in names}


class Forgetful:
    """Within it the journal of a site's mongod stands still; then that is killed, and forgets.
    The sidecar's own question of how far the journal goes, which would have it written, gets an
    error at once; with `asks` it hangs."""

    def __init__(self, site, with_sidecar=False, asks=False):
        self.site = site
        self.with_sidecar = with_sidecar
        self.answer = {"blockConnection": True, "blockTimeMS": 60000} if asks else {"errorCode": 91}

    def __enter__(self):
        self.site.client().shop.things.find_one()
        admin = self.site.mongod.client().admin
        admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data={
            "failCommands": ["delete"], "appName": "outrigger", **self.answer})
        admin.command("configureFailPoint", "pauseJournalFlusherBeforeFlush", mode="alwaysOn")
        return self.site.client(w=1, retryWrites=False)

    def wait_asked(self):
        """Until the sidecar has asked about the journal, after all that was answered so far."""
        admin = self.site.mongod.client().admin

        def is_asked():
            return any(op.get("appName") == "outrigger" and "delete" in op.get("command", {})
                       for op in admin.aggregate([{"$currentOp": {}}]))
        wait_until(is_asked, "the sidecar asks for the journal")

    def __exit__(self, *error):
        if self.with_sidecar:
            self.site.sidecar.kill()
        self.site.mongod.kill()
        self.site.mongod.start()
        if self.with_sidecar:
            self.site.sidecar.start()
        self.site.sidecar.wait_ready()


def fill(client):
    client.shop.things.insert_many([{"_id": i, "n": i, "tags": [i]} for i in range(50)])
    client.shop.things.insert_one({"_id": "keyed", "items": [{"_id": i, "q": 0} for i in range(5)]})
    client.shop.fresh.insert_one({"_id": "first"})  # to make a collection writes the journal
    client.shop.emails.create_index("email", unique=True)
    client.shop.emails.insert_many([{"_id": i, "email": i} for i in range(40)])


def write_all_kinds(app):
    things = app.shop.things
    things.insert_one({"_id": "new", "a": 1})
    things.update_one({"_id": "new"}, {"$set": {"a": 2}, "$inc": {"n": 5}})
    things.update_many({"n": {"$lt": 10}}, {"$inc": {"n": 100}})
    things.update_one({"_id": 11}, {"$push": {"tags": "x"}})
    keyed = things.find_one({"_id": "keyed"})["items"]
    things.update_one({"_id": "keyed"}, {"$set": {"items": keyed[3:] + keyed[:3]}})
    things.update_one({"_id": "keyed"}, {"$inc": {"items.1.q": 2}, "$push": {"tags": "x"}})
    things.replace_one({"_id": 12}, {"other": True})
    things.delete_one({"_id": 13})
    things.delete_one({"_id": 14})
    things.insert_one({"_id": 14, "again": 1})
    things.find_one_and_update({"_id": 15}, [{"$set": {"n": {"$multiply": ["$n", 2]}}}])
    things.update_one({"_id": "up"}, {"$inc": {"n": 3}}, upsert=True)
    app.shop.fresh.insert_many([{"_id": i} for i in range(20)])


def turn_round(emails):
    """Each document takes the unique value of the one before it, round in a circle."""
    last = 39
    emails.update_one({"_id": 0}, {"$set": {"email": "free"}})
    for i in range(1, last + 1):
        emails.update_one({"_id": i}, {"$set": {"email": i - 1}})
    emails.update_one({"_id": 0}, {"$set": {"email": last}})


@pytest.mark.long_on("standalone-both")
@pytest.mark.parametrize("with_sidecar", [False, True], ids=["mongod", "both"])
@FORMS
def test_what_a_killed_mongod_forgot_is_put_back(sites, replica_set, with_sidecar):
    names = ["things", "emails", "fresh"]
    fill(sites.oslo.client())
    sites.wait_converged(["shop"])
    with Forgetful(sites.oslo, with_sidecar) as app:
        write_all_kinds(app)
        turn_round(app.shop.emails)
        answered = documents(app, names)
    assert documents(sites.oslo.client(), names) == answered
    # A standalone forgets no more than 50 ms, which on a busy machine may be nothing.
    assert not replica_set or sites.oslo.sidecar.metric("documents_put_back_total") > 0
    sites.wait_converged(["shop"])
    assert documents(sites.paris.client(), names) == answered
    assert sites.oslo.status()["not_applied"] == 0


@FORMS
def test_no_app_sees_the_store_before_it_is_whole_again(sites):
    things = sites.oslo.client().shop.things
    things.insert_one({"_id": 1, "n": 0})
    seen = []
    with Forgetful(sites.oslo) as app:
        for n in range(1, 50):
            app.shop.things.update_one({"_id": 1}, {"$set": {"n": n}})
        sites.oslo.mongod.kill()
        sites.oslo.mongod.start()
        with sites.oslo.client() as reader:
            seen.append(reader.shop.things.find_one({"_id": 1})["n"])
    assert seen == [49]


@FORMS
def test_ready_is_said_of_a_store_that_is_whole_again(sites):
    oslo = sites.oslo
    oslo.client().shop.things.insert_one({"_id": 1, "n": 0})
    slow = json.dumps({"mode": {"times": 2}, "data": {
        "failCommands": ["find"], "appName": "outrigger", "blockConnection": True,
        "blockTimeMS": 1500}})
    with Forgetful(oslo) as app:
        app.shop.things.update_one({"_id": 1}, {"$set": {"n": 1}})
        oslo.mongod.kill()
        wait_until(lambda: not oslo.sidecar.is_ready(), "the store is missed")
        oslo.mongod.process.arguments += ["--setParameter", f"failpoint.failCommand={slow}"]
        oslo.mongod.start()
        oslo.sidecar.wait_ready()
        assert oslo.direct().shop.things.find_one() == {"_id": 1, "n": 1}
        del oslo.mongod.process.arguments[-2:]


@FORMS
def test_a_second_crash_meanwhile_is_put_back_as_well(sites):
    fill(sites.oslo.client())
    with Forgetful(sites.oslo) as app:
        write_all_kinds(app)
        answered = documents(app, ["things", "fresh"])
        for _ in range(3):
            sites.oslo.mongod.kill()
            sites.oslo.mongod.start()
    assert documents(sites.oslo.client(), ["things", "fresh"]) == answered
    with pytest.raises(pymongo.errors.DuplicateKeyError):
        sites.oslo.client().shop.fresh.insert_one({"_id": 1})


@pytest.mark.parametrize("replica_set", [True])
def test_who_waits_in_vain_for_a_new_run_of_mongod_is_told(sites):
    oslo = sites.oslo
    oslo.client().shop.things.insert_one({"_id": 1, "n": 0})
    hold = json.dumps({"mode": "alwaysOn", "data": {
        "failCommands": ["find"], "appName": "outrigger", "blockConnection": True,
        "blockTimeMS": 600000}})
    with Forgetful(oslo) as app:
        app.shop.things.update_one({"_id": 1}, {"$set": {"n": 1}})
        oslo.mongod.kill()
        oslo.mongod.process.arguments += ["--setParameter", f"failpoint.failCommand={hold}"]
        oslo.mongod.start()
        reader = oslo.client(retryReads=False)
        with pytest.raises(pymongo.errors.NotPrimaryError, match="what it had forgotten"):
            reader.shop.things.find_one({"_id": 1})
        del oslo.mongod.process.arguments[-2:]
    assert oslo.client().shop.things.find_one({"_id": 1}) == {"_id": 1, "n": 1}


@pytest.mark.parametrize("with_sidecar", [False, True], ids=["mongod", "both"])
@FORMS
def test_a_journal_that_was_asked_for_but_has_not_answered_is_not_relied_on(sites, with_sidecar):
    fill(sites.oslo.client())
    sites.wait_converged(["shop"])
    forgetful = Forgetful(sites.oslo, with_sidecar, asks=True)
    with forgetful as app:
        write_all_kinds(app)
        answered = documents(app, ["things", "fresh"])
        forgetful.wait_asked()
    assert documents(sites.oslo.client(), ["things", "fresh"]) == answered
    sites.wait_converged(["shop"])


class MuteLine(Line):
    """Carries bytes until it goes mute: the connections it has then say nothing more, not even that
    they are over; new ones are as before."""

    def __init__(self, target_port):
        self._mute = set()
        self._over = threading.Event()
        super().__init__(target_port)

    def go_mute(self):
        with self._lock:
            self._mute = set(self._sockets)

    def close(self):
        self._over.set()
        super().close()

    def _pump(self, source, sink, is_forward):
        try:
            while data := source.recv(CHUNK_BYTES):
                if source not in self._mute:
                    sink.sendall(data)
        except OSError:
            pass
        if source in self._mute:
            self._over.wait()
        self._reset(source)
        self._reset(sink)


def test_a_connection_that_no_longer_says_anything_keeps_nobody_waiting(make_cluster):
    cluster = make_cluster(settings={"log": {"level": "info"}})
    site = cluster.oslo
    for each in cluster:
        each.mongod.start()
    line = MuteLine(site.mongod.port)
    site.sidecar.write_settings({"store": {
        "uri": site.mongod.store_uri().replace(site.mongod.address, f"127.0.0.1:{line.port}")}})
    try:
        for each in cluster:
            each.sidecar.start(wait_ready=False)
        site.sidecar.wait_ready()
        app = site.client(retryWrites=False)
        app.shop.things.insert_one({"_id": 1, "n": 0})
        line.go_mute()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(app.shop.things.update_one, {"_id": 1}, {"$set": {"n": 1}})
            wait_until(lambda: site.status()["open_writes"] > 0, "the write is under way")
            site.mongod.kill()
            site.mongod.start()
            with pytest.raises(pymongo.errors.AutoReconnect):
                asked.result(60)
        other = site.client()
        other.shop.things.update_one({"_id": 1}, {"$set": {"n": 10}})
        assert other.shop.things.find_one() == {"_id": 1, "n": 10}
        wait_until(lambda: site.status()["open_writes"] == 0, "every write is settled")
    finally:
        line.close()
