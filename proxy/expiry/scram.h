// A login by SCRAM (RFC 5802, RFC 7677) as MongoDB has it, on the side of who logs in: each step as
// a function of what the other side said. Whoever has the connection sends them (own_login.h).
//
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "config/result.h"

namespace outrigger {

enum class ScramHash : uint8_t { kSha1, kSha256 };

class Scram {
 public:
  // `nonce`: printable, without a comma, another one each time. The password is taken as it is:
  // what SASLprep would change in one that is not ASCII stays (SHA-256 only).
  Scram(ScramHash hash, const std::string& user, const std::string& password, std::string nonce);

  // The first thing to say.
  [[nodiscard]] std::string first() const;
  // What follows the server's first answer. kCorrupt: that is none, or asks for too little work or
  // too much.
  [[nodiscard]] Result<std::string> proof(std::string_view server_first);
  // The server's last word shows that it knows the password, too. kRefused: it does not.
  [[nodiscard]] Status check(std::string_view server_final) const;

 private:
  ScramHash hash_;
  std::string password_;
  std::string first_bare_;
  std::string nonce_;
  std::string server_signature_;  // base64, once proof() has made it
};

}  // namespace outrigger
