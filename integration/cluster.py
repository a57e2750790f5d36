"""Several sites, each a mongod and a sidecar, joined by lines that can be cut."""

import subprocess
from pathlib import Path

import pymongo

from documents import difference, dump
from line import Line
from real_mongod import RealMongod
from sidecar import ROOT, Sidecar, merged
from waiting import close_all, wait_until


class Site:
    def __init__(self, directory, name, replica_set, auth, settings):
        self.name = name
        self.mongod = RealMongod(directory / "mongod", replica_set=replica_set, auth=auth)
        self.sidecar = Sidecar(directory / "sidecar", name, self.mongod.uri(), settings)
        self._clients = []
        self._direct = None

    def uri(self):
        """What an app is given: the same as for the mongod but for the port."""
        return self.mongod.uri().replace(self.mongod.address, self.sidecar.proxy_address)

    def client(self, **options):
        """A PyMongo client through the sidecar; closed with the cluster."""
        client = pymongo.MongoClient(
            self.uri(), **{"serverSelectionTimeoutMS": 20000, **options})
        self._clients.append(client)
        return client

    def direct(self):
        """A PyMongo client around the sidecar, straight to the mongod; the same one every time."""
        self._direct = self._direct or self.mongod.client()
        return self._direct

    def status(self):
        return self.sidecar.status()

    def vector(self):
        """The applied vector: {origin: stamp}."""
        return self.status()["vector"]

    def discard(self):
        close_all(self._clients)
        self.sidecar.discard()
        self.mongod.discard()


class Cluster:
    """sites: their names. links: pairs of names that can dial each other (all by default)."""

    def __init__(self, directory, sites=("oslo", "paris"), links=None, replica_set=True, auth=False,
                 tls=False, settings=None):
        self.directory = Path(directory)
        self.names = list(sites)
        pairs = links if links is not None else [(a, b) for a in sites for b in sites if a < b]
        self.sites = {name: Site(self.directory / name, name, replica_set, auth, settings)
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
            site.mongod.start()
        for site in self:
            site.sidecar.start(wait_ready=False)
        for site in self:
            site.sidecar.wait_ready()
        return self

    def cut(self, a, b, one_way=False):
        """Nothing passes between a and b; with one_way: nothing from a to b."""
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
