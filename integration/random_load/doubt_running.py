"""Runs programs in which writes come to harm, and says what is not true in the end."""

from collections import Counter

from bson.raw_bson import RawBSONDocument

from differential.comparing import ARRAY, DOCUMENT, comparable
from random_load import losses
from random_load.client import DATABASE, Client, Wrong, client_of
from random_load.contents import RAW, decoded, documents
from random_load.crowd import short
from random_load.programs import MEET, Send
from random_load.running import Runner
from random_load.values import show
from waiting import wait_until

STATEMENTS = {"insert": "documents", "update": "updates", "delete": "deletes"}
RESTART_S = 30


class DoubtRunner(Runner):
    """line: a LossyLine in front of the mongod of the first site."""

    def __init__(self, cluster, bare, line):
        super().__init__(cluster, bare)
        self.line = line
        self.hits = Counter()

    def run_doubts(self, program):
        """Both sites hold one thing in the end. Raises Wrong."""
        self._run(program, lambda step, reply: None, lambda names: None)

    def run_counted(self, program):
        """And each count is there, once, if mongod heard of it. A standalone does not tell whether
        one in doubt was done: what is found is taken over, and another site's upsert of the same
        document, later, may stand in its place. What does not upsert depends on
        the order; a program cut down to that says nothing."""
        if any(is_cut_down(step, "'$inc': {'") for step in program.steps):
            return
        direct = Client(self.bare.address, self.bare.replica_set)
        doubted = set()

        def follow(step, reply):
            if self._was_given(step, reply):
                direct.send(step, self.names)
                if reply is None and self.line.is_hit and not self.bare.replica_set:
                    doubted.add(number_of(step))

        def compare(names):
            for number, name in enumerate(names):
                bare, here = [Counter(one for data in documents(store, DATABASE, name).values()
                                      for one in counted_in(decoded(data)))
                              for store in (self.bare_store, self.sites[0].direct())]
                missing, extra = bare - here, here - bare
                if extra or any(one[-1] not in doubted for one in missing):
                    raise Wrong(f"missing {missing}, too many {extra}, in doubt {doubted}",
                                {number})

        try:
            self._run(program, follow, compare)
        finally:
            direct.close()

    def run_beside(self, program):
        """And of the fields that the first site alone writes, it and the bare mongod hold the
        same. What does not upsert depends on the other site; see run_counted()."""
        if any(is_cut_down(step) for step in program.steps):
            return
        direct = Client(self.bare.address, self.bare.replica_set)

        def follow(step, reply):
            if step.site == 0 and self._was_given(step, reply):
                direct.send(step, self.names)

        def compare(names):
            for number, name in enumerate(names):
                bare, here = [{repr(key): own_fields(data) for key, data in documents(
                    store, DATABASE, name).items() if len(own_fields(data)) > 1}
                    for store in (self.bare_store, self.sites[0].direct())]
                lines = [f"{key}:\n bare {bare.get(key)}\n here {here.get(key)}"
                         for key in bare.keys() | here.keys() if bare.get(key) != here.get(key)]
                if lines:
                    raise Wrong("fields of one site differ:\n" + "\n".join(lines), {number})

        try:
            self._run(program, follow, compare)
        finally:
            direct.close()

    def run_lone(self, program):
        """And the first site holds what a bare mongod holds that was given the same."""
        direct = Client(self.bare.address, self.bare.replica_set)
        try:
            self._run(program, lambda step, reply: self._follow(direct, step, reply),
                      self._compare_contents)
        finally:
            direct.close()

    def _run(self, program, follow, compare):
        names = self.names = self.create(program.collections)
        clients = [client_of(site) for site in self.sites]
        self.cluster.heal_all()
        self.line.lose_own("")
        story = []
        try:
            for number, step in enumerate(program.steps):
                story.append(f"{number}: {step}")
                if isinstance(step, Send):
                    self.sent += 1
                    reply = self._send(clients[step.site], step, names)
                    hit = " HIT" if self.line.is_hit else ""
                    story.append(f"    {reply and short(reply)}{hit}")
                    follow(step, reply)
                else:
                    for client in clients:
                        client.settle()
                    if step == MEET:
                        self.cluster.heal_all()
                        self.wait_settled()
                    self._event(step, names)
                    if step == MEET:
                        compare(names)
        except (Wrong, TimeoutError) as error:
            wrong = error if isinstance(error, Wrong) else Wrong(str(error))
            wrong.story = story
            raise wrong from error
        finally:
            self.line.spare()
            self.cluster.heal_all()
            for client in clients:
                client.close()

    def _send(self, client, step, names):
        self.line.lose(step.lost, step.after)
        if step.own:
            self.line.lose_own(step.own)
        client.may_break = bool(step.lost)
        client.sends_again = not step.gives_up
        try:
            reply = client.send(step, names)
            if client.raw and step.command.get("writeConcern") == {"w": 0}:
                self._settle_silent(client)
        finally:
            self.line.spare()
        if self.line.is_hit:
            self.hits[step.lost] += 1
            client.close()  # with the connection to the store this one ends, answered or not
        if step.lost == losses.KILL and self.line.is_hit:
            if not self.line.started.wait(RESTART_S):
                raise TimeoutError("the sidecar did not start again")
            self.sites[0].sidecar.wait_ready()
        return reply

    @staticmethod
    def _settle_silent(client):
        try:
            if client.raw.command({"ping": 1, "$db": DATABASE}) is None:
                client.close()
        except (OSError, AssertionError):
            client.close()

    def wait_settled(self):
        for site in self.sites:
            wait_until(lambda: site.status()["open_writes"] == 0, "the doubts are settled")

    # ---- the bare mongod

    def _was_given(self, step, reply):
        """Whether the store has heard of a command of one statement."""
        return not self.line.is_hit or step.lost != losses.COMMAND or reply is not None

    def _follow(self, direct, step, reply):
        """Gives the bare mongod what the site's was given."""
        if not self.line.is_hit or reply is not None and step.lost != losses.ERROR:
            direct.send(step, self.names)
            return
        statements = step.command.get(STATEMENTS.get(next(iter(step.command))), [])
        may_be_half = len(statements) > 1 or any(
            statement.get("multi") or statement.get("limit") == 0 for statement in statements
            if isinstance(statement, dict))
        if may_be_half:
            self._follow_some(direct, step)
        elif step.lost != losses.COMMAND:
            direct.send(step, self.names)

    def _follow_some(self, direct, step):
        """Of several statements nobody knows how many were done: each document must be as it was
        behind one of them. The bare mongod is given what the site has."""
        self.wait_settled()
        name = self.names[step.collection()]
        kind = next(iter(step.command))
        stages = [self._bare(name)]
        for statement in step.command[STATEMENTS[kind]]:
            one = Send(0, {**step.command, STATEMENTS[kind]: [statement]})
            direct.send(one, self.names)
            direct.settle()
            stages.append(self._bare(name))
        stored = self.sites[0].direct()[DATABASE].get_collection(name, codec_options=RAW)
        found = [document.raw for document in stored.find().sort("$natural", 1)]
        here = {repr(comparable(data)) for data in found}
        if extra := here - set().union(*stages):
            raise Wrong("a document is as none of the statements left it:\n" + "\n".join(extra),
                        {step.collection()})
        if missing := set.intersection(*stages) - here:
            raise Wrong("a document went:\n" + "\n".join(missing), {step.collection()})
        bare = self.bare_store[DATABASE][name]
        bare.delete_many({})
        if found:
            bare.insert_many([RawBSONDocument(data) for data in found])

    def _bare(self, name):
        return {repr(comparable(data)) for data in
                documents(self.bare_store, DATABASE, name).values()}


