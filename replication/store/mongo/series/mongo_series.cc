#include "replication/store/mongo/series/mongo_series.h"

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "replication/bson/layout.h"
#include "replication/series/measurement.h"

namespace outrigger::mongo {
namespace {

using bson::Document;
using bson::Type;
using bson::Value;

constexpr int32_t kBadValue = 2;
constexpr size_t kAtOnce = 1000;
constexpr size_t kBytesAtOnce = 8u << 20;
constexpr int64_t kSpanMsMin = 3'600'000;
constexpr int64_t kBucketSpanMaxMs = 31LL * 24 * 3'600'000;
constexpr size_t kMetasMax = 200;

struct Timed {
  int64_t at_ms = 0;
  size_t index = 0;
};

// Can a filter say that a field is equal to it? It is in the order in which MongoDB keeps it.
bool can_be_asked_for(const Value& value) {
  switch (value.type) {
    case Type::kString:
    case Type::kInt32:
    case Type::kInt64:
    case Type::kDouble:
    case Type::kBool:
    case Type::kObjectId:
    case Type::kDate:
    case Type::kBinary:
    case Type::kNull:
      return true;
    case Type::kDocument: {
      const auto first = value.as_document().first();
      return !first || !first->name.starts_with('$');
    }
    default:
      return false;
  }
}

// Those of the metaFields; nothing, where they cannot all be said.
void ask_for_metas(std::span<const Document> of, const std::string& field, bson::Writer& filter) {
  std::set<std::string> metas;
  size_t bytes = 0;
  for (const Document& each : of) {
    const auto meta = each.find(field);
    bson::Writer one;
    meta ? one.value("", *meta) : one.null("");
    const std::string said = one.finish();
    std::string kept = series::in_order(Document(said));
    bytes += kept.size();
    const bool is_too_much = metas.size() > kMetasMax || bytes > kBytesAtOnce;
    if (is_too_much || !can_be_asked_for(Document(kept).first()->value)) return;
    metas.insert(std::move(kept));
  }
  filter.open_document(field).open_array("$in");
  size_t at = 0;
  for (const std::string& meta : metas) {
    filter.value(bson::index_name(at++), Document(meta).first()->value);
  }
  filter.close().close();
}

// Drivers give one after the other, so new ones are in no bucket but the last.
void ask_for_ids(std::span<const Document> of, bson::Writer& filter) {
  std::optional<Value> least, largest;
  for (const Document& each : of) {
    const auto id = each.find("_id");
    if (!id || id->type != Type::kObjectId) return;
    if (!least || id->bytes < least->bytes) least = id;
    if (!largest || largest->bytes < id->bytes) largest = id;
  }
  if (!least) return;
  filter.open_document("_id").value("$gte", *least).value("$lte", *largest).close();
}

// `closely`: by more than their times.
std::string find_near(const std::string& collection, const CollectionInfo& series,
                      std::span<const Timed> timed, std::span<const Document> of, bool closely) {
  bson::Writer find;
  find.string("find", collection).open_document("filter").open_document(series.time_field);
  // Of times less than a bucket's span after 1970 mongod finds none this way (seen on 6.0.5).
  if (timed.front().at_ms > kBucketSpanMaxMs) find.date("$gte", timed.front().at_ms);
  find.date("$lte", timed.back().at_ms).close();
  if (closely && !series.meta_field.empty()) ask_for_metas(of, series.meta_field, find);
  // Its own name may be the one of the metaField.
  const bool has_ids = series.meta_field != "_id" && series.time_field != "_id";
  if (closely && has_ids) ask_for_ids(of, find);
  find.close().open_document("collation").string("locale", "simple").close();
  find.open_document("readConcern").string("level", "local").close();
  return find.finish();
}

}  // namespace

Result<std::vector<int64_t>> count_equal(Client& client, const std::string& ns,
                                         const CollectionInfo& series,
                                         std::span<const Document> measurements) {
  std::vector<int64_t> counts(measurements.size());
  std::vector<Timed> all;
  for (size_t i = 0; i < measurements.size(); ++i) {
    const auto time = measurements[i].find(series.time_field);
    const bool is_one = time && time->type == Type::kDate;  // else mongod takes none such
    if (is_one) all.push_back({bson::internal::load<int64_t>(time->bytes.data()), i});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Timed& a, const Timed& b) { return a.at_ms < b.at_ms; });
  const Names names = split(ns);
  // What is asked for at once is near each other: mongod reads whole buckets anyway.
  const int64_t span_ms = std::clamp(series.bucket_span_ms, kSpanMsMin, kBucketSpanMaxMs);
  for (size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    std::vector<Document> of;
    std::unordered_map<std::string, std::vector<size_t>> wanted;  // by digest
    size_t bytes = 0;
    for (; end < all.size() && of.size() < kAtOnce && bytes < kBytesAtOnce; ++end) {
      if (all[end].at_ms - all[begin].at_ms > span_ms) break;
      of.push_back(measurements[all[end].index]);
      bytes += of.back().bytes().size();
      wanted[series::digest_of(of.back())].push_back(all[end].index);
    }
    const auto look = [&](bool closely) {
      for (const auto& [digest, indexes] : wanted) {
        for (const size_t index : indexes) counts[index] = 0;
      }
      const std::string find = find_near(names.collection, series,
                                         std::span(all).subspan(begin, end - begin), of, closely);
      return client.each(names.database, find, "look for measurements", [&](const Document& found) {
        const auto equal = wanted.find(series::digest_of(found));
        if (equal == wanted.end()) return true;
        for (const size_t index : equal->second) ++counts[index];
        return true;
      });
    };
    Status looked = look(true);
    // What mongod has against a value in a filter must stop nobody: times it takes.
    if (!looked && looked.error().code == ErrorCode::kRefused) looked = look(false);
    if (!looked) return tl::unexpected<Error>(looked.error());
  }
  return counts;
}

