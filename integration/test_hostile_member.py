"""A member that is not well: what it sends is set aside or refused record by record, its words on
others count for nothing, and the honest sites, their apps and the next start do not notice."""

import os
import random
import subprocess
import threading
import time
from pathlib import Path

import bson
import pytest

from link_peer import Batch, LinkPeer, policy_hash_of, value_of
from sidecar import program
from waiting import wait_until

MEMBERS = ("mallory", "oslo", "paris")
GROWTH_BYTES_MAX = 400 * 2**20  # AddressSanitizer keeps what is freed for a while
MUTATION_S = 5


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    from cluster import Cluster
    cluster = Cluster(tmp_path_factory.mktemp("hostile"))
    for site in cluster:
        site.sidecar.settings["peers"]["sites"].append({"site": "mallory"})
    with cluster:
        yield cluster


def stamp_now():
    return int(time.time() * 1000) << 16


class Mallory:
    """The third member as oslo knows it: one run of it, over as many connections as it takes."""

    def __init__(self, oslo):
        self.oslo = oslo
        self.site_id = bytes([0xAB]) * 16
        self.epoch = 77
        self.last = 0
        self.policy = policy_hash_of(oslo.sidecar.peer_port, "mallory", MEMBERS, self.site_id)
        self.peer = None

    @property
    def origin(self):
        return self.site_id, self.epoch

    def connect(self):
        if self.peer:
            self.peer.close()
        def open_link():
            self.peer = LinkPeer(self.oslo.sidecar.peer_port, "mallory", MEMBERS, self.site_id,
                                 self.epoch, self.policy)
            return self.peer.greet()
        wait_until(open_link, lambda: f"mallory is let in: {self.peer.ended}")
        self.last = self.peer.hello["applied"].get(self.origin, 0)
        return self.peer

    def send(self, batch, bodies):
        """The next records, one for each body(batch, stamp)."""
        records = []
        for number, body in enumerate(bodies):
            stamp = max(stamp_now(), self.last + 1) + number
            records.append((stamp, body(batch, stamp)))
        batch.segment(self.origin, self.last, records[-1][0], records)
        self.last = records[-1][0]
        self.peer.send_batch(batch)


def good(identity, namespace="shop.mallory"):
    return lambda batch, stamp: batch.body(
        [batch.document(namespace, identity, batch.insert({"_id": identity, "n": 1}))])


def raw_id(value):
    return lambda batch, stamp: batch.body(
        [batch.document("shop.mallory", value, batch.insert({"n": 1}))])


def zero_counter(batch, stamp):
    effect = batch.increment("n", stamp, (bytes([0xAB]) * 16, 77), 0, 0, 5)
    return batch.body([batch.document("shop.mallory", "zero", [effect])])


def of_a_stranger(batch, stamp):
    deps = batch.deps(stamp, {(bytes([0xCD]) * 16, 5): stamp - 10})
    return batch.body([batch.document("shop.mallory", "deps", batch.insert({"n": 1}))], deps)


BAD = {
    "admin": good(1, "admin.system.users"),
    "config": good(1, "config.settings"),
    "local": good(1, "local.things"),
    "system": good(1, "shop.system.js"),
    "no dot": good(1, "things"),
    "no database": good(1, ".things"),
    "array": raw_id([1, 2]),
    "regex": raw_id(bson.Regex("a.b", "i")),
    "undefined": raw_id(b"\x06"),
    "zero stamp": zero_counter,
    "dependency on a stranger": of_a_stranger,
}


class App:
    """Writes at a site all the time, until stop(); tells how many went through and the slowest."""

    def __init__(self, site):
        self.things = site.app().shop.honest
        self.site, self.written, self.slowest_s, self.stopping = site.name, 0, 0.0, False
        self.run = bson.ObjectId()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            begun = time.monotonic()
            self.things.insert_one({"run": self.run})
            self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            self.written += 1

    def stop(self):
        self.stopping = True
        self.thread.join()


@pytest.fixture
def apps(cluster):
    apps = [App(site) for site in cluster]
    yield apps
    for app in apps:
        app.stop()


@pytest.fixture
def mallory(cluster):
    mallory = Mallory(cluster.oslo)
    mallory.connect()
    yield mallory
    mallory.peer.close()


