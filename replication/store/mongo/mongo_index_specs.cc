#include "replication/store/mongo/mongo_index_specs.h"

#include <set>
#include <string_view>

#include "replication/store/mongo/connection/mongo_client.h"

namespace outrigger::mongo {
namespace {

using bson::Document;

// What makes two indexes the same to mongod, whatever they are called (5.0 and later).
std::string signature_of(const bson::OwnedValue& index) {
  std::string out;
  const Document parts = index.view().as_document();
  if (const auto keys = parts.find("0")) out = bson::canonical_key(*keys);
  const Document rest = sub(parts, "1");
  for (const char* flag : {"unique", "sparse"}) out += truthy(rest, flag) ? '1' : '0';
  for (const char* part : {"collation", "partialFilterExpression"}) {
    const auto value = rest.find(part);
    out += value ? bson::canonical_key(*value) : std::string("-");
  }
  return out;
}

}  // namespace

void leave_out_twins(std::map<std::string, bson::OwnedValue, std::less<>>& indexes) {
  std::set<std::string> signatures;
  std::erase_if(indexes, [&](const auto& each) {
    return !signatures.insert(signature_of(each.second)).second;
  });
}

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

}  // namespace outrigger::mongo
