"""The demo: an ordinary app at two sites, the line between them cut and healed, equal data.

Run it through tools/demo, which sets up and builds. Every statement it prints was checked; the
first one that is not true ends it with exit code 1.
"""

import argparse
import os
import select
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import demo_data
import demo_plans
from demo_app import CityGuide
from demo_stage import Signals, Stage, Stopped

SITES = ("oslo", "paris")
VISITS_WHILE_CUT = 1500
ROOT = Path(__file__).resolve().parent.parent
IS_TERMINAL = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def say(text=""):
    print(text, flush=True)


def heading(text):
    say(f"\n\033[1m{text}\033[0m" if IS_TERMINAL else f"\n{text}")


def check(condition, claim):
    if not condition:
        raise AssertionError(f"not true: {claim}")


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def timed(action):
    """(what it returns, seconds)"""
    started = time.monotonic()
    return action(), time.monotonic() - started


class Story:
    def __init__(self, stage, places, stop):
        self.stage = stage
        self.places = places
        self.stop = stop  # set when the app's threads shall end
        self.oslo = self.paris = None
        self.expected = {}  # _id -> what must be there in the end, None: no such place
        self.visits = 0

    def tell(self):
        self.start()
        self.both_write()
        self.cut_off()
        self.heal()
        self.ledger()
        self.decide()
        self.numbers()

    # ---- the sites and the app

    def start(self):
        heading("1. Two sites start, each a MongoDB with an outrigger beside it")
        _, seconds = timed(self.stage.cluster.start)
        self.oslo, self.paris = [CityGuide(site.uri()) for site in self.stage.cluster]
        for site in self.stage.cluster:
            say(f"   {site.name:6} MongoDB {site.mongod.address}, "
                f"the app connects to {site.sidecar.proxy_address}")
        say(f"   ready after {seconds:.1f} s")

    def wait_equal_vectors(self, timeout_s=60):
        """Until both sites have applied the same records; returns the seconds it took. What was
        acknowledged may be an open write for a moment before it is a record."""
        started = time.monotonic()
        while True:
            seen = [site.status() for site in self.stage.cluster]
            vectors = [status["vector"] for status in seen]
            is_open = any(status["open_writes"] for status in seen)
            if vectors[0] == vectors[1] and not is_open:
                return time.monotonic() - started
            if time.monotonic() - started > timeout_s:
                raise TimeoutError(f"the sites did not meet within {timeout_s} s: {vectors}")
            time.sleep(0.01)

    def wait_places(self, count, timeout_s=60):
        """Until both sites hold so many places; returns the seconds it took."""
        started = time.monotonic()
        while (seen := (self.oslo.count(), self.paris.count())) != (count, count):
            check(time.monotonic() - started < timeout_s, f"both sites hold all places: {seen}")
            time.sleep(0.01)
        return time.monotonic() - started

    def visit_many(self, guide, ids, count):
        """The seconds each visit took, from four threads of the app at once."""
        def visit(number):
            if self.stop.is_set():
                return 0
            return timed(lambda: guide.visit(ids[number % len(ids)]))[1]
        with ThreadPoolExecutor(4) as threads:
            return list(threads.map(visit, range(count)))

    # ---- connected

    def both_write(self):
        heading("2. The app writes at both: real places, " + demo_data.CREDIT)
        north = [place for country in ("NO", "SE", "DK", "FI") for place in self.places[country]]
        france = self.places["FR"]
        with ThreadPoolExecutor(2) as threads:
            adding = [threads.submit(timed, lambda: self.oslo.add(north)),
                      threads.submit(timed, lambda: self.paris.add(france))]
        seconds = self.wait_places(len(north) + len(france))
        for name, what, one in zip(SITES, ("the North", "France"), adding):
            count, took = one.result()
            say(f"   {name:6} inserts {count:,} places of {what} in {took:.2f} s")
        say(f"   both hold {self.oslo.count():,} places {seconds:.2f} s later")
        demo_plans.begin(self.oslo)
        delays = [self.delay("NO Bergen", number) for number in range(20)]
        say(f"   a write at oslo can be read at paris after {milliseconds(min(delays))} to "
            f"{milliseconds(max(delays))} (median {milliseconds(statistics.median(delays))})")

    def delay(self, place, number):
        self.oslo.describe(place, rain=number)
        started = time.monotonic()
        while self.paris.show(place).get("rain") != number:
            check(time.monotonic() - started < 10, "a write travels within 10 s")
        return time.monotonic() - started

    # ---- cut off

    def cut_off(self):
        heading("3. The line between them is cut; both go on")
        self.stage.cluster.cut(*SITES)
        self.clash()
        ids = ["NO Bergen", "FR Paris", "FR Lyon", "SE Stockholm", "FI Helsinki"]
        with ThreadPoolExecutor(2) as threads:
            takers = [threads.submit(self.visit_many, guide, ids, VISITS_WHILE_CUT)
                      for guide in (self.oslo, self.paris)]
        self.visits = 2 * VISITS_WHILE_CUT
        for site, taker in zip(self.stage.cluster, takers):
            seconds = taker.result()
            peer = site.status()["peers"][0]
            say(f"   {site.name:6} {len(seconds):,} visits counted, median "
                f"{milliseconds(statistics.median(seconds))} a write; "
                f"{peer['records_behind']:,} records wait for {peer['site']}")
            check(peer["records_behind"] >= VISITS_WHILE_CUT, "the records of a cut-off site wait")
        say("   meanwhile they see different things:")
        plans = zip(demo_plans.rows(self.oslo), demo_plans.rows(self.paris))
        self.table([(place, self.seen(self.oslo, place), self.seen(self.paris, place))
                    for place in self.expected]
                   + [(what, here, there) for (what, here), (_, there) in plans], ("", *SITES))
        check(self.oslo.fingerprint() != self.paris.fingerprint(), "cut-off sites differ")

    def clash(self):
        """What the sites do to the same places without knowing of each other."""
        oslo, paris = self.oslo, self.paris
        # Different fields of one document.
        oslo.describe("FR Lyon", mayor="elected by oslo")
        paris.describe("FR Lyon", river="Rhône")
        self.expected["FR Lyon"] = {"mayor": "elected by oslo", "river": "Rhône"}
        # One field: the later one stands.
        oslo.describe("NO Oslo", note="the opera roof")
        paris.describe("NO Oslo", note="the harbour baths")
        self.expected["NO Oslo"] = {"note": "the harbour baths"}
        # A delete against an edit: the delete stands.
        oslo.close("NO Narvik")
        paris.describe("NO Narvik", note="iron and snow")
        self.expected["NO Narvik"] = None
        # Deleted at both, and inserted again at one: the new one stands.
        nantes = paris.show("FR Nantes")
        oslo.close("FR Nantes")
        paris.close("FR Nantes")
        oslo.add([{**nantes, "note": "reopened by oslo", "visits": 0}])
        self.expected["FR Nantes"] = {"note": "reopened by oslo"}
        # One new place, inserted at both.
        island = self.places["SJ"][0]
        paris.add([{**island, "note": "found by paris"}])
        oslo.add([{**island, "note": "found by oslo"}])
        self.expected[island["_id"]] = {"note": "found by oslo"}
        # Increments at both, of what the visits below count.
        self.expected["NO Bergen"] = {"visits": 2 * VISITS_WHILE_CUT // 5}
        # Lists of people and of things, a day and a title.
        demo_plans.clash(oslo, paris)
        # Many documents in one command.
        self.coast = paris.describe_region("FR", "53", coast="Brittany")
        self.expected["FR Brest"] = {"coast": "Brittany"}

    def seen(self, guide, place):
        document = guide.show(place)
        if document is None:
            return "not there"
        names = self.expected[place] or {"note"}
        shown = [f"{name}: {document[name]}" for name in names if name in document]
        return ", ".join(shown) or "unchanged"

    @staticmethod
    def table(rows, head=()):
        rows = ([head] if head else []) + rows
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            say("     " + "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip())

    # ---- healed

    def heal(self):
        heading("4. The line is healed")
        self.stage.cluster.heal(*SITES)
        seconds = self.wait_equal_vectors()
        prints = [CityGuide(site.mongod.uri()).fingerprint() for site in self.stage.cluster]
        check(prints[0] == prints[1], f"both MongoDBs hold equal documents: {prints}")
        say(f"   equal after {seconds:.2f} s. Asked directly, both MongoDBs hold "
            f"{self.oslo.count():,} places, SHA-256 {prints[0][:16]}...")
        say("   both see now:")
        self.table([(place, self.seen(self.oslo, place)) for place in self.expected]
                   + demo_plans.rows(self.oslo))
        for guide in (self.oslo, self.paris):
            demo_plans.told(guide, check)
        for place, facts in self.expected.items():
            for guide in (self.oslo, self.paris):
                document = guide.show(place)
                check((document is None) == (facts is None), f"{place} is {facts}: {document}")
                check(all(document.get(k) == v for k, v in (facts or {}).items()),
                      f"{place} has {facts}: {document}")
        check(self.oslo.visits() == self.visits, f"{self.visits} visits: {self.oslo.visits()}")
        coast = self.oslo.places.count_documents({"coast": "Brittany"})
        check(coast == self.coast, f"{self.coast} places of Brittany arrived: {coast}")
        say(f"   visits: {VISITS_WHILE_CUT:,} + {VISITS_WHILE_CUT:,} = {self.visits:,}, none lost, "
            "none doubled")
        say(f"   one updateMany at paris: its {coast} places have changed at oslo, too")

    def ledger(self):
        heading("5. Nothing was lost silently: the ledger holds what lost, and what beat it")
        lost = self.wait_ledgers()
        names = {site.status()["site_id"][:4]: site.name for site in self.stage.cluster}

        def author(stamp):
            return names.get(stamp.rpartition("@")[2][:4], "?")

        rows = []
        for entry in reversed(lost[0]):
            winner = f"'{entry['won']}' of {author(entry['won_stamp'])}" if "won" in entry \
                else "a delete elsewhere"
            is_whole = entry["path"] == ""
            what = "the whole document" if is_whole else f"'{entry['lost']}'"
            rows.append((entry["_id"] if is_whole else f"{entry['_id']}, {entry['path']}",
                         entry["kind"], f"{what} of {author(entry['lost_stamp'])}", winner))
        self.table(rows, ("", "", "lost", "to"))
        kinds = {entry["kind"] for entry in lost[0]}
        check(kinds == {"set_set", "delete_update", "insert_insert"}, f"the ledger has: {kinds}")

    def wait_ledgers(self):
        """What both sites have of what lost: the same, once who had updated a document that the
        other one deleted has told it whole."""
        def ledgers():
            return [[entry for entry in site.sidecar.conflicts()
                     if entry["kind"] != "delete_update" or entry["path"] == ""]
                    for site in self.stage.cluster]

        def names(ledger):
            return sorted(entry["name"] for entry in ledger)

        started = time.monotonic()
        while True:
            found = ledgers()
            if names(found[0]) == names(found[1]):
                return found
            check(time.monotonic() - started < 10, "both sites keep the same ledger")
            time.sleep(0.01)

    def decide(self):
        heading("6. What people decide, they decide at any site")
        for site, guide in zip(self.stage.cluster, (self.oslo, self.paris)):
            [day] = demo_plans.open_matters(guide)
            check((day["lost"], day["won"]) == ("Tuesday", "Thursday"), f"the day is open: {day}")
            say(f"   {site.name:6} which day the tour starts is open: '{day['lost']}' or "
                f"'{day['won']}', which stands so far")
        site = self.stage.cluster.oslo
        for path, chosen, what in demo_plans.CHOSEN:
            done = demo_plans.choose(self.oslo, path, control(), site.sidecar.admin_address)
            self.wait_tour(path, chosen)
            say(f"   {site.name:6} {done}")
            say(f"          {what}, at both sites")
        check(demo_plans.open_matters(self.oslo) == [], "what was decided is not open any more")
        say(f"   {site.name:6} nothing is open any more")

    def wait_tour(self, path, value):
        started = time.monotonic()
        while [guide.tour("fjords")[path] for guide in (self.oslo, self.paris)] != [value] * 2:
            check(time.monotonic() - started < 10, f"{value} was chosen and stands at both sites")
            time.sleep(0.01)

    # ---- in numbers

    def numbers(self):
        heading("7. In numbers")
        records = sum(site.sidecar.metric("applied_total") for site in self.stage.cluster)
        size = self.oslo.client.guide.command("collStats", "places")["size"]
        say(f"   {self.oslo.count():,} documents of {size:,} bytes (BSON) at each site; "
            f"{self.visits:,} visits")
        say(f"   {records:,.0f} records travelled, {self.stage.wire_bytes():,} bytes on the wire "
            "both ways, heartbeats included")


def control():
    return ROOT / "build" / os.environ.get("OUTRIGGER_BUILD", "release") / "outriggerctl"


def keep_running(story, signals):
    """Until a signal comes; Enter cuts and heals the line."""
    sites = list(story.stage.cluster)
    heading("It stays, for you to try")
    for site in sites:
        say(f"   {site.name:6} app: {site.uri()}")
        say(f"          admin: http://{site.sidecar.admin_address}/status (/metrics, /conflicts)")
        say(f"          the MongoDB itself: {site.mongod.uri()}")
    app = Path(__file__).with_name("demo_app.py")
    say(f"   read it: {control()} --admin {sites[0].sidecar.admin_address} status")
    say(f"   use it:  {sys.executable} {app} '{sites[0].uri()}' visit 'FR Paris'")
    say(f"   logs and settings: {story.stage.directory}")
    say(f"   to stop: Ctrl-C, or kill {os.getpid()}"
        + ("; Enter cuts the line, Enter again heals it" if sys.stdin.isatty() else ""))
    is_cut = False
    while signals.received is None:
        if not sys.stdin.isatty():
            time.sleep(3600)
            continue
        select.select([sys.stdin], [], [])
        if not sys.stdin.readline():
            time.sleep(3600)
        is_cut = not is_cut
        story.stage.cluster.cut(*SITES) if is_cut else story.stage.cluster.heal(*SITES)
        say("   the line is cut" if is_cut else "   the line is healed")


def run(arguments, signals):
    stop = threading.Event()
    stage = None
    has_told = False
    try:
        places = demo_data.places(["NO", "SE", "DK", "FI", "FR", "SJ"])
        stage = Stage(SITES, demo_plans.RULES, signals)
        story = Story(stage, places, stop)
        story.tell()
        has_told = True
        if arguments.keep:
            keep_running(story, signals)
        say(f"\nDone in {stage.elapsed():.1f} s.")
        return 0
    except Stopped:
        return 0 if has_told else 128 + signals.received
    except BrokenPipeError:
        return 1
    except Exception as error:  # whatever it was, the reason and the logs help most
        tails = stage.log_tails() if stage else ""
        print(f"{tails}\n\ndemo: failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        signals.ignore()
        stop.set()
        if stage:
            stage.close()
        if signals.received:
            print("\ndemo: stopped; nothing it started is left", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true",
                        help="leave both sites running until Ctrl-C")
    arguments = parser.parse_args()
    signals = Signals()
    try:
        subprocess.run([os.environ["OUTRIGGER_MONGOD"], "--version"], check=True,
                       stdout=subprocess.DEVNULL)
        code = run(arguments, signals)
    except Stopped:
        code = 128 + signals.received
    sys.stderr.flush()
    os._exit(code)  # threads that still talk to the sites that went would only complain


if __name__ == "__main__":
    main()
