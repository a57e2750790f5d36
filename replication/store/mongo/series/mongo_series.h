// Measurements in a time-series collection: how many equal ones there are, and which of those that
// travel (series/measurement.h) are missing.
//
// What MongoDB can look for fast is what it keeps of whole buckets: their times, their metaField,
// and the least and the largest _id in them. So those are asked for, and what comes is compared
// here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/store.h"

namespace outrigger::mongo {

// Of each one, in their order. `series` is the collection's, which is a time series.
[[nodiscard]] Result<std::vector<int64_t>> count_equal(
    Client& client, const std::string& ns, const CollectionInfo& series,
    std::span<const bson::Document> measurements);

// What became of writes of measurements that follow each other in one collection.
struct MeasurementsWritten {
  size_t done = 0;   // the first so many are there
  int32_t code = 0;  // of the one behind them, which was refused; 0: none was
  std::string message;
  bool journaled = false;  // all of the writes are
};
// Inserts those that are missing, in their order, as many as go together.
[[nodiscard]] Result<MeasurementsWritten> write_measurements(Client& client,
                                                             const CollectionInfo& series,
                                                             std::span<const StoreWrite> writes);

}  // namespace outrigger::mongo
