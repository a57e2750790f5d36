#include "replication/series/measurement.h"

#include <xxhash.h>

#include <algorithm>
#include <set>
#include <vector>

namespace outrigger::series {
namespace {

using bson::Document;
using bson::Element;
using bson::OwnedValue;
using bson::Type;

constexpr std::string_view kBuckets = "system.buckets.";
constexpr const char* kOf = "of";
constexpr const char* kBy = "by";
constexpr const char* kBefore = "before";
constexpr const char* kMeasurement = "measurement";
constexpr uint8_t kGeneric = 0;  // subtype of binary

void write_in_order(const Document& from, bool is_array, bson::Writer& out);

void write_value(const Element& element, bson::Writer& out) {
  if (!element.value.is_container()) {
    out.element(element);
    return;
  }
  const bool is_array = element.value.type == Type::kArray;
  is_array ? out.open_array(element.name) : out.open_document(element.name);
  write_in_order(element.value.as_document(), is_array, out);
  out.close();
}

void write_in_order(const Document& from, bool is_array, bson::Writer& out) {
  std::vector<Element> fields;
  for (const Element& field : from) fields.push_back(field);
  if (!is_array) {
    std::stable_sort(fields.begin(), fields.end(),
                     [](const Element& a, const Element& b) { return a.name < b.name; });
  }
  for (const Element& field : fields) write_value(field, out);
}

std::string digest(std::string_view bytes) {
  XXH128_canonical_t digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits(bytes.data(), bytes.size()));
  return {reinterpret_cast<const char*>(digest.digest), sizeof digest.digest};
}

tl::unexpected<Error> corrupt(const char* why) {
  return fail(ErrorCode::kCorrupt, "read a measurement", "", why);
}

}  // namespace

bool holds_measurements(std::string_view ns) {
  const size_t dot = ns.find('.');
  return dot != std::string_view::npos && ns.substr(dot + 1).starts_with(kBuckets) &&
         ns.size() > dot + 1 + kBuckets.size();
}

std::string measurements_of(std::string_view collection) {
  std::string ns(collection);
  return ns.insert(ns.find('.') + 1, kBuckets);
}

std::string collection_of(std::string_view measurements) {
  std::string ns(measurements);
  return ns.erase(ns.find('.') + 1, kBuckets.size());
}

std::string in_order(const Document& document) {
  bson::Writer out;
  write_in_order(document, false, out);
  return out.finish();
}

std::string as_kept(const Document& measurement) {
  bson::Writer out;
  std::set<std::string_view> names;
  for (const Element& field : measurement) {
    if (names.insert(field.name).second) out.element(field);
  }
  return out.finish();
}

std::string digest_of(const Document& measurement) { return digest(in_order(measurement)); }

OwnedValue kin_of(const Document& measurement) {
  const auto id = measurement.find("_id");
  bson::Writer out;
  out.binary("", kGeneric, id ? digest(bson::canonical_key(*id)) : digest_of(measurement));
  const std::string bytes = out.finish();
  return OwnedValue(Document(bytes).first()->value);
}

OwnedValue name_of(const OwnedValue& kin, bson::Bytes by) {
  return bson::make_document(bson::Writer().value(kOf, kin).object_id(kBy, by).finish());
}

OwnedValue kin_in(const bson::Value& name) {
  const auto kin = name.type == Type::kDocument ? name.as_document().find(kOf) : std::nullopt;
  return kin ? OwnedValue(*kin) : OwnedValue(name);
}

std::string measurement_document(const OwnedValue& name, int64_t before,
                                 const Document& measurement) {
  bson::Writer out;
  out.value("_id", name);
  if (before > 0) out.int64(kBefore, before);
  return out.document(kMeasurement, measurement).finish();
}

Result<Measurement> read_measurement(const Document& document) {
  Measurement out;
  const auto name = document.find("_id");
  if (!name || name->type != Type::kDocument || !name->as_document().has(kOf)) {
    return corrupt("it has no name");
  }
  if (const auto before = document.find(kBefore)) {
    const auto number = before->type == Type::kInt64 ? before->to_int64() : std::nullopt;
    if (!number || *number < 1) return corrupt("there are no so many equal ones");
    out.before = *number;
  }
  const auto is = document.find(kMeasurement);
  if (!is || is->type != Type::kDocument) return corrupt("it is none");
  out.is = is->as_document();
  return out;
}

}  // namespace outrigger::series
