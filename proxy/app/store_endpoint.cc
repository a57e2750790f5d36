#include "proxy/app/store_endpoint.h"

#include <utility>

#include "config/store_uri.h"

namespace outrigger {

namespace {

Result<StoreAddress> address_in(const Settings& settings) {
  return store_address(settings.store.uri, !settings.proxy.members.empty());
}

}  // namespace

Result<StoreEndpoint> store_endpoint(const Settings& settings, net::Network& network) {
  const Result<StoreAddress> found = address_in(settings);
  if (!found) return tl::unexpected(found.error());
  StoreEndpoint endpoint{&network, found->address, found->host, nullptr, {}};
  const StoreUriOptions options_of_uri(settings.store.uri);
  endpoint.compressors = wire::compressors_named(options_of_uri.compressors());
  if (!found->tls) return endpoint;
  net::TlsOptions options;
  options.certificate_file = found->tls->certificate_key_file;
  options.key_password = found->tls->key_password;
  options.ca_file = found->tls->ca_file;
  options.system_ca = found->tls->ca_file.empty();
  options.verify_peer = found->tls->verify_certificate;
  options.verify_name = found->tls->verify_host;
  options.tls13_only = false;
  auto context = net::TlsContext::client(options);
  if (!context) return tl::unexpected(context.error());
  endpoint.tls = std::move(*context);
  return endpoint;
}

Result<std::optional<StoreLogin>> store_login(const Settings& settings) {
  const Result<StoreAddress> found = address_in(settings);
  if (!found) return tl::unexpected(found.error());
  return found->login;
}

}  // namespace outrigger
