#include "replication/merge/worlds/merge_world.h"

#include <algorithm>

#include "replication/bson/fields.h"
#include "replication/bson/number.h"

namespace outrigger::merge {
namespace {

const std::vector<Path> kRegisters = {{"a"}, {"c", "x"}, {"c", "y"}, {"c", "d", "x"}, {"p.q", ""}};
const std::vector<Path> kCounters = {{"n"}, {"c", "n"}, {"c", "d", "n"}};

DocumentChange update_of(const std::string& id) {
  return change_of(DocumentChange::Kind::kUpdate, id);
}

// Of what is stable nothing is remembered but which documents are opaque, in one byte each, the
// names of elements, and sums in whose place a bound shows.
std::string rows_at_rest(const WorldSite& site) {
  for (const auto& [id, row] : site.rows) {
    if (!site.store.contains(id)) return "a row without a document";
    const DocumentState state = site.load(id);
    if (is_out_of_bounds(state)) continue;
    for (const Incarnation& incarnation : state.incarnations) {
      if (!is_only_settled_lists(incarnation)) return "metadata left although all is stable";
    }
  }
  for (const auto& [id, document] : site.store) {
    const bool repeats = bson::repeats_names(bson::Document(document));
    if (repeats != site.load(id).opaque) return "a row does not say what is opaque";
  }
  return {};
}

}  // namespace

MergeWorld::MergeWorld(uint64_t seed, WorldOptions options)
    : random_(seed),
      quiet_(seed + 1),
      options_(options),
      values_(random_, options.add_only),
      arrays_(random_, values_, options.sets) {
  const size_t count = 2 + pick(3);
  const int64_t spread = chance(0.5) ? 60 : 300;
  for (size_t i = 0; i < count; ++i) {
    const int64_t offset = static_cast<int64_t>(random_() % (2 * spread + 1)) - spread;
    sites_.push_back(std::make_unique<WorldSite>('A' + i, count, 1000 + offset));
    if (!options.contests && !options.versions && !options.bounds && !options.sets) continue;
    Settings settings = options.bounds ? bounded(i) : options.sets ? removals_win() : contested();
    if (options.versions) settings.replicate.front().version_field = {"a"};
    policies_.push_back(std::make_unique<Policy>(settings));
    sites_.back()->policy = policies_.back().get();
  }
}

std::optional<AppWrite> MergeWorld::increment(const WorldSite& site, const std::string& id,
                                              const std::string& document) {
  AppWrite write{change_of(DocumentChange::Kind::kUpdate, id), {}};
  PathChange inc;
  inc.kind = Operation::kIncrement;
  inc.path = options_.add_only ? kCounters[0] : kCounters[pick(kCounters.size())];
  const Found now = find_path(bson::Document(document), inc.path);
  if (now.what == Found::kBlocked) return std::nullopt;
  if (now.what == Found::kValue && !now.value.is_number()) return std::nullopt;
  inc.value = values_.delta();
  const bool image = chance(0.2);  // drawn either way: twin runs must decide alike
  if (image || !base_known(site.load(id), inc.path)) {
    inc.base_known = true;
    if (now.what == Found::kValue) inc.base = bson::OwnedValue(now.value);
  }
  const bson::OwnedValue sum =
      now.what == Found::kValue ? bson::increment(now.value, inc.value.view()).value : inc.value;
  write.after = with_path(bson::Document(document), inc.path, sum);
  write.change.changes.push_back(std::move(inc));
  return write;
}

std::optional<AppWrite> MergeWorld::update(const WorldSite& site, const std::string& id,
                                           const std::string& document) {
  if (!options_.add_only && chance(0.35)) {
    return arrays_.edit(update_of(id), document, site.load(id));
  }
  if (options_.add_only && chance(0.4)) {
    return arrays_.count_inside(update_of(id), document, counted_);
  }
  if (options_.add_only && chance(0.5)) {
    return arrays_.append_or_pull(update_of(id), document, site.load(id));
  }
  if (chance(options_.add_only ? 0.8 : 0.45)) return increment(site, id, document);
  if (!options_.add_only && chance(0.05)) return write_of_id(values_, id, document);
  AppWrite write{change_of(DocumentChange::Kind::kUpdate, id), {}};
  PathChange set;
  const bool whole = chance(0.25);
  set.path = whole          ? (chance(0.5) ? Path{"c"} : Path{"c", "d"})
             : chance(0.75) ? kRegisters[pick(kRegisters.size())]
                            : kCounters[pick(kCounters.size())];
  if (chance(0.1)) set.path = kLists[pick(kLists.size())];
  if (options_.add_only) set.path = {"a"};
  const Found now = find_path(bson::Document(document), set.path);
  if (now.what == Found::kBlocked) return std::nullopt;
  std::optional<bson::OwnedValue> value;
  if (chance(0.25)) {
    if (now.what == Found::kMissing) return std::nullopt;
    set.kind = Operation::kUnset;
  } else if (whole && chance(0.7)) {
    std::string inner = bson::Writer().finish();
    if (chance(0.6)) inner = with_path(bson::Document(inner), {"x"}, values_.value());
    if (chance(0.4)) inner = with_path(bson::Document(inner), {"n"}, values_.delta());
    if (chance(0.3)) inner = with_path(bson::Document(inner), {"d", "x"}, values_.value());
    if (chance(0.4)) inner = with_path(bson::Document(inner), {"l"}, values_.array());
    value = bson::make_document(inner);
  } else if (chance(0.2)) {
    value = values_.array();
  } else {
    value = values_.value();
  }
  if (value) set.value = *value;
  write.after = with_path(bson::Document(document), set.path, value);
  write.change.changes.push_back(std::move(set));
  return write;
}

std::optional<AppWrite> MergeWorld::random_write(const WorldSite& site, const std::string& id) {
  const auto stored = site.store.find(id);
  if (stored == site.store.end()) {
    // Only the first site makes documents when nothing may be lost.
    if (options_.add_only && &site != sites_.front().get()) return std::nullopt;
    if (options_.add_only && added_.contains(id)) return std::nullopt;
    added_[id] = 0;
    return creation(id);
  }
  double roll = std::uniform_real_distribution<>(0, 1)(random_);
  if (options_.yields && roll > 0.9) roll = 0;
  if (roll > 0.12 || options_.add_only) return update(site, id, stored->second);
  // The store has lost the document without a word, and an app makes it anew.
  if (roll > 0.10) return creation(id, false);
  const bool yields = options_.yields && id != ids_.front();
  if (roll < 0.05 && yields) return yielding_removal(id, stored->second, random_);
  if (roll < 0.05) return AppWrite{change_of(DocumentChange::Kind::kRemove, id), std::nullopt};
  AppWrite write = creation(id);
  write.change.kind = DocumentChange::Kind::kReplace;
  write.change.is_version = options_.versions && bson::Document(write.change.document).has("a");
  write.change.changes.clear();
  return write;
}

void MergeWorld::write(WorldSite& site) {
  std::vector<AppWrite> writes;
  const size_t wanted = chance(0.25) ? 2 : 1;  // two: one commit, one stamp
  const size_t first = pick(ids_.size());
  for (size_t i = 0; i < wanted; ++i) {
    const std::string& id = ids_[(first + i) % ids_.size()];
    if (site.locked(id)) continue;
    std::optional<AppWrite> made = random_write(site, id);
    if (made) writes.push_back(std::move(*made));
  }
  if (writes.empty()) return;
  const bool at_once = chance(0.65);
  if (options_.add_only) {
    for (const AppWrite& w : writes) {
      const auto& changes = w.change.changes;
      const bool inc = !changes.empty() && changes[0].kind == Operation::kIncrement;
      if (inc) added_[id_text(w.change.id)] += changes[0].value.view().as_int32();
    }
  }
  site.begin(std::move(writes));
  if (at_once) site.settle(site.in_flight() - 1, true);
}

size_t MergeWorld::pull(WorldSite& to, WorldSite& from, size_t records_max) {
  for (size_t n = 0; n < records_max; ++n) {
    std::vector<Published> found;
    for (const auto& [origin, published] : from.log) {
      const auto next =
          std::upper_bound(published.begin(), published.end(), to.vector.get(origin),
                           [](Hlc has, const Published& p) { return has < p.record->hlc; });
      if (next != published.end() && to.deliverable(*next)) found.push_back(*next);
    }
    if (found.empty()) {
      to.end_batch();
      return n;
    }
    to.receive(found[pick(found.size())], true);
  }
  to.end_batch();
  return records_max;
}

// Own and relayed reports, some of them late.
void MergeWorld::tell(WorldSite& to, WorldSite& from, bool everything) {
  std::vector<Report> reports = from.stability->latest();
  reports.push_back(from.report());
  bag_.push_back(reports.back());
  if (bag_.size() > 20) bag_.erase(bag_.begin());
  for (const Report& report : reports) {
    const bool late = quiet_() % 10 == 0;
    if (everything || quiet_() % 10 < 7)
      to.stability->hear(late ? bag_[quiet_() % bag_.size()] : report);
  }
}

void MergeWorld::collect(WorldSite& site) { site.collect(options_.collect); }

// Killed inside an apply batch: some documents were written, the durable vector did not advance.
// The batch is replayed before anything else happens.
void MergeWorld::crash(WorldSite& site, WorldSite& from) {
  const auto vector = site.vector;
  const auto log = site.log;
  const auto store = site.store;
  const auto rows = site.rows;
  std::map<Origin, size_t> had;
  for (const auto& [origin, published] : log) had[origin] = published.size();
  pull(site, from, pick(6));
  std::vector<Published> batch;
  for (const auto& [origin, published] : site.log) {
    batch.insert(batch.end(), published.begin() + static_cast<std::ptrdiff_t>(had[origin]),
                 published.end());
  }
  for (const std::string& id : ids_) {
    if (chance(0.5)) continue;
    if (store.contains(id))
      site.store[id] = store.at(id);
    else
      site.store.erase(id);
    if (rows.contains(id))
      site.rows[id] = rows.at(id);
    else
      site.rows.erase(id);
  }
  site.vector = vector;
  site.log = log;
  std::sort(batch.begin(), batch.end(),
            [](const auto& a, const auto& b) { return a.record->dot() < b.record->dot(); });
  site.restart(random_);
  for (const Published& published : batch) site.receive(published, true);
  site.end_batch();
}

// All lines up, nothing in flight for a moment; then some sites (or all) collect.
void MergeWorld::lull(bool everyone) {
  for (auto& site : sites_) {
    while (site->in_flight() > 0) site->settle(0, options_.add_only || chance(0.8));
    site->correct();
    site->publish(true);
  }
  for (int round = 0; round < 2; ++round) {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& to : sites_) {
        for (auto& from : sites_) {
          if (to != from) moved |= pull(*to, *from, 1000) > 0;
        }
      }
    }
    for (auto& to : sites_) {
      for (auto& from : sites_) {
        if (to != from) tell(*to, *from, true);
      }
    }
  }
  for (auto& site : sites_) {
    if (everyone || chance(0.5)) collect(*site);
  }
}

