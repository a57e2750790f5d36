"""What is wrong at start is refused and named; what may still come is waited for."""

import re
import shutil
import socket
import subprocess

import pytest

from sidecar import program
from waiting import wait_until


@pytest.fixture
def oslo(one_site):
    """A site without peers: its mongod runs, its sidecar does not."""
    one_site.oslo.mongod.start()
    return one_site.oslo


def refused(cluster, text):
    """Waits until both sites say in /status and in the log why they do not talk; returns that."""
    oslo, paris = cluster.oslo, cluster.paris
    wait_until(lambda: text in oslo.peer("paris")["last_error"] + paris.peer("oslo")["last_error"],
               lambda: f"'{text}' in {oslo.peer('paris')} or {paris.peer('oslo')}")
    for site in cluster:
        assert all(peer["state"] != "open" for peer in site.status()["peers"])
        site.sidecar.wait_log(text)
    return oslo.peer("paris")["last_error"]


def test_differing_replicate_lines_are_named_and_nothing_passes(make_cluster):
    cluster = make_cluster()
    cluster.paris.sidecar.settings["replicate"] = [{"namespace": "shop.tmp", "replicate": False}]
    cluster.oslo.sidecar.settings["replicate"] = [{"namespace": "audit.*", "replicate": False}]
    cluster.start()
    assert "shop.tmp" in refused(cluster, "audit.*")
    cluster.oslo.app().shop.carts.insert_one({"_id": 1})
    assert cluster.paris.direct().shop.carts.find_one() is None


def test_differing_member_sets_are_named(make_cluster):
    cluster = make_cluster()
    cluster.paris.sidecar.settings["peers"]["sites"].append({"site": "rome"})
    cluster.start()
    assert "members" in refused(cluster, "rome")


def test_sites_that_agree_again_after_a_restart_meet(make_cluster):
    cluster = make_cluster()
    cluster.paris.sidecar.settings["replicate"] = [{"namespace": "audit.*", "replicate": False}]
    cluster.start()
    cluster.oslo.app().shop.carts.insert_one({"_id": 1})
    refused(cluster, "audit.*")
    del cluster.paris.sidecar.settings["replicate"]
    cluster.paris.sidecar.restart()
    assert len(cluster.wait_converged(["shop"])["shop.carts"]) == 1


def test_a_second_process_on_one_data_dir_is_refused(oslo, make_cluster):
    oslo.sidecar.start()
    second = make_cluster(("oslo",)).oslo
    second.mongod.start()
    second.sidecar.settings["data_dir"] = str(oslo.sidecar.data_dir)
    said = second.sidecar.start_refused()
    assert str(oslo.sidecar.data_dir) in said and "another outrigger uses" in said
    oslo.app().shop.carts.insert_one({"_id": 1})


@pytest.mark.parametrize("door", ["proxy", "peer", "admin"])
def test_a_port_in_use_is_named(oslo, door):
    port = getattr(oslo.sidecar, door + "_port")
    with socket.create_server(("127.0.0.1", port)):
        assert f"127.0.0.1:{port}" in oslo.sidecar.start_refused()


@pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])
def test_a_mongod_that_is_not_there_is_waited_for(make_cluster, replica_set):
    oslo = make_cluster(("oslo",), replica_set=replica_set).oslo
    oslo.mongod.start()
    oslo.mongod.stop()
    oslo.sidecar.start(wait_ready=False)
    oslo.sidecar.wait_log("waiting for the store")
    oslo.sidecar.wait_log(oslo.mongod.address)
    assert oslo.sidecar.get("/healthz")[0] == 200
    assert oslo.sidecar.get("/readyz")[0] == 503
    oslo.mongod.start()
    oslo.sidecar.wait_ready()
    oslo.app().shop.carts.insert_one({"_id": 1})


def test_while_it_waits_for_the_store_sigterm_ends_it(oslo):
    oslo.mongod.stop()
    oslo.sidecar.start(wait_ready=False)
    oslo.sidecar.wait_log("waiting for the store")
    oslo.sidecar.stop()


def test_a_store_with_documents_and_a_new_data_dir_is_refused(oslo):
    oslo.direct().shop.carts.insert_many([{} for _ in range(3)])
    oslo.direct().library.books.insert_one({})
    said = oslo.sidecar.start_refused()
    assert "shop.carts (3 documents)" in said and "library.books (1 documents)" in said
    oslo.sidecar.settings["replicate"] = [{"namespace": "shop.*", "replicate": False},
                                          {"namespace": "library.*", "replicate": False}]
    oslo.sidecar.start()
    oslo.app().shop.carts.insert_one({})


