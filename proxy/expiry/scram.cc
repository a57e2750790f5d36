#include "proxy/expiry/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <charconv>
#include <optional>
#include <utility>

namespace outrigger {
namespace {

constexpr const char* kScram = "log in by SCRAM";
constexpr int kIterationsMin = 4'096;
constexpr int kIterationsMax = 1'000'000;  // the loop waits for them

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

const EVP_MD* method(ScramHash hash) {
  return hash == ScramHash::kSha1 ? EVP_sha1() : EVP_sha256();
}

// Empty where this build of OpenSSL will not (MD5, say): then the login is refused.
std::string digest(const EVP_MD* how, std::string_view text) {
  std::string out(static_cast<size_t>(EVP_MD_size(how)), '\0');
  if (EVP_Digest(text.data(), text.size(), bytes_of(out), nullptr, how, nullptr) != 1) out.clear();
  return out;
}

std::string hmac(const EVP_MD* how, std::string_view key, std::string_view text) {
  std::string out(static_cast<size_t>(EVP_MD_size(how)), '\0');
  OUTRIGGER_ASSERT(HMAC(how, key.data(), static_cast<int>(key.size()), bytes_of(text), text.size(),
                        bytes_of(out), nullptr) != nullptr);
  return out;
}

std::string base64(std::string_view text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  out.resize(static_cast<size_t>(
      EVP_EncodeBlock(bytes_of(out), bytes_of(text), static_cast<int>(text.size()))));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(bytes_of(out), bytes_of(text), static_cast<int>(text.size())) < 0) {
    return std::nullopt;
  }
  size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  out.resize(out.size() - padding);
  return out;
}

// MongoDB's users of SHA-1 have this for their password.
std::string md5_password(const std::string& user, const std::string& password) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : digest(EVP_md5(), user + ":mongo:" + password)) {
    const auto byte = static_cast<unsigned char>(c);
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string escaped(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (c == '=') {
      out += "=3D";
    } else if (c == ',') {
      out += "=2C";
    } else {
      out += c;
    }
  }
  return out;
}

// "k=value" among those between commas.
std::optional<std::string_view> attribute(std::string_view message, char name) {
  while (!message.empty()) {
    const size_t comma = message.find(',');
    const std::string_view each = message.substr(0, comma);
    if (each.size() >= 2 && each[0] == name && each[1] == '=') return each.substr(2);
    if (comma == std::string_view::npos) break;
    message.remove_prefix(comma + 1);
  }
  return std::nullopt;
}

}  // namespace

Scram::Scram(ScramHash hash, const std::string& user, const std::string& password,
             std::string nonce)
    : hash_(hash),
      password_(hash == ScramHash::kSha1 ? md5_password(user, password) : password),
      first_bare_("n=" + escaped(user) + ",r=" + nonce),
      nonce_(std::move(nonce)) {}

std::string Scram::first() const { return "n,," + first_bare_; }

Result<std::string> Scram::proof(std::string_view server_first) {
  const auto nonce = attribute(server_first, 'r');
  const auto salt_text = attribute(server_first, 's');
  const auto count = attribute(server_first, 'i');
  const auto salt = salt_text ? from_base64(*salt_text) : std::nullopt;
  int iterations = 0;
  if (count) std::from_chars(count->data(), count->data() + count->size(), iterations);
  const bool is_ours = nonce && nonce->size() > nonce_.size() && nonce->starts_with(nonce_);
  if (!is_ours || !salt || iterations < kIterationsMin || iterations > kIterationsMax) {
    return fail(ErrorCode::kCorrupt, kScram, "the store", "its first answer cannot be right");
  }
  const EVP_MD* const how = method(hash_);
  std::string salted(static_cast<size_t>(EVP_MD_size(how)), '\0');
  OUTRIGGER_ASSERT(PKCS5_PBKDF2_HMAC(password_.data(), static_cast<int>(password_.size()),
                                     bytes_of(std::string_view(*salt)),
                                     static_cast<int>(salt->size()), iterations, how,
                                     static_cast<int>(salted.size()), bytes_of(salted)) == 1);
  const std::string last = "c=biws,r=" + std::string(*nonce);
  const std::string all = first_bare_ + "," + std::string(server_first) + "," + last;
  std::string proof = hmac(how, salted, "Client Key");
  const std::string signature = hmac(how, digest(how, proof), all);
  for (size_t i = 0; i < proof.size(); ++i) {
    proof[i] = static_cast<char>(static_cast<unsigned char>(proof[i]) ^
                                 static_cast<unsigned char>(signature[i]));
  }
  server_signature_ = base64(hmac(how, hmac(how, salted, "Server Key"), all));
  return last + ",p=" + base64(proof);
}

Status Scram::check(std::string_view server_final) const {
  const auto signature = attribute(server_final, 'v');
  if (!server_signature_.empty() && signature && *signature == server_signature_) return {};
  return fail(ErrorCode::kRefused, kScram, "the store", "it does not know the password itself");
}

}  // namespace outrigger
