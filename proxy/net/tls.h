// TLS over any Stream, by OpenSSL on memory buffers, so that it works over memory streams too.
//
// A connection is TLS from its first byte or not at all: there is no upgrade of a stream that has
// carried plaintext, and bytes already read from it when TLS starts are refused. A stream that
// ends without close_notify was cut, which is an error and not an orderly end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/result.h"
#include "proxy/net/stream.h"
#include "proxy/net/task.h"

struct ssl_ctx_st;

namespace outrigger::net {

struct TlsOptions {
  std::string certificate_file;  // PEM, leaf first, then its chain; a client may have none
  std::string key_file;          // PEM; empty: in the certificate file
  std::string key_password;      // of an encrypted key
  std::string ca_file;           // PEM, what the other side's certificate must lead to
  bool verify_peer = true;       // the other side must show a certificate that ca_file accepts
  bool verify_name = true;       // ... that is for the name or address a client asks for
  bool system_ca = false;        // what the system trusts, in place of ca_file
  bool tls13_only = true;        // else TLS 1.2 too
};

// Certificates and rules, loaded once and shared by connections. To rotate certificates, load a
// new context: connections that exist keep the old one. Loaded anywhere, then used by one loop.
class TlsContext {
 public:
  // Errors name the file and say what OpenSSL found wrong with it.
  [[nodiscard]] static Result<std::shared_ptr<TlsContext>> server(const TlsOptions& options);
  [[nodiscard]] static Result<std::shared_ptr<TlsContext>> client(const TlsOptions& options);
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

  [[nodiscard]] ssl_ctx_st* native() const { return context_; }
  [[nodiscard]] bool is_server() const { return is_server_; }
  [[nodiscard]] bool verifies_name() const { return verifies_name_; }

 private:
  TlsContext(ssl_ctx_st* context, bool is_server) : context_(context), is_server_(is_server) {}
  [[nodiscard]] static Result<std::shared_ptr<TlsContext>> load(const TlsOptions& options,
                                                                bool is_server);
  ssl_ctx_st* context_;
  bool is_server_;
  bool verifies_name_ = true;
};

// shutdown() sends close_notify and half-closes the stream below; close() sends it if it can be
// sent without waiting.
class TlsStream final : public Stream {
 public:
  // Shakes hands over `inner`, as server or client by the context. A client asks for, and where
  // the context verifies names checks the certificate for, `server_name` when that is not empty (a
  // host name or address, or the site's name between sites). On failure `inner` is closed and the
  // error says why.
  static Task<Result<std::unique_ptr<TlsStream>>> handshake(std::unique_ptr<Stream> inner,
                                                            std::shared_ptr<TlsContext> context,
                                                            std::string server_name,
                                                            int64_t timeout_ms);
  ~TlsStream() override;

  // The DNS names in the certificate of the other side; empty when it showed none.
  [[nodiscard]] std::vector<std::string> peer_sans() const;
  [[nodiscard]] std::string protocol() const;  // "TLSv1.3"

  void close() override;
  [[nodiscard]] bool is_open() const override;
  [[nodiscard]] const std::string& peer_address() const override;
  [[nodiscard]] bool is_loopback() const override;
  [[nodiscard]] std::string local_address() const override;
  void on_end(std::function<void()> hook) override;  // tells when the stream below ends

 protected:
  bool start_read(ReadAwaiter& reader) override;
  bool start_write(WriteAwaiter& writer) override;
  bool start_shutdown(ShutdownAwaiter& waiter) override;
  [[nodiscard]] size_t stored_bytes() const override;

 private:
  struct Core;
  TlsStream(Loop& loop, std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;  // shared with the coroutines that pump it
};

}  // namespace outrigger::net
