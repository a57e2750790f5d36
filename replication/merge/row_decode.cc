#include "replication/merge/body.h"
#include "replication/merge/inside.h"
#include "replication/merge/row.h"
#include "replication/merge/types/row_maps.h"
#include "replication/merge/types/sums.h"
#include "replication/record/bytes.h"

namespace outrigger::merge {
namespace {

class RowReader {
 public:
  explicit RowReader(std::string_view bytes) : in_(bytes) { in_.inside = read_inside; }

  Result<DocumentState> read() {
    DocumentState state;
    const uint8_t kind = in_.u8();
    if (kind >> 4 != kRowVersion) in_.fail("unknown version");
    if (kind == kGeneral || kind == kNames || kind == kReplacing) {
      replaces_ = kind == kReplacing;
      general(state);
    } else if (kind == kInserted || kind == kInsertedOpaque) {
      inserted(state);
    } else if (kind == kPlain || kind == kSums) {
      plain(state, kind == kSums);
    } else if (kind == kCount) {
      count(state);
    } else if (kind != kOpaque) {
      in_.fail("unknown kind");
    }
    state.opaque |= kind == kOpaque || kind == kInsertedOpaque;
    in_.end();
    if (!in_.ok()) {
      return in_.error("the versions of this document are damaged; restore the data directory");
    }
    return state;
  }

 private:
  void inserted(DocumentState& state) {
    Incarnation& only = state.incarnations.emplace_back();
    const Origin origin = in_.origin();
    const Dot birth{in_.u64(), origin};
    if (birth.is_zero()) in_.fail("stamp of zero");
    only.births.push_back(birth);
    Register& root = only.body.registers[{}];
    root.stamp = birth;
    root.content = Content::kShown;
  }
  void plain(DocumentState& state, bool has_sums) {
    Incarnation& only = state.incarnations.emplace_back();
    only.births.emplace_back();
    read_origins();
    in_.newest = in_.u64();
    read_map(in_, only.body.registers, [&](Register& reg) {
      read_content(in_, reg);
      if (reg.is_version) in_.fail("a version is not plain");
    });
    if (has_sums) sums(only.body);
    read_map(in_, only.body.asserted, [&](Dot& stamp) { stamp = in_.dot(); });
    check(only.body);
    if (!has_sums && only.body.registers.empty() && only.body.asserted.empty())
      in_.fail("it says nothing");
  }
  void count(DocumentState& state) {
    Incarnation& only = state.incarnations.emplace_back();
    only.births.emplace_back();
    read_origins();
    read_clock(in_);
    const Path path = read_path(in_);
    Sums sums;
    read_alone(in_, sums);
    add(only.body, path, std::move(sums));
    check(only.body);
  }
  void sums(Body& body) {
    std::map<Path, Sums> sums;
    read_map(in_, sums, [&](Sums& each) { merge::read(in_, each); });
    if (sums.empty()) in_.fail("no counter");
    for (auto& [path, each] : sums) add(body, path, std::move(each));
  }
  void add(Body& body, const Path& path, Sums sums) {
    body.counters.emplace(path, std::move(sums.entries));
    if (!sums.base.view().is_number()) return;
    const bool is_new = body.registers.emplace(path, old_number(std::move(sums.base))).second;
    if (!is_new) in_.fail("counted from two values");
  }
  void general(DocumentState& state) {
    const uint8_t flags = in_.u8();
    state.detached = (flags & kDetachedFlag) != 0;
    state.opaque = (flags & kOpaqueFlag) != 0;
    has_lists_ = (flags & kListsFlag) != 0;
    has_contests_ = (flags & kContestsFlag) != 0;
    yields_ = (flags & kYieldsFlag) != 0;
    holds_ = (flags & kHoldingFlag) != 0;
    has_bounds_ = (flags & kBoundsFlag) != 0;
    overwritten_ = (flags & kOverwrittenFlag) != 0;
    read_origins();
    in_.newest = in_.u64();
    for (size_t n = in_.items(); n > 0 && in_.ok(); --n) {
      state.incarnations.push_back(incarnation());
    }
    if (shown_ && !state.is_alone()) in_.fail("a value is missing");
    if (yields_) gone(state);
    if (state.incarnations.empty() && state.gone.empty() && !state.detached) {
      in_.fail("no incarnation");
    }
  }
  void gone(DocumentState& state) {
    shown_ = false;
    for (size_t n = in_.items(); n > 0 && in_.ok(); --n) {
      state.gone.push_back(incarnation());
      if (state.gone.back().removals.empty()) in_.fail("gone, and nothing removed it");
    }
    if (shown_) in_.fail("a value is missing");
  }
  void removals(Incarnation& incarnation) {
    const Dot* before = nullptr;
    incarnation.seen = in_.newest_dots();
    for (size_t n = in_.items(); n > 0 && in_.ok(); --n) {
      const Dot dot = in_.dot();
      const uint8_t why = in_.u8();
      if (dot.is_zero() || (before != nullptr && !(*before < dot))) {
        in_.fail("removals out of order");
      }
      if (why == 0 || why > static_cast<uint8_t>(Removal::kExpiry)) {
        in_.fail("unknown kind of removal");
      }
      incarnation.removals.push_back({dot, static_cast<Removal>(why)});
      before = &incarnation.removals.back().dot;
    }
    if (incarnation.removals.empty() != incarnation.seen.empty()) {
      in_.fail("seen by no removal");
    }
  }
  void read(Holding& holding) {
    holding.since = in_.dot();
    for (VersionVector* each : {&holding.counts, &holding.keeps, &holding.passes}) {
      *each = in_.newest_dots();
    }
  }
  void read_origins() {
    const size_t n = in_.count(SIZE_MAX, kOriginBytes);
    for (size_t i = 0; i < n && in_.ok(); ++i) {
      const Origin origin = in_.origin();
      if (!in_.origins.empty() && !(in_.origins.back() < origin)) in_.fail("origins out of order");
      in_.origins.push_back(origin);
    }
  }
  Incarnation incarnation() {
    Incarnation result;
    for (size_t n = in_.items(); n > 0 && in_.ok(); --n) {
      const Dot birth = in_.dot();
      const auto& births = result.births;
      if (!births.empty() && !(births.back() < birth)) in_.fail("births out of order");
      result.births.push_back(birth);
    }
    if (result.births.empty()) in_.fail("no birth");
    result.body.floor = read_bytes(in_);
    read_map(in_, result.body.registers, [&](Register& reg) {
      merge::read(in_, reg);
      shown_ |= reg.content == Content::kShown;
    });
    read_map(in_, result.body.counters, [&](CounterEntries& entries) {
      merge::read(in_, entries);
      if (entries.empty()) in_.fail("counter without entries");
    });
    read_map(in_, result.body.asserted, [&](Dot& stamp) { stamp = in_.dot(); });
    if (has_contests_) {
      read_map(in_, result.body.contests, [&](Contest& each) { merge::read(in_, each); });
    }
    if (has_lists_) {
      read_map(in_, result.body.lists, [&](List& each) {
        merge::read(in_, each);
        shown_ |= each.settled;
      });
    }
    if (has_bounds_) read_bounds(in_, result.body.counters);
    if (holds_) read(result.holding);
    if (overwritten_) result.overwritten = in_.newest_dots();
    if (replaces_) {
      read_map(in_, result.body.replaced, [&](VersionVector& seen) { seen = in_.newest_dots(); });
    }
    if (yields_) removals(result);
    check(result.body);
    const auto root = result.body.registers.find(Path());
    // Without a register that governs the whole document it was born by an upsert.
    const bool weak = root == result.body.registers.end() && result.births.size() == 1;
    if (weak) result.body.floor_stamp = result.births.front();
    return result;
  }

