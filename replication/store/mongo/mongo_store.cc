#include "replication/store/mongo/mongo_store.h"

#include <algorithm>
#include <iterator>

#include "replication/store/mongo/connection/mongo_client.h"
#include "replication/store/mongo/connection/mongo_privileges.h"
#include "replication/store/mongo/connection/mongo_topology.h"
#include "replication/store/mongo/mongo_apply.h"
#include "replication/store/mongo/mongo_catalog.h"
#include "replication/store/mongo/mongo_catalog_entries.h"
#include "replication/store/mongo/mongo_fence.h"
#include "replication/store/mongo/mongo_index_builds.h"
#include "replication/store/mongo/mongo_journal.h"
#include "replication/store/mongo/mongo_oplog.h"
#include "replication/store/mongo/mongo_read.h"
#include "replication/store/mongo/mongo_unique_keys.h"

namespace outrigger {

// Each refers to some before it.
struct MongoStore::Parts {
  Parts(std::unique_ptr<mongo::Client> to, const std::string& uri, Threads& time,
        std::shared_ptr<RelaxedIndexes> relaxed_indexes)
      : threads(time),
        relaxed(std::move(relaxed_indexes)),
        client(std::move(to)),
        builds(uri, time, *relaxed) {}

  Threads& threads;
  const std::shared_ptr<RelaxedIndexes> relaxed;
  std::unique_ptr<mongo::Client> client;
  mongo::Topology topology{*client, threads};
  mongo::Privileges privileges{*client, topology};
  mongo::Catalog catalog{*client, *relaxed};
  mongo::Journal journal{*client, topology, privileges};
  mongo::IndexBuilds builds;
  mongo::CatalogEntries entries{*client, catalog, builds, *relaxed};
  mongo::DocumentReader reader{*client, catalog};
  mongo::UniqueKeys keys{*client, catalog, builds};
  mongo::DocumentWriter writer{{*client, topology, catalog, privileges, journal}};
  mongo::Oplog oplog{*client, topology};
};

Result<std::unique_ptr<MongoStore>> MongoStore::open(const std::string& uri, Threads& threads,
                                                     bool follows_primary,
                                                     std::shared_ptr<RelaxedIndexes> relaxed) {
  auto client = mongo::Client::open(uri, follows_primary);
  if (!client) return tl::unexpected<Error>(client.error());
  if (relaxed == nullptr) relaxed = std::make_shared<RelaxedIndexes>();
  return std::unique_ptr<MongoStore>(new MongoStore(
      std::make_unique<Parts>(std::move(*client), uri, threads, std::move(relaxed))));
}

MongoStore::MongoStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
MongoStore::~MongoStore() = default;

Status MongoStore::ping() { return parts_->topology.ping(); }

Status MongoStore::wait_available(Duration timeout) {
  return parts_->topology.wait_available(timeout);
}

Result<StoreInfo> MongoStore::info() { return parts_->topology.info(); }

Result<std::vector<std::string>> MongoStore::missing_rights() {
  return parts_->privileges.missing_rights();
}

Result<std::string> MongoStore::forbidden(const std::string& ns) {
  return parts_->privileges.forbidden(ns);
}

Result<std::vector<std::optional<std::string>>> MongoStore::read(
    const std::string& ns, std::span<const bson::OwnedValue> ids) {
  if (ns == kCatalogNs) return parts_->entries.read(ids);
  return parts_->reader.read(ns, ids);
}

Result<StoreFound> MongoStore::find(const std::string& database, const std::string& command) {
  return parts_->reader.find(database, command);
}

Status MongoStore::look(
    const std::string& ns, std::span<const bson::OwnedValue> ids,
    const std::optional<std::vector<std::string>>& fields,
    const std::function<void(size_t index, const bson::Document& document)>& visit) {
  if (ns != kCatalogNs) return parts_->reader.look(ns, ids, fields, visit);
  auto entries = parts_->entries.read(ids);
  if (!entries) return tl::unexpected<Error>(entries.error());
  for (size_t i = 0; i < entries->size(); ++i) visit(i, bson::Document(*(*entries)[i]));
  return {};
}

Result<std::vector<int64_t>> MongoStore::count_measurements(
    const std::string& collection, std::span<const bson::Document> measurements) {
  return parts_->reader.count_measurements(collection, measurements);
}

// Documents between two changes of the catalogue are written together.
Applied MongoStore::apply_in_order(std::span<const StoreWrite> writes) {
  const auto is_entry = [](const StoreWrite& write) { return write.ns == kCatalogNs; };
  if (std::none_of(writes.begin(), writes.end(), is_entry)) {
    return parts_->writer.apply_in_order(writes);
  }
  Applied all;
  while (all.outcomes.size() < writes.size() && !all.stopped) {
    const auto rest = writes.subspan(all.outcomes.size());
    const auto next = std::find_if(rest.begin(), rest.end(), is_entry);
    if (next != rest.begin()) {
      const auto some = static_cast<size_t>(next - rest.begin());
      Applied done = parts_->writer.apply_in_order(rest.first(some));
      std::move(done.outcomes.begin(), done.outcomes.end(), std::back_inserter(all.outcomes));
      all.stopped = std::move(done.stopped);
      continue;
    }
    auto changed = parts_->entries.write(*next);
    if (!changed) all.stopped = changed.error();
    if (changed) all.outcomes.push_back(std::move(*changed));
  }
  if (!all.stopped) {
    if (Status journaled = parts_->journal.wait(); !journaled) all.stopped = journaled.error();
  }
  return all;
}

Result<std::vector<size_t>> MongoStore::against_validator(const std::string& ns,
                                                          std::span<const bson::OwnedValue> ids) {
  return parts_->writer.against_validator(ns, ids);
}

std::string MongoStore::process_id() const { return parts_->topology.process_id(); }

Status MongoStore::wait_journaled() { return parts_->journal.wait(); }

Status MongoStore::wait_settled() { return parts_->journal.wait_settled(); }

Status MongoStore::watch_oplog(Duration duration) { return parts_->oplog.watch(duration); }

std::vector<std::string> MongoStore::own_sessions() const { return parts_->writer.own_sessions(); }

Result<std::vector<NamespaceCount>> MongoStore::replicated_namespaces(
    const NamespaceFilter& filter) {
  return parts_->catalog.replicated_namespaces(filter);
}

Result<CollectionInfo> MongoStore::collection(const std::string& ns) {
  return parts_->catalog.collection(ns);
}

Result<std::vector<std::string>> MongoStore::holders(const std::string& ns,
                                                     const std::string& document,
                                                     const std::string& index) {
  return parts_->keys.holders(ns, document, index);
}

Result<bool> MongoStore::holds_keys(const std::string& ns, const std::string& document,
                                    const std::string& index) {
  return parts_->keys.holds_keys(ns, document, index);
}

Result<std::optional<KeyIndex>> MongoStore::key_index(const std::string& ns,
                                                      const std::string& name) {
  return parts_->keys.key_index(ns, name);
}

Result<GuardChange> MongoStore::set_guard(const std::string& ns, const std::string& spec,
                                          KeyGuard guard) {
  return parts_->keys.set_guard(ns, spec, guard);
}

Status MongoStore::fence(std::span<const std::string> lsid_ids,
                         std::span<const std::string> clients, Duration timeout) {
  return mongo::fence(*parts_->client, parts_->threads, lsid_ids, clients, timeout);
}

Result<std::vector<OpenTransaction>> MongoStore::open_transactions() {
  return mongo::open_transactions(*parts_->client);
}

Result<Timestamp> MongoStore::last_oplog_time() { return parts_->oplog.last_time(); }

Result<std::vector<OplogWrite>> MongoStore::oplog_since(Timestamp since,
                                                        std::span<const std::string> lsid_ids) {
  return parts_->oplog.since(since, lsid_ids);
}

}  // namespace outrigger