void MergeWorld::step() {
  for (auto& site : sites_) site->clock.advance_ms(static_cast<int64_t>(pick(10)));
  WorldSite& site = *sites_[pick(sites_.size())];
  WorldSite* other = &site;
  while (other == &site) other = sites_[pick(sites_.size())].get();
  const double roll = std::uniform_real_distribution<>(0, 1)(random_);
  if (roll < 0.40) {
    write(site);
  } else if (roll < 0.48) {
    if (site.in_flight() > 0) {
      site.settle(pick(site.in_flight()), options_.add_only || chance(0.8));
    }
  } else if (roll < 0.80) {
    pull(site, *other, 1 + pick(6));
    if (chance(0.7)) tell(site, *other, false);
  } else if (roll < 0.92) {
    collect(site);
  } else if (roll < 0.95) {
    lull(false);
  } else if (roll < 0.97 && !options_.add_only) {
    crash(site, *other);
  }
  if (options_.bounds && chance(0.3)) site.correct();
  if (chance(0.6)) site.publish(chance(0.3));
}

std::string MergeWorld::compare() const {
  for (const std::string& id : ids_) {
    for (const auto& site : sites_) {
      const auto& first = sites_.front()->store;
      const auto a = first.find(id);
      const auto b = site->store.find(id);
      const std::string x = a == first.end() ? "" : bson::to_json(bson::Document(a->second));
      const std::string y = b == site->store.end() ? "" : bson::to_json(bson::Document(b->second));
      const bool both = !x.empty() && !y.empty();
      if (both ? !bson::equal_unordered(bson::Document(a->second), bson::Document(b->second))
               : x != y) {
        return id + " differs: " + x + " and " + y;
      }
    }
  }
  return {};
}

