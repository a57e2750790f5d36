"""What goes wrong while the sidecar runs: the store restarts, the disk or the quota is full, it is
told to stop. Nothing acknowledged is lost, and what cannot be kept is refused with the reason."""

import contextlib
import subprocess
import threading

import pymongo
import pymongo.errors
import pytest

from waiting import wait_until


class Writer:
    """An app that inserts and counts in the background and remembers what was acknowledged and what
    was refused. Counting has a document of its own: {_id: "count of <name>", n: ...}."""

    def __init__(self, collection, payload="", name="writer"):
        self.collection, self.payload, self.name = collection, payload, name
        self.acknowledged, self.errors = [], []
        self.counted = self.counted_at_most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        n = 0
        while not self._stop.is_set():
            n += 1
            try:
                self.collection.insert_one({"_id": f"{self.name} {n}", "payload": self.payload})
                self.acknowledged.append(f"{self.name} {n}")
                self.counted_at_most += 1
                self.collection.update_one({"_id": f"count of {self.name}"}, {"$inc": {"n": 1}},
                                           upsert=True)
                self.counted += 1
            except pymongo.errors.PyMongoError as error:
                self.errors.append(error)
                self._stop.wait(0.05)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def check(self, site):
        """At `site` nothing acknowledged is missing, and nothing was counted twice."""
        found = {document["_id"]: document for document in site.direct().shop.carts.find()}
        assert found.keys() >= set(self.acknowledged)
        count = found[f"count of {self.name}"]["n"]
        assert self.counted <= count <= self.counted_at_most

    def wait_progress(self, count=50):
        """Waits until `count` more writes were acknowledged."""
        wanted = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= wanted,
                   lambda: f"{wanted} writes, have {len(self.acknowledged)}: {self.errors[-1:]}")


def impatient(site):
    """An app whose driver reports the first error instead of trying again."""
    return site.client(retryWrites=False, serverSelectionTimeoutMS=3000).shop.carts


@pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])
def test_a_mongod_that_restarts_under_load_loses_nothing(make_cluster, replica_set):
    cluster = make_cluster(replica_set=replica_set).start()
    with Writer(cluster.oslo.client().shop.carts) as writer:
        writer.wait_progress()
        cluster.oslo.mongod.restart()
        writer.wait_progress()
    cluster.wait_converged(["shop"])
    writer.check(cluster.paris)


def test_a_store_that_is_away_shows_in_readyz_and_in_the_log(two_sites):
    oslo = two_sites.oslo
    oslo.mongod.stop()
    wait_until(lambda: oslo.sidecar.get("/readyz")[0] == 503, "not ready without its store")
    oslo.sidecar.wait_log("the store is away")
    two_sites.paris.app().shop.carts.insert_one({"_id": 1})
    oslo.mongod.start()
    oslo.sidecar.wait_ready()
    two_sites.wait_converged(["shop"])


def test_sigterm_under_load_drains_and_a_restart_finds_nothing_in_doubt(two_sites):
    oslo = two_sites.oslo
    with Writer(oslo.client(retryWrites=False).shop.carts) as writer:
        writer.wait_progress()
        oslo.sidecar.stop()
        oslo.sidecar.wait_log("drained")
        oslo.sidecar.start()
        writer.wait_progress()
    assert "recovered:" not in oslo.sidecar.process.log_text()
    two_sites.wait_converged(["shop"])
    writer.check(two_sites.paris)


@contextlib.contextmanager
def small_disk(directory, size):
    """A file system of `size` at `directory`; skips the test where mounting is not permitted."""
    directory.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory],
                             stderr=subprocess.PIPE, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"mount is not permitted: {mounted.stderr}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def fill(path):
    """Takes all space that is left on the file system of `path`."""
    with open(path, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))


def test_a_full_disk_refuses_writes_and_frees_itself_without_a_restart(make_cluster):
    cluster = make_cluster()
    oslo = cluster.oslo
    with small_disk(oslo.sidecar.data_dir, "96m"):
        cluster.start()
        with (Writer(impatient(oslo), "x" * 20_000) as here,
              Writer(cluster.paris.app().shop.carts, "y" * 20_000, "paris") as there):
            here.wait_progress()
            fill(oslo.sidecar.data_dir / "ballast")
            wait_until(lambda: oslo.sidecar.get("/readyz")[0] == 503, "writes are refused")
            check_refused_before_the_store(oslo, "outbox")
            there.wait_progress()
            (oslo.sidecar.data_dir / "ballast").unlink()
            here.wait_progress()
        cluster.wait_converged(["shop"])
        for writer in (here, there):
            writer.check(oslo)
        oslo.sidecar.stop()


def check_refused_before_the_store(site, why):
    """A write fails with a reason that names `why`, the store never saw it, and reads go on."""
    carts = impatient(site)
    with pytest.raises(pymongo.errors.PyMongoError) as refused:
        carts.insert_one({"_id": "refused"})
    assert why in str(refused.value)
    assert refused.value.has_error_label("RetryableError")
    assert site.direct().shop.carts.find_one({"_id": "refused"}) is None
    assert carts.find_one()
    assert site.sidecar.metric("refused_total") > 0


def test_a_used_up_quota_refuses_writes_until_the_peer_is_back(make_cluster):
    cluster = make_cluster(settings={"outbox": {"max_bytes": "1MiB"}}).start()
    oslo = cluster.oslo
    cluster.break_off("oslo", "paris")
    carts = impatient(oslo)
    with pytest.raises(pymongo.errors.PyMongoError):
        for n in range(1, 100):
            carts.insert_one({"_id": n, "payload": "x" * 50_000})
    assert 10 < n < 99
    check_refused_before_the_store(oslo, "quota")
    assert oslo.sidecar.get("/readyz")[0] == 503
    cluster.heal("oslo", "paris")
    oslo.sidecar.wait_ready()
    carts.insert_one({"_id": "after"})
    assert len(cluster.wait_converged(["shop"])["shop.carts"]) == n


METRICS = ["commands_total", "capture_seconds_count", "outbox_bytes", "outbox_records",
           "fsync_seconds_count", "fsync_batch_count", "peer_lag_records", "peer_lag_bytes",
           "peer_lag_seconds", "applied_total", "duplicates_total", "conflicts_total",
           "refused_total"]


def test_the_admin_port_tells_what_happens(two_sites):
    oslo, paris = two_sites.oslo.sidecar, two_sites.paris.sidecar
    two_sites.cut("oslo", "paris")
    for n, carts in enumerate(two_sites.collections("carts")):
        carts.update_one({"_id": 1}, {"$set": {"n": n, "m": n}}, upsert=True)
    assert oslo.metric("peer_lag_records", peer="paris") == 1
    assert oslo.metric("peer_lag_bytes", peer="paris") > 0
    two_sites.heal_all()
    two_sites.wait_converged(["shop"])
    text = oslo.get("/metrics")[1]
    assert [name for name in METRICS if f"\noutrigger_{name}" not in text] == []
    assert oslo.metric("applied_total") == paris.metric("applied_total") == 1
    assert oslo.metric("conflicts_total", kind=oslo.conflicts()[0]["kind"]) > 0
    assert oslo.metric("commands_total", kind="write") >= 1
    assert len(oslo.conflicts(limit=1)) == 1 < len(oslo.conflicts())
    assert (oslo.get("/healthz")[0], oslo.get("/readyz")[0], oslo.get("/nothing")[0]) == (
        200, 200, 404)
