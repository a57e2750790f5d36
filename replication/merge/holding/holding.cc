#include "replication/merge/holding/holding.h"

#include <algorithm>

namespace outrigger::merge {
namespace {

void count(Holding& holding, const Dot& dot) {
  holding.since = std::max(holding.since, dot);
  holding.counts.raise(dot.origin, dot.hlc);
}

bool is_seen(const VersionVector::Entry& write, const VersionVector* seen) {
  return seen == nullptr || seen->covers({write.second, write.first});
}

bool are_seen(const VersionVector& all, const VersionVector* seen) {
  return std::all_of(all.entries().begin(), all.entries().end(),
                     [&](const auto& each) { return is_seen(each, seen); });
}

// Those that somebody had not seen: of each origin the newest is enough.
void count_unseen(Holding& holding, const VersionVector& all, const VersionVector* seen) {
  for (const auto& [origin, hlc] : all.entries()) {
    if (!is_seen({origin, hlc}, seen)) count(holding, {hlc, origin});
  }
}

// With it count those that keep the keys and that it had not seen. Those it had seen are earlier
// than itself, and whoever has not seen them has not seen this one either: they are no more needed.
// (All of them have seen what counted before.)
void count_with(Holding& holding, const Dot& dot, const VersionVector* seen) {
  count_unseen(holding, holding.keeps, seen);
  count(holding, dot);
  holding.keeps = {};
}

}  // namespace

void note_write(Holding& holding, const std::vector<NotedRemoval>& removals, const Dot& dot,
                Keys keys, const VersionVector* seen) {
  if (keys == Keys::kNone) return;
  const bool revives = std::any_of(removals.begin(), removals.end(), [&](const auto& each) {
    return !is_seen({each.dot.origin, each.dot.hlc}, seen);
  });
  const bool counts =
      keys == Keys::kClaims || revives || (keys == Keys::kKeeps && !are_seen(holding.counts, seen));
  if (counts) return count_with(holding, dot, seen);
  (keys == Keys::kKeeps ? holding.keeps : holding.passes).raise(dot.origin, dot.hlc);
}

void note_yielding(Holding& holding, const Dot& dot, const VersionVector* seen) {
  count_unseen(holding, holding.passes, seen);
  count_with(holding, dot, seen);
}

void join(Holding& into, const Holding& other) {
  into.since = std::max(into.since, other.since);
  into.counts.raise(other.counts);
  into.keeps.raise(other.keeps);
  into.passes.raise(other.passes);
}

}  // namespace outrigger::merge
