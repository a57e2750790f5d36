#include "replication/bson/fields.h"

#include <algorithm>
#include <set>
#include <utility>

namespace outrigger::bson {
namespace {

constexpr size_t kPairwiseMax = 16;  // names compared each with each
constexpr size_t kWalksMax = 4;      // from the front, before the names are sorted

bool before(const Element& a, const Element& b) { return a.name < b.name; }

// Also tells whether any field has a level of its own.
bool repeats_here(const Document& document, bool& nests) {
  std::string_view few[kPairwiseMax];
  size_t count = 0;
  auto at = document.begin();
  for (; at != document.end() && count < kPairwiseMax; ++at) {
    nests = nests || at->value.is_container();
    for (size_t i = 0; i < count; ++i) {
      if (few[i] == at->name) return true;
    }
    few[count++] = at->name;
  }
  if (at == document.end()) return false;
  nests = true;  // perhaps
  std::vector<std::string_view> names;
  for (const Element& field : document) names.push_back(field.name);
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) != names.end();
}

bool repeats_within(const Document& document, Levels levels, int depth) {
  bool nests = false;
  if (repeats_here(document, nests)) return true;
  if (!nests || levels == Levels::kTop || depth > kDepthMax) return false;
  for (const Element& element : document) {
    const bool is_looked_at = levels == Levels::kAll ? element.value.is_container()
                                                     : element.value.type == Type::kDocument;
    if (is_looked_at && repeats_within(element.value.as_document(), levels, depth + 1)) return true;
  }
  return false;
}

}  // namespace

bool repeats_names(const Document& document, Levels levels) {
  return repeats_within(document, levels, 0);
}

bool is_keyed_by(const Value& array, std::string_view field) {
  if (array.type != Type::kArray) return false;
  std::set<std::pair<Type, std::string_view>> known;
  for (const Element& each : array.as_document()) {
    if (each.value.type != Type::kDocument) return false;
    const auto key = each.value.as_document().find(field);
    if (!key || !known.emplace(key->type, key->bytes).second) return false;
  }
  return true;
}

std::optional<Value> FieldFinder::find(std::string_view name) {
  if (!sorted_ && next_ != document_.end()) {
    ++looked_at_;
    if (next_->name == name) {
      const Value found = next_->value;
      ++next_;
      return found;
    }
  }
  if (!sorted_ && walks_ < kWalksMax) {
    ++walks_;
    for (auto at = document_.begin(); at != document_.end(); ++at) {
      ++looked_at_;
      if (at->name != name) continue;
      const Value found = at->value;
      next_ = ++at;
      return found;
    }
    return std::nullopt;
  }
  if (!sorted_) sort();
  const auto found = std::lower_bound(names_.begin(), names_.end(), Element{name, {}}, before);
  ++looked_at_;
  if (found == names_.end() || found->name != name) return std::nullopt;
  return found->value;
}

void FieldFinder::sort() {
  for (const Element& field : document_) names_.push_back(field);
  looked_at_ += names_.size();
  std::stable_sort(names_.begin(), names_.end(), before);
  sorted_ = true;
}

}  // namespace outrigger::bson
