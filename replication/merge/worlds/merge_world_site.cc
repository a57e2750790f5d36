#include <algorithm>

#include "replication/merge/body.h"
#include "replication/merge/worlds/merge_world.h"

namespace outrigger::merge {

Found find_path(const bson::Document& document, const Path& path, size_t from) {
  const auto value = document.find(path[from]);
  if (!value) return {Found::kMissing, {}};
  if (from + 1 == path.size()) return {Found::kValue, *value};
  if (value->type != bson::Type::kDocument) return {Found::kBlocked, {}};
  if (value->as_document().has("twice")) return {Found::kBlocked, {}};
  return find_path(value->as_document(), path, from + 1);
}

std::string with_path(const bson::Document& document, const Path& path,
                      const std::optional<bson::OwnedValue>& value, size_t from) {
  bson::Writer out;
  bool done = false;
  const bool last = from + 1 == path.size();
  for (const bson::Element& element : document) {
    if (element.name != path[from]) {
      out.element(element);
    } else if (last && value) {
      out.value(element.name, *value);
    } else if (!last) {
      const std::string inner = with_path(element.value.as_document(), path, value, from + 1);
      out.document(element.name, bson::Document(inner));
    }
    done |= element.name == path[from];
  }
  if (!done && value && last) out.value(path[from], *value);
  if (!done && value && !last) {
    const std::string inner = with_path(bson::Document(), path, value, from + 1);
    out.document(path[from], bson::Document(inner));
  }
  return out.finish();
}

std::string id_text(const bson::OwnedValue& id) {
  const bson::Value value = id.view();
  if (value.type == bson::Type::kString) return std::string(value.as_string());
  return std::to_string(value.to_int64().value_or(0));
}

// What is done in elements is never told as a new value of the array: others edit it, too.
bool is_assigned_after_all(const DocumentChange& change, const DocumentEffects& effects) {
  return std::any_of(change.changes.begin(), change.changes.end(), [&](const PathChange& part) {
    const bool in_place = part.kind == Operation::kEdit && part.edit == ArrayEdit::kInPlace;
    return in_place &&
           std::any_of(effects.effects.begin(), effects.effects.end(), [&](const Effect& effect) {
             return effect.kind == Operation::kAssign && effect.path == part.path;
           });
  });
}

WorldSite::WorldSite(uint8_t name, size_t members, int64_t wall_ms)
    : clock(wall_ms), members_(members) {
  origin_.site[0] = name;
  origin_.epoch = 1;
  hybrid_ = std::make_unique<HybridClock>(clock, 0);
  hybrid_->set_bound(kHlcMax);
  stability = std::make_unique<Stability>(origin_, members_, 0);
}

// The disk is kept: writes in flight are settled one way or the other, then a new epoch begins.
void WorldSite::restart(std::mt19937_64& random) {
  while (!in_flight_.empty()) settle(0, random() % 2 == 0);
  publish(true);
  serial_ += 1'000'000;
  ++origin_.epoch;
  issued_ = 0;
  stability = std::make_unique<Stability>(origin_, members_, serial_);
}

bool WorldSite::locked(const std::string& id) const {
  return std::any_of(in_flight_.begin(), in_flight_.end(), [&](const InFlight& open) {
    return std::any_of(open.writes.begin(), open.writes.end(),
                       [&](const AppWrite& w) { return id_text(w.change.id) == id; });
  });
}

DocumentState WorldSite::load(const std::string& id) const {
  const auto row = rows.find(id);
  Result<DocumentState> state = load_row(row == rows.end() ? std::string_view() : row->second);
  if (!state) throw state.error().message();
  return *state;
}

void WorldSite::begin(std::vector<AppWrite> writes) {
  InFlight open;
  open.record.origin = origin_;
  open.record.hlc = issued_ = hybrid_->issue();
  open.record.deps = vector;
  open.record.deps.raise(origin_, issued_ - 1);
  open.writes = std::move(writes);
  in_flight_.push_back(std::move(open));
}

void WorldSite::settle(size_t index, bool happened) {
  InFlight open = std::move(in_flight_[index]);
  in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(index));
  if (!happened) return;
  const LocalContext context{open.record.dot(), stability->own_closed(), policy};
  for (AppWrite& write : open.writes) {
    const std::string id = id_text(write.change.id);
    DocumentState state = load(id);
    if (state.opaque && write.change.kind == DocumentChange::Kind::kUpdate) {
      write.change.kind = DocumentChange::Kind::kReplace;  // the capture took an image
      write.change.changes.clear();
      write.change.document = *write.after;
    }
    const DocumentEffects effects = local_effects(state, write.change, context);
    for (const Effect& effect : effects.effects) {
      OUTRIGGER_ASSERT(well_formed(effect, context.dot, effects.id));
    }
    if (is_assigned_after_all(write.change, effects)) throw std::string("an edit became a value");
    const bool was_beyond = !bounds_counted_on(state, effects).empty();
    apply_local(state, write.change, effects, context);
    if (was_beyond || !bounds_counted_on(state, effects).empty()) to_correct.insert(id);
    open.record.documents.push_back(effects);
    put(id, state, write.after);
    // The row written from the request alone must stand for what the store shows.
    if (!write.after || to_correct.contains(id)) continue;
    const DocumentState check = shows_store(id, "local row");
    // Joined births may keep a little more than they must, any other row does not.
    const bool joined = check.incarnations.front().births.size() > 1;
    if (!joined && strip(check) != rows[id]) throw std::string("row is not canonical");
  }
  settled_.push_back(std::move(open.record));
}

