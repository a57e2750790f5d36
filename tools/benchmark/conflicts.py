"""What a conflict costs: two sites that could not talk wrote to the same documents, or to different
ones, and then exchange that."""

import statistics

from bars import Bar
from machine import Void, say
from report import over
from sites import Clock, Sites, contents, load, wait_caught_up

DOCUMENTS = 5_000


class Conflicts:
    def __init__(self, directory, options):
        self.directory = directory
        self.count = 5_000 if options.quick else 20_000
        self.blocks = 2 if options.quick else 3

    def run(self):
        """(lines of markdown, bars)"""
        with Sites(self.directory, line_ms=0) as sites:
            for name in ("same", "near", "far"):
                sites.load("load", name, "--documents", DOCUMENTS)
            sites.wait_quiet()
            seen = [self.pair(sites, block) for block in range(1, self.blocks + 1)]
            lost = sites.near.sidecar.metric("conflicts_total")
        if lost == 0:
            raise Void("no conflict where all should be")
        cost = over([same[0] / plain[0] for plain, same in seen])
        pace = over([plain[1] / same[1] for plain, same in seen])
        return [f"- Conflicts: {2 * self.count:,} updates of two sites to {DOCUMENTS:,} documents "
                f"each had: {statistics.median(same[0] for _, same in seen):.0f} us of CPU of both "
                f"sidecars an operation, {lost:,.0f} values lost and written down here."], [
            Bar("T16 exchange of updates that all conflict: CPU of both sidecars / of updates that "
                "do not", cost.median, 1.5, False, "x", cost.low, cost.high),
            Bar("T16 the same: rate of all that conflict / of none", pace.median, 0.6, True, "x",
                pace.low, pace.high)]

    def pair(self, sites, block):
        """(of plain updates, of those that conflict), by turns the one first and the other."""
        forms = [("near", "far"), ("same", "same")]
        found = {form: self.meet(sites, *form, 3 * block)
                 for form in (forms if block % 2 else reversed(forms))}
        return found[forms[0]], found[forms[1]]

    def meet(self, sites, here, there, seed):
        """(CPU of both sidecars us an operation, seconds) from when they talk again."""
        say(f"updates of two sites, {'conflicting' if here == there else 'plain'}")
        sites.cut()
        for site, collection, own in ((sites.near, here, 1), (sites.far, there, 2)):
            load(site.sidecar.proxy_address, "updateById", collection, "--connections", 16,
                 "--commands", self.count, "--documents", DOCUMENTS, "--seed", seed + own,
                 cores=site.cores)
        clock = Clock(near=sites.near.pid, far=sites.far.pid)
        sites.heal()
        healed = clock.seconds()
        for site in sites.all:
            wait_caught_up([site, *sites.all])
        took = clock.seconds() - healed
        cpu = clock.cpu("near") + clock.cpu("far")
        if contents(sites.near.collection(here)) != contents(sites.far.collection(here)):
            raise Void("the sites differ after an exchange")
        sites.wait_quiet()
        return cpu / (2 * self.count) * 1e6, took


def run(directory, options):
    return Conflicts(directory, options).run()
