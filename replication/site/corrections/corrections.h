// Documents of which the store may show something else than what is remembered of them.
//
// The problem: where a sum lies beyond its bounds the store shows one of them, and an app's
// increment counts on that, not on the sum (merge/types/counter.h); or it leaves the bounds in the
// store. The app is answered by then. So whoever settles such a write notes the document in the
// batch of its record, and the applier corrects it, with a batch in which no record need touch it:
// what the row says is written absolutely. The note goes with the intent of that batch, which is
// repeated after a crash; until then a note is found at each start. Rows stay as long as their
// documents are noted.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/bson/bson.h"
#include "replication/outbox/batch.h"

namespace outrigger {

struct Correction {
  std::string row_key;
  bson::OwnedValue id;  // as the document has it
};

// The bytes: FORMATS.md, section 9.
void put_correction(outbox::Batch& batch, const Correction& correction);
// Errors: kCorrupt.
[[nodiscard]] Result<bson::OwnedValue> decode_correction(std::string_view bytes);

// Thread-safe.
class Corrections {
 public:
  // They are in the log.
  void add(std::span<const Correction> corrections);
  // Some of them, the next ones behind `cursor`, by row key.
  [[nodiscard]] std::map<std::string, bson::OwnedValue> due(const std::string& cursor,
                                                            size_t count) const;
  // The one of this row key, if it is noted.
  [[nodiscard]] std::map<std::string, bson::OwnedValue> find(const std::string& row_key) const;
  [[nodiscard]] bool is_noted(const std::string& row_key) const;
  // Written with the intent of the batch that corrects them.
  void end(std::span<const std::string> row_keys, outbox::Batch& batch);

 private:
  mutable Mutex mutex_;
  std::map<std::string, bson::OwnedValue> due_ GUARDED_BY(mutex_);  // by row key
};

}  // namespace outrigger
