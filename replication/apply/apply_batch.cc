#include "replication/apply/apply_batch.h"

#include <algorithm>
#include <map>
#include <set>

#include "replication/bson/fields.h"
#include "replication/merge/body.h"
#include "replication/merge/losses.h"
#include "replication/merge/merge.h"
#include "replication/outbox/batch.h"
#include "replication/record/catalog.h"

namespace outrigger {
namespace {

constexpr size_t kDiffDepthMax = 100;

// What turns one document into another, by paths. Both are walked once.
class Difference {
 public:
  explicit Difference(StoreWrite& write) : write_(write) {}

  // False: it cannot be said by paths; what was written of it so far is then taken back.
  bool between(const bson::Document& from, const bson::Document& to) {
    const size_t sets = write_.set.size();
    const size_t unsets = write_.unset.size();
    const size_t depth = path_.size();
    if (says(from, to)) return true;
    write_.set.resize(sets);
    write_.unset.resize(unsets);
    path_.resize(depth);
    return false;
  }

 private:
  bool says(const bson::Document& from, const bson::Document& to) {
    if (path_.size() > kDiffDepthMax || bson::repeats_names(from, bson::Levels::kTop) ||
        bson::repeats_names(to, bson::Levels::kTop)) {
      return false;
    }
    bson::FieldFinder before(from);
    for (const bson::Element& element : to) {
      const auto old = before.find(element.name);
      if (old && *old == element.value) continue;
      if (path_.empty() && element.name == "_id") return false;  // no update may change it
      path_.emplace_back(element.name);
      const bool both =
          old && old->type == bson::Type::kDocument && element.value.type == bson::Type::kDocument;
      if (!both || !between(old->as_document(), element.value.as_document())) {
        if (!is_dotted_path(path_)) return false;
        write_.set.push_back({path_, bson::OwnedValue(element.value)});
      }
      path_.pop_back();
    }
    bson::FieldFinder after(to);
    for (const bson::Element& element : from) {
      if ((path_.empty() && element.name == "_id") || after.find(element.name)) continue;
      path_.emplace_back(element.name);
      if (!is_dotted_path(path_)) return false;
      write_.unset.push_back(path_);
      path_.pop_back();
    }
    return true;
  }

