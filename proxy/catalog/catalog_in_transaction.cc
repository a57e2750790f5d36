#include "proxy/catalog/catalog_in_transaction.h"

#include <utility>

#include "proxy/capture/write_request.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/catalog_write.h"
#include "replication/record/catalog.h"

namespace outrigger {
namespace {

using bson::Document;

// Of each the document of the catalogue; nothing: it is no collection that replicates.
using Shown = std::vector<std::optional<std::string>>;

net::Task<Result<Shown>> look(ProxyContext& context, std::vector<bson::OwnedValue> names) {
  std::function<Result<Shown>(Store&)> job = [names](Store& store) {
    return store.read(std::string(kCatalogNs), names);
  };
  Result<Shown> shown = co_await context.store.ask(std::move(job));
  co_return shown;
}

bool has_collation(const wire::OpMsg& parsed) {
  const auto collation = parsed.body.find("collation");
  return collation && collation->type == bson::Type::kDocument;
}

}  // namespace

bool is_made_in_transactions(const wire::OpMsg& parsed) {
  return parsed.command_name() == "create" || parsed.command_name() == "createIndexes";
}

net::Task<std::optional<std::string>> begin_in_transaction(ProxyContext& context,
                                                           Transaction& transaction,
                                                           const wire::OpMsg& parsed,
                                                           std::string ns) {
  const bson::OwnedValue name = bson::make_string(ns);
  std::vector<LockKey> keys = {{namespace_lock_key(kCatalogNs), LockMode::kShared},
                               {document_lock_key(kCatalogNs, name.view()), LockMode::kExclusive},
                               {namespace_lock_key(ns), LockMode::kShared}};
  const bool locked = co_await lock_for(context, transaction, std::move(keys));
  if (!locked) co_return conflict_body();
  if (has_collation(parsed)) transaction.collated.insert(ns);
  if (transaction.catalog().contains(ns)) co_return std::nullopt;
  std::vector<bson::OwnedValue> names = {name};
  Result<Shown> shown = co_await look(context, std::move(names));
  if (!shown) {
    co_return wire::error_body(wire::code::kIngressRequestRateLimitExceeded,
                               shown.error().message(), {"TransientTransactionError"});
  }
  if (shown->front() && !transaction.note_catalog(ns, std::move(*shown->front()))) {
    co_return wire::error_body(wire::code::kTransactionTooLarge,
                               "the transaction holds more than the sidecar keeps of one");
  }
  co_return std::nullopt;
}

std::vector<PreparedDocument> prepared_catalog(const Transaction& transaction) {
  std::vector<PreparedDocument> documents;
  for (const auto& [ns, before] : transaction.catalog()) {
    documents.push_back(prepared_entry(ns, before));
  }
  return documents;
}

net::Task<Result<std::vector<DocumentChange>>> catalog_committed(ProxyContext& context,
                                                                 const Transaction& transaction) {
  std::vector<DocumentChange> changes;
  if (transaction.catalog().empty()) co_return changes;
  std::vector<bson::OwnedValue> names;
  for (const auto& [ns, before] : transaction.catalog()) {
    context.facts.forget(ns);
    names.push_back(bson::make_string(ns));
  }
  Result<Shown> shown = co_await look(context, std::move(names));
  if (!shown) co_return tl::unexpected(shown.error());
  size_t at = 0;
  for (const auto& [ns, before] : transaction.catalog()) {
    const std::optional<std::string>& now = (*shown)[at++];
    if (!now) continue;
    auto was = catalog_entry(Document(before));
    if (!was) co_return tl::unexpected(was.error());
    const auto is = catalog_entry(Document(*now));
    if (!is) co_return tl::unexpected(is.error());
    std::vector<PathChange> made = told_changes(context.replica, std::move(*was), *is);
    if (!made.empty()) changes.push_back(catalog_change(ns, std::move(made)));
  }
  co_return changes;
}

}  // namespace outrigger
