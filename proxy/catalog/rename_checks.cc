#include "proxy/catalog/rename_checks.h"

#include <fmt/format.h>

#include <algorithm>

namespace outrigger {
namespace {

constexpr int64_t kSilentMs = 3'000;  // a member that says nothing is away
constexpr uint64_t kPartOfRoom = 4;

}  // namespace

bool mongod_refuses(const Rename& rename, bool drops_target) {
  const bool is_kept = rename.target.is_view() || rename.target.is_series();
  const bool has_target = rename.target.exists && (!drops_target || is_kept);
  const bool is_any = rename.source.exists && !rename.source.is_view() && !rename.uuid.empty();
  return !is_any || has_target || rename.from == rename.to;
}

MembersLevel members_level(const Replica& replica) {
  const ReplicaStatus status = replica.status();
  MembersLevel level{status.applied, status.applied};
  for (const PeerProgress& peer : status.peers) level.ours.raise(peer.acked);
  return level;
}

MembersLack members_lack(const Replica& replica, const MembersLevel& level, int64_t now_ms) {
  const ReplicaStatus status = replica.status();
  MembersLack lack;
  for (const PeerProgress& peer : status.peers) {
    if (peer.last_heard_ms == 0 || now_ms - peer.last_heard_ms > kSilentMs) {
      lack.why =
          fmt::format("the site {} is away, and lacks {} records; rename it when all are there",
                      peer.site, peer.records_behind);
      lack.is_away = true;
      return lack;
    }
    if (!lack.why.empty() || peer.acked.includes(level.theirs)) continue;
    lack.why = fmt::format("the site {} lacks {} records; rename it when it has them", peer.site,
                           peer.records_behind);
  }
  if (lack.why.empty() && !status.applied.includes(level.ours)) {
    lack.why = "what other sites have written is not all here yet; try it again";
  }
  return lack;
}

Result<CollectionSize> size_of(Store& store, const std::string& ns) {
  const size_t dot = ns.find('.');
  bson::Writer ask;
  ask.string("aggregate", ns.substr(dot + 1)).open_array("pipeline").open_document("0");
  ask.open_document("$collStats").open_document("storageStats").close().close().close();
  ask.open_document("1").open_document("$project");
  ask.string("count", "$storageStats.count").string("size", "$storageStats.size");
  ask.close().close().close().open_document("cursor").close();
  auto found = store.find(ns.substr(0, dot), ask.finish());
  if (!found) return tl::unexpected(found.error());
  CollectionSize size;
  for (const std::string& each : found->documents) {
    const auto count = bson::Document(each).find("count");
    const auto bytes = bson::Document(each).find("size");
    if (count) size.documents += count->to_int64().value_or(0);
    if (bytes) size.bytes += bytes->to_int64().value_or(0);
  }
  return size;
}

std::string too_large_to_tell(const CollectionSize& source, int64_t replaced, uint64_t room) {
  if (std::max(source.documents, replaced) > kRenamedMax) {
    return fmt::format("more than {} documents are too many to be told at once", kRenamedMax);
  }
  const uint64_t part = room / kPartOfRoom;
  if (static_cast<uint64_t>(source.bytes) <= part) return {};
  return fmt::format(
      "its documents have {} bytes, and {} are a quarter of what the outbox has room for; raise "
      "outbox.max_bytes, or copy the documents in parts",
      source.bytes, part);
}

}  // namespace outrigger
