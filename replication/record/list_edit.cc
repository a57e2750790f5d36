#include "replication/record/list_edit.h"

#include <algorithm>

namespace outrigger {
namespace {

bool newest_first(Lane lane) { return lane == Lane::kFront || lane == Lane::kBehind; }

}  // namespace

bool comes_before(const Place& a, const Place& b) {
  const size_t both = std::min(a.size(), b.size());
  for (size_t i = 0; i < both; ++i) {
    const PlacePart& x = a[i];
    const PlacePart& y = b[i];
    if (x.lane != y.lane) return x.lane < y.lane;
    if (x.id.dot != y.id.dot) return (x.id.dot < y.id.dot) != newest_first(x.lane);
    if (x.id.index != y.id.index) return x.id.index < y.id.index;
  }
  return a.size() < b.size();
}

bool is_place_of(const Place& place, const Dot& dot) {
  if (place.empty() || place.size() > kPlacePartsMax || place.back().id.dot != dot) return false;
  for (size_t i = 0; i < place.size(); ++i) {
    const PlacePart& part = place[i];
    if ((part.lane == Lane::kBehind) != (i > 0)) return false;
    if ((part.lane == Lane::kAssigned) != part.id.dot.is_zero()) return false;
  }
  return true;
}

}  // namespace outrigger
