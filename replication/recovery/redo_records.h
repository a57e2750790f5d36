// The records that redo looks at, decoded: as many at once as fit into so many bytes.
//
// The records that the store may have forgotten are those of a tenth of a second, mostly; of more
// where its journal did not answer for a while. They are read once to learn which documents they
// touch, and again, if they are no longer here by then, when it is a document's turn.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "config/limits.h"
#include "config/result.h"
#include "replication/outbox/outbox.h"
#include "replication/record/record.h"
#include "replication/recovery/redo_document.h"

namespace outrigger {

// One thread's.
class RedoRecords {
 public:
  // Encoded, in memory beside those somebody still holds.
  static constexpr size_t kBytesMax = limits::kRedoRecordsBytesMax;

  // The outbox is borrowed and outlives this.
  explicit RedoRecords(const outbox::Outbox& outbox) : outbox_(outbox) {}

  // Of `dot`, as the log holds it.
  [[nodiscard]] Result<std::shared_ptr<const Record>> take(const Dot& dot, std::string_view bytes);
  // Null: it has been dropped since, so the store's journal holds it after all.
  [[nodiscard]] Result<std::shared_ptr<const Record>> get(const Dot& dot);

  // Where in the log one document is.
  struct Place {
    Dot dot;
    size_t index = 0;  // of the record's documents
    size_t bytes = 0;  // of the whole record
  };
  struct Document {
    std::vector<std::shared_ptr<const Record>> records;
    std::vector<Forgotten> forgotten;  // of them, in the order of their stamps; may be none
  };
  [[nodiscard]] Result<Document> document(const std::vector<Place>& places);
  void clear();
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  struct Kept {
    std::shared_ptr<const Record> record;
    size_t bytes = 0;
  };

  const outbox::Outbox& outbox_;
  std::map<Dot, Kept> kept_;
  std::deque<Dot> oldest_;  // first
  size_t bytes_ = 0;
};

}  // namespace outrigger
