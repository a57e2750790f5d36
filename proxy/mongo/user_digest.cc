#include "proxy/mongo/user_digest.h"

#include <openssl/sha.h>

#include "replication/bson/fields.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Type;

// "user@database" of the first user; mongod lets no command with several name a session.
std::string user_in(const Document& connection_status) {
  const auto info = connection_status.find("authInfo");
  if (!info || info->type != Type::kDocument) return {};
  const auto users = info->as_document().find("authenticatedUsers");
  if (!users || users->type != Type::kArray) return {};
  const auto first = users->as_document().first();
  if (!first || first->value.type != Type::kDocument) return {};
  const Document user = first->value.as_document();
  return bson::text_at(user, "user") + "@" + bson::text_at(user, "db");
}

}  // namespace

std::string digest_of_user(const Document& connection_status) {
  const std::string user = user_in(connection_status);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(user.data()), user.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

}  // namespace outrigger
