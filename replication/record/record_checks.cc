#include "replication/record/record_checks.h"

#include <algorithm>
#include <set>

#include "replication/bson/id.h"
#include "replication/record/catalog.h"
#include "replication/series/measurement.h"

namespace outrigger {
namespace {

// MongoDB's own bounds.
constexpr size_t kNamespaceBytesMax = 255;
constexpr size_t kDatabaseBytesMax = 63;
constexpr std::string_view kNotInDatabase("/\\. \"$\0", 7);
constexpr std::string_view kNotInCollection("$\0", 2);

std::string wrong_with_id(const bson::Value& id) {
  const std::string_view why = bson::why_no_id(id);
  return why.empty() ? std::string() : "its _id is " + std::string(why);
}

// What is remembered and told of a document holds it one level deeper than the store, and a value
// by itself in a document of its own: those must be read back. No store takes so much anyway.
constexpr size_t kLevelsMax = bson::kDepthMax - 1;
constexpr size_t kAroundValueBytes = 7;  // {"": value}

// `names`: how many there are on the way to it.
std::string wrong_with_value(const bson::Value& value, size_t names) {
  constexpr size_t kLevelBytes = 7;  // the least that one more takes
  if (value.bytes.size() + kAroundValueBytes > bson::kDocumentBytesMax) {
    return "a value in it is too large";
  }
  const bool has_scope = value.type == bson::Type::kCodeWithScope;
  const bool nests = value.is_container() || has_scope;
  if (!nests || value.bytes.size() / kLevelBytes + names < kLevelsMax) return {};
  const int left = static_cast<int>(kLevelsMax) - static_cast<int>(names);
  const bool fits =
      has_scope ? bson::validate(bson::Writer().value("", value).finish(), left + 1).has_value()
                : bson::validate(value.bytes, left).has_value();
  return left >= 0 && fits ? std::string() : "a value in it is nested too deeply";
}

class Checker {
 public:
  Checker(const Record& record, const RecordRules& rules) : record_(record), rules_(rules) {}

  std::string run() {
    if (!rules_.is_member(record_.origin.site)) return "its origin is no member";
    if (record_.origin.epoch == kRetired) return "its origin is no epoch";
    if (std::string wrong = deps(); !wrong.empty()) return wrong;
    if (std::string wrong = retired(); !wrong.empty()) return wrong;
    for (const DocumentEffects& each : record_.documents) {
      if (std::string wrong = document(each); !wrong.empty()) return wrong;
    }
    return {};
  }

 private:
  // A dependency on what can never come would hold back the stream for ever.
  std::string deps() {
    for (const auto& [origin, hlc] : record_.deps.entries()) {
      if (hlc >= record_.hlc) return "it depends on a later stamp than its own";
      if (!rules_.is_member(origin.site)) return "it depends on a site that is no member";
    }
    return {};
  }

  std::string retired() {
    for (const auto& [origin, last] : record_.retired.entries()) {
      if (origin.site != record_.origin.site || origin == record_.origin ||
          origin.epoch == kRetired) {
        return "it retires what is not an old epoch of its own site";
      }
    }
    if (record_.deps.includes(record_.retired)) return {};
    return "it retires what it does not depend on";
  }

  std::string document(const DocumentEffects& document) {
    if (document.ns != checked_ns_) {
      if (std::string wrong = wrong_with_namespace(document.ns); !wrong.empty()) return wrong;
      const bool is_catalog = document.ns == kCatalogNs;
      const bool is_series = series::holds_measurements(document.ns);
      const std::string ns = is_series ? series::collection_of(document.ns) : document.ns;
      if (!is_catalog && !rules_.replicates(ns)) return "its namespace does not replicate";
      checked_ns_ = document.ns;
    }
    if (document.ns == kCatalogNs) {
      if (std::string wrong = catalog(document); !wrong.empty()) return wrong;
    }
    if (series::holds_measurements(document.ns) && !is_measurement(document)) {
      return "it does to a time series what nobody can";
    }
    if (std::string wrong = wrong_with_id(document.id.view()); !wrong.empty()) return wrong;
    if (std::string wrong = wrong_with_value(document.id.view(), 1); !wrong.empty()) return wrong;
    std::set<Path> edited;
    for (const Effect& effect : document.effects) {
      if (has_other_id(effect, document.id)) return "its document has another _id";
      std::string wrong = wrong_with_value(effect.value.view(), effect.path.size());
      for (const bson::OwnedValue& each : effect.taken) {
        if (wrong.empty()) wrong = wrong_with_value(each.view(), effect.path.size() + 1);
      }
      if (wrong.empty()) wrong = way(effect.path);
      if (wrong.empty()) wrong = baselines(effect);
      if (wrong.empty() && effect.kind == Operation::kIncrement) wrong = counter(effect.entry);
      if (wrong.empty() && effect.entry.bounds) wrong = bounds(effect);
      if (wrong.empty() && effect.kind == Operation::kEdit) {
        wrong = edited.insert(effect.path).second ? edit(effect) : "it edits an array twice";
      }
      if (!wrong.empty()) return wrong;
    }
    return {};
  }

