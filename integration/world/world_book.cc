#include "integration/world/world_book.h"

#include <fmt/format.h>

#include "replication/bson/bson.h"

namespace outrigger::world {
namespace {

using bson::Document;

// A document's fields by name, for sites may hold them in different orders.
std::string in_order(const Document& document) {
  std::map<std::string, std::string> fields;
  for (const bson::Element& field : document) {
    const std::string one = bson::Writer().value("", field.value).finish();
    const bool nested = field.value.type == bson::Type::kDocument;
    fields[std::string(field.name)] = nested ? in_order(field.value.as_document()) : one;
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

}  // namespace

const std::vector<std::string>& collections() {
  static const std::vector<std::string> kAll{kKept, kFields, kCounters, kCauses, kEffects, kWild};
  return kAll;
}

void WorldBook::count(Outcome outcome) {
  if (outcome == Outcome::kDone) ++acknowledged_;
  if (outcome == Outcome::kUnknown) ++unknown_;
}

void WorldBook::inserted(const std::string& id, Outcome outcome) {
  count(outcome);
  kept_[id] = outcome;
}

void WorldBook::set_field(const std::string& id, const std::string& field, Outcome outcome) {
  count(outcome);
  fields_[id][field] = outcome;
}

void WorldBook::added(const std::string& id, int64_t delta, Outcome outcome) {
  count(outcome);
  Sum& sum = counters_[id];
  if (outcome == Outcome::kDone) sum.sure += delta;
  if (outcome == Outcome::kUnknown) sum.possible += delta;
}

void WorldBook::say(std::string violation) { violations_.push_back(std::move(violation)); }

void WorldBook::check(const std::string& site, const MemoryMongod& mongod) {
  const auto kept = by_id(mongod, kKept);
  for (const auto& [id, outcome] : kept_) {
    const bool there = find(kept, id) != nullptr;
    if (outcome == Outcome::kDone && !there) say(site + ": lost the insert of " + id);
    if (outcome == Outcome::kRefused && there) say(site + ": has " + id + ", which was refused");
  }
  const auto fields = by_id(mongod, kFields);
  for (const auto& [id, written] : fields_) {
    const std::string* bytes = find(fields, id);
    for (const auto& [field, outcome] : written) {
      const bool there = bytes != nullptr && Document(*bytes).has(field);
      if (outcome == Outcome::kDone && !there) say(fmt::format("{}: lost {}.{}", site, id, field));
      if (outcome == Outcome::kRefused && there) {
        say(fmt::format("{}: has {}.{}, which was refused", site, id, field));
      }
    }
  }
  const auto counters = by_id(mongod, kCounters);
  for (const auto& [id, sum] : counters_) {
    const std::string* bytes = find(counters, id);
    const auto value = bytes == nullptr ? std::nullopt : Document(*bytes).find("n");
    const int64_t n = value ? value->to_int64().value_or(-1) : 0;
    if (n < sum.sure || n > sum.sure + sum.possible) {
      say(fmt::format("{}: {} is {}, not {} (up to {} more may have been added)", site, id, n,
                      sum.sure, sum.possible));
    }
  }
}

void WorldBook::compare(const std::string& site, const MemoryMongod& mongod,
                        const std::string& other, const MemoryMongod& others) {
  for (const std::string& name : collections()) {
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
