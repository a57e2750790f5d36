#include "proxy/app/own_pages.h"

#include <fmt/format.h>

#include <utility>

#include "config/limits.h"

namespace outrigger {
namespace {

constexpr const char* kCollections[] = {"conflicts", "peers", "status"};
// A value that would not fit into the command that asks mongod is left out, and said to be.
constexpr size_t kDocumentBytesMax = 6 * 1024 * 1024;

OwnPage list() {
  OwnPage page;
  for (const char* name : kCollections) {
    bson::Writer out;
    out.string("name", name).string("type", "collection");
    out.open_document("options").close().open_document("info").boolean("readOnly", true).close();
    page.documents.push_back(out.finish());
  }
  return page;
}

std::string document_of(LedgerEntry entry, const SiteNames& sites) {
  const std::string name = ledger_name(ledger_key(entry));
  std::string document = conflict_document(entry, name, sites);
  if (document.size() <= kDocumentBytesMax) return document;
  const auto left_out = [](size_t bytes) {
    return bson::make_string(fmt::format("({} bytes: /conflicts has them)", bytes));
  };
  if (entry.winning) entry.winning = left_out(entry.winning->bytes.size());
  entry.value = left_out(entry.value.bytes.size());
  entry.shape = Shape::kValue;
  return conflict_document(entry, name, sites);
}

Result<OwnPage> conflicts(const Replica& replica, const LedgerPlace& from) {
  Result<LedgerPage> entries = replica.conflicts(limits::kConflictsShownMax, from);
  if (!entries) return tl::unexpected(entries.error());
  OwnPage page;
  page.next = entries->next;
  const SiteNames sites = replica.site_names();
  for (LedgerEntry& entry : entries->entries) {
    page.documents.push_back(document_of(std::move(entry), sites));
  }
  return page;
}

}  // namespace

Result<OwnPage> own_page(const std::string& collection, const LedgerPlace& from,
                         const Replica& replica, const std::function<StatusParts()>& status) {
  if (collection.empty()) return list();
  if (collection == "conflicts") return conflicts(replica, from);
  if (collection == "status") return OwnPage{{status_document(status())}, std::nullopt};
  if (collection == "peers") return OwnPage{peer_documents(status()), std::nullopt};
  return fail(ErrorCode::kNotFound, "read", "outrigger." + collection, "no such collection");
}

}  // namespace outrigger
