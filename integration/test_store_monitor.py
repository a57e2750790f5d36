"""MongoDB's own TTL monitor rests while the sidecar expires documents, and works again after it."""

import pytest

from test_expiry import OFTEN, SOON, expires_by, make_index, monitor_works, wait_by
from waiting import wait_until


@pytest.fixture(params=[True, False], ids=["replica_set", "standalone"])
def cluster(request, make_cluster):
    """oslo and paris, not started."""
    return make_cluster(replica_set=request.param, settings=SOON, parameters=OFTEN)


def test_the_stores_own_monitor_rests_while_the_sidecar_runs(cluster):
    with cluster:
        oslo = cluster.oslo
        assert expires_by(oslo) == "store" and monitor_works(oslo)
        make_index(cluster)
        assert not any(monitor_works(site) for site in cluster)
        oslo.sidecar.stop()
        assert monitor_works(oslo) and not monitor_works(cluster.paris)
        oslo.sidecar.start()
        wait_by(oslo, "sidecar")
        assert not monitor_works(oslo)
        oslo.mongod.restart()
        wait_until(lambda: not monitor_works(oslo), "its new run to be told so, too")
        oslo.sidecar.kill()
        assert not monitor_works(oslo)
        oslo.sidecar.start()
        wait_by(oslo, "sidecar")
        oslo.app().shop.sessions.drop_index("at_1")
        wait_until(lambda: monitor_works(oslo), "nothing to expire: the monitor works")
        wait_by(oslo, "store")


def test_what_a_killed_sidecar_put_to_rest_works_again(cluster):
    with cluster:
        oslo, paris = cluster.oslo, cluster.paris
        make_index(cluster)
        for site in cluster:
            site.sidecar.kill()
            assert not monitor_works(site)
        oslo.direct().shop.sessions.drop_index("at_1")
        paris.sidecar.settings["expiry"] = {"by": "store"}
        for site in cluster:
            site.sidecar.start()
            wait_until(lambda: monitor_works(site), "the monitor is given back")  # noqa: B023


def test_who_sets_the_monitor_off_has_nothing_expire(cluster):
    with cluster:
        oslo = cluster.oslo
        oslo.direct().admin.command("setParameter", 1, ttlMonitorEnabled=False)
        oslo.app().shop.sessions.create_index("at", expireAfterSeconds=0)
        wait_by(cluster.oslo, "nobody")
        oslo.sidecar.stop()
        assert not monitor_works(oslo)