DocumentState WorldSite::shows_store(const std::string& id, const std::string& what) const {
  const bson::Document stored(store.at(id));
  DocumentState check = load(id);
  fill(check, stored);
  const std::string shown = document_of(check).value_or("");
  if (!bson::equal_unordered(bson::Document(shown), stored)) {
    throw what + " shows " + bson::to_json(bson::Document(shown)) + ", store " +
        bson::to_json(stored);
  }
  return check;
}

void WorldSite::put(const std::string& id, const DocumentState& state,
                    std::optional<std::string> document) {
  const std::string row = strip(state);
  if (row.empty()) {
    rows.erase(id);
  } else {
    rows[id] = row;
  }
  if (document) {
    store[id] = std::move(*document);
  } else {
    store.erase(id);
  }
}

void WorldSite::publish(bool heartbeat) {
  Hlc limit = kHlcMax;
  for (const InFlight& open : in_flight_) limit = std::min(limit, open.record.hlc);
  std::sort(settled_.begin(), settled_.end(),
            [](const Record& a, const Record& b) { return a.hlc < b.hlc; });
  auto add = [&](Record record) {
    const Hlc prev = vector.get(record.origin);
    vector.raise(record.origin, record.hlc);
    auto& of_origin = log[record.origin];
    of_origin.push_back({prev, std::make_shared<Record>(std::move(record))});
  };
  while (!settled_.empty() && settled_.front().hlc < limit) {
    add(std::move(settled_.front()));
    settled_.erase(settled_.begin());
  }
  const Hlc quiet = std::min(limit - 1, issued_);
  if (heartbeat && settled_.empty() && quiet > vector.get(origin_)) {
    Record nothing;
    nothing.origin = origin_;
    nothing.hlc = quiet;
    add(std::move(nothing));
  }
}

bool WorldSite::deliverable(const Published& published) const {
  const Record& record = *published.record;
  if (published.prev != vector.get(record.origin)) return false;
  for (const auto& [origin, hlc] : record.deps.entries()) {
    if (origin != record.origin && vector.get(origin) < hlc) return false;
  }
  return std::none_of(record.documents.begin(), record.documents.end(),
                      [&](const DocumentEffects& d) { return locked(id_text(d.id)); });
}

void WorldSite::receive(const Published& published, bool more) {
  apply(*published.record);
  if (!more) end_batch();
  hybrid_->observe(published.record->hlc);
  vector.raise(published.record->origin, published.record->hlc);
  log[published.record->origin].push_back(published);
}

void WorldSite::apply(const Record& record) {
  for (const DocumentEffects& effects : record.documents) {
    const std::string id = id_text(effects.id);
    DocumentState state = load(id);
    const auto stored = store.find(id);
    std::optional<bson::Document> document;
    if (stored != store.end()) document = bson::Document(stored->second);
    fill(state, document);
    Batch& batch = batch_[id];
    batch.touched.push_back({&record, &effects});
    apply_remote(state, record, effects, &batch.losses);
    std::optional<std::string> shown = document_of(state);
    note_opaque(state, shown);
    // The store is not told of another order of fields.
    const bool stays =
        document && shown && bson::equal_unordered(*document, bson::Document(*shown));
    if (stays) shown = stored->second;
    put(id, state, shown);
  }
}

void WorldSite::end_batch() {
  for (auto& [id, batch] : std::exchange(batch_, {})) {
    DocumentState state = load(id);
    const auto stored = store.find(id);
    std::optional<std::string> document;
    if (stored != store.end()) document = stored->second;
    fill(state, document ? std::optional(bson::Document(*document)) : std::nullopt);
    leave_out_overtaken(batch.losses, batch.touched, state, document);
    auto& all = losses[id];
    all.insert(all.end(), batch.losses.begin(), batch.losses.end());
  }
}

void WorldSite::correct() {
  for (const std::string& id : std::exchange(to_correct, {})) {
    if (locked(id)) {
      to_correct.insert(id);
      continue;
    }
    DocumentState state = load(id);
    const auto stored = store.find(id);
    if (stored == store.end()) continue;
    fill(state, bson::Document(stored->second));
    put(id, state, document_of(state));
  }
}

VersionVector WorldSite::issued() const {
  VersionVector highest;
  highest.raise(origin_, issued_);
  return highest;
}

Report WorldSite::report() {
  ++serial_;
  return stability->report(vector, issued());
}

void WorldSite::collect(bool drop_rows) {
  stability->update(vector, issued(), vector);
  for (auto at = rows.begin(); at != rows.end();) {
    const std::string id = at->first;
    DocumentState state = load(id);
    if (!drop_rows || locked(id) || to_correct.contains(id)) {
      ++at;
    } else if (merge::collect(state, stability->stable(), stability->closed())) {
      at->second = stable_row(state);
      if (at->second.empty()) {
        at = rows.erase(at);
        ++drops;
      } else {
        ++at;
      }
    } else {
      fold(state, {stability->stable(), stability->closed()});
      at->second = strip(state);  // births may have joined, and what is stable be left to the store
      const bool is_shown = store.contains(id) && state.is_alone();
      if (is_shown) (void)shows_store(id, "row forgotten in part");
      ++at;
    }
  }
}

}  // namespace outrigger::merge
