#include <algorithm>

#include "replication/merge/body.h"
#include "replication/merge/row.h"
#include "replication/record/bytes.h"

namespace outrigger::merge {
namespace {

// The commit that gave birth to all there is; null when there is more to say.
const Dot* whole_birth(const DocumentState& state) {
  if (state.detached || state.incarnations.size() != 1) return nullptr;
  const Incarnation& only = state.incarnations.front();
  const Body& body = only.body;
  if (only.births.size() != 1 || body.registers.size() != 1 || !body.counters.empty() ||
      !body.asserted.empty()) {
    return nullptr;
  }
  const auto& [path, reg] = *body.registers.begin();
  const bool whole = path.empty() && reg.content == Content::kShown && reg.baseline.empty() &&
                     !reg.stamp.is_zero() && reg.stamp == only.births.front();
  return whole ? &only.births.front() : nullptr;
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

  std::string write(const DocumentState& state) {
    const VersionVector all = stamps(state);
    for (const auto& [origin, hlc] : all.entries()) {
      origins_.push_back(origin);
      clock_ = std::max(clock_, hlc);
    }
    out_.u8(kGeneral);
    out_.u8((state.detached ? kDetachedFlag : 0) | (state.opaque ? kOpaqueFlag : 0));
    out_.varint(origins_.size());
    for (const Origin& each : origins_) out_.origin(each);
    out_.u64(clock_);
    out_.varint(state.incarnations.size());
    // The floor of a document that stands alone is what the store shows.
    const bool alone = !state.detached && state.incarnations.size() == 1;
    for (const Incarnation& incarnation : state.incarnations) write(incarnation, alone);
    return out_.take();
  }

 private:
  void hlc(Hlc at) { out_.varint(zigzag(static_cast<int64_t>(at - clock_))); }
  void dot(const Dot& d) {
    if (d.is_zero()) return out_.varint(0);
    const auto at = std::lower_bound(origins_.begin(), origins_.end(), d.origin);
    out_.varint(static_cast<uint64_t>(at - origins_.begin()) + 1);
    hlc(d.hlc);
  }
  void path(const Path& p, const Path& before) {
    const size_t shared = shared_names(before, p);
    out_.varint(shared);
    out_.varint(p.size() - shared);
    for (size_t i = shared; i < p.size(); ++i) out_.bytes(p[i]);
  }
  void entries(const std::vector<CounterEntry>& list) {
    out_.varint(list.size());
    for (const CounterEntry& entry : list) {
      dot(entry.first);
      hlc(entry.last);
      out_.counted(entry.sum);
    }
  }
  template <typename Map, typename Item>
  void list(const Map& map, const Item& item) {
    static const Path kRoot;
    out_.varint(map.size());
    const Path* before = &kRoot;
    for (const auto& [at, what] : map) {
      path(at, *before);
      item(what);
      before = &at;
    }
  }
  void content(const Register& reg) {
    if (reg.content == Content::kDocument && !reg.fields.document().empty()) {
      out_.u8(kDocumentFollows);
      return out_.bytes(reg.fields.bytes);
    }
    out_.u8(static_cast<uint8_t>(reg.content));
    if (reg.content == Content::kValue) out_.counted(reg.value);
  }
  void write(const Incarnation& incarnation, bool alone) {
    out_.varint(incarnation.births.size());
    for (const Dot& birth : incarnation.births) dot(birth);
    out_.bytes(alone ? bson::Bytes() : incarnation.body.floor.bytes);
    list(incarnation.body.registers, [&](const Register& reg) {
      dot(reg.stamp);
      content(reg);
      entries(reg.baseline);
    });
    list(incarnation.body.counters, [&](const std::vector<CounterEntry>& es) { entries(es); });
    list(incarnation.body.asserted, [&](const Dot& stamp) { dot(stamp); });
  }

  std::vector<Origin> origins_;  // sorted
  Hlc clock_ = 0;
  ByteWriter out_;
};

}  // namespace

std::string encode_row(const DocumentState& state) {
  if (state.incarnations.empty() && !state.detached) {
    return std::string(1, static_cast<char>(kOpaque));
  }
  const Dot* birth = whole_birth(state);
  return birth != nullptr ? RowWriter().write_inserted(*birth, state.opaque)
                          : RowWriter().write(state);
}

std::string birth_row(const Dot& dot, bool opaque) {
  return RowWriter().write_inserted(dot, opaque);
}

}  // namespace outrigger::merge
