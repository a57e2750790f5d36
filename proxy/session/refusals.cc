#include "proxy/session/refusals.h"

#include <fmt/format.h>

#include "proxy/mongo/commands.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/session/own_choice.h"

namespace outrigger {
namespace {

using bson::Type;
using bson::Value;

// The target of a $out or $merge stage as "db.collection"; nothing when there is none.
std::optional<std::string> output_of(const wire::OpMsg& parsed) {
  const auto pipeline = parsed.body.find("pipeline");
  if (!pipeline || pipeline->type != Type::kArray) return std::nullopt;
  for (const bson::Element& stage : pipeline->as_document()) {
    if (stage.value.type != Type::kDocument) continue;
    const auto op = stage.value.as_document().first();
    if (!op || (op->name != "$out" && op->name != "$merge")) continue;
    Value target = op->value;
    if (target.type == Type::kDocument) {
      const auto into = target.as_document().find("into");
      if (into) target = *into;
    }
    if (target.type == Type::kString) {
      return fmt::format("{}.{}", parsed.database(), target.as_string());
    }
    std::string db(parsed.database());
    std::string coll = "?";
    if (target.type == Type::kDocument) {
      const auto named_db = target.as_document().find("db");
      const auto named_coll = target.as_document().find("coll");
      if (named_db && named_db->type == Type::kString) db = named_db->as_string();
      if (named_coll && named_coll->type == Type::kString) coll = named_coll->as_string();
    }
    return db + "." + coll;
  }
  return std::nullopt;
}

bool writes_output(const wire::OpMsg& parsed) {
  const auto out = parsed.body.find("out");
  if (!out) return false;
  return !(out->type == Type::kDocument && out->as_document().has("inline"));
}

bool is_admin_database(std::string_view database) {
  return database == "admin" || database == "local" || database == "config";
}

std::string refuse(std::string_view what, std::string_view why) {
  return wire::error_body(wire::code::kCommandNotSupported,
                          fmt::format("{} is not replicated by Outrigger yet: {}", what, why));
}

}  // namespace

std::string ns_of(const wire::OpMsg& parsed) {
  const auto command = parsed.body.first();
  if (!command || command->value.type != Type::kString) return {};
  std::string ns(parsed.database());  // for every write: fmt takes ten times as long
  return ns.append(".").append(command->value.as_string());
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
      const bool local_only = is_admin_database(parsed.database()) && name != "applyOps" &&
                              name != "renameCollection" && name != "bulkWrite";
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
    case CommandKind::kAggregate: {
      const auto target = output_of(parsed);
      if (!target || policy.stays_here(*target)) return std::nullopt;
      return refuse("$out and $merge into " + *target,
                    "what the store writes by itself passes no sidecar");
    }
    case CommandKind::kMapReduce:
      if (!writes_output(parsed)) return std::nullopt;
      return refuse("mapReduce into a collection",
                    "what the store writes by itself passes no sidecar");
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