  void check(const Body& body) {
    if (body.counters.contains(Path()) || body.lists.contains(Path()) ||
        body.contests.contains(Path()) || body.asserted.contains(Path())) {
      in_.fail("the root is no field");
    }
    for (const auto& [path, reg] : body.registers) {
      if (reg.is_version && !path.empty()) in_.fail("version of a part");
    }
    const auto root = body.registers.find(Path());
    if (root != body.registers.end() && !is_document(root->second)) {
      in_.fail("the root is no document");
    }
  }

  static bool is_document(const Register& root) {
    if (root.content == Content::kAbsent) return false;
    return root.content != Content::kValue || root.value.type == bson::Type::kDocument;
  }

  RowIn in_;
  bool shown_ = false;
  bool has_lists_ = false;
  bool has_contests_ = false;
  bool yields_ = false;
  bool holds_ = false;
  bool overwritten_ = false;
  bool has_bounds_ = false;
  bool replaces_ = false;
};

}  // namespace

Result<DocumentState> load_row(std::string_view bytes) {
  if (bytes.empty()) return DocumentState();
  return RowReader(bytes).read();
}

bool is_at_rest(std::string_view row) { return row.size() == 1 || (!row.empty() && !counts(row)); }

bool counts(std::string_view row) {
  return !row.empty() && static_cast<uint8_t>(row.front()) != kNames;
}

std::optional<OriginsInRow> origins_in_row(std::string_view row) {
  ByteReader in(row, "row");
  const uint8_t kind = in.u8();
  size_t count = 1;
  const bool is_plain = kind == kPlain || kind == kSums || kind == kCount;
  if (kind == kGeneral || kind == kNames || kind == kReplacing || is_plain) {
    if (!is_plain) (void)in.u8();
    count = in.count(SIZE_MAX, 1);
  } else if (kind != kInserted && kind != kInsertedOpaque) {
    return std::nullopt;
  }
  if (!in.ok() || count == 0) return std::nullopt;
  return OriginsInRow{row.size() - in.left(), count};
}

std::optional<Dot> birth_in_row(std::string_view row) {
  ByteReader in(row, "row");
  if (in.u8() != kInserted) return std::nullopt;
  const Origin origin = in.origin();
  const Dot birth{in.u64(), origin};
  in.end();
  return in.ok() && !birth.is_zero() ? std::optional(birth) : std::nullopt;
}

}  // namespace outrigger::merge
