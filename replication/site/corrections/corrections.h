// Documents of which the store may show something else than what is remembered of them.
//
// The problem: where a sum lies beyond its bounds the store shows one of them, and an app's
// increment counts on that, not on the sum (merge/types/counter.h); or it leaves the bounds in the
// store. The app is answered by then. So whoever settles such a write notes the document in the
// batch of its record, and the applier corrects it, with a batch in which no record need touch it:
// what the row says is written absolutely.
//
// That write is no record's, so whoever puts back what a store forgot does not know of it: another
// member of a set may be elected that lacks it, however long the journals have had the increment.
// So the note stays until the journals are known to have the correction, too, which a stamp tells
// that was issued after it; then the document is looked at once more, and the note goes with the
// batch in which nothing of it was to be written. Where another run of the store answers before
// that, or the sidecar was started anew, it is corrected again. Rows stay as long as their
// documents are noted.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/thread_annotations.h"
#include "replication/bson/bson.h"
#include "replication/causality/stamp.h"
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
  // What is known of the store: which run of it answers, and the stamps of ours up to which all
  // that it had answered before is journaled.
  struct Store {
    std::string process;
    Hlc journaled = 0;
  };

  // They are in the log.
  void add(std::span<const Correction> corrections);
  // Some of those there is something to do for, the next ones behind `cursor`, by row key.
  [[nodiscard]] std::map<std::string, bson::OwnedValue> due(const std::string& cursor, size_t count,
                                                            const Store& store) const;
  // The one of this row key, if there is something to do for it.
  [[nodiscard]] std::map<std::string, bson::OwnedValue> find(const std::string& row_key,
                                                             const Store& store) const;
  // Notes stay as long as it is not sure that their corrections do.
  [[nodiscard]] bool is_noted(const std::string& row_key) const;
  // It has been corrected, and no run of the store may forget that.
  [[nodiscard]] bool is_settled(const std::string& row_key, const Store& store) const;
  // This run of the store has answered that it is as it should be; `stamp` was issued after that.
  // With their documents locked.
  void corrected(std::span<const std::string> row_keys, const std::string& process, Hlc stamp);
  // They are not in the log any more; put_end() is what does that.
  void end(std::span<const std::string> row_keys);
  static void put_end(std::span<const std::string> row_keys, outbox::Batch& batch);

 private:
  struct Note {
    bson::OwnedValue id;
    std::string process;  // that it was corrected in
    Hlc corrected = 0;    // 0: it was not
    [[nodiscard]] bool is_settled(const Store& store) const {
      return corrected != 0 && process == store.process && corrected <= store.journaled;
    }
    [[nodiscard]] bool is_due(const Store& store) const {
      return corrected == 0 || process != store.process || corrected <= store.journaled;
    }
  };

  mutable Mutex mutex_;
  std::map<std::string, Note> notes_ GUARDED_BY(mutex_);  // by row key
};

}  // namespace outrigger
