"""What a site says it has, it has on disk: peers forget what it says, and take it for a restored
backup should it ever say less."""

import re
import shutil
import subprocess

import pytest

from waiting import wait_until

MARK = "this-text-is-looked-for-0123456789abcdefghijklmnopqrstuvwxyz"
SYSTEM_CALLS = "write,writev,pwrite64,sendto,sendmsg,fdatasync,fsync"


def linked(cluster):
    return all(peer["state"] == "open" for site in cluster for peer in site.status()["peers"])


def write_nothing(site):
    things = site.app().shop.things
    assert things.update_one({"_id": "seen"}, {"$set": {"a": 1}}).modified_count == 0
    assert things.delete_one({"_id": "missing"}).deleted_count == 0


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_site_whose_last_writes_changed_nothing_is_welcome_after_a_restart(two_sites, end):
    oslo, paris = two_sites
    oslo.app().shop.things.insert_one({"_id": "seen", "a": 1})
    write_nothing(oslo)
    write_nothing(paris)
    two_sites.wait_quiet()  # each has told the other that all of it is stable
    for site in (oslo, paris):
        getattr(site.sidecar, end)()
        site.sidecar.start()
        wait_until(lambda: linked(two_sites), lambda: [peer for each in two_sites
                                                       for peer in each.status()["peers"]])
    for number, site in enumerate(two_sites):
        site.app().shop.things.insert_one({"_id": number})
    assert len(two_sites.wait_converged(["shop"])["shop.things"]) == 3


class Trace:
    """The system calls of a running process: `with Trace(pid, path) as trace`, then `calls()`."""

    def __init__(self, pid, path):
        self.path = path
        self.strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-ttt", "-yy", "-xx", "-s", "70000",
             "-e", f"trace={SYSTEM_CALLS}", "-o", path, "-p", str(pid)], stderr=subprocess.PIPE)

    def __enter__(self):
        wait_until(lambda: self.path.exists() and self.path.stat().st_size > 0 or
                   self.strace.poll() is not None, "strace sees something")
        if self.strace.poll() is not None:
            pytest.skip(f"strace may not attach: {self.strace.stderr.read()}")
        return self

    def __exit__(self, *_):
        self.strace.terminate()
        self.strace.wait(20)

    def calls(self):
        """[(name, file, bytes, begun, ended)], the last two as places in the trace."""
        open_calls, calls = {}, []
        for place, line in enumerate(self.path.read_text(errors="replace").splitlines()):
            found = re.match(r"(\d+)\s+([\d.]+) (.*)", line)
            if not found:
                continue
            thread, _, text = found.groups()
            resumed = re.match(r"<\.\.\. (\w+) resumed>", text)
            if resumed:
                call = open_calls.pop(thread, None)
                if call:
                    call["ended"] = place
                continue
            named = re.match(r"(\w+)\(\d+<(.*?)>(?:, |\)|\s)(.*)", text)
            if not named:
                continue
            payload = "".join(re.findall(r'"((?:\\x[0-9a-f]{2})*)"', named.group(3)))
            call = {"name": named.group(1), "file": unhex(named.group(2)),
                    "bytes": bytes.fromhex(payload.replace("\\x", "")),
                    "begun": place, "ended": place}
            if "<unfinished ...>" in text:
                open_calls[thread] = call
            calls.append(call)
        return calls


def unhex(text):
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match.group(1), 16)), text)


def is_log(call):
    return call["file"].endswith(".log") and "TCP" not in call["file"]


def is_sync(call):
    return call["name"] in ("fdatasync", "fsync") and is_log(call)


def assert_synced_before(calls, written, said, what):
    """Between the end of the last write of `written` and the first of `said` lies a whole sync."""
    first = next((call for call in calls if said(call)), None)
    assert first, f"{what}: nothing said"
    writes = [call for call in calls if written(call) and call["begun"] < first["begun"]]
    assert writes, f"{what}: said before it was written"
    syncs = [call for call in calls if is_sync(call) and call["ended"] < first["begun"] and
             call["begun"] > max(write["ended"] for write in writes)]
    assert syncs, f"{what}: no sync between writing and saying"
    return len(syncs)


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@needs_strace
def test_no_record_and_no_report_leaves_before_the_sync_that_covers_it(two_sites, tmp_path):
    oslo, paris = two_sites
    things = oslo.app().shop.things
    things.insert_one({"_id": 0})
    two_sites.wait_quiet()
    with Trace(oslo.sidecar.process.pid, tmp_path / "oslo") as at_oslo, \
            Trace(paris.sidecar.process.pid, tmp_path / "paris") as at_paris:
        things.insert_one({"_id": 1, "text": MARK})
        wait_until(lambda: paris.direct().shop.things.find_one({"_id": 1}), "it is at paris")
        stamps = wait_until(lambda: new_stamps(oslo, paris), "one vector at both")
    mark = MARK.encode()
    line = {f":{port}" for port in peer_ports(two_sites)}

    def to_peer(call):
        return "TCP" in call["file"] and any(port in call["file"] for port in line)

    calls = at_oslo.calls()
    assert_synced_before(calls, lambda call: is_log(call) and mark in call["bytes"],
                         lambda call: to_peer(call) and mark in call["bytes"], "oslo's record")
    calls = at_paris.calls()
    reported = [stamp.to_bytes(8, "little") for stamp in stamps]
    assert_synced_before(
        calls, lambda call: is_log(call) and mark in call["bytes"],
        lambda call: to_peer(call) and any(stamp in call["bytes"] for stamp in reported),
        "paris's report")
    assert_synced_before(
        calls, lambda call: is_log(call) and mark in call["bytes"],
        lambda call: f":{paris.mongod.port}" in call["file"] and mark in call["bytes"],
        "paris's write into the store")


def new_stamps(oslo, paris):
    """The stamps that oslo's present run has published, once paris has them, too."""
    ours, theirs = oslo.status(), paris.vector()
    present = f"{ours['site_id']}/{ours['epoch']}"
    stamp = ours["vector"].get(present)
    return [int(stamp)] if stamp and theirs.get(present) == stamp else None


def peer_ports(cluster):
    ports = {line.port for line in cluster.lines.values()}
    return ports | {site.sidecar.peer_port for site in cluster}
