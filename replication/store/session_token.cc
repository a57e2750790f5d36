#include "replication/store/session_token.h"

#include <algorithm>
#include <cstring>

#include "replication/record/bytes.h"
#include "replication/series/measurement.h"

namespace outrigger {
namespace {

std::string_view id_of(const SessionKey& key) {
  return {reinterpret_cast<const char*>(key.lsid.data()), key.lsid.size()};
}

// All but the statements.
SessionKey read_session(ByteReader& in) {
  SessionKey key;
  const std::string_view lsid = in.raw(key.lsid.size());
  if (lsid.size() == key.lsid.size()) std::memcpy(key.lsid.data(), lsid.data(), lsid.size());
  key.user = in.u64();
  key.txn_number = static_cast<int64_t>(in.u64());
  OUTRIGGER_ASSERT(in.ok());
  return key;
}

SessionKey read_session(std::string_view token) {
  ByteReader in(token, "session token");
  return read_session(in);
}

SessionKey read_token(std::string_view token) {
  ByteReader in(token, "session token");
  SessionKey key = read_session(in);
  const size_t count = in.count(SIZE_MAX, 1);
  key.stmt_ids.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    key.stmt_ids.push_back(static_cast<int32_t>(unzigzag(in.varint())));
  }
  in.end();
  OUTRIGGER_ASSERT(in.ok());
  return key;
}

bool is_of(const OplogWrite& entry, const SessionKey& key) {
  if (entry.lsid_id != id_of(key) || entry.txn_number != key.txn_number) return false;
  if (key.user != 0 && user_in_digest(entry.lsid_uid) != key.user) return false;
  const auto& ours = key.stmt_ids;
  return entry.stmt_ids.empty() || ours.empty() ||
         std::any_of(entry.stmt_ids.begin(), entry.stmt_ids.end(), [&](int32_t stmt) {
           return std::find(ours.begin(), ours.end(), stmt) != ours.end();
         });
}

}  // namespace

std::string session_token(const SessionKey& key) {
  ByteWriter out;
  out.reserve(kNoSession.size() + 2 * key.stmt_ids.size());
  out.raw(id_of(key));
  out.u64(key.user);
  out.u64(static_cast<uint64_t>(key.txn_number));
  out.varint(key.stmt_ids.size());
  for (const int32_t stmt_id : key.stmt_ids) out.varint(zigzag(stmt_id));
  return out.take();
}

bool is_numbered(std::string_view token) { return read_session(token).txn_number >= 0; }

std::string session_id(std::string_view token) {
  const SessionKey key = read_session(token);
  return key.lsid == SessionKey().lsid ? std::string() : std::string(id_of(key));
}

std::string token_of(std::string_view token, std::span<const size_t> statements) {
  SessionKey key = read_token(token);
  const std::vector<int32_t> all = std::move(key.stmt_ids);
  key.stmt_ids.clear();
  for (const size_t at : statements) {
    if (at < all.size()) key.stmt_ids.push_back(all[at]);
  }
  return session_token(key);
}

std::vector<const OplogWrite*> writes_of(std::string_view token,
                                         const std::vector<OplogWrite>& oplog) {
  const SessionKey key = read_token(token);
  std::vector<const OplogWrite*> found;
  for (const OplogWrite& write : oplog) {
    if (is_of(write, key)) found.push_back(&write);
  }
  return found;
}

bool is_committed(std::string_view token, const std::vector<OplogWrite>& oplog) {
  const SessionKey key = read_token(token);
  return std::any_of(oplog.begin(), oplog.end(), [&](const OplogWrite& write) {
    return write.transaction && is_of(write, key);
  });
}

uint64_t user_in_digest(std::string_view uid) {
  return uid.size() == 32 ? ByteReader(uid, "uid").u64_be() : 0;
}

std::string retry_key(std::string_view ns, std::string_view lsid_id, uint64_t user,
                      int64_t txn_number, int32_t stmt_id) {
  ByteWriter key;
  key.reserve(lsid_id.size() + 20 + ns.size());
  key.raw(lsid_id);
  key.u64_be(static_cast<uint64_t>(txn_number));
  key.u32_be(static_cast<uint32_t>(stmt_id));
  key.u64_be(user);
  key.raw(ns);
  return key.take();
}

std::string commit_key(const SessionKey& key) {
  constexpr int32_t kOfTheWhole = -1;
  return retry_key("", id_of(key), key.user, key.txn_number, kOfTheWhole);
}

std::string commit_key(std::string_view token) { return commit_key(read_token(token)); }

std::vector<std::string> retry_keys(const Prepare& prepare) {
  const SessionKey key = read_token(prepare.session);
  std::vector<std::string> keys;
  if (key.txn_number < 0 || key.stmt_ids.size() != prepare.documents.size()) return keys;
  for (size_t i = 0; i < prepare.documents.size(); ++i) {
    const std::string& ns = prepare.documents[i].ns;
    const std::string of = series::holds_measurements(ns) ? series::collection_of(ns) : ns;
    keys.push_back(retry_key(of, id_of(key), key.user, key.txn_number, key.stmt_ids[i]));
  }
  return keys;
}

}  // namespace outrigger
