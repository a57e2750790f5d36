// What a link is about to send: stretches of logs as bytes, and what the other side will know by
// them.
#pragma once

#include <string>

#include "replication/causality/version_vector.h"

namespace outrigger {

struct OutgoingBatch {
  std::string bytes;  // as encode_segments makes them; empty: there is nothing to say
  size_t records = 0;
  VersionVector records_through;  // the last record of each origin
  VersionVector told_through;     // of each origin: beside these there is none up to here
  bool more = false;              // records are left although it has none
};

}  // namespace outrigger
