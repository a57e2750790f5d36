#include "replication/store/store_address.h"

#include <mongoc/mongoc.h>

#include <cstring>
#include <memory>

namespace outrigger {

namespace {

// libmongoc cuts off what does not fit, and then waits for a socket of another name.
constexpr size_t kUnixPathBytesMax = 106;

}  // namespace

Result<std::string> store_address(const std::string& uri) {
  bson_error_t error;
  const std::unique_ptr<mongoc_uri_t, decltype(&mongoc_uri_destroy)> parsed(
      mongoc_uri_new_with_error(uri.c_str(), &error), mongoc_uri_destroy);
  if (!parsed) {
    return fail(ErrorCode::kInvalidArgument, "read", "store.uri", error.message,
                "for instance mongodb://user:password@127.0.0.1:27017/");
  }
  const mongoc_host_list_t* host = mongoc_uri_get_hosts(parsed.get());
  if (host == nullptr || host->next != nullptr) {
    return fail(ErrorCode::kUnsupported, "read", "store.uri",
                "it must name exactly one host and port, or one Unix socket",
                "name the mongod on this machine");
  }
  if (host->family == AF_UNIX) {
    if (std::strlen(host->host) > kUnixPathBytesMax) {
      return fail(ErrorCode::kInvalidArgument, "read", "store.uri",
                  "the path of the Unix socket is longer than the system allows",
                  "start mongod with a shorter --unixSocketPrefix");
    }
    return "unix:" + std::string(host->host);
  }
  return std::string(host->host_and_port);
}

}  // namespace outrigger
