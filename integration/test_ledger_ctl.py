"""outriggerctl at the ledger: lists, shows, exports, explains, and writes what is chosen."""

import json
import subprocess

import pytest

from choices import both_have, command, edited_apart, entry_of, meetings
from sidecar import ROOT, program
from waiting import wait_until


@pytest.fixture
def sites(make_cluster):
    return make_cluster().start()


def ctl(site, *arguments):
    """(exit code, what it printed, what it complained)"""
    done = subprocess.run([program("outriggerctl"), "--admin", site.sidecar.admin_address,
                           *arguments], text=True, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_outriggerctl_shows_chooses_and_reverts(sites):
    oslo = sites.oslo
    entry = edited_apart(sites)
    name = entry["_id"]
    for arguments in ((), ("list",), ("--namespace", "shop.meetings", "--state", "auto")):
        code, text, _ = ctl(oslo, "conflicts", *arguments)
        assert code == 0 and name in text and "Picnic" in text
    for arguments in (("--state", "resolved"), ("--namespace", "shop.none")):
        assert ctl(oslo, "conflicts", *arguments)[1] == "no conflicts\n"
    code, text, _ = ctl(oslo, "conflicts", "show", name)
    assert code == 0 and '"Budget"' in text and "at oslo" in text and "at paris" in text
    assert "by operation (set_set)" in text
    line, = map(json.loads, ctl(oslo, "conflicts", "export")[1].splitlines())
    assert (line["rule"], line["lost_site"], line["won_site"]) == ("by operation", "oslo", "paris")
    assert ctl(oslo, "conflicts", "choose", name)[:2] == (0, "it stands again\n")
    both_have(sites, title="Budget")
    assert name in ctl(oslo, "conflicts", "--state", "resolved")[1]
    code, answer, _ = ctl(oslo, "conflicts", "revert", name, "--json")
    assert code == 0 and json.loads(answer) == {
        "name": name, "state": "reverted", "namespace": "shop.meetings", "document": 1,
        "path": "title", "n": 1}
    both_have(sites, title="Picnic")
    meetings(oslo).update_one({"_id": 1}, {"$set": {"title": "Retreat"}})
    code, _, why = ctl(oslo, "conflicts", "revert", name)
    assert code == 1 and "Retreat" in why
    assert ctl(oslo, "conflicts", "choose", "nobody")[0] == 1
    assert ctl(oslo, "conflicts", "show", "nobody")[0] == 1
    assert oslo.sidecar.get(f"/conflicts/choose?name={name}")[0] == 405  # only a POST writes


def test_outriggerctl_exports_all_and_filters_page_by_page(sites):
    oslo = sites.oslo
    with sites.apart("oslo", "paris"):
        for site in sites:
            for number in range(30):
                site.app().shop[f"c{number % 2}"].insert_one(
                    {"_id": number, "v": site.name[0] * 100_000})
    wait_until(lambda: oslo.status()["ledger"]["entries"] == 30, "all that was lost")
    _, text, _ = ctl(oslo, "conflicts", "export")
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["_id"] for line in lines} == set(range(30))
    assert len({line["name"] for line in lines}) == 30
    found, place = [], ()
    while True:
        _, text, _ = ctl(oslo, "conflicts", "--namespace", "shop.c1", "--limit", "4", "--json",
                         *place)
        page = json.loads(text)
        assert len(page["conflicts"]) <= 4
        found += [each["_id"] for each in page["conflicts"]]
        if not page["more"]:
            break
        place = ("--from", page["next"])
    assert sorted(found) == list(range(1, 30, 2))


@pytest.mark.parametrize("tls", [False, True])
def test_outriggerctl_writes_as_the_sidecars_own_user(make_cluster, tls, tmp_path):
    settings = None
    if tls:
        subprocess.run([ROOT / "tools" / "certs", tmp_path / "certs", "app"], check=True,
                       stdout=subprocess.DEVNULL)
        settings = {"proxy": {"tls": {"certificate": str(tmp_path / "certs" / "app.crt"),
                                      "key": str(tmp_path / "certs" / "app.key")}}}
    sites = make_cluster(("oslo",), auth=True, settings=settings).start()
    # It came in, was let in, and was answered by the ledger.
    code, _, why = ctl(sites.oslo, "conflicts", "choose", "00000000000000ff-0123456789ab")
    assert code == 1 and "no entry of this site has this name" in why


def test_outriggerctl_explains_the_life_of_a_path(make_cluster):
    sites = make_cluster(("oslo", "paris", "rome")).start()
    for name in ("oslo", "paris"):  # what rome lacks is kept
        sites.cut("rome", name)
    oslo, paris = sites.oslo, sites.paris
    meetings(oslo).insert_one({"_id": "a b", "title": "?", "room": 5})
    wait_until(lambda: meetings(paris).find_one(), "the insert at paris")
    sites.cut("oslo", "paris")
    meetings(oslo).update_one({"_id": "a b"}, {"$set": {"title": "Budget"}})
    meetings(paris).update_one({"_id": "a b"}, {"$set": {"title": "Picnic"}})
    sites.heal("oslo", "paris")
    name = entry_of(oslo, path="title")["_id"]
    command(oslo, "choose", name)
    code, text, _ = ctl(oslo, "explain", "shop.meetings", "a b", "title", "--json")
    assert code == 0
    life = json.loads(text)
    assert [(event["did"], event["value"], len(event["had_not_seen"])) for event in
            life["events"]] == [("insert", "?", 0), ("set", "Budget", 0), ("set", "Picnic", 1),
                                ("set", "Budget", 0)]
    assert [(lost["name"], lost["state"]) for lost in life["conflicts"]] == [(name, "resolved")]
    code, text, _ = ctl(oslo, "explain", "shop.meetings", "a b", "title")
    assert code == 0 and "paris" in text and "resolved" in text
    assert "room" not in text
    assert json.loads(ctl(oslo, "explain", "shop.meetings", "b", "--json")[1])["events"] == []
    # The same of an entry, without its place typed.
    assert json.loads(ctl(oslo, "conflicts", "explain", name, "--json")[1]) == life
    assert ctl(oslo, "conflicts", "explain", name) == (0, text, "")
    assert ctl(oslo, "conflicts", "explain", "nobody")[0] == 1
    assert "list, show, explain, choose, revert, dismiss, export" in ctl(oslo, "--help")[1]
    sites.heal_all()
    sites.wait_converged(["shop"])
