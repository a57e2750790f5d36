// A batch between gathering and release; see applier.h for its three steps.
#pragma once

#include "replication/apply/applier.h"

namespace outrigger {

// What the second look at a refused document found.
struct Applier::Refusal {
  std::string ns;
  bson::OwnedValue id;
  std::optional<std::string> document;  // as merged; nothing: it should be gone
  WriteOutcome outcome;
};

struct Applier::Work {
  std::vector<std::shared_ptr<const Record>> records;
  ApplyIntent intent;
  std::vector<Inbox::Promised> promised;
  // Records that may not be applied, and why; records set aside that may now, by name.
  std::vector<std::pair<std::shared_ptr<const Record>, std::string>> wrong;
  std::map<std::string, std::shared_ptr<const Record>> released;
  std::map<std::string, ApplyDocument> documents;  // by row key; none when a batch is replayed
  size_t bytes = 0;                                // of what was read and is to be written
  bool blocked = false;                            // some records were left because of a lock

  // ---- (2)
  size_t next = 0;         // of the intent's writes
  std::string process_id;  // of the mongod that did those before it
  bool is_stored = false;  // all are done and journaled
  // What one of a document's writes met, by row key: looked at once all others are done.
  std::map<std::string, WriteOutcome> refused;
  std::map<std::string, std::string> validator_says;  // by row key, of what it would have refused
  std::map<std::string, Refusal> set_aside;           // by row key, what is refused in the end
};

}  // namespace outrigger
