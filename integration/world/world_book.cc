#include "integration/world/world_book.h"

#include <fmt/format.h>

#include "integration/world/world_accounts.h"
#include "replication/bson/bson.h"

namespace outrigger::world {
namespace {

using bson::Document;

constexpr const char* kCollections[] = {kKept,    kFields, kCounters, kCauses, kEffects,
                                        kTallies, kLists,  kOwn,      kWild,   kAccounts};

// A document's fields by name, for sites may hold them in different orders; also in the elements of
// arrays.
std::string in_order(const Document& document) {
  std::map<std::string, std::string> fields;
  for (const bson::Element& field : document) {
    const std::string one = bson::Writer().value("", field.value).finish();
    std::string& value = fields[std::string(field.name)] = one;
    if (!field.value.is_container()) continue;
    value = field.value.type == bson::Type::kArray ? '[' : '{';
    value += in_order(field.value.as_document());
  }
  std::string out;
  for (const auto& [name, bytes] : fields) out += name + '\0' + bytes + '\1';
  return out;
}

std::map<std::string, std::string> by_id(const MemoryMongod& mongod, const std::string& name) {
  std::map<std::string, std::string> out;
  for (std::string& bytes : mongod.documents().documents("shop." + name)) {
    const Document document(bytes);
    out.emplace(bson::canonical_key(*document.find("_id")), std::move(bytes));
  }
  return out;
}

std::string shown(const std::map<std::string, std::string>& documents, const std::string& key) {
  const auto found = documents.find(key);
  return found == documents.end() ? "nothing" : bson::to_json(Document(found->second));
}

const std::string* find(const std::map<std::string, std::string>& documents,
                        const std::string& id) {
  const auto found = documents.find(bson::canonical_key(bson::make_string(id).view()));
  return found == documents.end() ? nullptr : &found->second;
}

std::optional<int64_t> number_in(const std::string* bytes) {
  const auto n = bytes == nullptr ? std::nullopt : Document(*bytes).find("n");
  return n ? n->to_int64() : std::nullopt;
}

std::map<std::string, int64_t> counts_in(const std::string& bytes) {
  std::map<std::string, int64_t> counts;
  for (const bson::Element& field : Document(bytes)) {
    if (field.name.starts_with("by-")) {
      counts[std::string(field.name)] = field.value.to_int64().value_or(0);
    }
  }
  return counts;
}

}  // namespace

void WorldBook::inserted(const std::string& id, Outcome outcome) { kept_[id] = outcome; }

void WorldBook::set_field(const std::string& id, const std::string& field, Outcome outcome) {
  fields_[id][field] = outcome;
}

void WorldBook::added(const std::string& id, const std::string& marker, int64_t delta,
                      Outcome outcome) {
  counters_[id][marker] = {delta, outcome};
}

void WorldBook::pushed(const std::string& id, const std::string& marker, Outcome outcome) {
  lists_[id][marker] = outcome;
}

void WorldBook::pulled(const std::string& id, const std::string& marker) {
  pulled_.insert({id, marker});
}

void WorldBook::check_lists(const std::string& site, const Documents& documents) {
  for (const auto& [id, markers] : lists_) {
    std::map<std::string, int> times;
    const std::string* bytes = find(documents, id);
    const auto l = bytes == nullptr ? std::nullopt : Document(*bytes).find("l");
    if (l && l->type == bson::Type::kArray) {
      for (const bson::Element& each : l->as_document()) {
        if (each.value.type == bson::Type::kString) ++times[std::string(each.value.as_string())];
      }
    }
    for (const auto& [marker, outcome] : markers) {
      const std::string where = fmt::format("{}: {} in the list {}", site, marker, id);
      if (times[marker] > 1) say(where + " is there more than once");
      if (!pulled_.contains({id, marker})) check_mark(where, times[marker] > 0, outcome);
    }
  }
}

void WorldBook::is_now(const char* collection, const std::string& id, std::optional<int64_t> n) {
  known_[{collection, id}] = n;
}

void WorldBook::is_not_known(const char* collection, const std::string& id) {
  known_.erase({collection, id});
}

std::string WorldBook::tally_of(int owner) const {
  const auto generation = generations_.find(owner);
  return fmt::format("t{}-{}", owner, generation == generations_.end() ? 0 : generation->second);
}

void WorldBook::assigned(const std::string& id, int64_t n, const std::string& before) {
  tallies_[id] = {n, before.empty() ? std::map<std::string, int64_t>() : counts_in(before)};
}

void WorldBook::assigned_perhaps(int owner) {
  given_up_.insert(tally_of(owner));
  ++generations_[owner];
}

void WorldBook::check_tallies(const std::string& site, const Documents& documents) {
  for (const auto& [key, bytes] : documents) {
    const std::string id(Document(bytes).find("_id")->as_string());
    if (given_up_.count(id) > 0) continue;
    const Tally& tally = tallies_[id];
    int64_t n = tally.n;
    for (const auto& [field, count] : counts_in(bytes)) {
      const auto then = tally.counts.find(field);
      n += count - (then == tally.counts.end() ? 0 : then->second);
    }
    const int64_t there = number_in(&bytes).value_or(0);
    if (there != n) say(fmt::format("{}: {} is {}, by its counts it is {}", site, id, there, n));
  }
}

void WorldBook::say(std::string violation) { violations_.push_back(std::move(violation)); }

void WorldBook::check(const std::string& site, const MemoryMongod& mongod) {
  check_kept(site, by_id(mongod, kKept));
  check_fields(site, by_id(mongod, kFields));
  check_counters(site, by_id(mongod, kCounters));
  check_tallies(site, by_id(mongod, kTallies));
  check_lists(site, by_id(mongod, kLists));
  for (const char* collection : {kCauses, kEffects, kOwn}) {
    check_known(site, collection, by_id(mongod, collection));
  }
}

void WorldBook::check_known(const std::string& site, const std::string& collection,
                            const Documents& documents) {
  const auto text = [](const auto& value) { return value ? std::to_string(*value) : "nothing"; };
  for (const auto& [where, n] : known_) {
    if (where.first != collection) continue;
    const std::optional<int64_t> there = number_in(find(documents, where.second));
    if (there == n) continue;
    say(fmt::format("{}: {}.{} is {}, its only writer made it {}", site, collection, where.second,
                    text(there), text(n)));
  }
}

void WorldBook::check_mark(const std::string& where, bool is_there, Outcome outcome) {
  if (outcome == Outcome::kDone && !is_there) say(where + " is lost");
  if (outcome == Outcome::kRefused && is_there) say(where + " is there, and was refused");
}

void WorldBook::check_kept(const std::string& site, const Documents& documents) {
  for (const auto& [id, outcome] : kept_) {
    check_mark(fmt::format("{}: {}", site, id), find(documents, id) != nullptr, outcome);
  }
  for (const auto& [key, bytes] : documents) {
    const std::string id(Document(bytes).find("_id")->as_string());
    if (kept_.count(id) == 0) say(fmt::format("{}: nobody inserted {}", site, id));
  }
}

void WorldBook::check_fields(const std::string& site, const Documents& documents) {
  for (const auto& [id, written] : fields_) {
    const std::string* bytes = find(documents, id);
    for (const auto& [field, outcome] : written) {
      const bool is_there = bytes != nullptr && Document(*bytes).has(field);
      check_mark(fmt::format("{}: {}.{}", site, id, field), is_there, outcome);
    }
  }
}

void WorldBook::check_counters(const std::string& site, const Documents& documents) {
  for (const auto& [id, adds] : counters_) {
    const std::string* bytes = find(documents, id);
    const auto marks = bytes == nullptr ? std::nullopt : Document(*bytes).find("by");
    int64_t sum = 0;
    for (const auto& [marker, add] : adds) {
      const bool is_there = marks && marks->as_document().has(marker);
      check_mark(fmt::format("{}: {} of {}", site, marker, id), is_there, add.outcome);
      if (is_there) sum += add.delta;
    }
    const int64_t n = number_in(bytes).value_or(0);
    if (n != sum) say(fmt::format("{}: {} is {}, what was added is {}", site, id, n, sum));
  }
}

void WorldBook::compare(const std::string& site, const MemoryMongod& mongod,
                        const std::string& other, const MemoryMongod& others) {
  for (const std::string name : kCollections) {
    const auto here = by_id(mongod, name);
    const auto there = by_id(others, name);
    auto all = here;
    all.insert(there.begin(), there.end());
    for (const auto& [key, bytes] : all) {
      const auto one = here.find(key);
      const auto two = there.find(key);
      const bool both = one != here.end() && two != there.end();
      if (both && in_order(Document(one->second)) == in_order(Document(two->second))) continue;
      say(fmt::format("{} and {} differ in shop.{}: {} and {}", site, other, name, shown(here, key),
                      shown(there, key)));
    }
  }
}

}  // namespace outrigger::world
