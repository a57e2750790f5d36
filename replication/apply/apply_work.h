// A batch between gathering and release, handed from one to the next: what is to be done, by the
// gatherer; what it writes, by the commit of the intent; how far that has come, by the writer. See
// applier.h for its three steps.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "replication/apply/apply_batch.h"
#include "replication/apply/apply_intent.h"
#include "replication/apply/apply_writer.h"
#include "replication/record/record.h"
#include "replication/site/state/inbox.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {

struct ApplyWork {
  std::vector<std::shared_ptr<const Record>> records;
  ApplyIntent intent;
  const char* intent_key = meta_keys::kIntent;  // where the log keeps it
  std::vector<Inbox::Promised> promised;
  // Records that may not be applied, and why; records set aside that may now, by name.
  std::vector<std::pair<std::shared_ptr<const Record>, std::string>> wrong;
  std::map<std::string, std::shared_ptr<const Record>> released;
  ApplyDocuments documents;  // none when a batch is replayed
  size_t bytes = 0;          // of what was read and is to be written
  bool blocked = false;      // some records were left because of a lock
  ApplyProgress progress;

  // Nothing is to be written: neither to the log nor to the store.
  [[nodiscard]] bool empty() const {
    return documents.empty() && intent.after.empty() && released.empty();
  }
};

}  // namespace outrigger
