#include "proxy/net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <deque>
#include <optional>

#include "proxy/net/tls_internal.h"

namespace outrigger::net {

namespace {

constexpr size_t kEncryptBytesMax = 64 * 1024;  // plaintext encrypted before it is sent

// Something waiting to be sent: a write, or the closing of our half.
struct Outgoing {
  WriteAwaiter* writer = nullptr;
  ShutdownAwaiter* shutdown = nullptr;
  size_t piece = 0;   // of writer->pieces()
  size_t offset = 0;  // into that piece
  bool is_encrypted = false;
};

}  // namespace

// All state, shared with the two coroutines that move bytes: `fill` runs while a reader waits for
// the network, `pump` while there is something to send. A TlsStream may die under them.
struct TlsStream::Core {
  Core(std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> rules);
  ~Core() { SSL_free(ssl); }

  [[nodiscard]] Error error(const char* step, ErrorCode code, std::string reason) const {
    return Error{code, step, inner->peer_address(), std::move(reason), {}};
  }
  [[nodiscard]] Error ssl_error(const char* step) const;
  [[nodiscard]] bool has_output() const { return BIO_ctrl_pending(output) > 0; }
  [[nodiscard]] std::string take_output();
  void give_input(std::string_view bytes) {
    BIO_write(input, bytes.data(), static_cast<int>(bytes.size()));
  }
  [[nodiscard]] std::optional<Result<std::string_view>> decrypt();
  [[nodiscard]] Status encrypt(Outgoing& front);
  void end_read(Result<std::string_view> result);
  void end_front(Status status);
  void fail_outgoing(const Error& reason);
  bool enqueue(const std::shared_ptr<Core>& self, Outgoing item);
  void kick_pump(const std::shared_ptr<Core>& self) {
    if (!is_pumping) pump(self);
  }
  void close(const std::shared_ptr<Core>& self);

  static Task<Status> shake_hands(Core& core);
  static detail::Detached fill(std::shared_ptr<Core> core);
  static detail::Detached pump(std::shared_ptr<Core> core);
  static detail::Detached send_last_words(std::shared_ptr<Core> core);

