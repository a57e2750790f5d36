import os

import pytest

from cluster import Cluster
from real_mongod import RealMongod


def pytest_collection_modifyitems(items):
    if os.environ.get("OUTRIGGER_TEST_ALL") == "1":
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: tools/test --all runs it"))


@pytest.fixture
def make_mongod(tmp_path):
    """make_mongod(replica_set=True, auth=False, parameters=None): a started RealMongod."""
    made = []

    def make(name="mongod", **options):
        mongod = RealMongod(tmp_path / f"{name}{len(made)}", **options)
        made.append(mongod)
        return mongod.start()

    yield make
    for mongod in made:
        mongod.discard()


@pytest.fixture
def mongod(make_mongod):
    """A single-member replica set."""
    return make_mongod()


@pytest.fixture
def standalone_mongod(make_mongod):
    return make_mongod(replica_set=False)


@pytest.fixture
def make_cluster(tmp_path):
    """make_cluster(sites=..., links=..., ...): a Cluster, not started. See cluster.Cluster."""
    made = []

    def make(*arguments, **options):
        cluster = Cluster(tmp_path / f"cluster{len(made)}", *arguments, **options)
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.discard()


@pytest.fixture
def two_sites(make_cluster):
    """oslo and paris, running, on replica sets."""
    return make_cluster(("oslo", "paris")).start()


@pytest.fixture
def one_site(make_cluster):
    """oslo without peers, on a replica set; not started."""
    return make_cluster(("oslo",))
