"""Drivers as users have them: the same through a sidecar as on a bare MongoDB, whole at the second
site, and nothing lost or doubled while the sidecar is restarted under them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import Cluster
from real_mongod import RealMongod
from test_catalog import wait_alike
from waiting import wait_until

PROGRAMS = Path(__file__).parent / "drivers"
SEEN = {"many": 500, "update": [1, 1], "update_many": 10, "find_and_modify": 6, "replace": 1,
        "delete": 4, "bulk": [1, 1, 1, 1], "duplicate": 11000, "transaction": [1, 2],
        "events": ["insert", "update", "delete"], "file": 600000, "left": 499,
        "sum": 1 - 1 + sum(range(5, 500))}  # the first, the replaced one, the rest


def python(program):
    return lambda _: ([sys.executable, PROGRAMS / program], {})


def node(release):
    """The driver of this release, wherever NODE_PATH has it."""
    def made(_):
        for folder in os.environ["NODE_PATH"].split(":"):
            package = Path(folder) / "mongodb" / "package.json"
            if package.exists() and json.loads(package.read_text())["version"].startswith(release):
                return ["node", PROGRAMS / "node_driver.js"], {"NODE_PATH": folder}
        pytest.skip(f"no Node driver {release} on NODE_PATH")
    return made


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")


def output_of(*command, **options):
    made = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=600, **options)
    assert made.returncode == 0, made.stdout
    return made.stdout


def old_pymongo(release):
    def made(make_folder):
        folder = make_folder.mktemp("pymongo")
        output_of(sys.executable, "-m", "pip", "install", "--quiet", "--target", folder,
                  f"pymongo=={release}")
        return [sys.executable, PROGRAMS / "pymongo_sync.py"], {"PYTHONPATH": str(folder)}
    return made


def go(folder):
    def made(make_folder):
        needs("go")
        program = make_folder.mktemp(folder) / "driver"
        output_of("go", "build", "-o", program, ".", cwd=PROGRAMS / folder)
        return [program], {}
    return made


def java(make_folder):
    needs("javac", "mvn")
    classes = make_folder.mktemp("java")
    paths = classes / "paths"
    output_of("mvn", "--quiet", "--batch-mode", f"-Dmdep.outputFile={paths}",
              "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath",
              cwd=PROGRAMS / "java")
    path = f"{classes}:{paths.read_text().strip()}"
    output_of("javac", "-d", classes, "-cp", path, PROGRAMS / "java" / "Driver.java")
    return ["java", "-cp", path, "Driver"], {}


def rust(make_folder):
    needs("cargo")
    target = make_folder.mktemp("rust")
    output_of("cargo", "build", "--quiet", "--target-dir", target, cwd=PROGRAMS / "rust")
    return [target / "debug" / "driver"], {}


def csharp(make_folder):
    needs("dotnet")
    built = make_folder.mktemp("csharp")
    output_of("dotnet", "build", PROGRAMS / "csharp", "--nologo", "--output", built / "bin",
              f"-p:BaseIntermediateOutputPath={built}/obj/")
    return ["dotnet", built / "bin" / "driver.dll"], {}


def libmongoc(make_folder):
    program = make_folder.mktemp("libmongoc") / "driver"
    flags = output_of("pkg-config", "--cflags", "--libs", "libmongoc-1.0").split()
    output_of("cc", "-Wall", "-Werror", "-o", program, PROGRAMS / "libmongoc" / "driver.c", *flags)
    return [program], {}


def mongosh(_):
    for folder in os.environ["NODE_PATH"].split(":"):
        if (Path(folder) / "mongosh").exists():
            return ["node", PROGRAMS / "mongosh_driver.js"], {"NODE_PATH": folder}
    pytest.skip("no mongosh on NODE_PATH")


DRIVERS = {
    "pymongo": python("pymongo_sync.py"),
    "pymongo_async": python("pymongo_async.py"),
    "node_6": node("6."),
    "node_7": node("7."),
    "pymongo_3": old_pymongo("3.11.0"),
    "go_1": go("go1"),
    "go_2": go("go2"),
    "java": java,
    "rust": rust,
    "csharp": csharp,
    "libmongoc": libmongoc,
    "mongosh": mongosh,
}
LACKS = {"mongosh": {"file"}}  # GridFS
FAST = {"pymongo", "pymongo_async", "node_6", "node_7", "libmongoc"}


class Driver:
    def __init__(self, name, command, environment):
        self.name = name
        self.seen = {what: SEEN[what] for what in SEEN if what not in LACKS.get(name, ())}
        self.command = command
        self.environment = {**os.environ, **environment}

    def start(self, uri, database, what):
        """what: `work`, which does a little of everything, or `count`, 400 increments."""
        return subprocess.Popen([*self.command, uri, database, what], env=self.environment,
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, uri, database, what):
        return said(self.start(uri, database, what))


def said(child):
    out, errors = child.communicate(timeout=180)
    assert child.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("sites")) as cluster:
        yield cluster


@pytest.fixture(scope="module", params=[
    name if name in FAST else pytest.param(name, marks=pytest.mark.long) for name in DRIVERS])
def driver(request, tmp_path_factory):
    return Driver(request.param, *DRIVERS[request.param](tmp_path_factory))


def test_a_driver_sees_what_mongodb_shows_and_the_other_site_has_it(sites, driver, request):
    database = request.node.callspec.id
    assert driver.run(sites.oslo.uri(), database, "work") == driver.seen
    wait_alike(sites, database)


def test_it_sees_the_same_on_a_bare_mongodb(driver, tmp_path):
    bare = RealMongod(tmp_path / "bare", replica_set=True)
    try:
        assert driver.run(bare.start().uri(), "work", "work") == driver.seen
    finally:
        bare.discard()


def test_a_restart_under_it_loses_and_doubles_nothing(sites, driver, request):
    if driver.name == "mongosh":
        pytest.skip("waits for ever where a connection ends while it sends (2.3 and 2.5 do)")
    database = "count_" + request.node.callspec.id
    child = driver.start(sites.oslo.uri(), database, "count")
    counters = sites.oslo.direct()[database].counters
    for share in (50, 150):
        wait_until(lambda: child.poll() is not None or counters.find_one({"n": {"$gt": share}}),
                   f"{share} are counted")
        sites.oslo.sidecar.kill() if share == 50 else sites.oslo.sidecar.stop()
        sites.oslo.sidecar.start()
    told = said(child)
    sites.wait_converged([database])
    found = counters.find_one()["n"]
    assert told["acknowledged"] <= found <= told["acknowledged"] + told["failed"]
    assert told["failed"] <= 2