  std::unique_ptr<Stream> inner;
  Loop& loop;
  std::shared_ptr<TlsContext> context;
  SSL* ssl;
  BIO* input;   // from the network; owned by ssl
  BIO* output;  // to the network; owned by ssl
  ReadAwaiter* reader = nullptr;
  std::deque<Outgoing> outgoing;
  // The awaiter being started right now: it has not suspended, so it must not be resumed.
  const void* starting = nullptr;
  std::optional<Error> failure;  // TLS is beyond use
  bool has_shaken = false;
  bool is_pumping = false;
  bool is_closed = false;
  bool is_timed_out = false;
};

TlsStream::Core::Core(std::unique_ptr<Stream> below, std::shared_ptr<TlsContext> rules)
    : inner(std::move(below)),
      loop(inner->loop()),
      context(std::move(rules)),
      ssl(SSL_new(context->native())),
      input(BIO_new(BIO_s_mem())),
      output(BIO_new(BIO_s_mem())) {
  OUTRIGGER_ASSERT(ssl != nullptr && input != nullptr && output != nullptr);
  SSL_set_bio(ssl, input, output);
  context->is_server() ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
}

Error TlsStream::Core::ssl_error(const char* step) const {
  std::string reason = take_openssl_reason();
  const long verified = SSL_get_verify_result(ssl);
  if (verified != X509_V_OK) {
    reason += std::string(": ") + X509_verify_cert_error_string(verified);
  }
  return error(step, ErrorCode::kRefused, std::move(reason));
}

std::string TlsStream::Core::take_output() {
  std::string bytes(BIO_ctrl_pending(output), '\0');
  BIO_read(output, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

// Plaintext in the loop's read buffer, the end, an error, or nothing yet.
std::optional<Result<std::string_view>> TlsStream::Core::decrypt() {
  if (failure) return tl::unexpected<Error>(*failure);
  char* buffer = loop.read_buffer();
  size_t size = 0;
  int count = 1;
  while (count > 0 && size < Loop::kReadBufferBytes) {
    ERR_clear_error();
    count = SSL_read(ssl, buffer + size, static_cast<int>(Loop::kReadBufferBytes - size));
    if (count > 0) size += static_cast<size_t>(count);
  }
  if (count <= 0) {
    const int why = SSL_get_error(ssl, count);
    if (why == SSL_ERROR_SSL || why == SSL_ERROR_SYSCALL) failure = ssl_error("TLS read");
  }
  if (size > 0) return std::string_view(buffer, size);
  if (failure) return tl::unexpected<Error>(*failure);
  if (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) return std::string_view();
  return std::nullopt;
}

// Encrypts the next part of `front` into `output`.
Status TlsStream::Core::encrypt(Outgoing& front) {
  ERR_clear_error();
  if (front.shutdown != nullptr) {
    SSL_shutdown(ssl);
    front.is_encrypted = true;
    return {};
  }
  const auto pieces = front.writer->pieces();
  size_t budget = kEncryptBytesMax;
  while (front.piece < pieces.size() && budget > 0) {
    const auto part = pieces[front.piece].substr(front.offset, budget);
    if (!part.empty()) {
      const int count = SSL_write(ssl, part.data(), static_cast<int>(part.size()));
      if (count <= 0) return tl::unexpected<Error>(ssl_error("TLS write"));
    }
    budget -= part.size();
    front.offset += part.size();
    if (front.offset < pieces[front.piece].size()) break;
    ++front.piece;
    front.offset = 0;
  }
  front.is_encrypted = front.piece == pieces.size();
  return {};
}

void TlsStream::Core::end_read(Result<std::string_view> result) {
  ReadAwaiter* ended = std::exchange(reader, nullptr);
  ended->set(std::move(result));
  if (ended == starting) return;
  ended->resume_now();
}

void TlsStream::Core::end_front(Status status) {
  const Outgoing item = outgoing.front();
  outgoing.pop_front();
  if (item.writer != nullptr) {
    item.writer->set(std::move(status));
    if (item.writer == starting) {
      starting = nullptr;
    } else {
      item.writer->resume_soon(loop);
    }
  } else {
    item.shutdown->set(std::move(status));
    if (item.shutdown == starting) {
      starting = nullptr;
    } else {
      item.shutdown->resume_soon(loop);
    }
  }
}

void TlsStream::Core::fail_outgoing(const Error& reason) {
  while (!outgoing.empty()) end_front(tl::unexpected<Error>(reason));
}

// True when the item was done at once.
bool TlsStream::Core::enqueue(const std::shared_ptr<Core>& self, Outgoing item) {
  const void* awaiter = item.writer != nullptr ? static_cast<const void*>(item.writer)
                                               : static_cast<const void*>(item.shutdown);
  outgoing.push_back(item);
  if (is_pumping) return false;
  starting = awaiter;
  pump(self);
  return std::exchange(starting, nullptr) == nullptr;
}

void TlsStream::Core::close(const std::shared_ptr<Core>& self) {
  if (is_closed) return;
  is_closed = true;
  const Error closed = error("use", ErrorCode::kClosed, "the connection was closed on this side");
  if (reader != nullptr) {
    ReadAwaiter* waiting = std::exchange(reader, nullptr);
    waiting->set(tl::unexpected<Error>(closed));
    waiting->resume_soon(loop);
  }
  const bool is_idle = outgoing.empty() && !is_pumping;
  fail_outgoing(closed);
  if (has_shaken && is_idle && !failure && inner->is_open()) {
    SSL_shutdown(ssl);
    ERR_clear_error();
    send_last_words(self);
  }
  inner->close();
}

// Sent if that takes no waiting: close() cancels what does.
detail::Detached TlsStream::Core::send_last_words(std::shared_ptr<Core> core) {
  const std::string bytes = core->take_output();
  (void)co_await core->inner->write(bytes);
}

Task<Status> TlsStream::Core::shake_hands(Core& core) {
  for (;;) {
    ERR_clear_error();
    const int done = SSL_do_handshake(core.ssl);
    std::optional<Error> refused;
    if (done != 1 && SSL_get_error(core.ssl, done) != SSL_ERROR_WANT_READ) {
      refused = core.ssl_error("TLS handshake");
    }
    if (core.has_output()) {  // an alert too
      const std::string bytes = core.take_output();
      Status sent = co_await core.inner->write(bytes);
      if (!sent && !refused) co_return sent;
    }
    if (refused) co_return tl::unexpected<Error>(std::move(*refused));
    if (done == 1) co_return Status();
    auto bytes = co_await core.inner->read_some();
    if (!bytes) co_return tl::unexpected<Error>(std::move(bytes.error()));
    if (bytes->empty()) {
      co_return tl::unexpected<Error>(core.error("TLS handshake", ErrorCode::kClosed,
                                                 "the other side closed during the handshake"));
    }
    core.give_input(*bytes);
  }
}

detail::Detached TlsStream::Core::fill(std::shared_ptr<Core> core) {
  while (core->reader != nullptr) {
    auto bytes = co_await core->inner->read_some();
    if (core->reader == nullptr) co_return;  // closed meanwhile
    if (!bytes) {
      core->end_read(std::move(bytes));
      co_return;
    }
    if (bytes->empty()) {
      core->end_read(tl::unexpected<Error>(
          core->error("TLS read", ErrorCode::kClosed, "the connection was cut (no close_notify)")));
      co_return;
    }
    core->give_input(*bytes);
    auto plain = core->decrypt();
    if (core->has_output()) core->kick_pump(core);  // an alert, an answer to a key update
    if (plain && core->reader != nullptr) {
      core->end_read(std::move(*plain));
      co_return;
    }
  }
}

detail::Detached TlsStream::Core::pump(std::shared_ptr<Core> core) {
  core->is_pumping = true;
  while (!core->is_closed) {
    if (core->has_output()) {
      const std::string bytes = core->take_output();
      Status sent = co_await core->inner->write(bytes);
      if (!sent) core->fail_outgoing(sent.error());
    } else if (core->outgoing.empty()) {
      break;
    } else if (!core->outgoing.front().is_encrypted) {
      Status encrypted = core->encrypt(core->outgoing.front());
      if (!encrypted) core->fail_outgoing(encrypted.error());
    } else if (core->outgoing.front().shutdown != nullptr) {
      Status done = co_await core->inner->shutdown();
      if (!core->outgoing.empty()) core->end_front(std::move(done));
    } else {
      core->end_front({});
    }
  }
  core->is_pumping = false;
}

TlsStream::TlsStream(Loop& loop, std::shared_ptr<Core> core)
    : Stream(loop), core_(std::move(core)) {}

TlsStream::~TlsStream() { core_->close(core_); }

Task<Result<std::unique_ptr<TlsStream>>> TlsStream::handshake(std::unique_ptr<Stream> inner,
                                                              std::shared_ptr<TlsContext> context,
                                                              std::string server_name,
                                                              int64_t timeout_ms) {
  const auto core = std::make_shared<Core>(std::move(inner), std::move(context));
  if (core->inner->unread_bytes() > 0) {
    core->inner->close();
    co_return tl::unexpected<Error>(core->error("TLS handshake", ErrorCode::kRefused,
                                                "plaintext arrived before TLS was started"));
  }
  if (!core->context->is_server() && !server_name.empty()) {
    ask_for(core->ssl, server_name, core->context->verifies_name());
  }
  Timer timer(core->loop);
  timer.start(timeout_ms, [core] {
    core->is_timed_out = true;
    core->inner->close();
  });
  Status shaken = co_await Core::shake_hands(*core);
  timer.cancel();
  if (!shaken) {
    core->inner->close();
    if (core->is_timed_out) {
      co_return tl::unexpected<Error>(
          core->error("TLS handshake", ErrorCode::kTimeout, "the other side did not answer"));
    }
    co_return tl::unexpected<Error>(std::move(shaken.error()));
  }
  core->has_shaken = true;
  co_return std::unique_ptr<TlsStream>(new TlsStream(core->loop, core));
}

std::vector<std::string> TlsStream::peer_sans() const {
  std::vector<std::string> names;
  X509* certificate = SSL_get1_peer_certificate(core_->ssl);
  if (certificate == nullptr) return names;
  auto* list = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(list); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(list, i);
    if (name->type != GEN_DNS) continue;
    const auto* bytes = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    names.emplace_back(bytes, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  GENERAL_NAMES_free(list);
  X509_free(certificate);
  return names;
}

std::string TlsStream::protocol() const { return SSL_get_version(core_->ssl); }

void TlsStream::close() { core_->close(core_); }
bool TlsStream::is_open() const { return !core_->is_closed; }
const std::string& TlsStream::peer_address() const { return core_->inner->peer_address(); }
bool TlsStream::is_loopback() const { return core_->inner->is_loopback(); }
std::string TlsStream::local_address() const { return core_->inner->local_address(); }
void TlsStream::on_end(std::function<void()> hook) { core_->inner->on_end(std::move(hook)); }
size_t TlsStream::stored_bytes() const { return static_cast<size_t>(SSL_pending(core_->ssl)); }

bool TlsStream::start_read(ReadAwaiter& reader) {
  Core& core = *core_;
  OUTRIGGER_ASSERT(core.reader == nullptr);
  if (core.is_closed) {
    reader.set(tl::unexpected<Error>(core.error("read", ErrorCode::kClosed, "closed here")));
    return true;
  }
  auto plain = core.decrypt();
  if (core.has_output()) core.kick_pump(core_);
  if (plain) {
    reader.set(std::move(*plain));
    return true;
  }
  core.reader = &reader;
  const void* outer = std::exchange(core.starting, &reader);
  Core::fill(core_);
  core.starting = outer;
  return core.reader == nullptr;
}

bool TlsStream::start_write(WriteAwaiter& writer) {
  Core& core = *core_;
  if (core.is_closed) {
    writer.set(tl::unexpected<Error>(core.error("write", ErrorCode::kClosed, "closed here")));
    return true;
  }
  if (core.failure) {
    writer.set(tl::unexpected<Error>(*core.failure));
    return true;
  }
  size_t total = 0;
  for (const auto piece : writer.pieces()) total += piece.size();
  // What is not encrypted before the first suspension must not lie in the loop's read buffer.
  if (core.is_pumping || total > kEncryptBytesMax) writer.keep_borrowed(loop());
  return core.enqueue(core_, Outgoing{&writer, nullptr});
}

bool TlsStream::start_shutdown(ShutdownAwaiter& waiter) {
  Core& core = *core_;
  if (core.is_closed || core.failure) {
    waiter.set(tl::unexpected<Error>(core.error("shutdown", ErrorCode::kClosed, "closed here")));
    return true;
  }
  return core.enqueue(core_, Outgoing{nullptr, &waiter});
}

}  // namespace outrigger::net
