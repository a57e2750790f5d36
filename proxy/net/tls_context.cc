#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

#include "proxy/net/tls.h"
#include "proxy/net/tls_internal.h"

namespace outrigger::net {

std::string take_openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

void ask_for(ssl_st* ssl, const std::string& name, bool verify) {
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  if (X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) == 1) {
    if (!verify) X509_VERIFY_PARAM_set1_ip(rules, nullptr, 0);
    return;
  }
  ERR_clear_error();
  SSL_set_tlsext_host_name(ssl, name.c_str());
  if (verify) SSL_set1_host(ssl, name.c_str());
}

namespace {

tl::unexpected<Error> refuse(const char* step, const std::string& file, const char* hint) {
  return fail(ErrorCode::kInvalidArgument, step, file, take_openssl_reason(), hint);
}

int give_password(char* buffer, int size, int, void* password) {
  const auto& text = *static_cast<const std::string*>(password);
  const auto count = std::min(text.size(), static_cast<size_t>(size));
  std::memcpy(buffer, text.data(), count);
  return static_cast<int>(count);
}

Status load_files(SSL_CTX* context, const TlsOptions& options) {
  std::string password = options.key_password;  // else OpenSSL would ask on the terminal
  SSL_CTX_set_default_passwd_cb(context, give_password);
  SSL_CTX_set_default_passwd_cb_userdata(context, &password);
  if (!options.certificate_file.empty()) {
    const std::string& certificate = options.certificate_file;
    const std::string& key = options.key_file.empty() ? certificate : options.key_file;
    if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
      return refuse("load TLS certificate", certificate, "a readable PEM file is needed");
    }
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
      return refuse("load TLS key", key, "a readable, unencrypted PEM key is needed");
    }
    if (SSL_CTX_check_private_key(context) != 1) {
      return refuse("load TLS key", key, "the key must belong to the certificate");
    }
  }
  if (!options.ca_file.empty() &&
      SSL_CTX_load_verify_locations(context, options.ca_file.c_str(), nullptr) != 1) {
    return refuse("load TLS ca", options.ca_file, "a readable PEM file of certificates is needed");
  }
  if (options.system_ca && SSL_CTX_set_default_verify_paths(context) != 1) {
    return refuse("load TLS ca", "of the system", "name one in tlsCAFile");
  }
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  SSL_CTX_set_default_passwd_cb(context, nullptr);
  return {};
}

}  // namespace

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsOptions& options) {
  if (options.certificate_file.empty()) {
    return fail(ErrorCode::kInvalidArgument, "configure TLS", "", "a server needs a certificate",
                "set `certificate` and `key`");
  }
  return load(options, true);
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsOptions& options) {
  return load(options, false);
}

Result<std::shared_ptr<TlsContext>> TlsContext::load(const TlsOptions& options, bool is_server) {
  ERR_clear_error();
  SSL_CTX* native = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  if (native == nullptr) {
    return fail(ErrorCode::kIo, "configure TLS", "", "OpenSSL makes no context");
  }
  std::shared_ptr<TlsContext> context(new TlsContext(native, is_server));
  context->verifies_name_ = options.verify_peer && options.verify_name;
  if (options.verify_peer && options.ca_file.empty() && !options.system_ca) {
    return fail(ErrorCode::kInvalidArgument, "configure TLS", "",
                "verifying the other side needs a certificate authority", "set `ca`");
  }
  SSL_CTX_set_min_proto_version(native, options.tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
  // Idle connections keep no record buffers; nothing is ever resumed or renegotiated.
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(native, 0);
  if (Status loaded = load_files(native, options); !loaded) {
    return tl::unexpected<Error>(std::move(loaded.error()));
  }
  const int verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(native, options.verify_peer ? verify : SSL_VERIFY_NONE, nullptr);
  return context;
}

}  // namespace outrigger::net
