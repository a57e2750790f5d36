"""Several sites, each a mongod and a sidecar, joined by lines that can be cut."""

import contextlib
import subprocess
from pathlib import Path

import pymongo

from documents import difference, dump
from line import Line
from real_mongod import RealMongod
from real_set import RealSet
from sidecar import ROOT, Sidecar, merged
from waiting import close_all, wait_until


def answers(client):
    try:
        return client.admin.command("ping")["ok"]
    except pymongo.errors.PyMongoError:
        return False


class Site:
    def __init__(self, directory, name, settings, replica_set_of=None, **mongod):
        """`replica_set_of`: several members, as RealSet takes them."""
        self.name = name
        self.mongod = (RealSet(directory / "mongod", **replica_set_of) if replica_set_of
                       else RealMongod(directory / "mongod", **mongod))
        if replica_set_of:
            settings = merged(settings or {}, {"proxy": self.mongod.proxy_settings()})
        if self.mongod.socket_dir:  # names of sockets in it must be short, too
            settings = merged(settings or {}, {"data_dir": str(self.mongod.socket_dir / "state")})
        self.sidecar = Sidecar(
            directory / "sidecar", name, lambda: self.mongod.store_uri(), settings)
        self._clients = []
        self._client = None
        self._direct = None

    def uri(self):
        """What an app is given: the same as for the mongod but for the port."""
        if isinstance(self.mongod, RealSet):
            return self.mongod.app_uri()
        return self.mongod.uri().replace(self.mongod.address, self.sidecar.proxy_address)

    def client(self, **options):
        """A PyMongo client through the sidecar; closed with the cluster."""
        client = pymongo.MongoClient(
            self.uri(), **{"serverSelectionTimeoutMS": 20000, **options})
        self._clients.append(client)
        return client

    def app(self):
        """The app's own client through the sidecar; the same one every time."""
        self._client = self._client or self.client()
        return self._client

    def direct(self):
        """A PyMongo client around the sidecar, straight to the mongod; the same one every time."""
        self._direct = self._direct or self.mongod.client()
        return self._direct

    def wait_served(self):
        """Until an app is served by the mongod of now: what an earlier one forgot is back."""
        self.sidecar.wait_ready()
        with pymongo.MongoClient(self.uri(), serverSelectionTimeoutMS=60000) as app:
            wait_until(lambda: answers(app), "an answer through the sidecar")

    def status(self):
        return self.sidecar.status()

    def peer(self, name):
        """What /status says of the link to the site `name`."""
        return next(peer for peer in self.status()["peers"] if peer["site"] == name)

    def vector(self):
        """The applied vector: {origin: stamp}."""
        return self.status()["vector"]

    def losers(self, collection):
        """What /conflicts holds of a PyMongo collection, latest first."""
        return [loser for loser in self.sidecar.conflicts(1000)
                if loser["namespace"] == collection.full_name]

    def discard(self):
        close_all(self._clients)
        self.sidecar.discard()
        self.mongod.discard()