def is_cut_down(step, *parts):
    """Whether a command lacks what makes it one of those that a comparison is about."""
    if not isinstance(step, Send):
        return False
    text = show(step.command)
    return any(part not in text for part in ("'upsert': True", ": {'_id': ", *parts)) or any(
        part in text for part in ("'u': {}", "'update': {}", "'u': []", "'update': []"))


def number_of(step):
    """Of one of Counts."""
    update = step.command.get("update")
    counts = (update if isinstance(update, dict) else step.command["updates"][0]["u"])["$inc"]
    return next(iter(counts.values())).bit_length() - 1


def counted_in(value, path=()):
    """(path..., number of the command) of what is there of Counts."""
    if isinstance(value, dict):
        return [one for name, inner in value.items() if name != "_id" or path
                for one in counted_in(inner, (*path, value.get("_id", ""), name))]
    if isinstance(value, list):
        return [(*path, number) for number in value]
    if path[-1][:1] == "c":
        return [(*path, int(path[-1][1:]))]
    return [(*path, bit) for bit in range(64) if value >> bit & 1]


def own_fields(data):
    """What OneSide writes of a document, its names in order."""
    return _sorted([(name, kind, [one for one in value if one[0] != "other"]
                     if name == "shared" else value)
                    for name, kind, value in comparable(data) if name != "other"], DOCUMENT, True)


def _sorted(value, kind, is_top=False):
    if kind not in (DOCUMENT, ARRAY):
        return value
    inner = [(name, its_kind, _sorted(its, its_kind)) for name, its_kind, its in value
             if not (is_top and name == "shared" and not its)]
    return sorted(inner, key=lambda one: one[0]) if kind == DOCUMENT else inner
