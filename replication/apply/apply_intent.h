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
  VersionVector after;             // the entries of the durable vector that move when it is done
  std::map<std::string, Met> met;  // see Aside; by row key, where there is something
  std::vector<StoreWrite> writes;  // in the order in which readers may see them
  friend bool operator==(const ApplyIntent&, const ApplyIntent&) = default;
};

[[nodiscard]] std::string encode_intent(const ApplyIntent& intent);
// Errors: kCorrupt.
[[nodiscard]] Result<ApplyIntent> decode_intent(std::string_view bytes);

}  // namespace outrigger