  // Whoever may tell what a collection is may do so of those that replicate.
  std::string catalog(const DocumentEffects& document) {
    if (document.id.type != bson::Type::kString) return "it is of no collection";
    const std::string_view ns = document.id.view().as_string();
    if (std::string wrong = wrong_with_namespace(ns); !wrong.empty()) return wrong;
    for (const Effect& effect : document.effects) {
      const bool is_said = effect.kind == Operation::kAssign || effect.kind == Operation::kUnset;
      if (!is_said || effect.path.empty()) return "it does to a collection what nobody can";
    }
    return rules_.replicates(ns) ? "" : "its collection does not replicate";
  }

  // They come, and nothing else is done to them.
  static bool is_measurement(const DocumentEffects& document) {
    if (document.effects.size() != 1 || document.id.type != bson::Type::kDocument) return false;
    const Effect& effect = document.effects.front();
    return effect.kind == Operation::kBirth && effect.value.type == bson::Type::kDocument &&
           series::read_measurement(effect.value.view().as_document()).has_value();
  }

  static bool has_other_id(const Effect& effect, const bson::OwnedValue& id) {
    if (!effect.path.empty() || effect.value.type != bson::Type::kDocument) return false;
    const auto own = effect.value.view().as_document().find("_id");
    return own && bson::canonical_key(*own) != bson::canonical_key(id.view());
  }

  std::string baselines(const Effect& effect) {
    std::set<Path> paths;
    for (const Baseline& baseline : effect.baselines) {
      if (std::string wrong = way(baseline.path); !wrong.empty()) return wrong;
      const bool many = effect.baselines.size() > 1;
      if (many && !paths.insert(baseline.path).second) return "it tells a baseline twice";
      const CounterEntry* before = nullptr;
      for (const CounterEntry& entry : baseline.entries) {
        if (std::string wrong = counter(entry); !wrong.empty()) return wrong;
        if (before != nullptr && !(before->first < entry.first)) {
          return "a baseline in it is out of order";
        }
        before = &entry;
      }
    }
    return {};
  }

  std::string edit(const Effect& effect) {
    const size_t names = effect.path.size() + 1;
    std::string wrong;
    for (const ElementId& id : effect.edit.removed) {
      if (wrong.empty()) wrong = element(id);
    }
    for (const ChangedElement& each : effect.edit.changed) {
      if (wrong.empty()) wrong = element(each.id);
      if (wrong.empty()) wrong = wrong_with_value(each.value.view(), names);
    }
    for (const AddedElement& each : effect.edit.added) {
      if (wrong.empty()) wrong = place(each.place);
      if (wrong.empty()) wrong = wrong_with_value(each.value.view(), names);
    }
    for (const MovedElement& each : effect.edit.moved) {
      if (wrong.empty()) wrong = element(each.id);
      if (wrong.empty()) wrong = place(each.to);
      const bool is_new = each.id.dot == record_.dot();
      if (wrong.empty() && is_new) wrong = "it moves an element that it adds";
    }
    return wrong;
  }

  std::string place(const Place& place) {
    std::string wrong;
    for (const PlacePart& part : place) {
      if (wrong.empty()) wrong = element(part.id);
    }
    const bool is_one = is_place_of(place, record_.dot());
    return wrong.empty() && !is_one ? "an element in it stands where none can" : wrong;
  }

  // Of a path that leads into an element.
  std::string way(const Path& path) {
    const size_t at = element_in(path);
    if (at == path.size()) return {};
    const std::optional<ElementId> id = element_named(path[at]);
    return id ? element(*id) : "an element in it has no name";
  }

  std::string element(const ElementId& id) {
    if (id.index >= kElementIndexes) return "an element in it is beyond the largest array";
    if (id.dot.is_zero()) return {};
    if (id.dot.origin.epoch == kRetired) return "an element in it is of no epoch";
    if (id.dot.hlc > record_.hlc) return "an element in it is of a later stamp than its own";
    if (!rules_.is_member(id.dot.origin.site)) return "an element in it is of no member";
    return {};
  }

  std::string counter(const CounterEntry& entry) {
    if (entry.first.origin.epoch == kRetired) return "a counter in it is of no epoch";
    if (entry.first.hlc == 0 || entry.last < entry.first.hlc || entry.last > record_.hlc) {
      return "a counter in it has stamps that cannot be";
    }
    if (!rules_.is_member(entry.first.origin.site)) return "a counter in it is of no member";
    return {};
  }

  static std::string bounds(const Effect& effect) {
    if (!are_bounds(*effect.entry.bounds)) return "a counter in it has bounds that are none";
    return is_into_element(effect.path) ? "a counter in an element has bounds" : "";
  }

  const Record& record_;
  const RecordRules& rules_;
  std::string_view checked_ns_;
};

}  // namespace

std::string wrong_with_namespace(std::string_view ns) {
  const size_t dot = ns.find('.');
  if (dot == std::string_view::npos) return "its namespace has no dot";
  const std::string_view database = ns.substr(0, dot);
  const std::string_view collection = ns.substr(dot + 1);
  if (ns.size() > kNamespaceBytesMax) return "its namespace is too long";
  if (database.empty() || database.size() > kDatabaseBytesMax ||
      database.find_first_of(kNotInDatabase) != std::string_view::npos) {
    return "its namespace has no legal database name";
  }
  if (collection.empty() || collection.front() == '.' ||
      collection.find_first_of(kNotInCollection) != std::string_view::npos) {
    return "its namespace has no legal collection name";
  }
  return {};
}

std::string wrong_with(const Record& record, const RecordRules& rules) {
  return Checker(record, rules).run();
}

}  // namespace outrigger
