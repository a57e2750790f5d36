"""What an insert of many documents costs the sidecar it goes through, with a peer that takes them:
all of its CPU until a second after the peer has the last one."""

import json
import statistics
import subprocess
import time
from pathlib import Path

from bench_arms import DATABASE, cpu_s
from cluster import Cluster
from sidecar import program
from waiting import wait_until

CPU_US_MAX = 6  # a document
BLOCKS = 3
EACH = 1000  # documents a command
SECONDS_MIN = 1.5  # clock ticks are coarse


def run(directory, seconds):
    """(the bar is met, a line for the table, a line for the bar)"""
    with Cluster(Path(directory) / "insert", settings={"log": {"level": "info"}}) as cluster:
        insert(cluster, "warm_up", 0.3)
        seen = [insert(cluster, f"documents_{block}", max(seconds, SECONDS_MIN))
                for block in range(BLOCKS)]
    ours, peers, per_s = (statistics.median(values) for values in zip(*seen))
    each = [values[0] for values in seen]
    line = (f"Insert of {EACH:,} at 1 connection, with a live peer: {ours:.1f} "
            f"({min(each):.1f}-{max(each):.1f}) us of the sidecar's CPU a document, {peers:.1f} of "
            f"the peer's, {per_s:,.0f} documents/s.")
    met = ours <= CPU_US_MAX
    return met, line, (f"- insert of {EACH:,} with a live peer: {ours:.1f} us of CPU a document, "
                       f"bar {CPU_US_MAX}: {'met' if met else 'MISSED'}")


def insert(cluster, collection, seconds):
    """CPU us a document, of the sidecar and of the peer's; documents a second."""
    sidecars = [site.sidecar for site in cluster]
    before = [cpu_s(sidecar.process.pid) for sidecar in sidecars]
    result = subprocess.run(
        [program("bench_load"), "--target", sidecars[0].proxy_address, "--operation", "insertMany",
         "--namespace", f"{DATABASE}.{collection}", "--seconds", str(seconds), "--warmup", "0"],
        stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SystemExit("bench: void: errors in inserts with a live peer")
    load = json.loads(result.stdout)
    documents = load["acknowledged"] * EACH
    there = cluster.paris.direct()[DATABASE][collection]
    wait_until(lambda: there.estimated_document_count() == documents, "all at the peer", 120)
    time.sleep(1)  # status, asked for again and again, would count too
    took = [cpu_s(sidecar.process.pid) - at for sidecar, at in zip(sidecars, before)]
    cluster.wait_quiet()
    for site in cluster:
        site.direct()[DATABASE][collection].drop()
    return *(cpu / documents * 1e6 for cpu in took), load["ops_per_s"] * EACH
