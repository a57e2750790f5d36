#include "replication/apply/apply_unread.h"

#include <algorithm>
#include <utility>

#include "replication/merge/body.h"
#include "replication/merge/merge.h"
#include "replication/record/catalog.h"

namespace outrigger {
namespace {

constexpr size_t kFieldsMax = 64;  // of one record

// Says of one top-level field what it is from now on.
bool is_plain(const Effect& effect, const Dot& dot, const bson::OwnedValue& id) {
  const bool assigns = effect.kind == Operation::kAssign;
  if (!assigns && effect.kind != Operation::kUnset) return false;
  return effect.path.size() == 1 && effect.path.front() != "_id" && is_dotted_path(effect.path) &&
         effect.baselines.empty() && merge::well_formed(effect, dot, id) &&
         !(assigns && bson::repeats_names(effect.value.view()));
}

// No author of ours says two things of one field; what they would come to is for merging to say.
bool is_plain(const ApplyDocument::Touch& touch, const bson::OwnedValue& id) {
  const auto& effects = touch.effects->effects;
  if (!touch.effects->gone.empty() || !touch.effects->there.empty()) return false;
  if (effects.empty() || effects.size() > kFieldsMax) return false;
  for (auto each = effects.begin(); each != effects.end(); ++each) {
    if (!is_plain(*each, touch.record->dot(), id)) return false;
    const auto is_same = [&](const Effect& other) { return other.path == each->path; };
    if (std::any_of(effects.begin(), each, is_same)) return false;
  }
  return true;
}

// Its author had seen all of it.
bool has_seen(const Record& record, const merge::DocumentState& state) {
  const VersionVector stamps = merge::stamps(state);
  return std::all_of(stamps.entries().begin(), stamps.entries().end(), [&](const auto& entry) {
    return record.deps.covers({entry.second, entry.first});
  });
}

DocumentChange change_of(const DocumentEffects& effects) {
  DocumentChange change;
  change.kind = DocumentChange::Kind::kUpdate;
  for (const Effect& effect : effects.effects) {
    change.changes.push_back({effect.kind, effect.path, effect.value, false, std::nullopt});
  }
  return change;
}

// The later of two that say something of one path.
void add(const Effect& effect, StoreWrite& write) {
  std::erase_if(write.set, [&](const StoreWrite::Set& set) { return set.path == effect.path; });
  std::erase(write.unset, effect.path);
  if (effect.kind == Operation::kAssign) {
    write.set.push_back({effect.path, effect.value});
  } else {
    write.unset.push_back(effect.path);
  }
}

}  // namespace

bool is_only_born(const ApplyDocument& document) {
  if (document.row || document.touches.size() != 1) return false;
  const ApplyDocument::Touch& touch = document.touches.front();
  if (touch.effects->effects.size() != 1) return false;
  const Effect& effect = touch.effects->effects.front();
  return effect.kind == Operation::kBirth && effect.baselines.empty() &&
         merge::well_formed(effect, touch.record->dot(), document.id) &&
         !bson::repeats_names(effect.value.view());
}

void bear(ApplyDocument& document) {
  const ApplyDocument::Touch& touch = document.touches.front();
  document.row_after = merge::birth_row(touch.record->dot(), false);
  document.writes.clear();
  document.writes.emplace_back(touch.position, birth_write(*touch.effects));
  document.lost.clear();
  document.met.clear();
}

StoreWrite birth_write(const DocumentEffects& effects) {
  StoreWrite write;
  write.kind = StoreWrite::Kind::kInsert;
  write.ns = effects.ns;
  write.id = effects.id;
  write.document = effects.effects.front().value.bytes;
  return write;
}

Result<bool> overwrite(ApplyDocument& document) {
  const auto plain = [&](const auto& touch) { return is_plain(touch, document.id); };
  const auto drops = [](const auto& touch) { return drops_contents(*touch.effects); };
  if (!document.row || document.touches.empty() ||
      std::any_of(document.touches.begin(), document.touches.end(), drops) ||
      !std::all_of(document.touches.begin(), document.touches.end(), plain)) {
    return false;
  }
  auto state = merge::load_row(*document.row);
  if (!state) return tl::unexpected(state.error());
  if (!state->is_alone() || !state->gone.empty() || state->opaque) return false;
  const merge::Body& body = state->incarnations.front().body;
  if (!body.counters.empty() || !body.lists.empty()) return false;
  std::vector<std::pair<size_t, StoreWrite>> writes;
  StoreWrite write;
  for (const ApplyDocument::Touch& touch : document.touches) {
    if (!has_seen(*touch.record, *state)) return false;
    merge::LocalContext context;
    context.dot = touch.record->dot();
    merge::apply_local(*state, change_of(*touch.effects), *touch.effects, context);
    for (const Effect& effect : touch.effects->effects) add(effect, write);
    if (write.set.size() + write.unset.size() > kDiffPathsMax) return false;
    if (!touch.shown) continue;
    write.kind = StoreWrite::Kind::kUpdate;
    write.ns = document.ns;
    write.id = document.id;
    writes.emplace_back(touch.position, std::exchange(write, {}));
  }
  if (state->opaque) return false;
  document.row_after = merge::strip(*state);
  document.writes = std::move(writes);
  document.lost.clear();
  document.met.clear();
  return true;
}

}  // namespace outrigger
