// What of memory a batch may take, and what becomes of one that takes too much.
#include <algorithm>

#include "replication/apply/applier.h"
#include "replication/apply/apply_work.h"
#include "replication/site/site_parts.h"

namespace outrigger {

// What cannot be less: one document, or those of one record.
bool Applier::too_much(const ApplyWork& work) const {
  if (work.bytes <= options_.stored_bytes_max || work.documents.size() <= 1) return false;
  const bool one_record = work.records.size() + work.released.size() == 1;
  return !one_record || std::any_of(work.documents.begin(), work.documents.end(),
                                    [](const auto& each) { return each.second.touches.empty(); });
}

// Where memory was short, what is tried again must fit in beside the records.
bool Applier::has_room(const ApplyWork& work) const {
  const bool short_of_memory = documents_max_ < options_.batch.documents_max || documents_max_ == 1;
  size_t documents = work.documents.size();
  for (const auto& record : work.records) documents += record->documents.size();
  for (const auto& [name, record] : work.released) documents += record->documents.size();
  return !short_of_memory || documents < documents_max_;
}

// Nothing of it is done: what was taken for another try is left for another batch.
void Applier::forget(const ApplyWork& work) {
  work.records.empty() ? locks_.release() : locks_.forget();
  for (const auto& [key, document] : work.documents) site_.aside.put_back(key);
  for (const auto& [name, record] : work.released) site_.quarantine.put_back(name);
}

}  // namespace outrigger
