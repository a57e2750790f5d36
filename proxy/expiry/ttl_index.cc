#include "proxy/expiry/ttl_index.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "replication/bson/fields.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Type;
using bson::Value;
using bson::Writer;

constexpr int64_t kSecondsMax = std::numeric_limits<int32_t>::max();
constexpr std::string_view kSeconds = "expireAfterSeconds";
constexpr size_t kObjectIdBytes = 12;

std::optional<Document> document_at(const Document& of, std::string_view name) {
  const auto value = of.find(name);
  if (!value || !value->is_container()) return std::nullopt;
  return value->as_document();
}

// Nothing: it is no number, and nobody expires by it. What mongod does not let be set today and
// keeps from an older version counts there as the most it lets be set.
std::optional<int64_t> seconds_in(const Document& of) {
  const auto value = of.find(kSeconds);
  if (!value || !value->is_number()) return std::nullopt;
  int64_t seconds = kSecondsMax;
  if (value->type == Type::kDouble) {
    const double real = value->as_double();
    if (real >= 0 && real < static_cast<double>(kSecondsMax)) seconds = static_cast<int64_t>(real);
  } else {
    seconds = value->to_int64().value_or(kSecondsMax);
  }
  return seconds < 0 ? kSecondsMax : std::min(seconds, kSecondsMax);
}

std::string simple_collation() { return Writer().string("locale", "simple").finish(); }

// The one field of an index that sorts by it; "hashed", "text" and the like hold no dates.
std::string field_of(const Document& key) {
  const auto first = key.first();
  const bool is_single = first && ++key.begin() == key.end();
  return is_single && first->value.is_number() ? std::string(first->name) : std::string();
}

std::optional<TtlIndex> of_index(const TtlIndex& where, const Document& listed) {
  const auto ready = listed.find("ready");
  const auto spec = document_at(listed, "spec");
  if (!spec || (ready && !ready->truthy())) return std::nullopt;
  const auto seconds = seconds_in(*spec);
  const auto key = document_at(*spec, "key");
  if (!seconds || !key) return std::nullopt;
  TtlIndex index = where;
  index.field = field_of(*key);
  index.after_seconds = *seconds;
  if (index.field.empty() || index.field == "_id") return std::nullopt;
  if (const auto partial = document_at(*spec, "partialFilterExpression")) {
    if (!partial->empty()) index.partial = std::string(partial->bytes());
  }
  const auto collation = document_at(*spec, "collation");
  if (collation) index.collation = std::string(collation->bytes());
  return index;
}

// A collection whose documents expire by its own order.
std::optional<TtlIndex> of_collection(const TtlIndex& where, const Document& options) {
  const auto seconds = seconds_in(options);
  if (!seconds || !options.has("clusteredIndex")) return std::nullopt;
  TtlIndex index = where;
  index.field = "_id";
  index.after_seconds = *seconds;
  const auto series = document_at(options, "timeseries");
  if (!series) return index;
  index.time_field = bson::text_at(*series, "timeField");
  const auto span = series->find("bucketMaxSpanSeconds");
  index.span_seconds = span ? span->to_int64().value_or(kSecondsMax) : kSecondsMax;
  if (index.time_field.empty() || index.span_seconds < 0) return std::nullopt;
  return index;
}

// What is due, as a part of a filter. A bucket is named by the second it begins with; where that
// wraps around (a date before 1970 or after 2106) its own last date keeps it.
void write_due(Writer& out, const TtlIndex& index, int64_t now_ms) {
  const int64_t until_ms = now_ms - index.after_seconds * 1'000;
  if (index.time_field.empty()) {
    out.open_document(index.field).date("$lte", until_ms).close();
  } else {
    out.open_document("control.max." + index.time_field).date("$lte", until_ms).close();
  }
  if (!index.partial.empty()) {
    out.open_array("$and").document("0", Document(index.partial)).close();
  }
}

std::string bucket_before(int64_t seconds) {
  std::string id(kObjectIdBytes, '\0');
  for (size_t i = 0; i < 4; ++i) id[i] = static_cast<char>(seconds >> (24 - 8 * i) & 0xff);
  return id;
}

}  // namespace

std::string catalog_command() {
  Writer out;
  out.int32("aggregate", 1).open_array("pipeline");
  out.open_document("0").open_document("$listCatalog").close().close();
  out.open_document("1").open_document("$match").open_array("$or");
  size_t at = 0;
  for (const char* where : {"md.indexes.spec.", "md.options."}) {
    out.open_document(bson::index_name(at++));
    out.open_document(where + std::string(kSeconds)).boolean("$exists", true).close().close();
  }
  out.close().close().close();
  out.open_document("2").open_document("$project").int32("db", 1).int32("name", 1);
  for (const char* field :
       {"md.indexes.spec", "md.indexes.ready", "md.options.expireAfterSeconds", "md.options.capped",
        "md.options.clusteredIndex", "md.options.timeseries"}) {
    out.int32(field, 1);
  }
  out.close().close().close().open_document("cursor").close();
  return out.string("$db", "admin").finish();
}

std::vector<TtlIndex> ttl_indexes(const Document& listed) {
  std::vector<TtlIndex> out;
  TtlIndex where;
  where.database = bson::text_at(listed, "db");
  where.collection = bson::text_at(listed, "name");
  where.collation = simple_collation();
  const auto md = document_at(listed, "md");
  if (!md || where.database.empty() || where.collection.empty()) return out;
  const auto options = document_at(*md, "options");
  const auto capped = options ? options->find("capped") : std::nullopt;
  if (capped && capped->truthy()) return out;  // it gives nothing away
  if (options) {
    if (auto index = of_collection(where, *options)) out.push_back(std::move(*index));
  }
  const auto indexes = document_at(*md, "indexes");
  if (!indexes) return out;
  for (const bson::Element& each : *indexes) {
    if (each.value.type != Type::kDocument) continue;
    if (auto index = of_index(where, each.value.as_document())) out.push_back(std::move(*index));
  }
  return out;
}

std::string due_command(const TtlIndex& index, int64_t now_ms, size_t most) {
  Writer out;
  out.string("find", index.collection).open_document("filter");
  if (!index.time_field.empty()) {
    const int64_t seconds = now_ms / 1'000 - index.after_seconds - index.span_seconds;
    if (seconds <= 0) return {};
    out.open_document("_id").object_id("$lt", bucket_before(seconds)).close();
  }
  write_due(out, index, now_ms);
  out.close().open_document("projection").int32("_id", 1).close();
  out.int64("limit", static_cast<int64_t>(most)).int64("batchSize", static_cast<int64_t>(most));
  out.boolean("singleBatch", true).document("collation", Document(index.collation));
  return out.string("$db", index.database).finish();
}

std::string removal_command(const TtlIndex& index, int64_t now_ms,
                            const std::vector<bson::OwnedValue>& ids, int64_t max_time_ms) {
  Writer out;
  out.string("delete", index.collection).open_array("deletes").open_document("0");
  out.open_document("q").open_document("_id").open_array("$in");
  for (size_t i = 0; i < ids.size(); ++i) out.value(bson::index_name(i), ids[i]);
  out.close().close();
  const bool may_change = index.field != "_id" || !index.time_field.empty();
  if (may_change) write_due(out, index, now_ms);
  out.close().int32("limit", 0).document("collation", Document(index.collation));
  out.close().close().int64("maxTimeMS", max_time_ms);
  out.open_document("writeConcern").int32("w", 1).close();
  return out.string("$db", index.database).finish();
}

}  // namespace outrigger
