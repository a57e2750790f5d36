#include "proxy/mongo/hello.h"

#include <algorithm>

namespace outrigger {
namespace {

constexpr std::string_view kLargestElectionId("\x7f\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x01",
                                              12);

// Drivers drop a primary whose (electionId, setVersion) falls behind one they have seen, which a
// restored or replaced backend would do. One listener hides one backend: constants are safe.
constexpr int32_t kSetVersion = 1;

bool is_dropped(std::string_view name) {
  return name == "topologyVersion" || name == "compression" || name == "passives" ||
         name == "arbiters" || name == "tags" || name == "$clusterTime" || name == "operationTime";
}

void write_field(bson::Writer& out, const bson::Element& field, bool is_set,
                 const std::string& advertise) {
  if (is_dropped(field.name)) return;
  if (field.name == "maxMessageSizeBytes") {
    const auto limit = static_cast<int32_t>(field.value.to_int64().value_or(0));
    out.int32(field.name, std::max(0, limit - kAddedBytesMax));
  } else if (field.name == "maxWireVersion") {
    const auto version = static_cast<int32_t>(field.value.to_int64().value_or(0));
    out.int32(field.name, std::min(version, kWireVersionMax));
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

std::string mask_hello_request(const bson::Document& command) {
  bson::Writer out;
  for (const bson::Element& field : command) {
    if (field.name == "compression" || field.name == "topologyVersion" ||
        field.name == "maxAwaitTimeMS" || field.name == "loadBalanced") {
      continue;
    }
    if (field.name == "speculativeAuthenticate" && field.value.type == bson::Type::kDocument &&
        is_by_certificate(field.value.as_document())) {
      continue;
    }
    out.element(field);
  }
  return out.finish();
}

std::string mask_hello_reply(const bson::Document& reply, const std::string& advertise) {
  const bool is_set = reply.has("setName");
  bson::Writer out;
  for (const bson::Element& field : reply) write_field(out, field, is_set, advertise);
  return out.finish();
}

bool is_by_certificate(const bson::Document& login) {
  const auto mechanism = login.find("mechanism");
  return mechanism && mechanism->type == bson::Type::kString &&
         mechanism->as_string() == "MONGODB-X509";
}

bool ends_login(std::string_view command, const bson::Document& answer) {
  const auto ok = answer.find("ok");
  if (!ok || !ok->truthy()) return false;
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
