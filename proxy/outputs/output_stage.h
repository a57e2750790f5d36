// `$out` and `$merge`, the stages of a pipeline that write, and mapReduce into a collection.
//
// The problem: mongod runs them by itself, behind the capture. The idea: they are what MongoDB's
// documentation says they are, a read and writes of what it gives. So the command is cut in two:
// the pipeline without its last stage, which mongod runs as a read, and for each document of its
// answer the statement that mongod's own stage would have made of it (document_source_merge.cpp of
// its sources), a write like any other. Whether the command is right mongod says first, by an
// explain.
//
// Pure; the two halves are put together by output_write.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/policy.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger {

struct OutputStage {
  enum class Kind : uint8_t { kOut, kMerge };
  // `whenMatched` and `whenNotMatched`.
  enum class Matched : uint8_t { kReplace, kMerge, kKeepExisting, kFail, kPipeline };
  enum class Missing : uint8_t { kInsert, kDiscard, kFail };
  Kind kind = Kind::kMerge;
  std::string database;
  std::string collection;
  std::vector<std::string> on{"_id"};
  Matched matched = Matched::kReplace;
  Missing missing = Missing::kInsert;
  bson::OwnedValue pipeline;            // kPipeline
  std::optional<bson::OwnedValue> let;  // of it
  bool is_map_reduce = false;
  bool is_time_series = false;  // what it would make (MongoDB 7.0)
  bool cannot_add = false;      // mapReduce's `out: {reduce: ...}`, whose function needs variables

  [[nodiscard]] std::string ns() const { return database + "." + collection; }
  // The read gives {d: document, c: variables}.
  [[nodiscard]] bool reads_variables() const { return let.has_value(); }
  [[nodiscard]] bool names_id() const;
  // One by one: what is not there is inserted as it is, and not what the pipeline makes of nothing.
  [[nodiscard]] bool looks_at_each() const {
    return matched == Matched::kPipeline && missing == Missing::kInsert;
  }
};

// Where an aggregate or a mapReduce writes, as far as that can be read: of what is wrong with it
// mongod will say so. Nothing: it only reads (an explain does), or is another command.
[[nodiscard]] std::optional<OutputStage> output_stage_of(const wire::OpMsg& parsed);
// The same, unless what it writes stays at this site.
[[nodiscard]] std::optional<OutputStage> output_that_travels(const wire::OpMsg& parsed,
                                                             const Policy& policy);

// The command explained, by which mongod says whether it would run it.
[[nodiscard]] std::string output_check_command(const wire::OpMsg& parsed);
// The command without its last stage.
[[nodiscard]] std::string output_read_command(const wire::OpMsg& parsed, const OutputStage& stage);

// One document of the read and what is to be written of it.
struct OutputDocument {
  std::string document;                  // BSON
  std::optional<std::string> variables;  // for the pipeline
  std::string on;                        // {field: value, ...} that find its match
  [[nodiscard]] size_t bytes() const {
    return sizeof(*this) + document.size() + on.size() + (variables ? variables->size() : 0);
  }
};
// What is wrong with a document.
struct OutputError {
  int code = 0;
  std::string what;
};
// `shown`: of the answer to the read. `id`: for a document that has none.
[[nodiscard]] OutputDocument output_document(const OutputStage& stage, const bson::Document& shown,
                                             const std::string& id);
// Finds `on`.
[[nodiscard]] std::optional<OutputError> find_match_fields(const OutputStage& stage,
                                                           OutputDocument& document);

// The body of a write command without its statements; from `parsed` what holds for it, too.
[[nodiscard]] std::string output_write_command(const wire::OpMsg& parsed, const OutputStage& stage,
                                               std::string_view verb);
// A statement of an update, for all but Matched::kFail, whose documents are inserted.
[[nodiscard]] std::string output_update(const OutputStage& stage, const OutputDocument& document);

// A filter for these fields that finds just their values.
[[nodiscard]] std::string equal_filter(const bson::Document& values);

// mongod's words around an error of a write, as its stage says them.
[[nodiscard]] std::string output_error_text(const OutputStage& stage, int code,
                                            std::string_view words);

}  // namespace outrigger
