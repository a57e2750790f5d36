#include "replication/outbox/log_marks.h"

#include <algorithm>

namespace outrigger {

void LogMarks::add(Hlc stamp, size_t bytes) {
  ++total_.records;
  total_.bytes += bytes;
  if (!marks_.empty() &&
      (stamp <= marks_.back().stamp || total_.records - marks_.back().through.records < every_)) {
    return;
  }
  if (marks_.size() >= kMarksMax) thin_out();
  marks_.push_back(Mark{stamp, total_});
}

void LogMarks::thin_out() {
  size_t kept = 0;
  for (size_t i = 0; i < marks_.size(); i += 2) marks_[kept++] = marks_[i];
  marks_.resize(kept);
  every_ *= 2;
}

void LogMarks::drop(Hlc through) {
  // The last one at or before `through` stays: what comes after it is measured from there.
  auto next = std::upper_bound(marks_.begin(), marks_.end(), through,
                               [](Hlc stamp, const Mark& mark) { return stamp < mark.stamp; });
  if (next == marks_.begin()) return;
  marks_.erase(marks_.begin(), std::prev(next));
  if (marks_.size() == 1) every_ = kEvery;
}

LogMarks::Amount LogMarks::after(Hlc stamp) const {
  const auto next =
      std::upper_bound(marks_.begin(), marks_.end(), stamp,
                       [](Hlc wanted, const Mark& mark) { return wanted < mark.stamp; });
  const Amount known = next == marks_.begin() ? Amount() : std::prev(next)->through;
  return Amount{total_.records - known.records, total_.bytes - known.bytes};
}

}  // namespace outrigger
