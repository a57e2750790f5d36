// The collection that `$out` or `$merge` writes to. Each write is captured like an app's own, over
// the app's connection.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "proxy/capture/reply.h"
#include "proxy/mongo/backend.h"
#include "proxy/mongo/commands.h"
#include "proxy/outputs/output_stage.h"
#include "proxy/writes/context.h"

namespace outrigger {

// The answer to the app's command that has failed; nothing: it went well.
using OutputFailed = std::optional<Answer>;

class OutputTarget {
 public:
  // What a write of some documents came to.
  struct Written {
    OutputFailed failed;
    int code = 0;          // of the write error, if one is the reason
    size_t documents = 0;  // before it
    int64_t n = 0;         // that it found or made
    std::string holder;    // a filter for who has the key that it is refused for; empty: none known
  };

  // All outlive it. `parsed` is the app's command. `writing` is set from the first write on: what
  // has begun is finished, whether its app is there or not.
  OutputTarget(ProxyContext& context, Backend& backend, bool& writing, const wire::OpMsg& parsed,
               const OutputStage& stage)
      : context_(context), backend_(backend), writing_(writing), parsed_(parsed), stage_(stage) {}

  // It does not replicate, or mongod would refuse it before it reads anything.
  net::Task<OutputFailed> refusal();
  // The statements of these documents as one command: an insert or an update. They outlive it.
  net::Task<Written> write(CommandKind kind, std::span<const OutputDocument> documents);
  // What it holds besides these, canonical _ids. They outlive it.
  using Ids = std::unordered_set<std::string>;
  net::Task<OutputFailed> remove_all_but(const Ids& kept);
  // What `filter` finds, if it is none of these. Nothing found, or one of these: fails as `why`.
  net::Task<OutputFailed> remove_holders(const std::string& filter, const Ids& kept, Answer why);
  // It is still the collection that was written to first, and not another of that name.
  net::Task<OutputFailed> is_the_same();
  // An empty one is there, too.
  net::Task<OutputFailed> make();
  // Ends a cursor of the app's that nobody asks any more.
  net::Task<void> give_up(int64_t cursor, std::string database, std::string collection);
  // It was not there: after refusal().
  [[nodiscard]] bool is_new() const { return is_new_; }

  // An answer with an error as the stage says it; `error`: mongod's, whose further fields stay.
  [[nodiscard]] Answer fail_with(int code, std::string_view words,
                                 const bson::Document& error = bson::Document()) const;
  // The same of an error of ours, in its own words.
  [[nodiscard]] Answer refuse(int code, std::string_view words) const;
  // Of a write that was not as durable as the app asked for.
  [[nodiscard]] const std::optional<std::string>& concern_error() const { return concern_error_; }
  // The body of the last answer of mongod, for its times.
  [[nodiscard]] const std::string& last_answer() const { return last_answer_; }
  void note_answer(const bson::Document& body) { last_answer_ = body.bytes(); }

 private:
  net::Task<Written> send(std::string message, CommandKind kind);
  net::Task<OutputFailed> remove(const std::vector<bson::OwnedValue>& ids);
  Written read_answer(std::string body);

  ProxyContext& context_;
  Backend& backend_;
  bool& writing_;
  const wire::OpMsg& parsed_;
  const OutputStage& stage_;
  std::string uuid_;  // empty: it was not there
  bool is_new_ = false;
  std::optional<std::string> concern_error_;
  std::string last_answer_;
};

// Appends what a further command of the same reader says, too.
void append_reader(bson::Writer& out, const wire::OpMsg& parsed);

}  // namespace outrigger
