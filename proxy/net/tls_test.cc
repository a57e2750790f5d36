#include "proxy/net/tls.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "proxy/net/memory/memory_stream.h"
#include "proxy/net/test_support.h"

namespace outrigger::net {
namespace {

using namespace testing;  // NOLINT: the verbs of this folder's tests
using Tls = std::unique_ptr<TlsStream>;

// A certificate authority that writes PEM files into a folder.
class Authority {
 public:
  Authority(std::filesystem::path folder, const std::string& name) : folder_(std::move(folder)) {
    key_ = EVP_EC_gen("P-256");
    certificate_ = sign(key_, name, "", true);
    file_ = write(name + ".pem", certificate_, nullptr);
  }
  ~Authority() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  [[nodiscard]] const std::string& file() const { return file_; }

  // Certificate and key in one file; `sans` like "DNS:oslo,DNS:oslo.example".
  std::string issue(const std::string& name, const std::string& sans) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = sign(key, name, sans, false);
    std::string file = write(name + ".pem", certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return file;
  }

 private:
  X509* sign(EVP_PKEY* key, const std::string& name, const std::string& sans, bool is_authority) {
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, text, -1, -1,
                               0);
    X509* issuer = is_authority ? certificate : certificate_;
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    add_extension(certificate, issuer, NID_basic_constraints,
                  is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!sans.empty()) add_extension(certificate, issuer, NID_subject_alt_name, sans.c_str());
    X509_sign(certificate, key_, EVP_sha256());
    return certificate;
  }

