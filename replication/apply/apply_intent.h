// What an apply batch, or the redo, is about to do to the store, kept from the moment its rows are
// written until the store has everything: after a crash in between it is done again, from the first
// write on. Values are absolute, so doing it again ends in the same. It is as large as what
// changes, not as the documents are.
//
// The bytes: FORMATS.md, section 9.1.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "replication/causality/version_vector.h"
#include "replication/site/state/aside.h"
#include "replication/store/store.h"

namespace outrigger {

struct ApplyIntent {
  // Writes that follow each other: documents of one record, which follow each other there, are
  // inserted as it bore them. Their bytes are in the log with the record, and not in the intent's.
  struct Births {
    size_t at = 0;  // of the first one, in `writes`
    Dot record;
    uint32_t first = 0;  // of the record's documents
    uint32_t count = 0;
    friend bool operator==(const Births&, const Births&) = default;
  };
  VersionVector after;             // the entries of the durable vector that move when it is done
  std::map<std::string, Met> met;  // see Aside; by row key, where there is something
  std::vector<StoreWrite> writes;  // in the order in which readers may see them
  std::vector<Births> births;      // ascending; of each kInsert
  friend bool operator==(const ApplyIntent&, const ApplyIntent&) = default;
};

[[nodiscard]] std::string encode_intent(const ApplyIntent& intent);
// Of `births` the writes have their kind and nothing else: the log has the rest. Errors: kCorrupt.
[[nodiscard]] Result<ApplyIntent> decode_intent(std::string_view bytes);

}  // namespace outrigger
