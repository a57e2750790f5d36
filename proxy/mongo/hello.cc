#include "proxy/mongo/hello.h"

#include <algorithm>

#include "proxy/mongo/wire/error_reply.h"
#include "replication/record/bytes.h"

namespace outrigger {
namespace {

constexpr std::string_view kLargestElectionId("\x7f\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x01",
                                              12);

// Drivers drop a primary whose (electionId, setVersion) falls behind one they have seen, which a
// restored or replaced backend would do. One listener hides one backend: constants are safe.
constexpr int32_t kSetVersion = 1;

bool is_dropped(std::string_view name) {
  return name == "compression" || name == "$clusterTime" || name == "operationTime";
}

// Said of a set of several members.
bool is_of_several(std::string_view name) {
  return name == "passives" || name == "arbiters" || name == "tags";
}

void write_names(bson::Writer& out, const bson::Element& field, const ShownNames& names) {
  size_t at = 0;
  out.open_array(field.name);
  for (const bson::Element& each : field.value.as_document()) {
    if (each.value.type != bson::Type::kString) continue;
    const std::string* shown = names.of(each.value.as_string());
    if (shown != nullptr) out.string(bson::index_name(at++), *shown);
  }
  out.close();
}

// What a member of a set of several says of members. False: it is not about them.
bool write_member_field(bson::Writer& out, const bson::Element& field, const ShownNames& names) {
  if (field.name == "hosts" || field.name == "passives" || field.name == "arbiters") {
    if (field.value.type == bson::Type::kArray) write_names(out, field, names);
    return true;
  }
  if (field.name != "me" && field.name != "primary") return false;
  const bool is_name = field.value.type == bson::Type::kString;
  const std::string* shown = is_name ? names.of(field.value.as_string()) : nullptr;
  if (shown != nullptr) out.string(field.name, *shown);
  return true;
}

void write_field(bson::Writer& out, const bson::Element& field, bool is_set,
                 const ShownNames& names) {
  if (is_dropped(field.name)) return;
  const std::string& advertise = names.advertise;
  const bool is_several = is_set && !names.members.empty();
  if (is_several && write_member_field(out, field, names)) return;
  if (!is_several && is_of_several(field.name)) return;
  if (field.name == "maxMessageSizeBytes") {
    const auto limit = static_cast<int32_t>(field.value.to_int64().value_or(0));
    out.int32(field.name, std::max(0, limit - kAddedBytesMax));
  } else if (field.name == "maxWireVersion") {
    const auto version = static_cast<int32_t>(field.value.to_int64().value_or(0));
    out.int32(field.name, std::min(version, kWireVersionMax));
  } else if (is_several) {
    out.element(field);
  } else if (is_set && field.name == "hosts") {
    out.open_array("hosts").string("0", advertise).close();
  } else if (is_set && (field.name == "me" || field.name == "primary")) {
    out.string(field.name, advertise);
  } else if (is_set && field.name == "electionId") {
    out.object_id(field.name, kLargestElectionId);
  } else if (is_set && field.name == "setVersion") {
    out.int32(field.name, kSetVersion);
  } else {
    out.element(field);
  }
}

}  // namespace

std::string offering(const bson::Document& hello, const std::vector<std::string_view>& names) {
  bson::Writer out;
  for (const bson::Element& field : hello) {
    if (field.name != "compression") out.element(field);
  }
  out.open_array("compression");
  for (size_t i = 0; i < names.size(); ++i) out.string(bson::index_name(i), names[i]);
  out.close();
  return out.finish();
}

std::string app_of(const bson::Document& hello) {
  auto at = hello.find("client");
  for (const char* const name : {"application", "name"}) {
    if (!at || at->type != bson::Type::kDocument) return {};
    at = at->as_document().find(name);
  }
  if (!at || at->type != bson::Type::kString) return {};
  const std::string_view name = at->as_string();
  return is_app_name(name) ? std::string(name) : std::string();
}

bool waits_for_news(const bson::Document& hello) { return hello.has("maxAwaitTimeMS"); }

std::optional<std::string> behind_news(const bson::Document& hello, const bson::Document& reply) {
  const auto version = reply.find("topologyVersion");
  if (!version || !wire::is_ok(reply)) return std::nullopt;
  bson::Writer out;
  for (const bson::Element& field : hello) {
    out.element(field.name == "topologyVersion" ? bson::Element{field.name, *version} : field);
  }
  return out.finish();
}

std::string mask_hello_request(const bson::Document& command, bool may_wait) {
  bson::Writer out;
  for (const bson::Element& field : command) {
    const bool is_wait = field.name == "topologyVersion" || field.name == "maxAwaitTimeMS";
    if (field.name == "loadBalanced" || (is_wait && !may_wait)) continue;
    if (field.name == "speculativeAuthenticate" && field.value.type == bson::Type::kDocument &&
        is_by_certificate(field.value.as_document())) {
      continue;
    }
    out.element(field);
  }
  return out.finish();
}

bool equal_names(std::string_view one, std::string_view other) {
  const auto small = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [&](char a, char b) { return small(a) == small(b); });
}

const std::string* ShownNames::of(std::string_view member) const {
  const auto is_it = [&](const auto& each) { return equal_names(each.first, member); };
  const auto found = std::find_if(members.begin(), members.end(), is_it);
  return found == members.end() ? nullptr : &found->second;
}

std::string mask_hello_reply(const bson::Document& reply, const ShownNames& names) {
  const bool is_set = reply.has("setName");
  bson::Writer out;
  for (const bson::Element& field : reply) write_field(out, field, is_set, names);
  return out.finish();
}

std::string with_compressors(const bson::Document& reply,
                             const std::vector<std::string_view>& names) {
  bson::Writer out;
  bool is_said = names.empty();
  const auto say = [&] {
    if (std::exchange(is_said, true)) return;
    out.open_array("compression");
    for (size_t i = 0; i < names.size(); ++i) out.string(bson::index_name(i), names[i]);
    out.close();
  };
  for (const bson::Element& field : reply) {
    if (field.name == "compression") continue;
    if (field.name == "ok") say();
    out.element(field);
    if (field.name == "readOnly") say();
  }
  return out.finish();
}

std::string not_primary_yet(const bson::Document& reply) {
  bson::Writer out;
  for (const bson::Element& field : reply) {
    if (field.name == "isWritablePrimary" || field.name == "ismaster") {
      out.boolean(field.name, false);
    } else if (field.name == "secondary") {
      out.boolean(field.name, true);
    } else if (field.name != "electionId" && field.name != "primary") {
      out.element(field);
    }
  }
  return out.finish();
}

bool is_by_certificate(const bson::Document& login) {
  const auto mechanism = login.find("mechanism");
  return mechanism && mechanism->type == bson::Type::kString &&
         mechanism->as_string() == "MONGODB-X509";
}

bool ends_login(std::string_view command, const bson::Document& answer) {
  if (!wire::is_ok(answer)) return false;
  const auto done = answer.find("done");
  return command == "authenticate" || (done && done->truthy());
}

bool logs_in_with_hello(const bson::Document& answer) {
  const auto begun = answer.find("speculativeAuthenticate");
  if (!begun || begun->type != bson::Type::kDocument) return false;
  const auto done = begun->as_document().find("done");
  return done && done->truthy();
}

}  // namespace outrigger
