#include "proxy/app/own_door.h"

#include <utility>

#include "replication/bson/bson.h"
#include "replication/store/mongo/connection/mongo_client.h"

namespace outrigger {
namespace {

constexpr const char* kStep = "write as the sidecar's own user";
constexpr const char* kFromADriver =
    "send it from a driver or mongosh: db.getSiblingDB(\"outrigger\").runCommand({choose: NAME})";
// outriggerctl waits for ten.
constexpr const char* kLimits =
    "&connectTimeoutMS=3000&serverSelectionTimeoutMS=3000&socketTimeoutMS=8000";

struct UriFree {
  void operator()(mongoc_uri_t* uri) const { mongoc_uri_destroy(uri); }
};

std::string escaped(const char* text) {
  constexpr const char* kHex = "0123456789ABCDEF";
  std::string out;
  for (const char* at = text; *at != '\0'; ++at) {
    const auto byte = static_cast<unsigned char>(*at);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string listens_at(const Endpoint& endpoint) {
  if (!endpoint.is_wildcard()) return endpoint.text();
  Endpoint here = endpoint;
  here.host = endpoint.host == "::" ? "::1" : "127.0.0.1";
  return here.text();
}

}  // namespace

Result<std::string> own_door_uri(const Settings& settings, const Endpoint& door) {
  if (settings.proxy.tls && !settings.proxy.tls->ca.empty()) {
    return fail(ErrorCode::kUnsupported, kStep, "proxy.tls",
                "with a `ca` there every client shows a certificate, and the sidecar has none",
                kFromADriver);
  }
  const std::unique_ptr<mongoc_uri_t, UriFree> store(mongoc_uri_new(settings.store.uri.c_str()));
  if (!store) return fail(ErrorCode::kInvalidArgument, kStep, "store.uri", "not a MongoDB URI");
  const char* const mechanism = mongoc_uri_get_auth_mechanism(store.get());
  if (mechanism != nullptr && std::string_view(mechanism) == "MONGODB-X509") {
    return fail(ErrorCode::kUnsupported, kStep, "store.uri",
                "its user logs in with a certificate, which no app can", kFromADriver);
  }
  std::string uri = "mongodb://";
  if (const char* const user = mongoc_uri_get_username(store.get())) {
    uri += escaped(user);
    const char* const password = mongoc_uri_get_password(store.get());
    if (password != nullptr) uri += ":" + escaped(password);
    uri += "@";
  }
  uri += listens_at(door) + "/?directConnection=true";
  uri += kLimits;
  const char* const source = mongoc_uri_get_auth_source(store.get());
  const bool has_user = mongoc_uri_get_username(store.get()) != nullptr;
  if (has_user && source != nullptr) uri += "&authSource=" + escaped(source);
  if (has_user && mechanism != nullptr) uri += std::string("&authMechanism=") + mechanism;
  // Its own certificate, at its own address, which need not be a name in it.
  if (settings.proxy.tls) uri += "&tls=true&tlsAllowInvalidCertificates=true";
  return uri;
}

namespace {

constexpr int32_t kNotWritablePrimary = 10107;

// Nothing: that member is not primary.
Result<std::optional<std::string>> ask_at(const Settings& settings, const Endpoint& door,
                                          const std::string& verb, const std::string& name) {
  const auto uri = own_door_uri(settings, door);
  if (!uri) return tl::unexpected(uri.error());
  auto client = mongo::Client::open(*uri);
  if (!client) return tl::unexpected(client.error());
  if (Status connected = (*client)->connect(); !connected) {
    return tl::unexpected(connected.error());
  }
  const auto reply = (*client)->run("outrigger", bson::Writer().string(verb, name).finish());
  if (!reply) return tl::unexpected(reply.error());
  if (!reply->ok && reply->code == kNotWritablePrimary) return std::optional<std::string>();
  if (!reply->ok) {
    return fail(ErrorCode::kRefused, verb, name,
                reply->message + " (code " + std::to_string(reply->code) + ")");
  }
  bson::Writer said;
  for (const bson::Element& each : reply->document()) {
    const bool is_mongods = each.name == "ok" || each.name == "operationTime" ||
                            (!each.name.empty() && each.name.front() == '$');
    if (!is_mongods) said.element(each);
  }
  const std::string body = said.finish();
  return std::optional(bson::to_json(bson::Document(body), SIZE_MAX));
}

}  // namespace

Result<std::string> ask_own_door(const Settings& settings, const std::string& verb,
                                 const std::string& name) {
  Status why = fail(ErrorCode::kUnavailable, verb, name, "no member of the store's set is primary");
  for (const Endpoint& door : settings.proxy.doors()) {
    auto said = ask_at(settings, door, verb, name);
    if (said && *said) return std::move(**said);
    if (said) continue;
    if (said.error().code != ErrorCode::kUnavailable) return tl::unexpected(said.error());
    why = tl::unexpected(said.error());
  }
  return tl::unexpected(why.error());
}

}  // namespace outrigger
