#include "proxy/app/app_tls.h"

namespace outrigger {

Result<std::shared_ptr<net::TlsContext>> load_app_tls(const ProxySettings& settings) {
  if (!settings.tls) return std::shared_ptr<net::TlsContext>();
  net::TlsOptions options;
  options.certificate_file = settings.tls->certificate;
  options.key_file = settings.tls->key;
  options.ca_file = settings.tls->ca;
  options.verify_peer = !settings.tls->ca.empty();
  options.tls13_only = false;  // as MongoDB: drivers are as old as apps are
  return net::TlsContext::server(options);
}

}  // namespace outrigger
