#include "replication/store/mongo/connection/store_address.h"

#include <mongoc/mongoc.h>

#include <cstring>
#include <memory>

namespace outrigger {

namespace {

// libmongoc cuts off what does not fit, and then waits for a socket of another name.
constexpr size_t kUnixPathBytesMax = 106;

std::optional<StoreTls> tls_of(const mongoc_uri_t* uri) {
  if (!mongoc_uri_get_tls(uri)) return std::nullopt;
  const auto text = [uri](const char* option) {
    const char* value = mongoc_uri_get_option_as_utf8(uri, option, "");
    return std::string(value != nullptr ? value : "");
  };
  const bool insecure = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSINSECURE, false);
  StoreTls tls;
  tls.ca_file = text(MONGOC_URI_TLSCAFILE);
  tls.certificate_key_file = text(MONGOC_URI_TLSCERTIFICATEKEYFILE);
  tls.key_password = text(MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD);
  tls.verify_certificate = !insecure && !mongoc_uri_get_option_as_bool(
                                            uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, false);
  tls.verify_host = tls.verify_certificate &&
                    !mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, false);
  return tls;
}

std::optional<StoreLogin> login_of(const mongoc_uri_t* uri) {
  const auto text = [](const char* value) { return std::string(value != nullptr ? value : ""); };
  StoreLogin login;
  login.user = text(mongoc_uri_get_username(uri));
  login.password = text(mongoc_uri_get_password(uri));
  login.source = text(mongoc_uri_get_auth_source(uri));
  login.mechanism = text(mongoc_uri_get_auth_mechanism(uri));
  if (login.user.empty() && login.mechanism.empty()) return std::nullopt;
  return login;
}

}  // namespace

Result<StoreAddress> store_address(const std::string& uri, bool may_be_several) {
  // Its words are not passed on: they may quote the password. Without a place for them it prints.
  bson_error_t unsaid;
  const std::unique_ptr<mongoc_uri_t, decltype(&mongoc_uri_destroy)> parsed(
      mongoc_uri_new_with_error(uri.c_str(), &unsaid), mongoc_uri_destroy);
  if (!parsed) {
    return fail(ErrorCode::kInvalidArgument, "read", "store.uri", "it is not a MongoDB URI",
                "for instance mongodb://user:password@127.0.0.1:27017/; in user and password write "
                "% as %25, : as %3A, / as %2F and @ as %40");
  }
  const mongoc_host_list_t* host = mongoc_uri_get_hosts(parsed.get());
  if (host == nullptr || (host->next != nullptr && !may_be_several)) {
    return fail(ErrorCode::kUnsupported, "read", "store.uri",
                "it must name exactly one host and port, or one Unix socket",
                "name the mongod on this machine, or list the members of its set in proxy.members");
  }
  StoreAddress found;
  found.tls = tls_of(parsed.get());
  found.login = login_of(parsed.get());
  found.host = host->host;
  if (host->family != AF_UNIX) {
    found.address = host->host_and_port;
    return found;
  }
  if (std::strlen(host->host) > kUnixPathBytesMax) {
    return fail(ErrorCode::kInvalidArgument, "read", "store.uri",
                "the path of the Unix socket is longer than the system allows",
                "start mongod with a shorter --unixSocketPrefix");
  }
  if (found.tls) {
    return fail(ErrorCode::kInvalidArgument, "read", "store.uri",
                "tls over a Unix socket: mongod speaks none there", "leave one of the two out");
  }
  found.address = "unix:" + std::string(host->host);
  return found;
}

}  // namespace outrigger
