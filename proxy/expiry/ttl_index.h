// Which indexes take documents away when their time has come, and which documents that is.
//
// As mongod's own monitor takes it (6.0: ttl.cpp), so that the same documents go whoever expires
// them: an index of one plain field with `expireAfterSeconds`, and what it does not hold (of a
// partial one) stays; of an array the earliest date counts; what is no date never expires; a
// clustered collection by its _id; a time series by whole buckets. Seconds that cannot be count as
// the most that can.
//
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replication/bson/bson.h"

namespace outrigger {

struct TtlIndex {
  std::string database;
  std::string collection;
  std::string field;          // names joined by dots; "_id" of a clustered collection
  int64_t after_seconds = 0;  // the documents' own dates and this: their end
  std::string partial;        // BSON: what else holds for the documents in it; empty: nothing
  std::string collation;      // BSON: by which that is asked
  std::string time_field;     // of a time series whose buckets it is about; else empty
  int64_t span_seconds = 0;   // of these, the most that one holds

  [[nodiscard]] std::string ns() const { return database + "." + collection; }
  friend bool operator==(const TtlIndex&, const TtlIndex&) = default;
};

// Asks, in the database `admin`, for all collections that may have one. A right is needed to list
// collections and indexes anywhere; readWriteAnyDatabase has it.
[[nodiscard]] std::string catalog_command();
// Those of one document of the answer.
[[nodiscard]] std::vector<TtlIndex> ttl_indexes(const bson::Document& listed);

// Asks for at most so many documents (their _id) that are due at `now_ms` of the wall clock. Empty:
// none can be.
[[nodiscard]] std::string due_command(const TtlIndex& index, int64_t now_ms, size_t most);
// Deletes those of them that still are: a `delete` as an app would send it, which waits at most
// `max_time_ms`.
[[nodiscard]] std::string removal_command(const TtlIndex& index, int64_t now_ms,
                                          const std::vector<bson::OwnedValue>& ids,
                                          int64_t max_time_ms);

}  // namespace outrigger
