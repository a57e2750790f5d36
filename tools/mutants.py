"""Plants faults in copies of the product, one at a time in each, and lets whole sites in virtual
time (integration/world) find it, or, where it is one of merging, small worlds of documents and
their history (replication/merge/worlds). A fault that is not found within the seeds is a hole in
what they check.

    python3 tools/mutants.py [NAME...]

The list grows: a fault that the world missed once belongs here. Where the text to be replaced is
not in the file any more, the mutant is to be written anew; that counts as not caught.
"""

import argparse
import concurrent.futures
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREES = ROOT / "build" / "mutants"  # one for each core
SEEDS_MAX = 1000
FEW_SEEDS = 15
SOUND_SEEDS = 100  # of the product as it stands: nothing may be found
MERGE_WORLDS_A_SEED = 20  # they are that small
HUNT_SECONDS_MAX = 1500


@dataclass(frozen=True)
class Mutant:
    name: str
    what: str
    path: str
    old: str
    new: str
    by: str = "world"  # or "merge"


MUTANTS = [
    Mutant("a_sync_dropped", "the outbox says it has synced, and has not",
           "replication/outbox/commit_thread.cc",
           "status = log_.sync();", "status = Status();"),
    Mutant("reported_before_durable", "a site reports what it has not yet stored",
           "replication/site/state/site_vectors.h",
           "durable() const { return durable_; }", "durable() const { return visible_; }"),
    Mutant("an_ack_skipped", "records go before the last member has acknowledged them",
           "replication/site/state/peer_news.cc",
           "  for (const Report& report : latest) common = "
           "VersionVector::minimum(common, report.vector);\n",
           "  for (size_t i = 1; i < latest.size(); ++i) {\n"
           "    common = VersionVector::minimum(common, latest[i].vector);\n  }\n"),
    Mutant("stamps_swapped", "of two writes the later one has the earlier stamp",
           "replication/causality/hybrid_clock.cc",
           "  hlc_ = issued_ = next;\n  return next;\n",
           "  hlc_ = issued_ = next + 1;\n"
           "  return (next & 1) != 0 ? next + 1 : next - 1;\n"),
    Mutant("a_baseline_forgotten", "an assignment does not say which increments it has seen",
           "replication/merge/local_effects.cc",
           "        effect.baselines = seen_below(change.path);\n"
           "        if (effect.kind == Operation::kAssign) contend",
           "        if (effect.kind == Operation::kAssign) contend"),
    Mutant("applied_before_a_cause", "a record does not wait for those it depends on",
           "replication/site/state/inbox.cc",
           " || depends_only_on(*item.record, vector);",
           " || depends_only_on(*item.record, vector) || item.record != nullptr;"),
    Mutant("a_lock_lost", "two hold the lock of one document",
           "replication/site/lock_table.cc",
           "  return !lock.exclusive && (mode == LockMode::kShared || lock.shared == 0);\n",
           "  static_cast<void>(lock);\n  static_cast<void>(mode);\n  return true;\n"),
    Mutant("a_retry_forgotten", "a write that is sent again is not known",
           "proxy/writes/run_settler.cc",
           "append(retry_entries(run, said), effects.retries);",
           "static_cast<void>(retry_entries(run, said));"),
    Mutant("a_fence_skipped", "what a dead sidecar has left running in the store is not ended",
           "replication/recovery/recovery.cc",
           "  return store_.fence(session_list, client_list, options_.fence_timeout);\n",
           "  return {};\n"),
    Mutant("an_interrupted_batch_forgotten", "what a crash interrupted is not finished",
           "replication/apply/applier.cc",
           "  if (!*work) return {};\n", "  if (!*work || work->has_value()) return {};\n"),
    Mutant("nothing_put_back", "what a killed mongod forgot stays forgotten",
           "replication/recovery/redo.cc",
           "  if (!(*back)->write) return std::optional<Wanted>();\n",
           "  if (!(*back)->write || !key.empty()) return std::optional<Wanted>();\n"),
    Mutant("answered_before_recorded", "a write is answered before its record is on disk",
           "proxy/writes/run_executor.cc",
           "result.durable = context_.durable_waits.join(true);",
           "result.durable = nullptr;"),
    Mutant("journaled_too_early", "the journal is taken to hold what it does not",
           "proxy/mongo/journal_keeper.cc",
           "  if (Status journaled = store.wait_settled(); !journaled) return journaled;\n", ""),
    Mutant("served_too_early", "apps are let in before what mongod forgot is put back",
           "proxy/mongo/store_gate.cc",
           "  const bool woken = co_await shot->wait();\n",
           "  shot->set(true);\n  const bool woken = co_await shot->wait();\n"
           "  if (woken) co_return true;\n"),
    Mutant("a_batch_shown_twice", "what a batch wrote is written again from its first write on",
           "replication/apply/apply_writer.h",
           "    is_put_back = true;\n", ""),
    Mutant("forgotten_too_early", "rows go before mongod's journal holds what they say",
           "replication/site/collection.cc",
           "VersionVector::minimum(common.stable, journaled)", "common.stable"),
    Mutant("a_key_to_who_came_first", "who holds a unique key at a site keeps it, earlier or not",
           "replication/apply/unique_owners.cc",
           "    if (holder.aside || holder.claim < one.claim) return &holder;\n",
           "    if (holder.aside || !holder.is_parked()) return &holder;\n"),
    Mutant("no_baselines", "a value does not hide the increments its writer had seen",
           "replication/merge/types/register.cc",
           "  reg.baseline = sorted(author.named(effect.path));\n", "", "merge"),
    Mutant("no_reset_below", "a newer container leaves what lay in the older one",
           "replication/merge/body.cc",
           "if (above != nullptr && *above > at->second.stamp) {",
           "if (above != nullptr && above->is_zero() && *above > at->second.stamp) {", "merge"),
    Mutant("the_earlier_stands", "of values of two births the earlier one stands",
           "replication/merge/types/register.cc",
           "} else if (other.stamp > reg.stamp) {", "} else if (other.stamp < reg.stamp) {",
           "merge"),
    Mutant("collected_at_once", "stamps go before every member has them",
           "replication/merge/births.cc",
           "settled &= stable.covers(stamp) &&", "settled &= !stamp.is_zero() &&", "merge"),
    Mutant("closed_ignored", "an entry that others have folded goes on",
           "replication/merge/types/counter.cc",
           " || entry.last <= context.closed) continue;", ") continue;", "merge"),
    Mutant("a_removal_takes_all", "a delete takes documents that its author had not seen",
           "replication/merge/yields.cc",
           "[&](const Dot& birth) { return record.deps.covers(birth); });",
           "[&](const Dot& birth) { return record.deps.covers(birth) || !birth.is_zero(); });",
           "merge"),
    Mutant("a_removal_takes_what_is_new", "an element goes that its remover cannot have meant",
           "replication/merge/types/list.cc",
           "return id.dot.is_zero() ? knows_base : author.saw(id.dot);",
           "return id.dot.is_zero() ? knows_base || id.dot.is_zero() : author.saw(id.dot);",
           "merge"),
    Mutant("an_assignment_takes_all", "an array that is assigned takes pushes it had not seen",
           "replication/merge/types/list.cc",
           "    return !element.is_assigned() && author.saw(element.id().dot);",
           "    return !element.is_assigned() && author.stamp > element.id().dot;", "merge"),
    Mutant("an_array_beside_another", "of two arrays assigned whole the elements of both stand",
           "replication/merge/types/list.cc",
           "[](const ListElement& element) { return element.is_assigned(); });\n  if (!array",
           "[](const ListElement& element) { return element.is_stale; });\n  if (!array", "merge"),
    Mutant("an_earlier_move_holds", "of two moves of one element the one that comes last stands",
           "replication/merge/types/list.cc",
           "element.moved.empty() || element.moved.back().id < to.back().id;",
           "element.moved.empty() || element.moved.back().id != to.back().id;", "merge"),
    Mutant("a_move_saves", "an element that was moved is not taken away",
           "replication/merge/types/list.cc",
           "if (removed.contains(element.id())) return true;",
           "if (removed.contains(element.id()) && element.moved.empty()) return true;", "merge"),
    Mutant("a_move_is_stable_at_once", "where an element was moved to is kept, and not waited for",
           "replication/merge/types/list.h",
           "for (const Place* place : {&element.place, &element.moved}) {",
           "for (const Place* place : {&element.place}) {", "merge"),
    Mutant("an_entry_of_another_birth", "a counted sum outlives the document it was counted in",
           "replication/merge/local_effects.cc",
           "    return births.size() < 2 ||", "    return births.size() < 200 ||", "merge"),
    Mutant("judged_too_late", "what certainly happened is asked after it was written over",
           "replication/recovery/recovery.cc",
           "if (redo_.is_due() && !put_back && !settled->certain) return false;",
           "if (redo_.is_due() && !put_back) return false;"),
    Mutant("folded_too_early", "increments that others may add to go into the value they count on",
           "replication/merge/merge.h",
           "    return stable.covers(stamp) && closed.covers(stamp);",
           "    return stable.covers(stamp) || closed.covers(stamp);", by="merge"),
    Mutant("folded_under_what_is_not_stable", "a field sinks below what others have not seen",
           "replication/merge/fold.cc",
           "(above->content == container && settled.has(above->stamp));",
           "(above->content == container || settled.has(above->stamp));", by="merge"),
    Mutant("a_contest_over_too_early", "of values beside each other some are not everywhere yet",
           "replication/merge/fold.cc",
           "return std::all_of(all.begin(), all.end(),",
           "return std::any_of(all.begin(), all.end(),", by="merge"),
    Mutant("a_contest_by_time", "of values under a rule the newest shows, whatever the rule says",
           "replication/merge/types/contest.cc",
           "return newer.absent || compare_by(rule, newer, older) >= 0;",
           "return newer.absent || compare_by(rule, newer, older) > -2;", by="merge"),
    Mutant("a_debt_forgotten", "the row of a sum goes although the store shows a bound",
           "replication/merge/births.cc",
           "  if (is_out_of_bounds(state)) return false;\n", "", by="merge"),
    Mutant("the_first_bounds", "the bounds of the oldest increment hold",
           "replication/merge/types/counter.cc",
           "sum.newest->newest() < entry.newest()) sum.newest",
           "entry.newest() < sum.newest->newest()) sum.newest", by="merge"),
    Mutant("left_uncorrected", "an increment on a bound that shows is left as the store has it",
           "replication/merge/document.cc",
           "  return counts ? bounds_shown(state) : std::vector<Loss>();\n",
           "  return counts && state.full ? bounds_shown(state) : std::vector<Loss>();\n",
           by="merge"),
    Mutant("a_removal_that_does_not_win", "what comes after a removal stands, seen or not",
           "replication/merge/types/list.cc",
           "    element.after = after;\n",
           "    element.after = after;\n"
           "    for (const TakenValue& taken : list.taken) {\n"
           "      element.after.raise(taken.by.origin, taken.by.hlc);\n    }\n", by="merge"),
    Mutant("a_removal_forgotten_too_early", "a removal that wins is forgotten while others may add",
           "replication/merge/fold.cc",
           "forget_taken(list, [&](const Dot& by) { return settled.has(by); });",
           "forget_taken(list, [&](const Dot& by) { return settled.has(by) || true; });",
           by="merge"),
    Mutant("a_removal_that_saw_all", "a removal that yields is taken to have seen what it had not",
           "replication/merge/yields.cc",
           "const bool sees = deps == nullptr || deps->covers(stamp);",
           "const bool sees = deps == nullptr || deps->covers(stamp) || !stamp.is_zero();",
           by="merge"),
    Mutant("a_value_under_fields", "a value that lost to fields below its path is not noted",
           "replication/merge/losses_check.cc",
           "reg.content == Content::kValue && is_over(*node, reg)) {",
           "reg.content == Content::kAbsent && is_over(*node, reg)) {", by="merge"),
    Mutant("a_value_under_a_container", "a field that lost to what was given above is not noted",
           "replication/merge/losses_check.cc",
           "  if (place.newer != nullptr) {\n    const Dot& stamp",
           "  if (place.newer != nullptr && place.newer == node) {\n    const Dot& stamp",
           by="merge"),
    Mutant("the_first_loss_only", "of several values that lost to one record one is noted",
           "replication/merge/losses.cc",
           "    if (!removed_.contains(old.reg.stamp)) check_register(",
           "    if (&old == registers_.data() && !removed_.contains(old.reg.stamp)) "
           "check_register(",
           by="merge"),
    Mutant("a_hidden_sum_untold", "increments under what is no number are not noted",
           "replication/merge/losses_check.cc",
           "  if (hider == nullptr) return;\n", "  if (hider == nullptr || node->reg) return;\n",
           by="merge"),
    Mutant("nothing_said_of_the_deleted", "an update of a deleted document is not noted",
           "replication/merge/losses.cc",
           "  if (auto loss = brought_by(effect, dot)) losses",
           "  if (auto loss = brought_by(effect, dot); loss && dot.is_zero()) losses", by="merge"),
    Mutant("a_delete_untold", "what a delete took that it had not seen is not noted",
           "replication/merge/losses.cc",
           "  if (newest.is_zero()) return;\n",
           "  if (newest.is_zero() || !record_.dot().is_zero()) return;\n", by="merge"),
    Mutant("a_contender_untold", "a value that a rule did not choose is not noted",
           "replication/merge/losses_check.cc",
           "  if (chosen.dot == reg.stamp) return true;\n",
           "  if (chosen.dot == reg.stamp || chosen.dot < reg.stamp) return true;\n", by="merge"),
    Mutant("overtaken_by_anybody", "a value replaced by who had not seen it is not noted",
           "replication/merge/losses_check.cc",
           "  if (!seen.covers(loss.loser) || knew_both) return false;\n",
           "  if (knew_both) return false;\n", by="merge"),
]


