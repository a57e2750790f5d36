// What a rename asks before it is sent: are all members there, and do they have all; how large is
// what it names?
#pragma once

#include <cstdint>
#include <string>

#include "replication/causality/version_vector.h"
#include "replication/renames/rename.h"
#include "replication/site/replica.h"
#include "replication/store/store.h"

namespace outrigger {

inline constexpr int64_t kRenamedMax = 1'000'000;  // each is named in a record, as of a drop

// By what is under both names.
[[nodiscard]] bool mongod_refuses(const Rename& rename, bool drops_target);

// What members are to have: what is applied here, and what they had, when it was looked.
struct MembersLevel {
  VersionVector theirs;
  VersionVector ours;
};
[[nodiscard]] MembersLevel members_level(const Replica& replica);

// Why not every member has it; empty: they have.
struct MembersLack {
  std::string why;
  bool is_away = false;  // somebody is not there: that is not waited for
};
[[nodiscard]] MembersLack members_lack(const Replica& replica, const MembersLevel& level,
                                       int64_t now_ms);

// Of a collection, by MongoDB's own books, which are as good as exact; no document is read.
struct CollectionSize {
  int64_t documents = 0;
  int64_t bytes = 0;
};
// Nothing of one that is not there, and where it may not be asked. Errors: of the store.
[[nodiscard]] Result<CollectionSize> size_of(Store& store, const std::string& ns);

// Why it cannot be told at once; empty: it can.
[[nodiscard]] std::string too_large_to_tell(const CollectionSize& source, int64_t replaced,
                                            uint64_t room);

}  // namespace outrigger
