#include "proxy/writes/catalog_command.h"

#include <algorithm>

#include "proxy/capture/statement.h"
#include "proxy/mongo/wire/error_reply.h"
#include "replication/store/session_token.h"

namespace outrigger {
namespace {

void add_name(const bson::Value& spec, std::set<std::string, std::less<>>& names) {
  if (spec.type != bson::Type::kDocument) return;
  const auto name = spec.as_document().find("name");
  if (name && name->type == bson::Type::kString) names.emplace(name->as_string());
}

}  // namespace

std::string catalog_session(const wire::OpMsg& parsed, const Uuid& ours) {
  SessionKey key;
  key.lsid = ours;
  const std::string apps = read_session(parsed.body).lsid_id;
  if (apps.size() == key.lsid.size()) std::copy(apps.begin(), apps.end(), key.lsid.begin());
  return session_token(key);
}

std::optional<std::string> under_our_session(const wire::OpMsg& parsed, const Backend& backend) {
  if (parsed.body.has("lsid") || !parsed.sequences.empty()) return std::nullopt;
  constexpr uint8_t kUuid = 4;
  bson::Writer out;
  out.append_all(parsed.body).open_document("lsid").binary("id", kUuid, backend.lsid_text());
  const std::string body = out.close().finish();
  return wire::build_op_msg(parsed.header.request_id, 0, parsed.flags & wire::kMoreToCome,
                            bson::Document(body));
}

bool is_done(const std::string& message) {
  const auto parsed = wire::parse_op_msg_trusted(message);
  return parsed && wire::is_ok(parsed->body);
}

bool drops_all_indexes(const wire::OpMsg& parsed) {
  const std::string_view name = parsed.command_name();
  const auto which = parsed.body.find("index");
  const bool is_all = which && which->type == bson::Type::kString && which->as_string() == "*";
  return name == "drop" || ((name == "dropIndexes" || name == "deleteIndexes") && is_all);
}

bool made_collection(const std::string& message) {
  const auto parsed = wire::parse_op_msg_trusted(message);
  if (!parsed) return false;
  const auto made = parsed->body.find("createdCollectionAutomatically");
  return made && made->truthy();
}

std::set<std::string, std::less<>> indexes_asked_for(const wire::OpMsg& parsed) {
  std::set<std::string, std::less<>> names;
  const auto indexes = parsed.body.find("indexes");
  if (indexes && indexes->type == bson::Type::kArray) {
    for (const bson::Element& each : indexes->as_document()) add_name(each.value, names);
  }
  if (const wire::Sequence* sequence = parsed.sequence("indexes")) {
    for (const bson::Document& each : sequence->documents) {
      add_name({bson::Type::kDocument, each.bytes()}, names);
    }
  }
  return names;
}

}  // namespace outrigger