  static void add_extension(X509* certificate, X509* issuer, int kind, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
    ASSERT_NE(extension, nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  std::string write(const std::string& name, X509* certificate, EVP_PKEY* key) {
    const std::string path = folder_ / name;
    FILE* file = std::fopen(path.c_str(), "w");
    PEM_write_X509(file, certificate);
    if (key != nullptr) {
      PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    }
    std::fclose(file);
    return path;
  }

  std::filesystem::path folder_;
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
  std::string file_;
  int serial_ = 0;
};

Task<void> shake(std::unique_ptr<Stream> inner, std::shared_ptr<TlsContext> context,
                 std::string server_name, int64_t timeout_ms, Result<Tls>& result) {
  result = co_await TlsStream::handshake(std::move(inner), std::move(context),
                                         std::move(server_name), timeout_ms);
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest()
      : folder_(std::filesystem::path(::testing::TempDir()) /
                ("outrigger-tls-" + std::to_string(::getpid()))),
        wire_(make_memory_pair(loop_)) {
    std::filesystem::create_directories(folder_);
    authority_ = std::make_unique<Authority>(folder_, "authority");
    stranger_ = std::make_unique<Authority>(folder_, "stranger");
  }
  ~TlsTest() override {
    client_.reset();
    server_.reset();
    wait_for(loop_, tasks_);
    std::filesystem::remove_all(folder_);
  }

  TlsOptions options(const std::string& certificate_file) {
    TlsOptions o;
    o.certificate_file = certificate_file;
    o.ca_file = authority_->file();
    return o;
  }

  void handshake(const TlsOptions& server, const TlsOptions& client, const std::string& name = "") {
    auto server_context = TlsContext::server(server);
    auto client_context = TlsContext::client(client);
    ASSERT_TRUE(server_context) << server_context.error().message();
    ASSERT_TRUE(client_context) << client_context.error().message();
    tasks_.spawn(shake(std::move(wire_.first), *client_context, name, kTimeoutMs, client_result_));
    tasks_.spawn(shake(std::move(wire_.second), *server_context, "", kTimeoutMs, server_result_));
    wait_for(loop_, tasks_);
    if (client_result_) client_ = std::move(*client_result_);
    if (server_result_) server_ = std::move(*server_result_);
  }

  void connect_oslo_to_paris() {
    handshake(options(authority_->issue("paris", "DNS:paris")),
              options(authority_->issue("oslo", "DNS:oslo,DNS:oslo.example")), "paris");
    ASSERT_TRUE(server_) << server_result_.error().message();
    ASSERT_TRUE(client_) << client_result_.error().message();
  }

  // One side handshakes alone against raw bytes from `raw`.
  Result<Tls> serve_raw(std::unique_ptr<Stream> end, int64_t timeout_ms) {
    auto context = TlsContext::server(options(authority_->issue("paris", "DNS:paris")));
    loop_.block_on(shake(std::move(end), *context, "", timeout_ms, server_result_));
    return std::move(server_result_);
  }

  std::string written_file(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  Loop loop_;
  TaskGroup tasks_;
  std::filesystem::path folder_;
  MemoryPair wire_;
  std::unique_ptr<Authority> authority_, stranger_;
  Result<Tls> client_result_, server_result_;
  Tls client_, server_;
};

TEST_F(TlsTest, BothSidesKnowEachOthersNames) {
  connect_oslo_to_paris();
  EXPECT_EQ(server_->peer_sans(), (std::vector<std::string>{"oslo", "oslo.example"}));
  EXPECT_EQ(client_->peer_sans(), std::vector<std::string>{"paris"});
  EXPECT_EQ(client_->protocol(), "TLSv1.3");
}

TEST_F(TlsTest, CarriesManyMegabytesBothWaysAndEndsOrderly) {
  connect_oslo_to_paris();
  constexpr size_t kBytes = 5'000'000;
  Status sent_one, sent_two;
  size_t got_one = 0, got_two = 0;
  tasks_.spawn(send_pattern(*client_, kBytes, sent_one));
  tasks_.spawn(send_pattern(*server_, kBytes, sent_two));
  tasks_.spawn(receive_pattern(*client_, 2, got_one));
  tasks_.spawn(receive_pattern(*server_, 0, got_two));
  wait_for(loop_, tasks_);
  EXPECT_TRUE(sent_one && sent_two);
  EXPECT_EQ(got_one, kBytes);
  EXPECT_EQ(got_two, kBytes);
  ReadOutcome end;
  loop_.block_on(read_once(*server_, end));
  EXPECT_TRUE(end.status && end.bytes.empty());
  EXPECT_LE(wire_.wire.bytes_in_flight_max(MemoryWire::Way::kFirstToSecond), 64 * 1024u);
}

TEST_F(TlsTest, RelaysBorrowedBytesFromTlsToTlsUnharmed) {
  connect_oslo_to_paris();
  Status sent;
  size_t got = 0;
  tasks_.spawn(send_pattern(*client_, 3'000'000, sent));
  tasks_.spawn(relay(*server_, *server_));
  tasks_.spawn(receive_pattern(*client_, 1, got));
  wait_for(loop_, tasks_);
  EXPECT_EQ(got, 3'000'000u);
}

TEST_F(TlsTest, WritersAreServedInOrderAndWhole) {
  connect_oslo_to_paris();
  std::array<WriteOutcome, 3> outcomes;
  for (size_t i = 0; i < 3; ++i) {
    tasks_.spawn(write_once(*client_, pattern(i * 251'000, 251'000), outcomes[i]));
  }
  EXPECT_EQ(loop_.block_on(read_string(*server_, 753'000)), pattern(0, 753'000));
  wait_for(loop_, tasks_);
}

Task<void> send_back_once(Stream& stream) {
  auto bytes = co_await stream.read_some();
  Status sent = co_await stream.write(bytes.value_or("failed"));
  EXPECT_TRUE(sent);
}

TEST_F(TlsTest, BorrowedBytesBehindASlowWriteAreKept) {
  connect_oslo_to_paris();
  WriteOutcome slow, little;
  tasks_.spawn(write_once(*client_, pattern(0, 251'000), slow));
  tasks_.spawn(send_back_once(*client_));
  loop_.block_on(write_once(*server_, "borrowed", little));
  loop_.block_on(turns(loop_, 10));
  ASSERT_FALSE(slow.is_done);
  EXPECT_EQ(loop_.block_on(read_string(*server_, 251'008)), pattern(0, 251'000) + "borrowed");
  wait_for(loop_, tasks_);
}

TEST_F(TlsTest, AServerOfAnotherAuthorityIsRefused) {
  handshake(options(stranger_->issue("paris", "DNS:paris")),
            options(authority_->issue("oslo", "DNS:oslo")));
  ASSERT_FALSE(client_result_);
  EXPECT_EQ(client_result_.error().code, ErrorCode::kRefused);
  EXPECT_NE(client_result_.error().reason.find("unable to get local issuer"), std::string::npos)
      << client_result_.error().message();
  EXPECT_FALSE(server_result_);
}

TEST_F(TlsTest, AClientOfAnotherAuthorityIsRefused) {
  handshake(options(authority_->issue("paris", "DNS:paris")),
            options(stranger_->issue("oslo", "DNS:oslo")));
  ASSERT_FALSE(server_result_);
  EXPECT_EQ(server_result_.error().code, ErrorCode::kRefused);
}

TEST_F(TlsTest, AClientWithoutCertificateIsRefusedAndLearnsWhyWhenItReads) {
  handshake(options(authority_->issue("paris", "DNS:paris")), options(""));
  ASSERT_FALSE(server_result_);
  EXPECT_NE(server_result_.error().reason.find("did not return a certificate"), std::string::npos)
      << server_result_.error().message();
  ASSERT_TRUE(client_);  // TLS 1.3: the client's side is done before the server has judged it
  ReadOutcome outcome;
  loop_.block_on(read_once(*client_, outcome));
  ASSERT_FALSE(outcome.status);
  EXPECT_NE(outcome.status.error().reason.find("certificate required"), std::string::npos);
}

TEST_F(TlsTest, AClientWithoutCertificateIsServedWhereNoneIsAskedFor) {
  TlsOptions server = options(authority_->issue("paris", "DNS:paris"));
  server.verify_peer = false;
  handshake(server, options(""), "paris");
  ASSERT_TRUE(server_) << server_result_.error().message();
  EXPECT_TRUE(server_->peer_sans().empty());
}

TEST_F(TlsTest, AServerWithAnotherNameIsRefused) {
  handshake(options(authority_->issue("paris", "DNS:paris")),
            options(authority_->issue("oslo", "DNS:oslo")), "berlin");
  ASSERT_FALSE(client_result_);
  EXPECT_NE(client_result_.error().reason.find("ostname mismatch"), std::string::npos)
      << client_result_.error().message();
}

TEST_F(TlsTest, APeerThatSaysNothingRunsIntoTheTimeout) {
  auto tls = serve_raw(std::move(wire_.second), 10);
  ASSERT_FALSE(tls);
  EXPECT_EQ(tls.error().code, ErrorCode::kTimeout);
}

TEST_F(TlsTest, PlaintextReadBeforeTlsStartsIsRefused) {
  wire_.second->unread("early");
  auto tls = serve_raw(std::move(wire_.second), kTimeoutMs);
  ASSERT_FALSE(tls);
  EXPECT_EQ(tls.error().code, ErrorCode::kRefused);
  EXPECT_NE(tls.error().reason.find("plaintext"), std::string::npos);
}

// What a client would send first, made by OpenSSL itself.
std::string client_hello() {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  BIO* output = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), output);
  SSL_connect(ssl);
  std::string bytes(BIO_ctrl_pending(output), '\0');
  BIO_read(output, bytes.data(), static_cast<int>(bytes.size()));
  SSL_free(ssl);
  SSL_CTX_free(context);
  return bytes;
}

TEST_F(TlsTest, PlaintextBehindTheClientHelloIsRefused) {
  WriteOutcome written;
  loop_.block_on(write_once(*wire_.first, client_hello() + "{insert: 'smuggled'}", written));
  auto tls = serve_raw(std::move(wire_.second), kTimeoutMs);
  ASSERT_FALSE(tls);
  EXPECT_EQ(tls.error().code, ErrorCode::kRefused);
}

TEST_F(TlsTest, AnEndWithoutCloseNotifyIsAnErrorNotAnEnd) {
  connect_oslo_to_paris();
  ReadOutcome outcome;
  tasks_.spawn(read_once(*server_, outcome));
  wire_.wire.hang_up(MemoryWire::Way::kFirstToSecond);
  wait_for(loop_, tasks_);
  ASSERT_FALSE(outcome.status);
  EXPECT_EQ(outcome.status.error().code, ErrorCode::kClosed);
  EXPECT_NE(outcome.status.error().reason.find("close_notify"), std::string::npos);
}

TEST_F(TlsTest, ClosingTellsTheOtherSideInOrder) {
  connect_oslo_to_paris();
  ReadOutcome outcome;
  tasks_.spawn(read_once(*server_, outcome));
  client_.reset();
  wait_for(loop_, tasks_);
  EXPECT_TRUE(outcome.status);
  EXPECT_EQ(outcome.bytes, "");
}

TEST_F(TlsTest, DestroyingAStreamReleasesItsReaderAndWriters) {
  connect_oslo_to_paris();
  ReadOutcome read;
  std::array<WriteOutcome, 2> written;
  tasks_.spawn(read_once(*client_, read));
  for (auto& outcome : written) {
    tasks_.spawn(write_once(*client_, std::string(1'000'000, 'x'), outcome));
  }
  loop_.block_on(turns(loop_, 5));
  client_.reset();
  wait_for(loop_, tasks_);
  EXPECT_FALSE(read.status);
  EXPECT_FALSE(written[0].status || written[1].status);
}

TEST_F(TlsTest, AFlippedBitIsAnErrorForTheReader) {
  connect_oslo_to_paris();
  ReadOutcome outcome;
  WriteOutcome written;
  wire_.wire.cork(MemoryWire::Way::kFirstToSecond);
  tasks_.spawn(read_once(*server_, outcome));
  tasks_.spawn(write_once(*client_, "hello", written));
  wire_.wire.corrupt(MemoryWire::Way::kFirstToSecond);
  wire_.wire.uncork(MemoryWire::Way::kFirstToSecond);
  wait_for(loop_, tasks_);
  ASSERT_FALSE(outcome.status);
  EXPECT_EQ(outcome.status.error().code, ErrorCode::kRefused);
}

TEST_F(TlsTest, FilesThatDoNotServeAreNamed) {
  const std::string good = authority_->issue("paris", "DNS:paris");
  const std::string other = authority_->issue("oslo", "DNS:oslo");
  const std::string text = written_file("notes.txt", "not PEM");
  TlsOptions wrong = options(folder_ / "missing.pem");
  auto context = TlsContext::server(wrong);
  ASSERT_FALSE(context);
  EXPECT_NE(context.error().object.find("missing.pem"), std::string::npos);
  EXPECT_NE(context.error().reason.find("No such file"), std::string::npos);

  wrong = options(text);
  context = TlsContext::server(wrong);
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().object, text);

  wrong = options(good);
  wrong.key_file = other;
  context = TlsContext::server(wrong);
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().object, other);

  wrong = options(good);
  wrong.ca_file = text;
  context = TlsContext::client(wrong);
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().object, text);

  wrong.ca_file.clear();
  EXPECT_FALSE(TlsContext::client(wrong));
  EXPECT_FALSE(TlsContext::server(options("")));
}

}  // namespace
}  // namespace outrigger::net
