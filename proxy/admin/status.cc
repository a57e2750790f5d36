#include "proxy/admin/status.h"

#include <fmt/format.h>

#include <algorithm>

#include "replication/record/record_codec.h"

namespace outrigger {
namespace {

constexpr size_t kDocumentsShown = 20;  // of one record

void write_vector(bson::Writer& out, std::string_view name, const VersionVector& vector) {
  out.open_document(name);
  for (const auto& [origin, hlc] : vector.entries()) {
    out.string(to_hex(origin), fmt::format("{}", hlc));
  }
  out.close();
}

void write_link(bson::Writer& out, const PeerStatus& link) {
  out.string("site", link.site).string("address", link.address);
  out.string("state", to_text(link.state)).int64("since_ms", link.since_ms);
  out.boolean("dialled", link.dialled).string("remote", link.remote);
  out.int64("bytes_in", static_cast<int64_t>(link.counters.bytes_in));
  out.int64("bytes_out", static_cast<int64_t>(link.counters.bytes_out));
  out.int64("records_in", static_cast<int64_t>(link.counters.records_in));
  out.int64("records_out", static_cast<int64_t>(link.counters.records_out));
  out.int64("rtt_ms", link.counters.rtt_ms);
  out.int64("dials", static_cast<int64_t>(link.dials));
  out.int64("links", static_cast<int64_t>(link.links));
  out.string("last_error", link.last_error).int64("last_error_ms", link.last_error_ms);
}

// The link's view of a site and the replica's, under one name.
void write_peer(bson::Writer& out, const PeerStatus& link, const ReplicaStatus& replica) {
  write_link(out, link);
  for (const PeerProgress& progress : replica.peers) {
    if (progress.site != link.site) continue;
    out.string("site_id", progress.site_id);
    out.int64("records_behind", static_cast<int64_t>(progress.records_behind));
    out.int64("bytes_behind", static_cast<int64_t>(progress.bytes_behind));
    out.int64("behind_ms", progress.oldest_behind_ms);
    out.int64("last_heard_ms", progress.last_heard_ms);
    write_vector(out, "acked", progress.acked);
  }
}

void write_ledger_value(bson::Writer& out, std::string_view name, Shape shape,
                        const bson::OwnedValue& value) {
  if (shape == Shape::kAbsent) {
    out.string(name, "(unset)");
  } else {
    out.value(name, value);
  }
}

const char* operation_text(Operation operation) {
  switch (operation) {
    case Operation::kUnknown:
      return "write";
    case Operation::kBirth:
      return "insert";
    case Operation::kWeakBirth:
      return "upsert";
    case Operation::kRemove:
      return "delete";
    case Operation::kAssign:
      return "set";
    case Operation::kUnset:
      return "unset";
    case Operation::kIncrement:
      return "increment, in all";
    case Operation::kEdit:
      return "edit elements";
  }
  return "";
}

// What lost to what, and why.
void write_loss(bson::Writer& out, const LedgerEntry& entry, const SiteNames& sites) {
  out.string("kind", entry.kind).string("path", path_text(entry.path));
  if (entry.is_element) out.boolean("element", true);
  write_ledger_value(out, "lost", entry.shape, entry.value);
  if (entry.winning) out.value("won", *entry.winning);
  const auto write_author = [&](const Dot& dot, const char* stamp, const char* site) {
    if (dot.is_zero()) return;
    out.string(stamp, to_text(dot)).string(site, sites(dot.origin.site));
  };
  write_author(entry.loser, "lost_stamp", "lost_site");
  write_author(entry.winner, "won_stamp", "won_site");
  if (!entry.loser_app.empty()) out.string("lost_app", entry.loser_app);
  if (!entry.winner_app.empty()) out.string("won_app", entry.winner_app);
  if (!entry.rule.empty()) out.string("rule", entry.rule);
  out.string("reason", entry.reason);
}

void write_expiry(bson::Writer& out, const ExpiryStatus& expiry) {
  out.open_document("expiry").string("by", expiry.by);
  out.int64("indexes", static_cast<int64_t>(expiry.indexes));
  out.int64("expired", static_cast<int64_t>(expiry.expired)).open_array("lacks");
  for (size_t i = 0; i < expiry.lacks.size(); ++i) {
    out.string(bson::index_name(i), expiry.lacks[i]);
  }
  out.close().close();
}

void write_rules(bson::Writer& out, const RulesStatus& rules) {
  out.open_document("rules").string("name", rules.name);
  if (!rules.by.empty()) out.string("by", rules.by).int64("since_ms", rules.since_ms);
  out.open_array("file_differs");
  for (size_t i = 0; i < rules.file_differs.size(); ++i) {
    out.string(bson::index_name(i), rules.file_differs[i]);
  }
  out.close().close();
}

void write_members(bson::Writer& out, const std::vector<MemberStatus>& members) {
  if (members.empty()) return;
  out.open_array("members");
  for (size_t i = 0; i < members.size(); ++i) {
    out.open_document(bson::index_name(i)).string("member", members[i].member);
    out.string("listen", members[i].listen).boolean("primary", members[i].is_primary);
    out.boolean("in_set", members[i].is_in_set).close();
  }
  out.close();
}

void write_status(bson::Writer& out, const StatusParts& parts) {
  const ReplicaStatus& replica = parts.replica;
  out.string("site", replica.site).string("site_id", replica.site_id);
  out.string("epoch", fmt::format("{:016x}", replica.epoch)).string("version", parts.version);
  out.string("store", parts.store).boolean("store_available", parts.store_available);
  write_members(out, parts.members);
  out.int64("uptime_ms", parts.uptime_ms);
  out.int64("connections", static_cast<int64_t>(parts.connections));
  write_vector(out, "vector", replica.applied);
  write_vector(out, "stable", replica.stable);
  out.string("issued", fmt::format("{}", replica.issued));
  out.open_document("outbox");
  out.int64("records", static_cast<int64_t>(replica.outbox_records));
  out.int64("bytes", static_cast<int64_t>(replica.outbox_bytes)).close();
  out.open_document("inbox");
  out.int64("records", static_cast<int64_t>(replica.inbox_records));
  out.int64("bytes", static_cast<int64_t>(replica.inbox_bytes)).close();
  out.int64("rows", static_cast<int64_t>(replica.rows));
  out.int64("conflicts", static_cast<int64_t>(replica.ledger_entries));
  out.open_document("ledger");
  out.int64("entries", static_cast<int64_t>(replica.ledger_entries));
  out.int64("bytes", static_cast<int64_t>(replica.ledger_bytes));
  out.int64("open", static_cast<int64_t>(replica.ledger_open));
  out.int64("max_bytes", static_cast<int64_t>(replica.ledger_bytes_max));
  out.int64("keep_for_ms", replica.ledger_keep_ms);
  out.int64("dropped", static_cast<int64_t>(replica.ledger_dropped));
  out.int64("dropped_open", static_cast<int64_t>(replica.ledger_dropped_open));
  out.int64("oldest_ms", replica.ledger_oldest_ms).close();
  out.int64("not_applied", static_cast<int64_t>(replica.not_applied));
  out.int64("kept", static_cast<int64_t>(replica.kept));
  out.int64("quarantined", static_cast<int64_t>(replica.quarantined));
  out.int64("open_writes", static_cast<int64_t>(replica.open_writes));
  out.int64("oldest_open_write_ms", replica.oldest_open_write_ms);
  if (replica.outbox_failure) out.string("outbox_failed", replica.outbox_failure->message());
  write_rules(out, replica.rules);
  write_expiry(out, parts.expiry);
  out.open_array("held");
  for (size_t i = 0; i < replica.held.size(); ++i) {
    out.string(bson::index_name(i), replica.held[i]);
  }
  out.close();
  out.open_array("alarms");
  for (size_t i = 0; i < replica.alarms.size(); ++i) {
    out.string(bson::index_name(i), replica.alarms[i]);
  }
  out.close();
  out.open_array("peers");
  for (size_t i = 0; i < parts.peers.size(); ++i) {
    out.open_document(bson::index_name(i));
    write_peer(out, parts.peers[i], replica);
    out.close();
  }
  out.close();
}

}  // namespace

std::string status_document(const StatusParts& parts) {
  bson::Writer out;
  out.string("_id", parts.replica.site);
  write_status(out, parts);
  return out.finish();
}

std::vector<std::string> peer_documents(const StatusParts& parts) {
  std::vector<std::string> documents;
  for (const PeerStatus& link : parts.peers) {
    bson::Writer out;
    out.string("_id", link.site);
    write_peer(out, link, parts.replica);
    documents.push_back(out.finish());
  }
  return documents;
}

std::string conflict_document(const LedgerEntry& entry, const std::string& name,
                              const SiteNames& sites) {
  bson::Writer out;
  out.string("_id", name).date("time", entry.time_ms).string("namespace", entry.ns);
  out.value("document", entry.id).string("state", state_text(entry));
  write_loss(out, entry, sites);
  return out.finish();
}

std::string status_json(const StatusParts& parts) {
  bson::Writer out;
  write_status(out, parts);
  const std::string bytes = out.finish();
  return bson::to_json(bson::Document(bytes), SIZE_MAX) + "\n";
}

std::string quarantine_json(const std::vector<LedgerEntry>& entries) {
  std::string out = "[";
  for (const LedgerEntry& entry : entries) {
    bson::Writer item;
    item.int64("time_ms", entry.time_ms).value("record", entry.id);
    item.string("reason", entry.reason);
    const std::string_view bytes = entry.value.view().binary();
    item.int64("bytes", static_cast<int64_t>(bytes.size()));
    // Undecodable it cannot be: it was decoded to be judged.
    const auto record = decode_record(bytes);
    item.open_array("documents");
    for (size_t i = 0; record && i < std::min(record->documents.size(), kDocumentsShown); ++i) {
      item.open_document(bson::index_name(i)).string("namespace", record->documents[i].ns);
      item.value("_id", record->documents[i].id);
      item.int64("effects", static_cast<int64_t>(record->documents[i].effects.size())).close();
    }
    item.close();
    const std::string text = item.finish();
    if (out.size() > 1) out += ",\n ";
    out += bson::to_json(bson::Document(text), SIZE_MAX);
  }
  return out + "]\n";
}

std::string conflict_json(const LedgerEntry& entry, const SiteNames& sites) {
  bson::Writer item;
  item.string("name", ledger_name(ledger_key(entry))).string("state", state_text(entry));
  item.int64("time_ms", entry.time_ms).string("namespace", entry.ns).value("_id", entry.id);
  write_loss(item, entry, sites);
  item.boolean("open", entry.open);
  const std::string bytes = item.finish();
  return bson::to_json(bson::Document(bytes), SIZE_MAX);
}

std::string path_life_json(const PathLife& life, const SiteNames& sites) {
  std::string out = "{\"events\": [";
  for (const PathEvent& event : life.events) {
    bson::Writer item;
    item.string("stamp", to_text(event.dot)).string("did", operation_text(event.kind));
    if (!event.app.empty()) item.string("app", event.app);
    item.string("path", path_text(event.path));
    if (event.value) item.value("value", *event.value);
    item.open_array("had_not_seen");
    for (size_t i = 0; i < event.unseen.size(); ++i) {
      item.string(bson::index_name(i), to_text(event.unseen[i]));
    }
    item.close();
    const std::string bytes = item.finish();
    if (&event != &life.events.front()) out += ",\n ";
    out += bson::to_json(bson::Document(bytes), SIZE_MAX);
  }
  out += "],\n \"conflicts\": [";
  for (auto entry = life.losses.rbegin(); entry != life.losses.rend(); ++entry) {
    if (entry != life.losses.rbegin()) out += ",\n ";
    out += conflict_json(*entry, sites);
  }
  return out + "],\n \"whole\": " + (life.is_whole ? "true" : "false") + "}\n";
}

std::string conflicts_json(const LedgerPage& page, const SiteNames& sites) {
  std::string out = "{\"conflicts\": [";
  bool first = true;
  for (const LedgerEntry& entry : page.entries) {
    out += first ? "" : ",\n ";
    first = false;
    out += conflict_json(entry, sites);
  }
  out += "], \"more\": ";
  if (!page.next) return out + "false}\n";
  return out + "true, \"next\": \"" + to_text(*page.next) + "\"}\n";
}

}  // namespace outrigger
