#include "proxy/session/refusals.h"

#include <fmt/format.h>

#include "proxy/catalog/rename_write.h"
#include "proxy/mongo/commands.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/outputs/output_stage.h"
#include "proxy/session/own_choice.h"
#include "proxy/session/own_question.h"

namespace outrigger {
namespace {

using bson::Type;

bool is_admin_database(std::string_view database) {
  return database == "admin" || database == "local" || database == "config";
}

std::string refuse(std::string_view what, std::string_view why) {
  return wire::error_body(wire::code::kCommandNotSupported,
                          fmt::format("{} is not replicated by Outrigger yet: {}", what, why));
}

}  // namespace

bool ddl_travels(const wire::OpMsg& parsed, const Policy& policy) {
  if (parsed.command_name() == "renameCollection") return rename_travels(parsed, policy);
  if (parsed.command_name() == "dropDatabase") {
    return !policy.stays_here(std::string(parsed.database()) + ".");
  }
  const std::string ns = ns_of(parsed);
  return !ns.empty() && policy.replicates(ns);
}

std::optional<std::string> refusal_of(const wire::OpMsg& parsed, const Policy& policy) {
  const std::string_view name = parsed.command_name();
  const CommandInfo info = command_info(name);
  switch (info.kind) {
    case CommandKind::kUnknown:
      if (choice_verb(parsed)) return std::nullopt;
      return wire::error_body(wire::code::kCommandNotFound,
                              fmt::format("no such command: '{}'", name));
    case CommandKind::kRefused: {
      // On databases that never travel these harm nobody.
      const bool local_only =
          is_admin_database(parsed.database()) && name != "applyOps" && name != "bulkWrite";
      if (local_only) return std::nullopt;
      return refuse(fmt::format("the command {}", name), info.why);
    }
    case CommandKind::kDdl: {
      const std::string ns = ns_of(parsed);
      const bool is_somebodys = policy.replicates(ns) || policy.stays_here(ns);
      if (name != "drop" || is_somebodys || ns.ends_with(".system.profile")) return std::nullopt;
      return refuse("the command drop of " + ns,
                    "collections of the system mean another thing at every site");
    }
    case CommandKind::kAggregate:
    case CommandKind::kMapReduce: {
      const auto output = output_that_travels(parsed, policy);
      if (!output) return std::nullopt;
      if (parsed.database() == kOwnDatabase) {
        return refuse("an output of the database outrigger",
                      "what the sidecar says there is of one site");
      }
      if (!output->cannot_add) return std::nullopt;
      return refuse("mapReduce with out: {reduce: ...} and scope, or a function with a scope",
                    "what it makes of old values is asked of MongoDB's $function, which has none");
    }
    default:
      return std::nullopt;
  }
}

std::string not_served_body() {
  return wire::error_body(
      wire::code::kShutdownInProgress,
      "mongod was started anew, and what it had forgotten is not put back yet; nothing was done",
      {"RetryableWriteError"});
}

}  // namespace outrigger
