// Which documents capped collections have evicted. They are not put back, or they would evict what
// is newer; and that they are gone is nobody's delete.
//
// Such a collection evicts in the order in which it was given its documents. So one that is not
// there was forgotten if an older one is there, and evicted if none is.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>

#include "config/result.h"
#include "replication/recovery/redo_document.h"
#include "replication/store/store.h"

namespace outrigger {

class EvictedDocuments {
 public:
  // By row key: which record made the document anew; zero: none that the store may have forgotten.
  using MadeBy = std::function<Result<Dot>(const std::string& row_key)>;

  // Before anything is put back into the collection; once is enough. Errors: of the store, of
  // `made_by`.
  [[nodiscard]] Status look(Store& store, const std::string& ns, const MadeBy& made_by);
  // Of a document that the store lacks, made anew by `made`.
  [[nodiscard]] bool has(const std::string& ns, const Dot& made) const;
  void clear();

 private:
  std::set<std::string> looked_at_;
  // Of capped collections: what made the oldest document that was there.
  std::map<std::string, Dot> oldest_;
};

// The last of the records that made the document anew; zero: none of them did.
[[nodiscard]] Dot made_by(std::span<const Forgotten> forgotten);

}  // namespace outrigger
