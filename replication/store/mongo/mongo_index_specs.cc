#include "replication/store/mongo/mongo_index_specs.h"

#include <map>
#include <string_view>

#include "replication/store/mongo/connection/mongo_client.h"

namespace outrigger::mongo {
namespace {

using bson::Document;

}  // namespace

std::string fixed_part(const bson::OwnedValue& index) {
  bson::Writer out;
  const Document parts = index.view().as_document();
  if (const auto keys = parts.find("0")) out.value("keys", *keys);
  const Document rest = sub(parts, "1");
  std::map<std::string_view, bson::Value> sorted;
  for (const bson::Element& each : rest) sorted.emplace(each.name, each.value);
  for (const auto& [name, value] : sorted) {
    if (name == "hidden") continue;
    if (name == "expireAfterSeconds") out.boolean(name, true);
    if (name != "expireAfterSeconds") out.value(name, value);
  }
  return out.finish();
}

std::string create_index_command(const std::string& collection, const std::string& spec) {
  bson::Writer out;
  out.string("createIndexes", collection).open_array("indexes").document("0", Document(spec));
  return out.close().finish();
}

}  // namespace outrigger::mongo