class Cluster:
    """sites: their names. links: pairs of names that can dial each other (all by default)."""

    def __init__(self, directory, sites=("oslo", "paris"), links=None, replica_set=True, auth=False,
                 tls=False, settings=None, unix_socket=False, parameters=None, sets=None):
        """sets: of sites whose store is a set of several, by name, what RealSet takes."""
        self.directory = Path(directory)
        self.names = list(sites)
        pairs = links if links is not None else [(a, b) for a in sites for b in sites if a < b]
        self.sites = {name: Site(self.directory / name, name, settings, replica_set=replica_set,
                                 auth=auth, unix_socket=unix_socket, parameters=parameters,
                                 replica_set_of=(sets or {}).get(name))
                      for name in self.names}
        # (a, b) is the line on which a dials b.
        self.lines = {}
        for a, b in pairs:
            for near, far in ((a, b), (b, a)):
                self.lines[near, far] = Line(self.sites[far].sidecar.peer_port)
        if tls:
            make_certificates(self.directory / "certs", *self.names)
        for name, site in self.sites.items():
            site.sidecar.settings = merged(
                site.sidecar.settings, {"peers": self._peers(name, tls)})

    def _peers(self, name, tls):
        peers = []
        for other in self.names:
            if other == name:
                continue
            line = self.lines.get((name, other))
            # Without a line the other is a member all the same: counted, not dialled.
            peers.append({"site": other, "address": f"127.0.0.1:{line.port}"} if line
                         else {"site": other})
        settings = {"sites": peers}
        if tls:
            settings["tls"] = tls_settings(self.directory / "certs", name)
        return settings

    def __getattr__(self, name):
        """cluster.oslo is cluster.sites["oslo"]."""
        if name != "sites" and name in self.sites:
            return self.sites[name]
        raise AttributeError(name)

    def __iter__(self):
        return iter(self.sites.values())

    def start(self):
        for site in self:
            site.mongod.launch()
        for site in self:
            site.mongod.wait_writable()
        for site in self:
            site.sidecar.start(wait_ready=False)
        for site in self:
            site.sidecar.wait_ready()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.discard()

    def collections(self, name, database="shop"):
        """One collection as the app at each site sees it, in the order of the sites."""
        return [site.app()[database][name] for site in self]

    @contextlib.contextmanager
    def apart(self, a, b):
        """`with cluster.apart("oslo", "paris"):` the line is cut, then healed and all converges."""
        self.cut(a, b)
        yield
        self.heal(a, b)
        self.wait_converged(["shop"])

    def alike(self, collections):
        """The documents of a collection by _id, which all sites hold once they have met."""
        self.wait_converged(["shop"])
        held = [list(each.find().sort("_id")) for each in collections]
        assert all(each == held[0] for each in held)
        return held[0]

    def one_alike(self, collections, which=1):
        """The document of this _id, or None, which all sites hold once they have met."""
        found = [each for each in self.alike(collections) if each["_id"] == which]
        return found[0] if found else None

    def cut(self, a, b, one_way=False):
        """Nothing passes between a and b, if they are linked; with one_way: nothing from a to b."""
        if (a, b) not in self.lines:
            return
        self.lines[a, b].cut(forward=True, backward=not one_way)
        self.lines[b, a].cut(forward=not one_way, backward=True)

    def break_off(self, a, b):
        """Resets what connects a and b, and refuses new connections until heal()."""
        self.lines[a, b].break_off()
        self.lines[b, a].break_off()

    def heal(self, a, b):
        self.lines[a, b].heal()
        self.lines[b, a].heal()

    def isolate(self, name):
        for a, b in list(self.lines):
            if a == name:
                self.cut(a, b)

    def heal_all(self):
        for line in self.lines.values():
            line.heal()

    def wait_converged(self, databases, timeout_s=60):
        """Waits until all sites report one vector and hold equal documents; returns the dump."""
        seen = "no answer"

        def converged():
            nonlocal seen
            vectors = {site.name: site.vector() for site in self}
            first, *rest = vectors.values()
            if any(vector != first for vector in rest):
                seen = f"equal vectors: {vectors}"
                return None
            dumps = [dump(site.direct(), databases) for site in self]
            seen = "equal documents:\n" + "\n".join(
                difference(dumps[0], other) for other in dumps[1:])
            # A dump may be empty, and that is a result.
            return (dumps[0],) if all(other == dumps[0] for other in dumps) else None

        return wait_until(converged, lambda: seen, timeout_s, interval_s=0.1)[0]

    def wait_quiet(self, timeout_s=30, rows=0):
        """Waits until no site keeps a record or a row: a stable document costs nothing. `rows`:
        how many documents repeat a name; of each a row remembers that."""
        seen = {}

        def quiet():
            for site in self:
                status = site.status()
                seen[site.name] = (status["rows"], status["outbox"]["records"])
            return all(numbers == (rows, 0) for numbers in seen.values())

        wait_until(quiet, lambda: f"(rows, outbox records) all {rows, 0}: {seen}", timeout_s)

    def discard(self):
        for line in self.lines.values():
            line.close()
        for site in self:
            site.discard()


def make_certificates(directory, *sites):
    subprocess.run([ROOT / "tools" / "certs", directory, *sites], check=True,
                   stdout=subprocess.DEVNULL)


def tls_settings(directory, site):
    return {"certificate": str(directory / f"{site}.crt"), "key": str(directory / f"{site}.key"),
            "ca": str(directory / "ca.crt")}
