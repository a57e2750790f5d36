#include "replication/recovery/judge_series.h"

#include "replication/apply/apply_batch.h"
#include "replication/record/catalog.h"
#include "replication/series/measurement.h"

namespace outrigger {

Result<bool> is_inserted(StoreReader& store, const PreparedDocument& prepared) {
  const auto read = series::read_measurement(bson::Document(prepared.document));
  if (!read) return tl::unexpected(read.error());
  const auto counted =
      store.count_measurements(series::collection_of(prepared.ns), std::span(&read->is, 1));
  if (!counted) return tl::unexpected(counted.error());
  return counted->front() > read->before;
}

std::string answer_of_insert() { return bson::Writer().int64("n", 1).finish(); }

Result<bool> gone_with_series(const outbox::Outbox& outbox, const std::string& ns,
                              const Record& record) {
  if (!series::holds_measurements(ns)) return false;
  const std::string id = bson::canonical_key(bson::make_string(series::collection_of(ns)).view());
  const auto row = outbox.row(kCatalogNs, id);
  if (!row) return tl::unexpected(row.error());
  const auto dropped = contents_dropped(*row);
  if (!dropped) return tl::unexpected(dropped.error());
  return !dropped->is_zero() && !record.deps.covers(*dropped);
}

}  // namespace outrigger
