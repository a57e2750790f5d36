// Walks over maps by path. They are sorted, so that a container comes right before all that lies
// below it; that is why one pass is enough to know what stands above each path, or below one.
#pragma once

#include <utility>
#include <vector>

#include "replication/causality/stamp.h"
#include "replication/record/path.h"

namespace outrigger::merge {

// Calls visit(path, state) for what a map by path holds at `path` and below.
template <typename Map, typename Visit>
void for_each_below(const Map& map, const Path& path, const Visit& visit) {
  for (auto at = map.lower_bound(path); at != map.end() && has_prefix(at->first, path); ++at) {
    visit(at->first, at->second);
  }
}

// In a walk over paths in their order: the stamps of those noted that stand at or above the present
// one. Borrows the paths.
class StampsAbove {
 public:
  // The nearest; null: there is none.
  [[nodiscard]] const Dot* nearest(const Path& path) {
    leave_for(path);
    return above_.empty() ? nullptr : &above_.back().second;
  }
  void note(const Path& path, const Dot& stamp) {
    leave_for(path);
    above_.emplace_back(&path, stamp);
  }

 private:
  void leave_for(const Path& path) {
    while (!above_.empty() && !has_prefix(path, *above_.back().first)) above_.pop_back();
  }

  std::vector<std::pair<const Path*, Dot>> above_;
};

}  // namespace outrigger::merge
