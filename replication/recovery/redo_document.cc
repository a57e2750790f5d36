#include "replication/recovery/redo_document.h"

#include <algorithm>

#include "replication/apply/apply_batch.h"
#include "replication/bson/fields.h"
#include "replication/merge/merge.h"
#include "replication/merge/types/decompose.h"

namespace outrigger {
namespace {

using merge::Content;

bool was_born_by(const merge::Incarnation& incarnation, const Dot& dot) {
  return std::find(incarnation.births.begin(), incarnation.births.end(), dot) !=
         incarnation.births.end();
}

// Without a row a document is gone, or nothing of it is remembered any more: nobody who forgot it
// would have kept a record of its end.
bool removes(std::span<const Forgotten> forgotten) {
  return std::any_of(forgotten.begin(), forgotten.end(), [](const Forgotten& each) {
    const auto& effects = each.effects->effects;
    return std::any_of(effects.begin(), effects.end(),
                       [](const Effect& effect) { return effect.kind == Operation::kRemove; });
  });
}

// The document that one of the records made, where what stands now began with it: with the values
// that an upsert gave it beside its birth.
std::optional<std::string> born_by(const merge::Incarnation& incarnation,
                                   std::span<const Forgotten> forgotten) {
  std::optional<std::string> born;
  StoreWrite beside;
  for (const Forgotten& each : forgotten) {
    if (born || !was_born_by(incarnation, each.dot())) continue;
    for (const Effect& effect : each.effects->effects) {
      if (effect.is_birth()) born = std::string(effect.value.view().as_document().bytes());
      const bool gives = effect.kind == Operation::kAssign && !effect.path.empty() &&
                         !is_into_element(effect.path);
      if (gives) beside.set.push_back({effect.path, effect.value});
    }
    if (!born) beside.set.clear();
  }
  if (!born || beside.set.empty()) return born;
  return written(std::move(born), std::vector<const StoreWrite*>{&beside});
}

// Values that the records gave, where they still stand and the row leaves them to the store. A
// birth gives the whole document one.
void say_assigned(merge::Body& body, std::span<const Forgotten> forgotten) {
  for (const Forgotten& each : forgotten) {
    for (const Effect& effect : each.effects->effects) {
      if (effect.kind != Operation::kAssign && !effect.is_birth()) continue;
      const auto reg = body.registers.find(effect.path);
      if (reg == body.registers.end() || reg->second.stamp != each.dot() ||
          reg->second.content != Content::kShown) {
        continue;
      }
      const auto within = merge::SharedBytes::of(effect.value.bytes);
      const bson::Value value{effect.value.type, within.bytes};
      merge::hold(reg->second, effect.path, value, within);
    }
  }
}

// The others are the store's, also where the document is made anew from its birth.
void say_stored(merge::Body& body, const std::string& stored) {
  const auto within = merge::SharedBytes::of(stored);
  bson::PathFinder finder(within.document());
  for (auto& [path, reg] : body.registers) {
    if (reg.content != Content::kShown) continue;
    const auto value = finder.find(path);
    if (value) merge::hold(reg, path, *value, within);
  }
}

std::string with_id(const std::string& document, const bson::OwnedValue& id) {
  if (bson::Document(document).has("_id")) return document;
  bson::Writer writer;
  writer.value("_id", id);
  return writer.append_all(bson::Document(document)).finish();
}

AfterCrash between(const DocumentEffects& of, const std::optional<std::string>& stored,
                   std::optional<std::string> wanted) {
  AfterCrash out;
  out.write = write_between(of.ns, of.id, stored, wanted);
  out.document = std::move(wanted);
  return out;
}

// Where something is added, what the store shows is nearer than what was there before.
void leave_as_stored(const Path& path, const std::optional<std::string>& stored,
                     StoreWrite& update) {
  const std::optional<bson::Value> value =
      stored ? bson::PathFinder(bson::Document(*stored)).find(path) : std::nullopt;
  if (value) update.set.push_back({path, bson::OwnedValue(*value)});
}

// To an array that is made anew, with its document.
void say_added(const Effect& effect, const std::string& document, StoreWrite& update) {
  if (effect.kind != Operation::kEdit) return;
  if (bson::PathFinder(bson::Document(document)).find(effect.path)) return;
  bson::Writer array;
  size_t at = 0;
  for (const AddedElement& each : effect.edit.added) {
    array.value(bson::index_name(at++), each.value);
  }
  update.set.push_back({effect.path, bson::OwnedValue(bson::Type::kArray, array.finish())});
}

// Does the document show what one effect of a peer left where another effect wrote?
bool shows(const bson::Document& stored, const Effect& peers, const Effect& own) {
  const Path& at = peers.path.size() > own.path.size() ? peers.path : own.path;
  const auto within = [&at](const Effect& effect) -> std::optional<bson::Value> {
    const bson::Value value = effect.value.view();
    if (at.size() == effect.path.size()) return value;
    if (value.type != bson::Type::kDocument) return std::nullopt;
    return bson::PathFinder(value.as_document()).find(at, effect.path.size());
  };
  bson::PathFinder finder(stored);
  const std::optional<bson::Value> shown = finder.find(at);
  const bool gives = peers.kind != Operation::kUnset;
  const std::optional<bson::Value> given = gives ? within(peers) : std::nullopt;
  if (!given) {
    if (shown || peers.is_birth()) return false;
    // Of a part of what the app wrote: so the rest of it has to be there.
    return at.size() == own.path.size() ||
           (within(own) && finder.find(Path(at.begin(), at.end() - 1)));
  }
  bool all = shown.has_value();
  Path leaf = at;
  merge::for_each_leaf(leaf, *given, [&](const Path& path, const bson::Value& value) {
    const auto found = finder.find(path);
    all = all && found && *found == value;
  });
  return all;
}

// The store may hold any part of what such effects have left.
bool adds(const Effect& effect) {
  return effect.kind == Operation::kIncrement || effect.kind == Operation::kEdit ||
         is_into_element(effect.path);
}

bool has_birth(const DocumentEffects& effects) {
  return std::any_of(effects.effects.begin(), effects.effects.end(),
                     [](const Effect& effect) { return effect.is_birth(); });
}

// Did the store hold what a peer wrote over it, or into it? Then it holds this, too: what peers
// wrote waits for the journal, and the journal holds all that came before.
bool is_below_a_peers(const SiteId& self, const Effect& own, std::span<const Forgotten> later,
                      const std::optional<std::string>& stored) {
  const auto is_there = [&](const Effect& peers, bool is_anew) {
    if (peers.kind == Operation::kRemove) return !stored;
    if (!stored || own.is_birth() || adds(peers)) return false;
    // Of a document made in place of this one, any part that shows is of after it.
    Effect at_its_place = own;
    if (is_anew && peers.is_birth()) at_its_place.path.clear();
    const Effect& below = is_anew && peers.is_birth() ? at_its_place : own;
    const bool meets = has_prefix(below.path, peers.path) || has_prefix(peers.path, below.path);
    return meets && shows(bson::Document(*stored), peers, below);
  };
  return std::any_of(later.begin(), later.end(), [&](const Forgotten& each) {
    if (each.dot().origin.site == self) return false;
    const auto& effects = each.effects->effects;
    const bool removes = !effects.empty() && effects.front().kind == Operation::kRemove;
    const bool is_anew = removes && has_birth(*each.effects);
    return std::any_of(effects.begin(), effects.end(),
                       [&](const Effect& effect) { return is_there(effect, is_anew); });
  });
}

// What an app's write made of it; of a part of it, what is to be written.
std::optional<std::string> with_effect(std::optional<std::string> document, const Effect& effect,
                                       const bson::OwnedValue& id, StoreWrite& update) {
  const bool is_whole = effect.path.empty() && effect.kind == Operation::kAssign;
  if (effect.is_birth() || is_whole) {
    return with_id(std::string(effect.value.view().as_document().bytes()), id);
  }
  if (effect.kind == Operation::kRemove) return std::nullopt;
  if (effect.kind == Operation::kAssign) update.set.push_back({effect.path, effect.value});
  if (effect.kind == Operation::kUnset) update.unset.push_back(effect.path);
  return document;
}

// What an app's writes left there, of all that the row says. What peers wrote is not put back, as
// the store may have refused it; where it is there, it stays.
std::optional<std::string> with_own(const SiteId& self, std::span<const Forgotten> forgotten,
                                    const std::optional<std::string>& stored) {
  std::optional<std::string> document = stored;
  for (size_t i = 0; i < forgotten.size(); ++i) {
    const Forgotten& each = forgotten[i];
    const bool is_own = each.dot().origin.site == self;
    const bool is_born = has_birth(*each.effects);
    for (const Effect& effect : each.effects->effects) {
      // It says what was not there when this was born.
      if (is_born && effect.kind == Operation::kRemove) continue;
      StoreWrite update;
      if (is_own && !stored && document) say_added(effect, *document, update);
      if (adds(effect)) leave_as_stored(path_of_array(effect.path), stored, update);
      // What is still there was born, unless it is one that an app took away before.
      const bool is_there = effect.is_birth() && document;
      if (is_own && !is_there && !adds(effect) &&
          !is_below_a_peers(self, effect, forgotten.subspan(i + 1), stored)) {
        document = with_effect(std::move(document), effect, each.effects->id, update);
      }
      if (update.set.empty() && update.unset.empty()) continue;
      document = written(std::move(document), std::vector<const StoreWrite*>{&update});
    }
  }
  return document;
}

}  // namespace

Result<std::optional<AfterCrash>> after_crash(const SiteId& self, std::string_view row,
                                              std::span<const Forgotten> forgotten,
                                              const std::optional<std::string>& stored) {
  const DocumentEffects& of = *forgotten.back().effects;
  auto state = merge::load_row(row);
  if (!state) return tl::unexpected(state.error());
  if (state->detached) {
    AfterCrash own = between(of, stored, with_own(self, forgotten, stored));
    own.is_set_aside = true;
    return own;
  }
  if (state->incarnations.empty()) {
    if (!removes(forgotten)) return std::optional<AfterCrash>();
    return between(of, stored, std::nullopt);
  }
  std::optional<std::string> base = stored;
  if (state->is_alone()) {
    merge::Incarnation& incarnation = state->incarnations.front();
    say_assigned(incarnation.body, forgotten);
    std::optional<std::string> born = born_by(incarnation, forgotten);
    const auto root = incarnation.body.registers.find(Path());
    const bool is_said =
        root != incarnation.body.registers.end() && root->second.content != Content::kShown;
    if (!stored && !born && !is_said) {
      AfterCrash gone;
      gone.is_taken_away = true;
      return gone;
    }
    if (stored) say_stored(incarnation.body, *stored);
    if (born) base = std::move(born);
  }
  merge::fill(*state, base ? std::optional(bson::Document(*base)) : std::nullopt);
  std::optional<std::string> wanted = merge::document_of(*state);
  if (wanted) wanted = with_id(*wanted, of.id);
  return between(of, stored, std::move(wanted));
}

}  // namespace outrigger
