"""What happens when two sites write without seeing each other: each line of README's two tables, by
its own words, with oslo first and with paris first.

All cases share one time apart: what is there is made, the line is cut, whoever is first writes,
then whoever is later, and the line is healed. Each case then looks at its own collection."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

import pairs
import pairs_of_collections as more
from cluster import Cluster
from sidecar import ROOT
from waiting import wait_until

OF_COLLECTIONS = {**more.KEYS, **more.COLLECTIONS, **more.KEYS_BY_RULE}
LINES = {**pairs.FIELDS, **pairs.NUMBERS, **pairs.ARRAYS, **pairs.DOCUMENTS, **more.KEYS,
         **more.COLLECTIONS, **pairs.POLICIES, **more.KEYS_BY_RULE}
FIRST = ("oslo", "paris")
CASES = {"_".join(re.findall(r"\w+", f"{' '.join(line)} {number} {first}")): (line, first, case)
         for line, cases in LINES.items() for number, case in enumerate(cases) for first in FIRST}


def rule_of(line):
    """What the settings say of a line of the second table, by its first words."""
    if len(line) == 2:
        return {}
    said = yaml.safe_load(line[0]) if ": " in line[0] else None
    return said or {"fields": {"v": line[0]}}


RULES = [{"namespace": f"shop.{name}", **rule_of(line)} for name, (line, *_) in CASES.items()
         if rule_of(line)]


def results(header):
    """{the words of a line: what comes of it} of the table of README that begins so."""
    table = (ROOT / "README.md").read_text().split(header + "\n", 1)[1].split("\n\n", 1)[0]
    lines = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
             for line in table.splitlines()[1:]]
    return {tuple(line[:-1]): line[-1] for line in lines if line[-1]}


WITHOUT_RULES = results("| one site | the other | result |")
BY_RULE = results("| the rule | one site | the other | result |")
RESULTS = {**WITHOUT_RULES, **BY_RULE}


def test_each_line_of_the_readme_has_its_case():
    assert list(WITHOUT_RULES) == [line for line in LINES if len(line) == 2]
    assert list(BY_RULE) == [line for line in LINES if len(line) == 3]
    assert len(CASES) == 2 * sum(map(len, LINES.values())), "two cases have one name"


def documents(fields):
    return fields if isinstance(fields, list) else [] if fields is None else [{"_id": 1, **fields}]


class World:
    """Both sites, after all cases were written; what one of its writes raised is its case's."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.raised = {}
        self.act("is made", lambda case, first, later: self.make(case, first))
        cluster.wait_converged([])
        cluster.cut(*FIRST)
        self.act("one", lambda case, first, later: case[1](first))
        self.act("the other", lambda case, first, later: case[2](later))
        cluster.heal(*FIRST)
        cluster.wait_converged([])

    def collections(self, name, first):
        both = self.cluster.collections(name)
        return both if first == FIRST[0] else both[::-1]

    def act(self, step, act):
        """At several collections at once: then their writes share what MongoDB waits for."""
        def act_on(name):
            _, first, case = CASES[name]
            try:
                act(case, *self.collections(name, first))
            except Exception as error:
                self.raised.setdefault(name, f"{step}: {error!r}")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(act_on, [name for name in CASES if name not in self.raised]))

    @staticmethod
    def make(case, first):
        before = case[0]
        if callable(before):
            before(first)
        elif documents(before):
            first.insert_many(documents(before))



@pytest.fixture(scope="module")
def world(tmp_path_factory):
    settings = {"replicate": RULES, "expiry": {"every": "100ms"}}
    with Cluster(tmp_path_factory.mktemp("pair"), settings=settings) as cluster:
        yield World(cluster)


def shown(collection, line):
    held = list(collection.find().sort("_id"))
    if line not in OF_COLLECTIONS:
        return held
    indexes = {name: [field for field, _ in index["key"]]
               for name, index in collection.index_information().items() if name != "_id_"}
    options = collection.options()
    return held, indexes, {"validator": options["validator"]} if "validator" in options else {}


def of_both(after, line):
    """What is there then at the site that was first, and at the other."""
    if line not in OF_COLLECTIONS:
        return [documents(after)] * 2
    return list(after) if isinstance(after[0], tuple) else [after, after]


def entries(site, namespace):
    """What a ledger has of a collection; of its indexes and options, too."""
    return list(site.app().outrigger.conflicts.find(
        {"$or": [{"namespace": namespace},
                 {"namespace": "outrigger.catalog", "document": namespace}]}))


def lost_of(entry):
    """Of what a delete took a site may tell the document (the element) or what was written in it;
    of indexes that a store did not take, which there should be."""
    lost = entry["lost"]
    if entry["kind"] == "delete_update" and isinstance(lost, dict):
        return lost.get("a", lost.get("n"))
    return sorted(lost["indexes"]) if entry["kind"] == "not_applied" else lost


def told(found):
    """What has lost, in some order; of a delete once, whether told whole, in part, or both."""
    deleted = {str(lost_of(entry)) for entry in found if entry["kind"] == "delete_update"}
    return sorted([*deleted, *(str(lost_of(entry)) for entry in found
                               if entry["kind"] != "delete_update")])


@pytest.mark.parametrize("name", CASES)
def test_it_comes_to_what_the_line_says(world, name):
    line, first, (*_, after, lost) = CASES[name]
    assert name not in world.raised, world.raised[name]
    both = world.collections(name, first)
    wait_until(lambda: [shown(each, line) for each in both] == of_both(after, line),
               lambda: [shown(each, line) for each in both], timeout_s=5)
    is_open = "open" in RESULTS[line]
    for site in world.cluster:
        found = entries(site, both[0].full_name)
        assert told(found) == sorted(map(str, lost)), found
        assert {entry["state"] for entry in found} <= {"open" if is_open else "auto"}, found


@pytest.mark.parametrize("line", LINES, ids=" beside ".join)
def test_a_line_names_the_ledger_where_something_is_in_it(line):
    is_named = re.search("the ledger|open entry", RESULTS[line])
    assert bool(is_named) == any(lost for *_, lost in LINES[line])