class Tree:
    """A copy of the product, in which one fault at a time is planted."""

    def __init__(self, number):
        self.root = TREES / str(number)

    def sh(self, *command, **options):
        return subprocess.run(command, cwd=self.root, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)

    def copy(self):
        """The product as it stands; what the last run built stays."""
        self.root.mkdir(parents=True, exist_ok=True)
        listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT,
                                check=True, capture_output=True)
        for name in listed.stdout.decode().split("\0"):
            source, target = ROOT / name, self.root / name
            if not name or not source.is_file():
                continue
            if target.exists() and target.read_bytes() == source.read_bytes():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)  # newer than what was built of it

    def build(self, by):
        """What the compiler says; nothing: it is built."""
        target = "outrigger_world" if by == "world" else "merge_world_test"
        done = self.sh("tools/build", "release", target)
        return done.stdout[-4000:] if done.returncode != 0 else None

    def hunt_in_merges(self, worlds):
        """As hunt(), in so many small worlds of each kind."""
        done = self.sh("build/release/merge_world_test", "--gtest_fail_fast",
                       timeout=HUNT_SECONDS_MAX,
                       env={**os.environ, "OUTRIGGER_WORLDS": str(worlds)})
        if done.returncode == 0:
            return None
        seed = re.search(r"OUTRIGGER_SEED=(\d+)", done.stdout)
        failed = re.search(r"FAILED  \] (\S+)", done.stdout)
        return f"{failed[1] if failed else 'it died'}, seed {seed[1] if seed else 'unknown'}"

    def hunt_in_sites(self, seeds):
        """As hunt(), in so many worlds of whole sites."""
        done = self.sh("build/release/outrigger_world", "--seed", "1", "--count", str(seeds),
                       timeout=HUNT_SECONDS_MAX)
        if done.returncode == 0:
            return None
        found = re.search(r"^seed (\d+) is not as it must be:\n(.*)$", done.stdout, re.MULTILINE)
        if found:
            return f"seed {found[1]}: {found[2].strip()[:120]}"
        asserted = re.search(r"invariant[^\n]*", done.stdout)
        if asserted:
            return "the process asserted: " + asserted[0][:120]
        if done.returncode < 0:
            return "the process died, " + signal.strsignal(-done.returncode)
        sys.exit("mutants: a world ended strangely:\n" + done.stdout[-2000:])

    def hunt(self, by, seeds_max):
        """How something was found within the first so many seeds; nothing: it was not. Few seeds
        of each kind of world come first, as most faults are found by them."""
        hunt_in = self.hunt_in_sites if by == "world" else self.hunt_in_merges
        a_seed = 1 if by == "world" else MERGE_WORLDS_A_SEED
        try:
            return hunt_in(FEW_SEEDS * a_seed) or hunt_in(seeds_max * a_seed)
        except subprocess.TimeoutExpired:
            return None

    def try_one(self, mutant):
        target = self.root / mutant.path
        sound = (ROOT / mutant.path).read_text()
        if not mutant.old or sound.count(mutant.old) != 1:
            print(f"{mutant.name}: NOT PLANTED, its text is not once in {mutant.path}", flush=True)
            return False
        target.write_text(sound.replace(mutant.old, mutant.new))
        try:
            trouble = self.build(mutant.by)
            caught = None if trouble else self.hunt(mutant.by, SEEDS_MAX)
        finally:
            target.write_text(sound)
        if trouble:
            print(f"{mutant.name}: NOT PLANTED, it does not build:\n{trouble}", flush=True)
            return False
        print(f"{mutant.name} ({mutant.what}): "
              f"{'caught, ' + caught if caught else 'NOT CAUGHT'}", flush=True)
        return caught is not None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    chosen = [m for m in MUTANTS if not arguments.names or m.name in arguments.names]
    if len(chosen) < len(arguments.names):
        sys.exit("mutants: no such name; there are " + ", ".join(m.name for m in MUTANTS))
    trees = queue.SimpleQueue()
    for number in range(min(len(chosen), os.cpu_count())):
        tree = Tree(number)
        tree.copy()
        for by in sorted({mutant.by for mutant in chosen}):
            trouble = tree.build(by) or (number == 0 and tree.hunt(by, SOUND_SEEDS))
            if trouble:
                sys.exit(f"mutants: the product itself is not sound: {trouble}")
        trees.put(tree)

    def try_in_a_free_tree(mutant):
        tree = trees.get()
        try:
            return tree.try_one(mutant)
        finally:
            trees.put(tree)

    with concurrent.futures.ThreadPoolExecutor(trees.qsize()) as at_once:
        caught = list(at_once.map(try_in_a_free_tree, chosen))
    missed = [mutant.name for mutant, found in zip(chosen, caught) if not found]
    if missed:
        print("not caught: " + ", ".join(missed))
    print(f"{len(chosen) - len(missed)} passed, {len(missed)} failed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