namespace {

// Writes of measurements that follow each other, and those of them that are to be inserted.
struct Missing {
  size_t writes = 0;                // this is about
  std::string wrong;                // with the one behind them, if there are none
  std::vector<size_t> of;           // of the writes; one may come more than once
  std::vector<Document> documents;  // of these; borrowed
};

// There are to be as many as one more than were before it, whichever of those that are equal comes
// first. How many are missing; nothing: more than are made at once, which only others can bring.
std::optional<size_t> copies_missing(const Document& measurement, int64_t before, int64_t there) {
  if (there > before) return 0;
  const auto lacks = static_cast<uint64_t>(before) - static_cast<uint64_t>(there);
  const size_t most = std::min(kAtOnce, kBytesAtOnce / (measurement.bytes().size() + 1));
  if (lacks > most) return std::nullopt;
  return lacks + 1;
}

Result<Missing> missing_of(Client& client, const CollectionInfo& series,
                           std::span<const StoreWrite> writes) {
  Missing out;
  std::vector<Document> measurements;
  std::vector<int64_t> before;
  std::vector<size_t> of;
  size_t bytes = 0;
  for (size_t i = 0; i < writes.size() && i < kAtOnce && bytes < kBytesAtOnce; ++i) {
    if (writes[i].ns != writes.front().ns) break;
    const auto read = series::read_measurement(Document(writes[i].document));
    // Nobody takes a measurement away: that it should go is said before it is made anew.
    const bool is_none = writes[i].kind == StoreWrite::Kind::kRemove;
    if (!is_none && !read) {
      out.wrong = read.error().reason;
      break;
    }
    out.writes = i + 1;
    if (is_none) continue;
    measurements.push_back(read->is);
    before.push_back(read->before);
    of.push_back(i);
    bytes += read->is.bytes().size();
  }
  const std::string ns = series::collection_of(writes.front().ns);
  const auto counted = count_equal(client, ns, series, measurements);
  if (!counted) return tl::unexpected<Error>(counted.error());
  std::unordered_map<std::string, int64_t> there;  // by digest, with those that are to be
  bytes = 0;
  for (size_t i = 0; i < measurements.size(); ++i) {
    const std::string digest = series::digest_of(measurements[i]);
    int64_t& equal = there.try_emplace(digest, (*counted)[i]).first->second;
    const auto missing = copies_missing(measurements[i], before[i], equal);
    bytes += missing.value_or(0) * measurements[i].bytes().size();
    const bool is_full = !out.of.empty() && (bytes > kBytesAtOnce || out.of.size() > kAtOnce);
    if (!missing || is_full) {
      out.writes = of[i];
      out.wrong = "too many that are equal to it and were there before it are not there";
      break;
    }
    equal += static_cast<int64_t>(*missing);
    out.of.insert(out.of.end(), *missing, of[i]);
    out.documents.insert(out.documents.end(), *missing, measurements[i]);
  }
  return out;
}

std::string insert_command(const std::string& collection, std::span<const Document> documents,
                           bool is_last) {
  bson::Writer insert;
  insert.string("insert", collection).open_array("documents");
  for (size_t i = 0; i < documents.size(); ++i) {
    insert.document(bson::index_name(i), documents[i]);
  }
  insert.close().boolean("ordered", true);
  insert.open_document("writeConcern").int32("w", 1).boolean("j", is_last).close();
  return insert.finish();
}

}  // namespace

Result<MeasurementsWritten> write_measurements(Client& client, const CollectionInfo& series,
                                               std::span<const StoreWrite> writes) {
  auto missing = missing_of(client, series, writes);
  if (!missing) return tl::unexpected<Error>(missing.error());
  MeasurementsWritten out;
  out.done = missing->writes;
  if (missing->writes == 0) {
    out.code = kBadValue;
    out.message = missing->wrong;
  }
  if (missing->documents.empty()) return out;
  const bool is_last = missing->writes == writes.size();
  const Names names = split(series::collection_of(writes.front().ns));
  auto reply =
      client.run(names.database, insert_command(names.collection, missing->documents, is_last));
  if (!reply) return tl::unexpected<Error>(reply.error());
  if (!reply->ok) {
    out.done = missing->of.front();
    out.code = reply->code;
    out.message = reply->message;
    return out;
  }
  if (const Document concern = sub(reply->document(), "writeConcernError"); !concern.empty()) {
    client.drop();
    return fail(ErrorCode::kUnavailable, "insert measurements", client.name(),
                text(concern, "errmsg"),
                "the store could not confirm durability; it is tried again");
  }
  out.journaled = is_last;
  // It stops at the first error. (What `n` says then is more than was inserted: seen on 6.0.5.)
  for (const bson::Element& each : sub(reply->document(), "writeErrors")) {
    if (each.value.type != Type::kDocument) continue;
    const Document error = each.value.as_document();
    const auto at = static_cast<size_t>(integer(error, "index", -1));
    if (at >= missing->of.size()) {
      return fail(ErrorCode::kCorrupt, "insert measurements", client.name(),
                  "an error for a measurement never sent");
    }
    out.done = missing->of[at];
    out.code = static_cast<int32_t>(integer(error, "code"));
    out.message = text(error, "errmsg");
    out.journaled = false;
    break;
  }
  return out;
}

}  // namespace outrigger::mongo