std::string MergeWorld::finish() {
  for (int i = 0; i < 3; ++i) lull(true);
  for (const auto& site : sites_) {
    if (!(site->vector == sites_.front()->vector)) return "vectors differ at rest";
  }
  const std::string difference = compare();
  if (!difference.empty()) return difference;
  const auto before = sites_.front()->store;
  for (int i = 0; i < 4; ++i) lull(true);
  if (sites_.front()->store != before) return "collecting changed documents";
  for (const auto& site : sites_) {
    const std::string wrong = options_.collect ? rows_at_rest(*site) : std::string();
    if (!wrong.empty()) return wrong;
  }
  return compare();
}

std::string MergeWorld::run() {
  try {
    const size_t steps = 20 + pick(130);
    for (size_t i = 0; i < steps; ++i) step();
    std::string wrong = finish();
    if (wrong.empty() && chance(0.4)) {  // once more, from documents without any metadata
      for (size_t i = 5 + pick(25); i > 0; --i) step();
      wrong = finish();
    }
    for (const auto& [origin, published] : sites_.front()->log) records += published.size();
    return wrong;
  } catch (const std::string& wrong) {
    return wrong;
  }
}

const std::map<std::string, std::string>& MergeWorld::documents() const {
  return sites_.front()->store;
}

uint64_t MergeWorld::drops() const {
  uint64_t sum = 0;
  for (const auto& site : sites_) sum += site->drops;
  return sum;
}

std::vector<const std::map<std::string, std::vector<Loss>>*> MergeWorld::noted() const {
  std::vector<const std::map<std::string, std::vector<Loss>>*> all;
  for (const auto& site : sites_) all.push_back(&site->losses);
  return all;
}

size_t MergeWorld::out_of_bounds() const {
  return static_cast<size_t>(std::count_if(ids_.begin(), ids_.end(), [&](const std::string& id) {
    return is_out_of_bounds(sites_.front()->load(id));
  }));
}

int64_t MergeWorld::added(const std::string& id) const {
  const auto at = added_.find(id);
  return at == added_.end() ? 0 : at->second;
}

}  // namespace outrigger::merge
