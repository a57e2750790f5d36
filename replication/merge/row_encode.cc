#include <algorithm>

#include "replication/merge/body.h"
#include "replication/merge/row.h"
#include "replication/merge/types/row_maps.h"
#include "replication/merge/types/sums.h"
#include "replication/record/bytes.h"

namespace outrigger::merge {
namespace {

// The commit that gave birth to all there is; null when there is more to say.
const Dot* whole_birth(const DocumentState& state) {
  if (!state.is_alone() || !state.gone.empty()) return nullptr;
  const Incarnation& only = state.incarnations.front();
  const Body& body = only.body;
  if (only.births.size() != 1 || !only.holding.empty() || !only.overwritten.empty() ||
      body.registers.size() != 1 || !body.counters.empty() || !body.lists.empty() ||
      !body.contests.empty() || !body.asserted.empty() || !body.replaced.empty()) {
    return nullptr;
  }
  const auto& [path, reg] = *body.registers.begin();
  const bool whole = path.empty() && reg.content == Content::kShown && reg.baseline.empty() &&
                     !reg.stamp.is_zero() && reg.stamp == only.births.front();
  return whole ? &only.births.front() : nullptr;
}

bool holds_only_names(const DocumentState& state) {
  if (!state.is_alone() || !state.gone.empty()) return false;
  const Incarnation& only = state.incarnations.front();
  const Body& body = only.body;
  return only.births.size() == 1 && only.births.front().is_zero() && only.holding.empty() &&
         only.overwritten.empty() && body.registers.empty() && body.counters.empty() &&
         body.contests.empty() && body.asserted.empty() && body.replaced.empty() &&
         !body.lists.empty() &&
         std::all_of(body.lists.begin(), body.lists.end(),
                     [](const auto& each) { return each.second.settled; });
}

bool is_plain(const DocumentState& state) {
  if (state.opaque || !state.is_alone() || !state.gone.empty()) return false;
  const Incarnation& only = state.incarnations.front();
  const Body& body = only.body;
  return only.births.size() == 1 && only.births.front().is_zero() && only.holding.empty() &&
         only.overwritten.empty() && body.lists.empty() && body.contests.empty() &&
         body.replaced.empty() && !tell_bounds(body.counters) &&
         std::all_of(body.registers.begin(), body.registers.end(), [](const auto& each) {
           return each.second.baseline.empty() && !each.second.is_version;
         });
}

// Of a plain one: the counter that is all there is. Where that is not so, its path is null.
struct OnlySums {
  const Path* path = nullptr;
  ShownSums sums;
};
OnlySums only_sums(const Body& body) {
  OnlySums only{nullptr, {nullptr, kNoEntries}};
  if (body.counters.size() != 1 || body.registers.size() > 1 || !body.asserted.empty()) return only;
  const auto& [path, entries] = *body.counters.begin();
  const Register* base = body.registers.empty() ? nullptr : &body.registers.begin()->second;
  if (base != nullptr && (body.registers.begin()->first != path || !is_old_number(*base))) {
    return only;
  }
  if (!is_one_an_origin(entries)) return only;
  return {&path, {base == nullptr ? nullptr : &base->value, entries}};
}

class RowWriter {
 public:
  std::string write_inserted(const Dot& dot, bool opaque) {
    out_.reserve(1 + sizeof dot.origin + sizeof dot.hlc);
    out_.u8(opaque ? kInsertedOpaque : kInserted);
    out_.origin(dot.origin);
    out_.u64(dot.hlc);
    return out_.take();
  }

  std::string write_plain(const DocumentState& state) {
    const Body& body = state.incarnations.front().body;
    if (const OnlySums only = only_sums(body); only.path != nullptr)
      return write_count(state, only);
    out_.u8(body.counters.empty() ? kPlain : kSums);
    write_origins(state);
    out_.u64(out_.newest);
    if (body.counters.empty()) {
      write_map(out_, body.registers, [&](const Register& reg) { write_content(out_, reg); });
    } else {
      write_sums(body);
    }
    write_map(out_, body.asserted, [&](const Dot& stamp) { out_.dot(stamp); });
    return out_.take();
  }

  std::string write(const DocumentState& state) {
    note(state.incarnations);
    note(state.gone);
    out_.u8(holds_only_names(state) ? kNames : replaces_ ? kReplacing : kGeneral);
    out_.u8((state.detached ? kDetachedFlag : 0) | (state.opaque ? kOpaqueFlag : 0) |
            (has_lists_ ? kListsFlag : 0) | (has_contests_ ? kContestsFlag : 0) |
            (yields_ ? kYieldsFlag : 0) | (holds_ ? kHoldingFlag : 0) |
            (has_bounds_ ? kBoundsFlag : 0) | (overwritten_ ? kOverwrittenFlag : 0));
    write_origins(state);
    out_.u64(out_.newest);
    out_.varint(state.incarnations.size());
    // The floor of a document that stands alone is what the store shows.
    for (const Incarnation& incarnation : state.incarnations) write(incarnation, state.is_alone());
    if (!yields_) return out_.take();
    out_.varint(state.gone.size());
    for (const Incarnation& incarnation : state.gone) write(incarnation, false);
    return out_.take();
  }

