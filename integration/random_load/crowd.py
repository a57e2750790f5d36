"""Many clients at every site at once, each sending commands by chance to the same collections.
Nobody knows what must come out, but every site must come to the same; each remembers what it sent,
so that the story of a document that differs can be told."""

import random
import threading
from collections import deque

from random_load.client import Wrong, client_of
from random_load.commands import Commands
from random_load.contents import decoded
from random_load.programs import send
from random_load.values import show
from waiting import Pause, wait_until

REMEMBERED = 4000  # commands a client


class Crowd:
    """names: the collections; options: what each was created with. may_break: sidecars and mongods
    are killed meanwhile. commands: the class of those that are sent."""

    def __init__(self, cluster, seed, names, options, threads=2, may_break=False,
                 commands=Commands):
        self._commands = commands
        self.names = names
        self.options = options
        self.wrong = []
        self.sent = 0
        self.pause = Pause()
        self._told = {}
        self._threads = [
            threading.Thread(target=self._work, args=(
                f"{site.name}{number}", at, client_of(site, may_break),
                random.Random(f"{seed} {site.name} {number}")))
            for at, site in enumerate(cluster) for number in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.pause.end()
        for thread in self._threads:
            thread.join()

    def _work(self, name, site, client, chance):
        commands = self._commands(chance, repeatable=False)
        told = self._told[name] = deque(maxlen=REMEMBERED)
        with self.pause.worker() as goes_on:
            while goes_on():
                step = send(commands, self.options, site, outlives_kills=client.may_break)
                try:
                    told.append((step, client.send(step, self.names)))
                    self.sent += 1
                except Wrong as wrong:
                    told.append((step, None))
                    self.wrong.append(f"{name}: {wrong}\n  {step}")
                    return
            if not client.may_break:
                client.settle()
        client.close()

    def wait_sent(self, count):
        """Until so many more commands were answered, or something is wrong."""
        wanted = self.sent + count
        wait_until(lambda: self.sent >= wanted or self.wrong, f"{count} answers", interval_s=0.005)

    def check(self):
        if self.wrong:
            raise Wrong("\n".join(self.wrong[:5]))

    def all_told(self):
        """(the site's place, step, reply) of what is remembered."""
        return [(step.site, step, reply) for told in self._told.values() for step, reply in told]

    def story(self, collection, document, last=12):
        """The last commands of each client that may have touched a document (its bytes)."""
        identity = decoded(document)["_id"]
        lines = []
        for name, told in sorted(self._told.items()):
            about = [(step, reply) for step, reply in told
                     if step.collection() == collection and concerns(step.command, identity)]
            for step, reply in about[-last:]:
                answer = "no answer" if reply is None else short(reply)
                lines.append(f"  {name} {step}\n      {answer}")
        return "\n".join(lines)


def short(reply):
    """A reply without what every reply has."""
    return str({name: value for name, value in decoded(reply).items() if name not in (
        "$clusterTime", "operationTime", "electionId", "opTime")})


def concerns(command, identity):
    """Whether it names the document `_id: identity`, or documents by something else."""
    text = show(identity)
    shown = show(command)
    return f"'_id': {text}" in shown or any(
        "_id" not in statement.get("q", {}) for statement in
        command.get("updates", []) + command.get("deletes", [])) or (
        "query" in command and "_id" not in command["query"])
