// A batch between gathering and release; see applier.h for its three steps.
#pragma once

#include "replication/applier.h"

namespace outrigger {

struct Applier::Work {
  std::vector<std::shared_ptr<const Record>> records;
  ApplyIntent intent;
  std::vector<Inbox::Promised> promised;
  // Records that may not be applied, and why; records set aside that may now, by name.
  std::vector<std::pair<std::shared_ptr<const Record>, std::string>> wrong;
  std::map<std::string, std::shared_ptr<const Record>> released;
  std::map<std::string, ApplyDocument> documents;  // by row key
  std::vector<StoreWrite> writes;                  // what is left of (2)
  std::vector<size_t> intended;                    // for each of `writes`: its place in intent
  std::vector<std::pair<size_t, WriteOutcome>> refused;  // place in intent
};

}  // namespace outrigger