  StoreWrite& write_;
  Path path_;
};

bson::OwnedValue stored_id(const std::optional<std::string>& stored, const bson::OwnedValue& id) {
  if (!stored) return id;
  const auto own = bson::Document(*stored).find("_id");
  return own ? bson::OwnedValue(*own) : id;
}

// A document always has an _id; what merged to one without was made by no author of ours.
std::string with_id(const std::string& document, const bson::OwnedValue& id) {
  bson::Writer writer;
  writer.value("_id", id);
  return writer.append_all(bson::Document(document)).finish();
}

}  // namespace

void add_touches(std::span<const std::shared_ptr<const Record>> records,
                 ApplyDocuments& documents) {
  size_t touches = 0;
  for (const auto& record : records) touches += record->documents.size();
  documents.reserve(documents.size() + touches);
  size_t position = 0;
  ApplyDocument* last = nullptr;
  for (const auto& record : records) {
    for (const DocumentEffects& effects : record->documents) {
      std::string canonical = bson::canonical_key(effects.id.view());
      ApplyDocument& document = documents[outbox::row_key(effects.ns, canonical)];
      if (last != nullptr && last != &document) last->touches.back().shown = true;
      document.ns = effects.ns;
      document.id = effects.id;
      document.canonical_id = std::move(canonical);
      document.touches.push_back({record.get(), &effects, ++position, false});
      last = &document;
    }
  }
  if (last != nullptr) last->touches.back().shown = true;
}

namespace {

// Adds the top-level name a path begins with. False: it cannot be asked for by itself.
bool add_name(const Path& path, std::set<std::string>& names) {
  if (path.empty() || !is_plain_field(path.front())) return path.empty();
  names.insert(path.front());
  return true;
}

bool add_names(const DocumentEffects& effects, bool only_this, std::set<std::string>& names) {
  for (const Effect& effect : effects.effects) {
    switch (effect.kind) {
      case Operation::kAssign:
      case Operation::kUnset:
      case Operation::kIncrement:
      case Operation::kEdit:
        if (effect.path.empty() || !add_name(effect.path, names)) return false;
        break;
      case Operation::kRemove:
        // What it had not seen may be lost, and is kept whole then; so is what may come back.
        if (effect.removal != Removal::kPlain) return false;
        if (!only_this || effects.effects.size() > 1) return false;
        break;
      default:
        return false;
    }
  }
  return true;
}

}  // namespace

Result<std::optional<std::vector<std::string>>> fields_needed(const ApplyDocument& document) {
  const std::optional<std::vector<std::string>> whole;
  if (document.touches.empty()) return whole;
  std::set<std::string> names;
  if (document.row) {
    auto state = merge::load_row(*document.row);
    if (!state) return tl::unexpected(state.error());
    if (!state->is_alone() || state->opaque || !state->gone.empty()) return whole;
    const merge::Body& body = state->incarnations.front().body;
    bool plain = true;
    for (const auto& [path, reg] : body.registers) plain = plain && add_name(path, names);
    for (const auto& [path, entries] : body.counters) plain = plain && add_name(path, names);
    for (const auto& [path, list] : body.lists) plain = plain && add_name(path, names);
    for (const auto& [path, contest] : body.contests) plain = plain && add_name(path, names);
    for (const auto& [path, stamp] : body.asserted) plain = plain && add_name(path, names);
    if (!plain) return whole;
  }
  const bool only_this = !document.row && document.touches.size() == 1;
  for (const ApplyDocument::Touch& touch : document.touches) {
    if (!add_names(*touch.effects, only_this, names)) return whole;
  }
  return std::optional(std::vector<std::string>(names.begin(), names.end()));
}

namespace {

// What values of the document the record had not seen. Nor were they made knowing it, which comes
// later. Increments cannot be at odds with anything.
void note_unseen(const merge::DocumentState& state, const Record& record, Met& met) {
  constexpr size_t kMetMax = 1000;
  const auto note = [&](const Dot& dot) {
    if (dot.is_zero() || record.deps.covers(dot) || dot == record.dot()) return;
    if (met.size() < kMetMax) met.insert(met_pair(dot, record.dot()));
  };
  const auto note_all = [&](const merge::Incarnation& incarnation) {
    for (const Dot& birth : incarnation.births) note(birth);
    note(incarnation.body.floor_stamp);
    for (const auto& [path, reg] : incarnation.body.registers) note(reg.stamp);
    for (const auto& [path, list] : incarnation.body.lists) note(list.asserted);
    for (const auto& [path, contest] : incarnation.body.contests) {
      merge::for_each_stamp(contest, [&](const Dot& dot, bool) { note(dot); });
    }
  };
  for (const merge::Incarnation& each : state.incarnations) note_all(each);
  for (const merge::Incarnation& each : state.gone) note_all(each);
}

Dot contents_dropped(const merge::DocumentState& state) {
  const merge::WholeBody body(state);
  const auto contents = body->registers.find(catalog_contents());
  return contents == body->registers.end() ? Dot() : contents->second.stamp;
}

// A drop goes before what follows, also where the collection is wanted again.
bool drops_series(const merge::DocumentState& state, const ApplyDocument::Touch& touch,
                  const std::optional<std::string>& before) {
  if (!before || !drops_contents(*touch.effects)) return false;
  if (contents_dropped(state) != touch.record->dot()) return false;
  const auto entry = catalog_entry(bson::Document(*before));
  return entry && entry->is_series();
}

}  // namespace

Result<Dot> contents_dropped(const std::optional<std::string>& catalog_row) {
  if (!catalog_row) return Dot();
  const auto state = merge::load_row(*catalog_row);
  if (!state) return tl::unexpected(state.error());
  return contents_dropped(*state);
}

Result<bool> merge_document(ApplyDocument& document, const std::optional<bson::Document>& stored,
                            bool whole) {
  auto state = merge::load_row(document.row ? std::string_view(*document.row) : std::string_view());
  if (!state) return tl::unexpected(state.error());
  merge::fill(*state, stored);
  std::optional<std::string> before;
  if (stored) before = std::string(stored->bytes());
  const bson::OwnedValue own_id = stored_id(before, document.id);
  const std::vector<merge::Loss> bounds_before = merge::bounds_shown(*state);
  std::vector<merge::Loss> losses;
  std::vector<std::pair<size_t, StoreWrite>> writes;
  const auto show = [&](size_t position, std::vector<merge::Loss>* clamped) {
    std::optional<std::string> wanted = merge::document_of(*state, clamped);
    if (wanted && !bson::Document(*wanted).has("_id")) wanted = with_id(*wanted, own_id);
    auto write = write_between(document.ns, own_id, before, wanted);
    if (!write) return true;
    if (!whole && write->kind == StoreWrite::Kind::kReplaceOrInsert) return false;
    writes.emplace_back(position, std::move(*write));
    before = std::move(wanted);
    return true;
  };
  document.met.clear();
  for (const ApplyDocument::Touch& touch : document.touches) {
    note_unseen(*state, *touch.record, document.met);
    merge::apply_remote(*state, *touch.record, *touch.effects, &losses);
    if (drops_series(*state, touch, before)) {
      StoreWrite drop = whole_write(document.ns, own_id, std::nullopt);
      writes.emplace_back(touch.position, std::move(drop));
      before.reset();
    }
    const bool last = &touch == &document.touches.back();
    if (touch.shown && !show(touch.position, last ? &losses : nullptr)) return false;
  }
  if (document.touches.empty() && !show(0, &losses)) return false;
  merge::note_opaque(*state, before);
  state->detached = false;  // until the store says no again
  document.row_after = merge::strip(*state);
  document.writes = std::move(writes);
  document.lost.clear();
  merge::leave_out_bounds(losses, bounds_before);
  std::vector<merge::Touched> touched;
  for (const ApplyDocument::Touch& each : document.touches) {
    if (!losses.empty()) touched.push_back({each.record, each.effects});
  }
  merge::leave_out_overtaken(losses, touched, *state, before);
  for (const merge::Loss& loss : losses) {
    document.lost.push_back(ledger_entry(document.ns, document.id, loss));
  }
  return true;
}

Result<std::string> detached_row(std::string_view row, const std::optional<std::string>& document) {
  auto state = merge::load_row(row);
  if (!state) return tl::unexpected(state.error());
  if (document) merge::fill(*state, bson::Document(*document));
  if (!document) state->incarnations.clear();
  state->detached = true;
  return merge::strip(*state);
}

std::string row_key_of(const StoreWrite& write) {
  return outbox::row_key(write.ns, bson::canonical_key(write.id.view()));
}

size_t memory_bytes(const StoreWrite& write) {
  size_t bytes = sizeof write + write.ns.size() + write.id.bytes.size() + write.document.size();
  const auto add = [&](const Path& path) {
    for (const std::string& name : path) bytes += sizeof name + name.size();
  };
  for (const StoreWrite::Set& set : write.set) {
    bytes += sizeof set + set.value.bytes.size();
    add(set.path);
  }
  for (const Path& path : write.unset) add(path);
  return bytes;
}

StoreWrite whole_write(const std::string& ns, const bson::OwnedValue& id,
                       const std::optional<std::string>& wanted) {
  StoreWrite write;
  write.ns = ns;
  write.id = id;
  write.kind = wanted ? StoreWrite::Kind::kReplaceOrInsert : StoreWrite::Kind::kRemove;
  if (wanted) write.document = *wanted;
  return write;
}

std::optional<StoreWrite> write_between(const std::string& ns, const bson::OwnedValue& id,
                                        const std::optional<std::string>& stored,
                                        const std::optional<std::string>& wanted) {
  if (!stored && !wanted) return std::nullopt;
  const bson::OwnedValue own_id = stored_id(stored, id);
  if (!stored || !wanted) return whole_write(ns, own_id, wanted);
  const bson::Document from(*stored);
  const bson::Document to(*wanted);
  if (bson::equal_unordered(from, to)) return std::nullopt;
  StoreWrite write;
  write.kind = StoreWrite::Kind::kUpdate;
  write.ns = ns;
  write.id = own_id;
  const bool by_paths =
      Difference(write).between(from, to) && write.set.size() + write.unset.size() <= kDiffPathsMax;
  if (!by_paths) return whole_write(ns, own_id, wanted);
  return write;
}

namespace {

// What one write makes of a document, as a tree of names. Its paths do not overlap.
struct Change {
  const bson::OwnedValue* value = nullptr;  // assigned here
  bool gone = false;                        // taken away here
  bool assigns = false;                     // something is assigned here or below
  std::map<std::string, Change, std::less<>> below;
};

void change_into(const bson::Document& from, const Change& change, bson::Writer& out);

void put(std::string_view name, const Change& change, const std::optional<bson::Value>& old,
         bson::Writer& out) {
  if (change.gone) return;
  if (change.value != nullptr) {
    out.value(name, *change.value);
    return;
  }
  const bool container = old && old->type == bson::Type::kDocument;
  if (!container && !change.assigns) {
    if (old) out.value(name, *old);
    return;
  }
  out.open_document(name);
  change_into(container ? old->as_document() : bson::Document(), change, out);
  out.close();
}

void change_into(const bson::Document& from, const Change& change, bson::Writer& out) {
  std::set<std::string_view> seen;
  for (const bson::Element& element : from) {
    const auto changed = change.below.find(element.name);
    if (changed == change.below.end()) {
      out.element(element);
    } else if (seen.insert(element.name).second) {
      put(element.name, changed->second, element.value, out);
    }
  }
  for (const auto& [name, to] : change.below) {
    if (!seen.contains(name)) put(name, to, std::nullopt, out);
  }
}

Change change_of(const StoreWrite& write) {
  Change root;
  for (const StoreWrite::Set& set : write.set) {
    Change* at = &root;
    for (const std::string& name : set.path) {
      at = &at->below[name];
      at->assigns = true;
    }
    at->value = &set.value;
  }
  for (const Path& path : write.unset) {
    Change* at = &root;
    for (const std::string& name : path) at = &at->below[name];
    at->gone = true;
  }
  return root;
}

}  // namespace

std::optional<std::string> written(std::optional<std::string> stored,
                                   std::span<const StoreWrite* const> writes) {
  for (const StoreWrite* write : writes) {
    if (write->kind == StoreWrite::Kind::kRemove) {
      stored.reset();
      continue;
    }
    if (write->kind != StoreWrite::Kind::kUpdate) {
      stored = write->document;
      continue;
    }
    if (!stored) continue;
    bson::Writer out;
    change_into(bson::Document(*stored), change_of(*write), out);
    stored = out.finish();
  }
  return stored;
}

}  // namespace outrigger