def outrigger(*arguments):
    """Runs the program to its end: (exit code, everything it printed)."""
    result = subprocess.run([program(), *arguments], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=30)
    return result.returncode, result.stdout


@pytest.mark.parametrize("line, named", [
    ("sight: oslo", "sight"), ("site: oslo\nsite: oslo", "site"), ("data_dir: [1]", "data_dir"),
    ("outbox: {max_bytes: 10GB}", "outbox.max_bytes"), ("proxy: {listen: nowhere}", "proxy.listen"),
    ("a: [", "")])
def test_bad_settings_end_with_2_and_name_file_line_and_key(tmp_path, line, named):
    path = tmp_path / "bad.yaml"
    path.write_text("# settings\n" + line + "\n")
    for more in ([], ["--check"]):
        code, said = outrigger("--config", path, *more)
        assert code == 2
        assert any(said_line.startswith(f"{path}:") and named in said_line or
                   f"{path}:" in said_line and named in said_line for said_line in
                   said.splitlines()), said


def test_a_missing_settings_file_is_named(tmp_path):
    code, said = outrigger("--config", tmp_path / "none.yaml")
    assert code == 2 and "none.yaml" in said


def test_check_needs_neither_store_nor_ports_and_leaves_nothing_behind(one_site):
    code, said = one_site.oslo.sidecar.check()
    assert code == 0, said
    assert not one_site.oslo.sidecar.data_dir.exists()


def test_check_warns_of_a_rule_that_elements_of_an_array_do_not_hear_of(one_site):
    sidecar = one_site.oslo.sidecar
    sidecar.settings["replicate"] = [{"namespace": "shop.*", "fields": {"items.*.qty": "max"}}]
    code, said = sidecar.check()
    assert code == 0, said
    assert "warning: " in said and "'items.*.qty = max' holds where items is a document" in said


def test_a_site_that_lost_all_it_had_is_refused_by_those_who_no_longer_hold_it(make_cluster):
    cluster = make_cluster().start()
    cluster.oslo.app().shop.carts.insert_one({"_id": 1})
    cluster.wait_converged(["shop"])
    cluster.wait_quiet()
    cluster.paris.sidecar.stop()
    cluster.paris.direct().drop_database("shop")
    shutil.rmtree(cluster.paris.sidecar.data_dir)
    cluster.paris.sidecar.start()
    # Which of them reads the other's hello first, and so words the refusal, is open.
    for site, other in ((cluster.paris, "oslo"), (cluster.oslo, "paris")):
        wait_until(lambda: site.peer(other)["state"] == "refused" and
                   re.search("paris.*data_dir.* was replaced", site.peer(other)["last_error"]),
                   "each end says why the link is refused")


@pytest.fixture
def with_backlog(make_cluster):
    """oslo, stopped, with an outbox full of records that paris lacks."""
    cluster = make_cluster().start()
    cluster.break_off("oslo", "paris")
    carts = cluster.oslo.app().shop.carts
    for n in range(200):
        carts.insert_many([{"text": f"{n} {m} " * 20} for m in range(20)])
    cluster.oslo.sidecar.stop()
    return cluster.oslo


def flip_byte(directory, part):
    """Flips one byte of the largest file with records, `part` of the way in; names the file."""
    files = [path for path in directory.rglob("*") if path.suffix in (".log", ".sst")]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    place = int(len(content.rstrip(b"\0")) * part)
    content[place] ^= 0x40
    largest.write_bytes(content)
    return largest


def test_a_flipped_byte_anywhere_in_the_outbox_refuses_to_start(with_backlog, tmp_path):
    state = with_backlog.sidecar.data_dir
    shutil.copytree(state, tmp_path / "good")
    for part in (0.1, 0.3, 0.5, 0.7, 0.9):
        damaged = flip_byte(state, part)
        said = with_backlog.sidecar.start_refused()
        assert "orrupt" in said and str(state) in said, f"{damaged} at {part}"
        shutil.rmtree(state)
        shutil.copytree(tmp_path / "good", state)
    with_backlog.sidecar.start()
