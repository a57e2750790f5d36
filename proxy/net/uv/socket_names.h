// Names for our ends of Unix sockets.
//
// The problem: over TCP each connection has an address that the other side sees; a Unix socket has
// none unless it is bound to one. mongod shows that name as the client, and the fence finds by it
// what a broken connection left running. So a connection takes a name that none had before, in a
// folder of the sidecar's own; its file is needed only until the connection stands.
#pragma once

#include <sys/un.h>

#include <string>

#include "config/result.h"

namespace outrigger::net {

// `path` fits (asserted; parse_address and make_socket_dir see to it).
[[nodiscard]] sockaddr_un unix_name(const std::string& path);

// The folder for the names, under `data_dir`; made, or emptied of what a killed process left.
// kInvalidArgument: mongod could not show such a name, or none can be made there.
[[nodiscard]] Result<std::string> make_socket_dir(const std::string& data_dir);

// Binds `fd` to a new name in `dir` and gives it; whoever called unlinks it. A folder that somebody
// tidied away comes back.
[[nodiscard]] Result<std::string> take_name(int fd, const std::string& dir);

}  // namespace outrigger::net
