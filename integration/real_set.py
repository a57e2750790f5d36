"""A real replica set of several members for a test, each a mongod of its own."""

import shutil
import tempfile
from pathlib import Path

import pymongo
import pymongo.errors

from process import Process
from real_mongod import REPLICA_SET, mongod_program
from waiting import close_all, free_port, wait_until

# Short, as the tests wait for elections; long enough for a machine that is busy.
ELECTION_MS = 3000


class SetMember:
    def __init__(self, directory, number):
        self.port = free_port()
        self.listen_port = free_port()  # of the sidecar, for this member
        self.directory = directory / f"member{number}"
        (self.directory / "data").mkdir(parents=True)
        self.process = Process([
            mongod_program(), "--port", self.port, "--bind_ip", "127.0.0.1", "--nounixsocket",
            "--dbpath", self.directory / "data", "--wiredTigerCacheSizeGB", "0.25",
            "--oplogSize", "64", "--replSet", REPLICA_SET,
            "--setParameter", "diagnosticDataCollectionEnabled=false",
            "--setParameter", "enableTestCommands=1",  # see follow()
        ], self.directory / "mongod.log")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def listens_at(self):
        return f"127.0.0.1:{self.listen_port}"

    @property
    def shown_as(self):
        """Another name than the one it listens under, as behind a name service."""
        return f"localhost:{self.listen_port}"


class RealSet:
    """Like a RealMongod where a Site looks at it."""

    socket_dir = None

    def __init__(self, directory, members=3, arbiter=False):
        """`arbiter`: the last of them only votes."""
        self.members = [SetMember(directory, number) for number in range(members)]
        self.arbiter = self.members[-1] if arbiter else None
        # Of the sidecar's sockets; a test's own folder is too deep for their names.
        self._listen_dir = Path(tempfile.mkdtemp(prefix="listen-"))
        self._clients = []
        self._bare = {}

    @property
    def address(self):
        return ",".join(member.address for member in self.members)

    def uri(self):
        return f"mongodb://{self.address}/?replicaSet={REPLICA_SET}"

    store_uri = uri

    def app_uri(self):
        """Through the sidecar."""
        shown = ",".join(member.shown_as for member in self.members)
        return f"mongodb://{shown}/?replicaSet={REPLICA_SET}"

    def proxy_settings(self):
        return {"listen": None, "members": [
            {"member": member.address, "listen": member.listens_at, "advertise": member.shown_as,
             "socket": self.socket_of(member)} for member in self.members]}

    def socket_of(self, member):
        """Where the sidecar listens for this member, too."""
        return str(self._listen_dir / f"{member.port}.sock")

    def client(self, **options):
        client = pymongo.MongoClient(self.uri(), **{"serverSelectionTimeoutMS": 30000, **options})
        self._clients.append(client)
        return client

    def bare(self, member):
        """Straight to that one, whatever it is."""
        if member not in self._bare:
            self._bare[member] = pymongo.MongoClient(
                member.address, directConnection=True, serverSelectionTimeoutMS=1000,
                socketTimeoutMS=5000)
        return self._bare[member]

    def hello(self, member):
        try:
            return self.bare(member).admin.command("hello")
        except pymongo.errors.PyMongoError:
            return {}

    # ---- verbs

    def launch(self):
        for member in self.members:
            member.process.start()

    def wait_writable(self):
        for member in self.members:
            wait_until(lambda: self.hello(member), member.process.log_tail, 60)
        first = self.bare(self.members[0]).admin
        if "setName" not in first.command("hello"):
            first.command("replSetInitiate", {
                "_id": REPLICA_SET,
                "members": [self._configured(at, member)
                            for at, member in enumerate(self.members)],
                "settings": {"electionTimeoutMillis": ELECTION_MS,
                             "heartbeatIntervalMillis": 500}})
        self.wait_whole()
        return self

    def _configured(self, at, member):
        if member is self.arbiter:
            return {"_id": at, "host": member.address, "arbiterOnly": True}
        return {"_id": at, "host": member.address, "tags": {"number": str(at)}}

    def wait_whole(self):
        """One primary, and all others follow it."""
        def is_whole():
            seen = [self.hello(member) for member in self.members]
            return (sum(bool(each.get("isWritablePrimary")) for each in seen) == 1
                    and all(each.get("isWritablePrimary") or each.get("secondary")
                            or each.get("arbiterOnly") for each in seen))
        wait_until(is_whole, lambda: f"a whole set: {[self.hello(m) for m in self.members]}", 60)

    def primary(self, other_than=None):
        """The member that is primary, once there is one."""
        def find():
            for member in self.members:
                if member is not other_than and member.process.is_running() \
                        and self.hello(member).get("isWritablePrimary"):
                    return member
            return None
        return wait_until(find, "a primary", 60)

    def secondaries(self):
        primary = self.primary()
        return [member for member in self.members if member not in (primary, self.arbiter)]

    def step_down(self):
        """Returns the member that was primary, once another one is. Nobody waits for long until
        that one has all: what it lacks is rolled back."""
        was = self.primary()
        try:
            self.bare(was).admin.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=1,
                                             force=True)
        except pymongo.errors.AutoReconnect:
            pass
        self.primary(other_than=was)
        return was

    def kill(self, member):
        member.process.kill()

    def start(self, member):
        member.process.start()
        wait_until(lambda: self.hello(member).get("secondary")
                   or self.hello(member).get("isWritablePrimary"), member.process.log_tail, 60)

    def follow(self, follows, *members):
        """Whether these fetch what the primary writes. They go on voting, and may be elected."""
        for member in members:
            self.bare(member).admin.command(
                "configureFailPoint", "stopReplProducer", mode="off" if follows else "alwaysOn")

    def freeze(self, *members):
        for member in members:
            member.process.freeze()

    def thaw(self, *members):
        for member in members:
            member.process.thaw()

    def discard(self):
        close_all(self._clients)
        close_all(list(self._bare.values()))
        self._bare.clear()
        shutil.rmtree(self._listen_dir, ignore_errors=True)
        for member in self.members:
            member.process.kill()
