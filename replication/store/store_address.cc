#include "replication/store/store_address.h"

#include <mongoc/mongoc.h>

#include <memory>

namespace outrigger {

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
  if (host->family == AF_UNIX) return "unix:" + std::string(host->host);
  return std::string(host->host_and_port);
}

}  // namespace outrigger
