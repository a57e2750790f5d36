"""A real mongod of its own for a test: standalone or a single-member replica set, with or without
authentication. What it keeps survives stop, kill and start."""

import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

import pymongo
import pymongo.errors

import spare_mongods
from process import Process
from spare_mongods import Spare
from waiting import close_all, free_port, wait_until

REPLICA_SET = "rs0"
ROOT_USER, ROOT_PASSWORD = "root", "root-password"


def mongod_program():
    """OUTRIGGER_MONGOD, else mongod on PATH; `tools/setup --print-env` knows where one is."""
    program = os.environ.get("OUTRIGGER_MONGOD") or shutil.which("mongod")
    assert program, 'no mongod: run eval "$(tools/setup --print-env)"'
    return program


class RealMongod:
    def __init__(self, directory, replica_set=True, auth=False, parameters=None,
                 unix_socket=False):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.replica_set = replica_set
        self.auth = auth
        self.parameters = parameters or {}
        # A test's own folder is too deep for the name of a Unix socket.
        self.socket_dir = Path(tempfile.mkdtemp(prefix="mongod-")) if unix_socket else None
        self._clients = []
        self._set_up = False
        self._spare = None  # its process, port and files, once it is known which

    def _is_of_the_kind_kept(self):
        return not (self.auth or self.parameters or self.socket_dir)

    def _identity(self):
        if self._spare is None:
            directory, port = spare_mongods.new_directory(), free_port()
            (directory / "data").mkdir()
            process = Process(self._arguments(directory, port), directory / "mongod.log")
            self._use(Spare(process, port, directory))
        return self._spare

    def _use(self, spare):
        self._spare = spare
        # Where whoever looks at a failed test looks for it.
        shown = self.directory / "mongod.log"
        shown.unlink(missing_ok=True)
        shown.symlink_to(spare.directory / "mongod.log")

    @property
    def process(self):
        return self._identity().process

    @property
    def port(self):
        return self._identity().port

    def _arguments(self, directory, port):
        arguments = [mongod_program(), "--port", port, "--bind_ip", "127.0.0.1",
                     "--dbpath", directory / "data", "--wiredTigerCacheSizeGB", "0.25",
                     *(["--unixSocketPrefix", self.socket_dir] if self.socket_dir
                       else ["--nounixsocket"])]
        parameters = {"diagnosticDataCollectionEnabled": "false", **self.parameters}
        for name, value in parameters.items():
            arguments += ["--setParameter", f"{name}={value}"]
        if self.replica_set:
            arguments += ["--replSet", REPLICA_SET]
        if self.auth:
            arguments.append("--auth")
            if self.replica_set:
                arguments += ["--keyFile", self._key_file()]
        return [str(argument) for argument in arguments]

    def _key_file(self):
        path = self.directory / "keyfile"
        path.write_text("only" + "local" * 4)
        path.chmod(0o600)
        return path

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def uri(self, user=None, password=None):
        """For a driver or for store.uri of a sidecar; without a user: root when auth is on."""
        if self.auth and user is None:
            user, password = ROOT_USER, ROOT_PASSWORD
        credentials = f"{user}:{password}@" if user else ""
        options = f"?replicaSet={REPLICA_SET}" if self.replica_set else "?directConnection=true"
        return f"mongodb://{credentials}{self.address}/{options}"

    def store_uri(self):
        """For store.uri of a sidecar beside it: by the Unix socket if there is one."""
        if not self.socket_dir:
            return self.uri()
        path = quote(f"{self.socket_dir}/mongodb-{self.port}.sock", safe="")
        return f"mongodb://{path}/?directConnection=true"

    def client(self, **options):
        """A PyMongo client straight to this mongod; closed when the mongod is discarded."""
        return self._keep(pymongo.MongoClient(
            self.uri(), **{"serverSelectionTimeoutMS": 20000, **options}))

    def _keep(self, client):
        self._clients.append(client)
        return client

    def start(self):
        """Returns once writes are possible."""
        self.launch()
        return self.wait_writable()

    def launch(self):
        """Starts the process, or takes a spare one where nobody asked for the port before."""
        if self._spare is None and self._is_of_the_kind_kept():
            spare = spare_mongods.take(self.replica_set)
            if spare:
                self._set_up = True
                self._use(spare)
                return
        self.process.start()

    def wait_writable(self):
        bare = pymongo.MongoClient(self.address, directConnection=True,
                                   serverSelectionTimeoutMS=1000)
        try:
            self._wait_for(bare, lambda hello: True)
            if not self._set_up and self.replica_set:
                member = {"_id": 0, "host": self.address}
                bare.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
            self._wait_for(bare, lambda hello: hello.get("isWritablePrimary"))
            if not self._set_up and self.auth:
                bare.admin.command("createUser", ROOT_USER, pwd=ROOT_PASSWORD, roles=["root"])
            self._set_up = True
        finally:
            bare.close()
        return self

    def _wait_for(self, bare, condition):
        def answers():
            assert self.process.is_running(), "mongod ended:\n" + self.process.log_tail()
            try:
                return condition(bare.admin.command("hello"))
            except pymongo.errors.PyMongoError:
                return False
        wait_until(answers, self.process.log_tail, timeout_s=60)

    def add_user(self, user, password, roles):
        self.client().admin.command("createUser", user, pwd=password, roles=roles)

    def stop(self):
        return self.process.stop()

    def kill(self):
        """kill -9: what was not journaled yet is lost."""
        self.process.kill()

    def restart(self):
        self.stop()
        return self.start()

    def discard(self):
        """The end of it; it may be kept for another test if this one left it as it was."""
        close_all(self._clients)
        spare, self._spare = self._spare, None
        if spare and self._set_up and self._is_of_the_kind_kept() and spare.process.is_running() \
                and not spare.process.disturbed \
                and spare.process.arguments == self._arguments(spare.directory, spare.port):
            spare_mongods.give(spare, self.replica_set)
        elif spare:
            spare.end()
        if self.socket_dir:
            shutil.rmtree(self.socket_dir, ignore_errors=True)
