import os
from collections import Counter
from itertools import groupby

import pytest

import spare_mongods
from cluster import Cluster
from real_mongod import RealMongod
from spec_sides import made_sides
from waiting import claimed


def pytest_configure():
    spare_mongods.keep(4)  # no test uses more at once


def pytest_unconfigure():
    spare_mongods.end_all()


def pytest_collection_modifyitems(items):
    if os.environ.get("OUTRIGGER_TEST_ALL") == "1":
        return
    for item in items:
        form = item.get_closest_marker("long_on")
        if item.get_closest_marker("long") or (form and form.args[0] in item.callspec.id):
            item.add_marker(pytest.mark.skip(reason="long: tools/test --all runs it"))


def pytest_runtestloop(session):
    """With OUTRIGGER_CLAIMS, a folder that several runs share, each file of tests is run by the
    first of them that comes to it: together they run all, however long each takes."""
    folder = os.environ.get("OUTRIGGER_CLAIMS")
    if not folder or session.config.option.collectonly:
        return None
    of_file = Counter(item.path for item in session.items)
    # The most tests first, so that none is left alone with many at the end.
    session.items.sort(key=lambda item: (-of_file[item.path], item.path))
    for path, items in groupby(session.items, lambda item: item.path):
        if not claimed(path.name):
            continue
        items = list(items)
        for item, following in zip(items, [*items[1:], None]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail or session.shouldstop:
                raise session.Interrupted(session.shouldfail or session.shouldstop)
    return True


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


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """oslo and paris, running, shared by the tests of a file: each takes its own collection."""
    with Cluster(tmp_path_factory.mktemp("pair")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def sites_on_a_set(tmp_path_factory):
    """oslo, on a set of three, and paris, on a set of one."""
    with Cluster(tmp_path_factory.mktemp("members"), sets={"oslo": {"members": 3}},
                 settings={"log": {"level": "info"}}) as cluster:
        yield cluster


@pytest.fixture
def oslo_on_a_set(sites_on_a_set):
    """Its set whole again, and served."""
    oslo = sites_on_a_set.oslo
    oslo.mongod.wait_whole()
    oslo.wait_served()
    return oslo


@pytest.fixture(scope="session")
def shared_sides(tmp_path_factory):
    sides, discard = made_sides(tmp_path_factory.mktemp("spec"))
    yield sides
    discard()


@pytest.fixture(scope="module")
def spec_sides(shared_sides):
    """A bare MongoDB and two sites, for cases of spec_sides.py."""
    yield shared_sides
    shared_sides.wait_alike()