 private:
  std::string write_count(const DocumentState& state, const OnlySums& only) {
    out_.u8(kCount);
    write_origins(state);
    write_clock(out_);
    write_path(out_, *only.path);
    write_alone(out_, only.sums);
    return out_.take();
  }
  // What a counter counts from stands with it.
  void write_sums(const Body& body) {
    struct RegisterAt {
      const Path& path;
      const Register& reg;
    };
    struct SumsAt {
      const Path& path;
      ShownSums sums;
    };
    std::vector<RegisterAt> others;
    std::vector<SumsAt> sums;
    for (const auto& [path, entries] : body.counters) sums.push_back({path, {nullptr, entries}});
    auto next = sums.begin();
    for (const auto& [path, reg] : body.registers) {
      while (next != sums.end() && next->path < path) ++next;
      const bool is_base = next != sums.end() && next->path == path && is_old_number(reg);
      if (is_base) next->sums.base = &reg.value;
      if (!is_base) others.push_back({path, reg});
    }
    write_map(out_, others, [&](const Register& reg) { write_content(out_, reg); });
    write_map(out_, sums, [&](const ShownSums& each) { merge::write(out_, each); });
  }
  void write_origins(const DocumentState& state) {
    const VersionVector all = stamps(state);
    for (const auto& [origin, hlc] : all.entries()) {
      out_.origins.push_back(origin);
      out_.newest = std::max(out_.newest, hlc);
    }
    out_.varint(out_.origins.size());
    for (const Origin& each : out_.origins) out_.origin(each);
  }
  // Which parts there are.
  void note(const std::vector<Incarnation>& incarnations) {
    for (const Incarnation& each : incarnations) {
      has_lists_ |= !each.body.lists.empty();
      has_contests_ |= !each.body.contests.empty();
      yields_ |= !each.removals.empty();
      holds_ |= !each.holding.empty();
      overwritten_ |= !each.overwritten.empty();
      has_bounds_ |= tell_bounds(each.body.counters);
      replaces_ |= !each.body.replaced.empty();
    }
  }
  void write(const Incarnation& incarnation, bool alone) {
    out_.varint(incarnation.births.size());
    for (const Dot& birth : incarnation.births) out_.dot(birth);
    out_.bytes(alone ? bson::Bytes() : incarnation.body.floor.bytes);
    const auto state = [&](const auto& each) { merge::write(out_, each); };
    write_map(out_, incarnation.body.registers, state);
    write_map(out_, incarnation.body.counters, state);
    write_map(out_, incarnation.body.asserted, [&](const Dot& stamp) { out_.dot(stamp); });
    if (has_contests_) write_map(out_, incarnation.body.contests, state);
    if (has_lists_) {
      write_map(out_, incarnation.body.lists, [&](const List& each) {
        if (alone || !each.settled) return state(each);
        List whole = each;
        unsettle(whole);
        state(whole);
      });
    }
    if (has_bounds_) write_bounds(out_, incarnation.body.counters);
    if (holds_) write(incarnation.holding);
    if (overwritten_) out_.newest_dots(incarnation.overwritten);
    if (replaces_) {
      write_map(out_, incarnation.body.replaced,
                [&](const VersionVector& seen) { out_.newest_dots(seen); });
    }
    if (!yields_) return;
    out_.newest_dots(incarnation.seen);
    out_.varint(incarnation.removals.size());
    for (const NotedRemoval& each : incarnation.removals) {
      out_.dot(each.dot);
      out_.u8(static_cast<uint8_t>(each.why));
    }
  }

  void write(const Holding& holding) {
    out_.dot(holding.since);
    for (const VersionVector* each : {&holding.counts, &holding.keeps, &holding.passes}) {
      out_.newest_dots(*each);
    }
  }

  RowOut out_;
  bool has_lists_ = false;
  bool has_contests_ = false;
  bool yields_ = false;
  bool holds_ = false;
  bool overwritten_ = false;
  bool has_bounds_ = false;
  bool replaces_ = false;
};

}  // namespace

std::string encode_row(const DocumentState& state) {
  if (state.incarnations.empty() && state.gone.empty() && !state.detached) {
    return std::string(1, static_cast<char>(kOpaque));
  }
  if (is_plain(state)) return RowWriter().write_plain(state);
  const Dot* birth = whole_birth(state);
  return birth != nullptr ? RowWriter().write_inserted(*birth, state.opaque)
                          : RowWriter().write(state);
}

std::string birth_row(const Dot& dot, bool opaque) {
  return RowWriter().write_inserted(dot, opaque);
}

}  // namespace outrigger::merge
