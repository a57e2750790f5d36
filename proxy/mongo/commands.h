// Every command by name: what the proxy does with it. One readable table; what is not in it is not
// known to us, and since an unknown command might write, it is never waved through: it gets
// mongod's own "no such command".
#pragma once

#include <string_view>

namespace outrigger {

enum class CommandKind {
  kRead,    // cannot change replicated data: passes byte for byte
  kHello,   // handshake; request and reply are masked
  kLogin,   // a step of a login: passes, and its answer says whether the client is let in
  kInsert,  // captured
  kUpdate,
  kDelete,
  kFindAndModify,
  kAggregate,  // a read, unless a stage is $out or $merge
  kMapReduce,  // a read, when out is {inline: 1}
  kDdl,        // changes the catalogue: captured
  kRefused,    // may write replicated data and is not captured: 115
  kLocal,      // changes this server only (users, sessions, replica set, parameters): passes
  kUnknown,    // not in the table: 59
};

struct CommandInfo {
  CommandKind kind = CommandKind::kUnknown;
  std::string_view why;  // kRefused: ends the sentence "X is not replicated yet: ..."
};

// One of the four that change documents.
[[nodiscard]] constexpr bool is_captured(CommandKind kind) {
  return kind == CommandKind::kInsert || kind == CommandKind::kUpdate ||
         kind == CommandKind::kDelete || kind == CommandKind::kFindAndModify;
}

// `name` is the first key of the body, matched as mongod matches it (case counts, aliases listed).
[[nodiscard]] CommandInfo command_info(std::string_view name);

}  // namespace outrigger
