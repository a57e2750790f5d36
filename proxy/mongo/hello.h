// The topology mask: what a driver learns of the server. A driver dials whatever `hello` names, so
// a single-member replica set must be shown under the address the proxy is reached at, or the
// driver would go straight to mongod, past the capture. A standalone is shown as it is. Of a set of
// several each member is shown under the address of its own listener, and is in all else what it
// says: so drivers see elections, secondaries and tags as they are. A member without a listener is
// not shown.
//
// topologyVersion stays mongod's: errors that pass byte for byte carry it, too, and drivers tell by
// it which of the two is newer. So a hello may wait at mongod until there is news. What mongod says
// of compression is taken out, and room is kept in maxMessageSizeBytes for what we add to commands.
//
// Pure: bytes in, bytes out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "replication/bson/bson.h"

namespace outrigger {

inline constexpr int32_t kWireVersionMax = 21;  // bulkWrite (25) is not captured yet
inline constexpr int32_t kAddedBytesMax = 64 * 1024;

// The client's hello or isMaster as the backend shall see it. `may_wait`: there until its topology
// changes, if the client asks for that.
[[nodiscard]] std::string mask_hello_request(const bson::Document& command, bool may_wait = true);
// A hello that offers these compressors, and no others.
[[nodiscard]] std::string offering(const bson::Document& hello,
                                   const std::vector<std::string_view>& names);
// How the app names itself in it; empty: it does not, or by no name that mongod takes.
[[nodiscard]] std::string app_of(const bson::Document& hello);
// The client asks for an answer as soon as there is news, or after some time.
[[nodiscard]] bool waits_for_news(const bson::Document& hello);
// The next question of a client that is told of all news without asking again: `hello`, behind
// `reply`. Nothing: that has no topologyVersion, as errors have none.
[[nodiscard]] std::optional<std::string> behind_news(const bson::Document& hello,
                                                     const bson::Document& reply);

// Names of hosts: case does not count.
[[nodiscard]] bool equal_names(std::string_view one, std::string_view other);

// Under which names drivers are shown what a hello names; all are "host:port".
struct ShownNames {
  std::string advertise;  // of the member that answers
  // Of a set of several: its own names and these. Empty: there is one member, shown under the name
  // above.
  std::vector<std::pair<std::string, std::string>> members;

  // Nothing: it is not shown.
  [[nodiscard]] const std::string* of(std::string_view member) const;
};

// The backend's reply as the client shall see it.
[[nodiscard]] std::string mask_hello_reply(const bson::Document& reply, const ShownNames& names);
// The same with the compressors that the client and we have agreed on, where mongod names its own;
// none: nothing is said of them.
[[nodiscard]] std::string with_compressors(const bson::Document& reply,
                                           const std::vector<std::string_view>& names);
// The reply of a primary that is not served yet (store_gate.h), as mongod would give it while what
// it had not heard of before its election is still being written.
[[nodiscard]] std::string not_primary_yet(const bson::Document& reply);

// Whether this command, or what a hello says of a login, would log in by the certificate of the
// connection: to mongod that is the sidecar's, and no client's.
[[nodiscard]] bool is_by_certificate(const bson::Document& login);

// Whether mongod has let the client in with this answer to a step of a login (`command`), or with
// this answer to a hello that began one.
[[nodiscard]] bool ends_login(std::string_view command, const bson::Document& answer);
[[nodiscard]] bool logs_in_with_hello(const bson::Document& answer);

}  // namespace outrigger