def rss_bytes(sidecar):
    pages = int(Path(f"/proc/{sidecar.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def assert_honest_sites_are_well(cluster, apps):
    for app in apps:
        wait_until(lambda: app.written > 10, lambda: f"the app at {app.site} writes")
        app.stop()
        assert app.slowest_s < 5, (app.site, app.slowest_s)
        for site in cluster:
            wait_until(lambda: app.written == site.direct().shop.honest.count_documents(
                {"run": app.run}), lambda: f"{app.written} at {site.name}: {site.status()}", 60)


def restart(site, cluster):
    site.sidecar.stop()
    site.sidecar.start()
    wait_until(lambda: site.peer("paris")["state"] == "open", lambda: site.status())


@pytest.mark.short
def test_bad_records_are_set_aside_one_by_one_and_everything_else_goes_on(cluster, apps, mallory):
    oslo = cluster.oslo
    before = oslo.status()["quarantined"]
    for number, body in enumerate(BAD.values()):
        # A record's dependencies are told by those of the one before it in its stretch.
        mallory.send(Batch(), [good(f"a{number}"), body])
        mallory.send(Batch(), [good(f"b{number}")])
    wanted = {f"{letter}{number}" for letter in "ab" for number in range(len(BAD))}
    for site in cluster:  # paris gets them from oslo
        wait_until(lambda: wanted <= {each["_id"] for each in site.direct().shop.mallory.find()},
                   lambda: f"{site.name}: {site.status()['held']} {site.status()['alarms']}")
    assert oslo.status()["quarantined"] == before + len(BAD)
    assert oslo.sidecar.metric("quarantined") == before + len(BAD)
    assert_honest_sites_are_well(cluster, apps)
    restart(oslo, cluster)
    assert oslo.status()["quarantined"] == before + len(BAD)
    listed = oslo.sidecar.get_json("/quarantine?limit=1000")
    assert any("array" in record["reason"] for record in listed)
    ctl = [program("outriggerctl"), "--admin", oslo.sidecar.admin_address, "quarantine"]
    assert listed[0]["record"] in subprocess.check_output(ctl, text=True)
    assert "reason" in subprocess.check_output([*ctl, "show", listed[0]["record"]], text=True)
    refused = subprocess.run([*ctl, "retry", listed[0]["record"]], text=True, capture_output=True)
    assert refused.returncode == 1 and listed[0]["reason"] in refused.stderr


def test_made_up_origins_are_neither_kept_nor_relayed(cluster, apps, mallory):
    oslo = cluster.oslo
    memory = rss_bytes(oslo.sidecar)
    before = oslo.status()
    for number in range(9):
        batch = Batch()
        for each in range(4000):
            origin, stamp = (random.randbytes(16), 1 + number), stamp_now()
            body = batch.body([batch.document("shop.mallory", each, [batch.assign("n", 1)])])
            batch.segment(origin, 0, stamp, [(stamp, body)] if each % 2 else [])
        mallory.peer.send_batch(batch)
    mallory.send(Batch(), [good("behind the flood")])
    wait_until(lambda: oslo.direct().shop.mallory.find_one({"_id": "behind the flood"}),
               lambda: oslo.status()["alarms"])
    assert any("no member" in alarm for alarm in oslo.status()["alarms"])
    for site in cluster:
        assert len(site.vector()) <= len(before["vector"]) + 4
    assert_honest_sites_are_well(cluster, apps)
    restart(oslo, cluster)
    assert len(oslo.vector()) <= len(before["vector"]) + 6
    assert rss_bytes(oslo.sidecar) < memory + GROWTH_BYTES_MAX


def test_what_it_says_in_another_members_name_counts_for_nothing(cluster, apps, mallory):
    oslo, paris = cluster.oslo, cluster.paris
    status = paris.status()
    run = bytes.fromhex(status["site_id"]), int(status["epoch"], 16)
    has = int(oslo.vector().get(f"{status['site_id']}/{status['epoch']}", 0))
    future = stamp_now() + (50_000 << 16)
    mallory.peer.send_batch(Batch().segment(run, has, future))
    everything = {(bytes.fromhex(origin[:32]), int(origin[33:], 16)): int(stamp)
                  for origin, stamp in oslo.vector().items()}
    mallory.peer.report(*run, applied=everything, issued={run: future}, serial=2**62)
    paris.app().shop.honest.insert_one({"_id": "after the lie"})
    wait_until(lambda: oslo.direct().shop.honest.find_one({"_id": "after the lie"}),
               lambda: oslo.status())
    assert_honest_sites_are_well(cluster, apps)


def mutated(plain, chance):
    data = bytearray(plain)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del data[at:at + chance.randint(1, 8)]
        else:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        if not data:
            return b"\0"
    return bytes(data)


def valid_batch(mallory, number):
    batch = Batch()
    stamp = max(stamp_now(), mallory.last + 1)
    deps = batch.deps(stamp, {mallory.origin: stamp - 1})
    body = batch.body([
        batch.document("shop.mallory", f"m{number}",
                       batch.insert({"_id": f"m{number}", "text": "x" * 20})),
        batch.document("shop.mallory", number, [
            batch.assign("a", {"b": [1, 2.5, None]}),
            batch.increment("n", stamp, mallory.origin, stamp, stamp, 5)])], deps)
    return batch.segment(mallory.origin, mallory.last, stamp, [(stamp, body)]).encode()


@pytest.mark.short
def test_seconds_of_damaged_batches_leave_the_site_standing(cluster, apps, mallory):
    oslo = cluster.oslo
    memory = rss_bytes(oslo.sidecar)
    chance = random.Random(20)
    until = time.monotonic() + MUTATION_S
    sent = 0
    while time.monotonic() < until:
        try:
            for _ in range(20):
                mallory.peer.send_plain(mutated(valid_batch(mallory, sent), chance))
                sent += 1
            standing = mallory.peer.answer_until(lambda: True)
        except OSError:
            standing = False
        if not standing or chance.random() < 0.1:
            mallory.connect()
    assert sent > 50
    assert oslo.sidecar.process.is_running()
    assert_honest_sites_are_well(cluster, apps)
    assert rss_bytes(oslo.sidecar) < memory + GROWTH_BYTES_MAX
    restart(oslo, cluster)


def test_the_test_speaks_values_as_documents_hold_them():
    assert value_of(1) == b"\x10\x01\x00\x00\x00"
    assert value_of("a") == b"\x02\x06\x02\x00\x00\x00a\x00"
