"""Applications that nobody here wrote, as they come: used at one site through their own interface,
whole at the other, and no different from what they are on a bare MongoDB."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import Cluster
from real_mongod import RealMongod
from test_catalog import wait_alike

PROGRAMS = Path(__file__).parent / "applications"
# (on a replica set, the application): what needs no transactions must do on a standalone, too.
CASES = [
    (True, "mongoose_shop.js"), (True, "agenda_jobs.js"), (True, "express_sessions.js"),
    (True, "mongoengine_blog.py"),
    pytest.param(True, "parse_backend.js", marks=pytest.mark.long),
    (False, "agenda_jobs.js"), (False, "express_sessions.js"), (False, "mongoengine_blog.py")]


def ask(program, uri, database, what, kept=""):
    """Runs an application; what it says last. `kept`: what it gave to be handed back."""
    runner = {".js": "node", ".py": sys.executable}[Path(program).suffix]
    result = subprocess.run([runner, PROGRAMS / program, uri, database, what, kept], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def sites_and_bare(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("applications")
    sites = Cluster(directory, replica_set=request.param)
    bare = RealMongod(directory / "bare", replica_set=request.param)
    try:
        yield sites.start(), bare.start()
    finally:
        sites.discard()
        bare.discard()


@pytest.mark.parametrize("sites_and_bare, program", CASES, indirect=["sites_and_bare"])
def test_an_application_is_whole_at_the_other_site(sites_and_bare, program):
    sites, bare = sites_and_bare
    name = Path(program).stem
    alone = ask(program, bare.uri(), name, "work")
    seen = ask(program, bare.uri(), name, "look", alone.get("keep", ""))
    for here, there in ((sites.oslo, sites.paris), (sites.paris, sites.oslo)):
        database = f"{name}_{here.name}"
        done = ask(program, here.uri(), database, "work")
        assert done["told"] == alone["told"]
        wait_alike(sites, database)
        for site in (there, here):
            assert ask(program, site.uri(), database, "look", done.get("keep", "")) == seen
