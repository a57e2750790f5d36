"""What the sidecar's own user may not read or write at its store, while it may elsewhere: that
namespace is set aside document by document or named, and a grant brings all of it back."""

import pytest

from test_security import RIGHTS
from waiting import wait_until

BESIDE_WRITING = [right for right in RIGHTS if right != "readWriteAnyDatabase"]


@pytest.fixture(params=[True, False], ids=["replica_set", "standalone"])
def pair(request, make_cluster):
    """Two sites whose mongods ask for a login; the sidecars do not run yet."""
    cluster = make_cluster(auth=True, replica_set=request.param)
    for site in cluster:
        admin = site.mongod.start().client().admin
        admin.command("createRole", "onlooker", roles=[],
                      privileges=[{"resource": {"cluster": True}, "actions": ["inprog"]}])
        admin.command("createRole", "replicator", roles=[],
                      privileges=[{"resource": {"db": "", "collection": ""},
                                   "actions": ["bypassDocumentValidation"]}])
    return cluster


def start(cluster, *roles):
    """The sidecar of paris works as a user with these roles, besides those it always needs."""
    paris = cluster.paris
    paris.mongod.add_user("weak", "pw", [*BESIDE_WRITING, *roles])
    paris.sidecar.settings["store"]["uri"] = paris.mongod.uri("weak", "pw")
    for site in cluster:
        site.sidecar.start(wait_ready=False)
    for site in cluster:
        site.sidecar.wait_ready()


def change_roles(site, command, *roles):
    site.mongod.client().admin.command(command, "weak", roles=list(roles))


def write_both(site, first):
    """Some of the app's writes into what paris may have and what it may not, in turn."""
    app = site.app()
    for number in range(first, first + 3):
        app.hr.people.insert_one({"_id": number, "n": 0})
        app.shop.items.insert_one({"_id": number})
        app.hr.people.update_one({"_id": number}, {"$inc": {"n": number}})
        app.hr.people.update_one({"_id": number}, {"$set": {"name": f"p{number}"}})


def wait_items(site, count):
    wait_until(lambda: site.direct().shop.items.count_documents({}) == count,
               lambda: f"{site.status()['held']} {site.status()['alarms']}")


SHOP = {"role": "readWrite", "db": "shop"}
HR = {"role": "readWrite", "db": "hr"}


def assert_said(site):
    [alarm] = site.status()["alarms"]
    assert "hr.people" in alarm and "role readWrite on hr" in alarm, alarm
    site.sidecar.wait_log("lacks")


def test_what_may_not_even_be_read_waits_and_the_right_is_named(pair):
    start(pair, SHOP)
    paris = pair.paris
    paris.sidecar.wait_log("readWriteAnyDatabase")
    write_both(pair.oslo, 1)
    paris.app().shop.items.insert_one({"by": "paris"})
    for _ in range(2):
        wait_until(lambda: any("role readWrite on hr" in held for held in paris.status()["held"]),
                   lambda: paris.status()["held"])
        paris.sidecar.restart()
    change_roles(paris, "grantRolesToUser", HR)
    assert len(pair.wait_converged(["shop", "hr"])["hr.people"]) == 3
    assert paris.status()["quarantined"] == paris.status()["not_applied"] == 0


def test_what_may_be_read_but_not_written_is_set_aside_document_by_document(pair):
    start(pair, SHOP, {"role": "read", "db": "hr"})
    paris = pair.paris
    write_both(pair.oslo, 1)
    wait_items(paris, 3)
    wait_until(lambda: paris.status()["not_applied"] == 3, lambda: paris.status())
    assert_said(paris)
    paris.sidecar.restart()
    wait_until(lambda: paris.status()["not_applied"] == 3 and paris.status()["alarms"],
               lambda: paris.status())
    change_roles(paris, "grantRolesToUser", HR)
    wait_until(lambda: paris.status()["not_applied"] == 0, lambda: paris.status())
    pair.wait_converged(["shop", "hr"])
    wait_until(lambda: paris.status()["alarms"] == [], lambda: paris.status()["alarms"])


def test_a_user_that_may_write_nowhere_any_more_holds_the_stream(pair):
    start(pair, SHOP, HR)
    paris = pair.paris
    write_both(pair.oslo, 1)
    pair.wait_converged(["shop", "hr"])
    change_roles(paris, "revokeRolesFromUser", SHOP, HR)
    write_both(pair.oslo, 4)
    wait_until(lambda: any("code 13" in held for held in paris.status()["held"]),
               lambda: paris.status()["held"])
    assert paris.status()["quarantined"] == paris.status()["not_applied"] == 0
    change_roles(paris, "grantRolesToUser", SHOP, HR)
    pair.wait_converged(["shop", "hr"])
    assert paris.status()["quarantined"] == paris.status()["not_applied"] == 0
