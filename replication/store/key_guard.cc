#include "replication/store/key_guard.h"

#include <charconv>

#include "replication/store/store_version.h"

namespace outrigger {
namespace {

using bson::Document;

constexpr std::string_view kUnique = "unique";
constexpr std::string_view kPrepared = "prepareUnique";
constexpr std::string_view kFilter = "partialFilterExpression";

bool is_said(const Document& spec, std::string_view name) {
  const auto value = spec.find(name);
  return value && value->truthy();
}

Document part(const Document& spec, std::string_view name) {
  const auto value = spec.find(name);
  return value && value->type == bson::Type::kDocument ? value->as_document() : Document();
}

// An app says of a collation what is not by default, mongod says all.
bool may_be_same_collation(const Document& a, const Document& b) {
  if (a.empty() != b.empty()) return false;
  for (const bson::Element& each : a) {
    const auto there = b.find(each.name);
    if (there && bson::canonical_key(each.value) != bson::canonical_key(*there)) return false;
  }
  return true;
}

}  // namespace

bool can_guard_keys(int32_t wire_version_max, std::string_view feature_version) {
  constexpr int kFirst = 6;
  int major = kFirst;
  std::from_chars(feature_version.data(), feature_version.data() + feature_version.size(), major);
  return has(wire_version_max, StoreFeature::kPreparesUnique) && major >= kFirst;
}

KeyGuard guard_of(const Document& spec) {
  if (is_said(spec, kUnique)) return KeyGuard::kAll;
  return is_said(spec, kPrepared) ? KeyGuard::kNew : KeyGuard::kNone;
}

std::string with_guard(const Document& spec, KeyGuard guard) {
  bson::Writer out;
  for (const bson::Element& each : spec) {
    if (each.name != kUnique && each.name != kPrepared) out.element(each);
  }
  if (guard == KeyGuard::kAll) out.boolean(kUnique, true);
  if (guard == KeyGuard::kNew) out.boolean(kPrepared, true);
  return out.finish();
}

std::string_view index_name_of(const Document& spec) {
  const auto name = spec.find("name");
  return name && name->type == bson::Type::kString ? name->as_string() : std::string_view();
}

bool are_same_fields(const Document& a, const Document& b) {
  auto at = b.begin();
  for (const bson::Element& each : a) {
    if (at == b.end() || (*at).name != each.name) return false;
    const bson::Value there = (*at).value;
    const bool is_text = each.value.type == bson::Type::kString;
    const bool is_same = is_text || there.type == bson::Type::kString
                             ? each.value == there
                             : bson::canonical_key(each.value) == bson::canonical_key(there);
    if (!is_same) return false;
    ++at;
  }
  return at == b.end();
}

bool is_same_index(const Document& a, const Document& b) {
  return are_same_fields(part(a, "key"), part(b, "key")) &&
         is_said(a, "sparse") == is_said(b, "sparse") &&
         bson::equal_unordered(part(a, kFilter), part(b, kFilter)) &&
         may_be_same_collation(part(a, "collation"), part(b, "collation"));
}

}  // namespace outrigger
