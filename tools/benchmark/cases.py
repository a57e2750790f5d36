"""What the table measures, and the blocks it is measured in."""

import random
from dataclasses import dataclass, field

import machine

AGAIN = "direct again"
MANY = 1000  # documents an insertMany


@dataclass(frozen=True)
class Operation:
    label: str
    arguments: tuple  # of bench_load
    connections: tuple = (1, 16, 64)
    quick: tuple = (1, 16)
    null: bool = False  # beside the relay that does nothing: where the bars are about it
    unix: bool = False  # and by a Unix socket

    @property
    def writes(self):
        return self.arguments[1] != "find"


OPERATIONS = {
    "find": Operation("find by _id", ("--operation", "find"), null=True, unix=True),
    "updateByIdMajority": Operation("update by _id, majority", (
        "--operation", "updateById", "--majority"), quick=(1, 16, 64), null=True, unix=True),
    "updateByIdRetryable": Operation("update by _id, majority, retryable", (
        "--operation", "updateById", "--majority", "--retryable"), connections=(16,), quick=()),
    "updateById": Operation("update by _id, w:1", ("--operation", "updateById"),
                            quick=(1, 16, 64)),
    "insertOne": Operation("insert one, w:1", ("--operation", "insertOne"), quick=(1, 16, 64)),
    "insertMany": Operation("insert 1,000, w:1", ("--operation", "insertMany"),
                            connections=(1,), quick=(1,)),
    "findAndModify": Operation("findAndModify by _id, w:1", ("--operation", "findAndModify"),
                               connections=(16, 64), quick=(16,)),
    "updateByField": Operation("update by another field, w:1", ("--operation", "updateByField"),
                               connections=(16,), quick=(16,)),
    "replaceById": Operation("replace by _id, w:1", ("--operation", "replaceById"),
                             connections=(16,), quick=(16,)),
    "pipelineById": Operation("update by _id by a pipeline, w:1", ("--operation", "pipelineById"),
                              connections=(16,), quick=(16,)),
    "transactionOf1": Operation("transaction of 1 update, majority", (
        "--operation", "updateById", "--majority", "--transaction", 1), connections=(1, 16),
        quick=(1, 16)),
    "transactionOf5": Operation("transaction of 5 updates, majority", (
        "--operation", "updateById", "--majority", "--transaction", 5), connections=(1, 16),
        quick=(1, 16)),
}
ON_STANDALONE = ("updateById", "insertOne")
# Where two equal arms are compared: the cases the bars are about.
NOISE_CASES = {("find", 16), ("updateByIdMajority", 16)}


@dataclass(frozen=True)
class Case:
    operation: str
    connections: int
    store: str = ""  # "standalone: " before the label, where it is not a set

    @property
    def of(self):
        return OPERATIONS[self.operation]

    @property
    def key(self):
        return self.store + self.of.label, self.connections

    @property
    def inserts(self):
        return self.operation.startswith("insert")


@dataclass
class Bench:
    """results: {(label, connections): {arm: [Block]}}."""
    options: object
    arms: object
    store: str = ""
    runs: int = 0
    results: dict = field(default_factory=dict)
    silent: list = field(default_factory=list)   # blocks in which nothing was answered
    sync_us: list = field(default_factory=list)  # of appends, one a block

    def __post_init__(self):
        self.random = random.Random(self.options.seed)
        names = self.options.operations if not self.store else \
            [name for name in self.options.operations if name in ON_STANDALONE]
        self.cases = [Case(name, count, self.store) for name in names
                      for count in self.connections_of(name)]
        noisy = [case for case in self.cases
                 if (case.operation, case.connections) in NOISE_CASES] or self.cases[:1]
        self.results = {case.key: {name: [] for name in self.arms_of(case, noisy)}
                        for case in self.cases}

    def connections_of(self, name):
        operation = OPERATIONS[name]
        usual = operation.quick if self.options.quick else operation.connections
        asked = self.options.connections
        return usual if asked is None else [n for n in asked if n in operation.connections]

    def arms_of(self, case, noisy):
        wanted = {"null": case.of.null, "unix": case.of.unix}
        names = [name for name in self.arms.all if wanted.get(name, True)]
        return [*names, AGAIN] if case in noisy and not self.store else names

    def run(self):
        orders = {}
        for block in range(self.options.blocks):
            self.sync_us.append(machine.sync_us(self.arms.directory))
            for case in self.random.sample(self.cases, len(self.cases)):
                # Every second block goes back the way the one before came: A B C, C B A.
                if block % 2 == 0:
                    names = list(self.results[case.key])
                    orders[case] = self.random.sample(names, len(names))
                else:
                    orders[case].reverse()
                for name in orders[case]:
                    self.results[case.key][name].append(self.run_answered(case, name))
            machine.say(f"{self.store}block {block + 1} of {self.options.blocks} done")

    def run_answered(self, case, name):
        """A block in which nothing is answered has no rate. It is run again, and told of."""
        for _ in range(3):
            block = self.run_one(case, name)
            if block.acknowledged > 0 and block.ops_per_s > 0:
                return block
            self.silent.append(f"{name}, {case.operation} at {case.connections}")
        raise machine.Void(f"nothing is answered in {self.options.seconds:g} s: {self.silent[-1]}")

    def run_one(self, case, name, rate=0):
        """`rate`: commands a second, open loop; 0: as many as it takes."""
        arm = self.arms.all["direct" if name == AGAIN else name]
        self.runs += 1
        arguments = [*case.of.arguments, "--connections", case.connections,
                     "--seconds", self.options.seconds, "--warmup", self.options.warmup,
                     "--rate", rate, "--seed", self.runs]
        if not case.inserts:
            return arm.run(arguments, arm.collection, keep_state=case.of.writes)
        # A collection of its own, gone afterwards: the tenth run is as cheap as the first.
        collection = f"new_{self.runs}"
        block = arm.run(arguments, collection)
        arm.check_inserted(collection, block.acknowledged * (
            MANY if case.operation == "insertMany" else 1))
        arm.drop(collection)
        return block

    def wrong(self):
        return [wrong for arm in self.arms.all.values() if (wrong := arm.wrong())]
