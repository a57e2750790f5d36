"""The ledger names the apps whose writes met, by what they call themselves."""

import subprocess

import pytest

from choices import entry_of
from sidecar import program

FORMS = pytest.mark.parametrize("replica_set", [True, False], ids=["replica_set", "standalone"])


def write_one(client):
    client.shop.stock.update_one({"_id": 1}, {"$set": {"v": client.options.pool_options.appname}})


def write_in_transaction(client):
    with client.start_session() as session, session.start_transaction():
        client.shop.stock.update_one({"_id": 1}, {"$set": {"v": "t"}}, session=session)


def told_by(site, *arguments):
    return subprocess.check_output([program("outriggerctl"), "--admin",
                                    site.sidecar.admin_address, *arguments], text=True)


@FORMS
def test_the_ledger_names_the_apps_whose_writes_met(make_cluster, replica_set):
    cluster = make_cluster(replica_set=replica_set).start()
    oslo, paris = cluster
    oslo.app().shop.stock.insert_one({"_id": 1})
    cluster.wait_converged(["shop"])
    with cluster.apart("oslo", "paris"):
        write_one(oslo.client(appname="till"))
        (write_in_transaction if replica_set else write_one)(paris.client(appname="Größen-App"))
        assert "app 'till'" in told_by(oslo, "explain", "shop.stock", "1", "v")
    for site in cluster:
        entry = entry_of(site, namespace="shop.stock", path="v")
        assert (entry["lost_app"], entry["won_app"]) == ("till", "Größen-App")
    text = told_by(oslo, "conflicts", "show", entry["_id"])
    assert "at oslo, app 'till'" in text and "at paris, app 'Größen-App'" in text


def test_an_app_that_names_itself_nothing_is_not_named(make_cluster):
    cluster = make_cluster().start()
    oslo, paris = cluster
    with cluster.apart("oslo", "paris"):
        oslo.app().shop.stock.insert_one({"_id": 1, "v": 1})
        paris.client(appname="web").shop.stock.insert_one({"_id": 1, "v": 2})
    entry = entry_of(oslo, namespace="shop.stock", path="v")
    assert "lost_app" not in entry and entry["won_app"] == "web"
