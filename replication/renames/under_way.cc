#include "replication/renames/under_way.h"

#include "replication/bson/bson.h"
#include "replication/outbox/batch.h"
#include "replication/renames/rename.h"

namespace outrigger {

std::set<std::string> row_keys_of(const Prepare& prepare) {
  std::set<std::string> row_keys;
  for (const PreparedDocument& document : prepare.documents) {
    row_keys.insert(outbox::row_key(document.ns, bson::canonical_key(document.id.view())));
  }
  return row_keys;
}

Status UnderWay::add(const Prepare& prepare) {
  documents_.merge(row_keys_of(prepare));
  if (!is_rename(prepare)) return {};
  const auto rename = rename_of(prepare);
  if (!rename) return tl::unexpected(rename.error());
  namespaces_.insert({rename->from, rename->to});
  return {};
}

bool UnderWay::is_renamed(const std::string& row_key) const {
  return namespaces_.contains(row_key.substr(0, row_key.find('\0')));
}

}  // namespace outrigger
