// How mongod knows a retryable statement again, and the token that a prepare holds of it: bytes
// that are made, read and compared here alone, so that whoever begins, keeps and settles writes
// need not know what another kind of store would say instead.
//
// A token comes from session_token() or out of a prepare that could be read; no other is taken.
// The bytes: FORMATS.md, sections 4 (`session`) and 7.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replication/record/prepare.h"
#include "replication/store/store.h"

namespace outrigger {

// How mongod names retryable statements: the oplog carries all of it.
struct SessionKey {
  std::array<uint8_t, 16> lsid{};  // lsid.id, a UUID; all zero: none
  // Whose session it is: two users may give theirs the same id. The first eight bytes of lsid.uid,
  // mongod's digest of the user, big-endian. 0: it is ours.
  uint64_t user = 0;
  int64_t txn_number = -1;        // -1: none
  std::vector<int32_t> stmt_ids;  // of the prepare's statements, in their order
};

[[nodiscard]] std::string session_token(const SessionKey& key);

// Would the store know the write again by its numbers?
[[nodiscard]] bool is_numbered(std::string_view token);
// As StoreFence, StoreOplog and the notes of connections name the session; empty: there is none.
inline constexpr size_t kSessionIdBytes = 16;
[[nodiscard]] std::string session_id(std::string_view token);
// Of these of the prepare's statements alone.
[[nodiscard]] std::string token_of(std::string_view token, std::span<const size_t> statements);
// Whether the transaction of this token was committed, by the oplog: then it holds writes of it.
[[nodiscard]] bool is_committed(std::string_view token, const std::vector<OplogWrite>& oplog);
// Those of the prepare's statements, whichever documents they are about. Borrowed from `oplog`.
[[nodiscard]] std::vector<const OplogWrite*> writes_of(std::string_view token,
                                                       const std::vector<OplogWrite>& oplog);

// SessionKey::user of lsid.uid, 32 bytes; 0 for anything else.
[[nodiscard]] uint64_t user_in_digest(std::string_view uid);

// The key of a retryable statement in the retry table. What another user or another collection
// gives the same numbers is another statement.
[[nodiscard]] std::string retry_key(std::string_view ns, std::string_view lsid_id, uint64_t user,
                                    int64_t txn_number, int32_t stmt_id);
// Under which the retry table remembers that the transaction of this session and number was
// committed. No statement has this key: it is of no collection.
[[nodiscard]] std::string commit_key(const SessionKey& key);
[[nodiscard]] std::string commit_key(std::string_view token);
// Of each of the prepare's documents; empty when not each has a number of its own.
[[nodiscard]] std::vector<std::string> retry_keys(const Prepare& prepare);

}  // namespace outrigger
