// Words for the tests of the pure half of the capture: documents from a few lines of JSON-like
// calls, and commands as the app would send them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "proxy/capture/run.h"
#include "proxy/capture/statement.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger::testing {

using Fill = std::function<void(bson::Writer&)>;

inline std::string doc(const Fill& fill = [](bson::Writer&) {}) {
  bson::Writer out;
  fill(out);
  return out.finish();
}

// {_id: id}
inline std::string by_id(int32_t id) {
  return doc([&](bson::Writer& w) { w.int32("_id", id); });
}

// {op: {path: value}}
inline std::string op(std::string_view name, std::string_view path, int32_t value) {
  return doc([&](bson::Writer& w) { w.open_document(name).int32(path, value).close(); });
}

// A write command with its message, so that the views in `command` stay valid.
struct Sent {
  std::string message;
  wire::OpMsg parsed;
  WriteCommand command;
};

// `statements` go into a document sequence; `extra` adds fields to the body.
inline std::unique_ptr<Sent> send(
    CommandKind kind, const std::vector<std::string>& statements,
    const Fill& extra = [](bson::Writer&) {}) {
  const char* name = kind == CommandKind::kInsert   ? "insert"
                     : kind == CommandKind::kUpdate ? "update"
                                                    : "delete";
  const char* field = kind == CommandKind::kInsert   ? "documents"
                      : kind == CommandKind::kUpdate ? "updates"
                                                     : "deletes";
  const std::string body = doc([&](bson::Writer& w) {
    w.string(name, "items").string("$db", "shop");
    extra(w);
  });
  std::string documents;
  for (const std::string& statement : statements) documents += statement;
  auto sent = std::make_unique<Sent>();
  sent->message = wire::build_op_msg(7, 0, 0, bson::Document(body), {{field, documents}});
  auto parsed = wire::parse_op_msg(sent->message);
  EXPECT_TRUE(parsed.has_value());
  sent->parsed = *parsed;
  auto command = parse_write(sent->parsed, kind);
  EXPECT_TRUE(command.has_value()) << (command ? "" : command.error().message);
  if (command) sent->command = *command;
  return sent;
}

// {findAndModify: "items", ...}
inline std::unique_ptr<Sent> find_and_modify(const Fill& fill) {
  const std::string body = doc([&](bson::Writer& w) {
    w.string("findAndModify", "items");
    fill(w);
    w.string("$db", "shop");
  });
  auto sent = std::make_unique<Sent>();
  sent->message = wire::build_op_msg(7, 0, 0, bson::Document(body));
  sent->parsed = *wire::parse_op_msg(sent->message);
  sent->command = *parse_write(sent->parsed, CommandKind::kFindAndModify);
  return sent;
}

inline std::string update_statement(const std::string& q, const std::string& u,
                                    bool upsert = false) {
  return doc([&](bson::Writer& w) {
    w.document("q", bson::Document(q)).document("u", bson::Document(u));
    if (upsert) w.boolean("upsert", true);
  });
}

// A run of the command's statements about documents 1, 2, ...
inline Run run_of(const WriteCommand& command) {
  Run run;
  run.command = &command;
  int32_t id = 0;
  for (const Statement& statement : command.statements) {
    RunItem item;
    item.statement = &statement;
    item.id = bson::make_int32(++id);
    item.key = bson::canonical_key(item.id.view());
    item.upsert = statement.upsert;
    if (statement.update) item.shape = read_update_shape(*statement.update, false);
    run.items.push_back(std::move(item));
  }
  return run;
}

inline std::string key_of(int32_t id) { return bson::canonical_key(bson::make_int32(id).view()); }

}  // namespace outrigger::testing
