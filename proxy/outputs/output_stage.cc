#include "proxy/outputs/output_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "proxy/mongo/commands.h"
#include "proxy/mongo/wire/error_reply.h"
#include "replication/bson/fields.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Type;
using bson::Value;
using bson::Writer;

// What belongs to the message and not to the command in it, and an explain takes.
constexpr auto kGeneric =
    std::to_array<std::string_view>({"$db", "lsid", "$clusterTime", "$readPreference", "maxTimeMS",
                                     "comment", "apiVersion", "apiStrict", "apiDeprecationErrors"});

bool is_of_message(std::string_view name) {
  return std::find(kGeneric.begin(), kGeneric.end(), name) != kGeneric.end();
}

std::string_view text_of(const Document& in, std::string_view name, std::string_view otherwise) {
  const auto value = in.find(name);
  return value && value->type == Type::kString ? value->as_string() : otherwise;
}

void read_target(const Value& target, OutputStage& stage) {
  if (target.type == Type::kString) stage.collection = target.as_string();
  if (target.type != Type::kDocument) return;
  stage.database = text_of(target.as_document(), "db", stage.database);
  stage.collection = text_of(target.as_document(), "coll", "");
  stage.is_time_series = target.as_document().has("timeseries");
}

void read_merge(const Document& said, OutputStage& stage) {
  using Matched = OutputStage::Matched;
  if (const auto into = said.find("into")) read_target(*into, stage);
  const auto on = said.find("on");
  if (on && on->type == Type::kString) stage.on = {std::string(on->as_string())};
  if (on && on->type == Type::kArray) {
    stage.on.clear();
    for (const bson::Element& each : on->as_document()) {
      if (each.value.type == Type::kString) stage.on.emplace_back(each.value.as_string());
    }
  }
  stage.matched = Matched::kMerge;
  const auto matched = said.find("whenMatched");
  if (matched && matched->type == Type::kArray) {
    stage.matched = Matched::kPipeline;
    stage.pipeline = bson::OwnedValue(*matched);
    if (const auto let = said.find("let")) stage.let = bson::OwnedValue(*let);
  } else {
    const std::string_view how = text_of(said, "whenMatched", "merge");
    if (how == "replace") stage.matched = Matched::kReplace;
    if (how == "keepExisting") stage.matched = Matched::kKeepExisting;
    if (how == "fail") stage.matched = Matched::kFail;
  }
  const std::string_view missing = text_of(said, "whenNotMatched", "insert");
  if (missing == "discard") stage.missing = OutputStage::Missing::kDiscard;
  if (missing == "fail") stage.missing = OutputStage::Missing::kFail;
}

// What mongod makes of `out: {reduce}` (map_reduce_agg.cpp of its sources, translateOutReduce): the
// old value and the new one, reduced by the same function, and finalized. Nothing: its functions
// need variables that no pipeline gives them.
std::optional<bson::OwnedValue> reduce_pipeline(const Document& command) {
  const auto is_function = [](const std::optional<Value>& value) {
    return value && (value->type == Type::kString || value->type == Type::kCode);
  };
  const auto reduce = command.find("reduce");
  const auto finalize = command.find("finalize");
  const auto scope = command.find("scope");
  const bool finalizes = finalize && finalize->type != Type::kNull;
  const bool has_scope = scope && (scope->type != Type::kDocument || !scope->as_document().empty());
  if (has_scope || !is_function(reduce) || (finalizes && !is_function(finalize))) {
    return std::nullopt;
  }
  Writer out;
  const auto stage = [&](const char* index, const Value& body, bool is_finalizing) {
    out.open_document(index).open_document("$project").open_document("value");
    out.open_document("$function").value("body", body).open_array("args").string("0", "$_id");
    if (is_finalizing) {
      out.string("1", "$value");
    } else {
      out.open_array("1").string("0", "$value").string("1", "$$new.value").close();
    }
    out.close().string("lang", "js").close().close().close().close();
  };
  stage("0", *reduce, false);
  if (finalizes) stage("1", *finalize, true);
  return bson::OwnedValue(Type::kArray, out.finish());
}

std::optional<OutputStage> read_map_reduce(const wire::OpMsg& parsed) {
  const auto out = parsed.body.find("out");
  if (!out || (out->type != Type::kString && out->type != Type::kDocument)) return std::nullopt;
  OutputStage stage;
  stage.is_map_reduce = true;
  stage.kind = OutputStage::Kind::kOut;
  stage.database = parsed.database();
  if (out->type == Type::kString) {
    stage.collection = out->as_string();
    return stage;
  }
  const Document said = out->as_document();
  if (said.has("inline")) return std::nullopt;
  stage.database = text_of(said, "db", stage.database);
  for (const std::string_view how : {"replace", "merge", "reduce"}) {
    if (!said.has(how)) continue;
    stage.collection = text_of(said, how, "");
    if (how != "replace") stage.kind = OutputStage::Kind::kMerge;
    if (how != "reduce") continue;
    const auto pipeline = reduce_pipeline(parsed.body);
    stage.cannot_add = !pipeline;
    if (!pipeline) continue;
    stage.matched = OutputStage::Matched::kPipeline;
    stage.pipeline = *pipeline;
  }
  return stage;
}

// {field: value} that finds just this value.
void write_equal(Writer& out, std::string_view name, const Value& value) {
  const bool is_plain = !value.is_container() && value.type != Type::kRegex;
  if (is_plain) {
    out.value(name, value);
  } else {
    out.open_document(name).value("$eq", value).close();
  }
}

}  // namespace

bool OutputStage::names_id() const { return std::find(on.begin(), on.end(), "_id") != on.end(); }

std::optional<OutputStage> output_stage_of(const wire::OpMsg& parsed) {
  const CommandKind kind = command_info(parsed.command_name()).kind;
  if (kind == CommandKind::kMapReduce) return read_map_reduce(parsed);
  if (kind != CommandKind::kAggregate) return std::nullopt;
  const auto explain = parsed.body.find("explain");
  if (explain && explain->truthy()) return std::nullopt;
  const auto pipeline = parsed.body.find("pipeline");
  if (!pipeline || pipeline->type != Type::kArray) return std::nullopt;
  for (const bson::Element& each : pipeline->as_document()) {
    if (each.value.type != Type::kDocument) continue;
    const auto said = each.value.as_document().first();
    if (!said || (said->name != "$out" && said->name != "$merge")) continue;
    OutputStage stage;
    stage.database = parsed.database();
    if (said->name == "$out") {
      stage.kind = OutputStage::Kind::kOut;
      read_target(said->value, stage);
    } else if (said->value.type == Type::kDocument) {
      read_merge(said->value.as_document(), stage);
    } else {
      stage.matched = OutputStage::Matched::kMerge;
      read_target(said->value, stage);
    }
    return stage;
  }
  return std::nullopt;
}

std::optional<OutputStage> output_that_travels(const wire::OpMsg& parsed, const Policy& policy) {
  std::optional<OutputStage> output = output_stage_of(parsed);
  if (output && policy.stays_here(output->ns())) output.reset();
  return output;
}

std::string output_check_command(const wire::OpMsg& parsed) {
  Writer out;
  out.open_document("explain");
  for (const bson::Element& each : parsed.body) {
    const bool is_concern = each.name == "writeConcern" || each.name == "readConcern";
    if (!is_of_message(each.name) && !is_concern) out.element(each);
  }
  out.close().string("verbosity", "queryPlanner");
  for (const bson::Element& each : parsed.body) {
    if (is_of_message(each.name)) out.element(each);
  }
  return out.finish();
}

std::string output_read_command(const wire::OpMsg& parsed, const OutputStage& stage) {
  Writer out;
  for (const bson::Element& each : parsed.body) {
    if (each.name == "writeConcern" || each.name == "bypassDocumentValidation") continue;
    if (each.name == "out" && stage.is_map_reduce) {
      out.open_document("out").int32("inline", 1).close();
    } else if (each.name == "pipeline") {
      out.open_array("pipeline");
      const Document stages = each.value.as_document();
      size_t index = 0;
      for (auto at = stages.begin(); at != stages.end(); ++index) {
        const bson::Element element = *at;
        if (++at != stages.end()) out.value(bson::index_name(index), element.value);
      }
      if (stage.reads_variables()) {
        out.open_document(bson::index_name(index - 1)).open_document("$replaceWith");
        out.string("d", "$$ROOT").value("c", *stage.let).close().close();
      }
      out.close();
    } else {
      out.element(each);
    }
  }
  return out.finish();
}

OutputDocument output_document(const OutputStage& stage, const Document& shown,
                               const std::string& id) {
  OutputDocument out;
  Document document = shown;
  Writer variables;
  if (stage.reads_variables()) {
    const auto inner = shown.find("d");
    const auto given = shown.find("c");
    if (inner && inner->type == Type::kDocument) document = inner->as_document();
    if (given && given->type == Type::kDocument) variables.append_all(given->as_document());
  }
  if (stage.names_id() && !document.has("_id")) {
    out.document = Writer().object_id("_id", id).append_all(document).finish();
  } else {
    out.document = document.bytes();
  }
  if (stage.matched == OutputStage::Matched::kPipeline) {
    std::string given = variables.finish();
    if (!Document(given).has("new")) {
      variables.append_all(Document(given)).document("new", Document(out.document));
      given = variables.finish();
    }
    out.variables = std::move(given);
  }
  return out;
}

std::optional<OutputError> find_match_fields(const OutputStage& stage, OutputDocument& document) {
  Writer out;
  const bool is_out = stage.kind == OutputStage::Kind::kOut;
  for (const bson::Element& each : Document(document.document)) {
    if (!is_out || !each.name.starts_with('$')) continue;
    return OutputError{wire::code::kDollarPrefixedFieldName,
                       fmt::format("Outrigger writes what $out gives by replacements, and no "
                                   "replacement has a field named '{}'",
                                   each.name)};
  }
  for (const std::string& name : stage.on) {
    Document in(document.document);
    std::optional<Value> value;
    for (size_t begin = 0; begin <= name.size();) {
      const size_t end = std::min(name.find('.', begin), name.size());
      value = in.find(std::string_view(name).substr(begin, end - begin));
      begin = end + 1;
      if (begin > name.size() || !value) break;
      if (value->type == Type::kArray) break;
      in = value->type == Type::kDocument ? value->as_document() : Document();
    }
    if (is_out && value && value->type == Type::kArray) {
      return OutputError{wire::code::kInvalidIdField, "The '_id' value cannot be of type array"};
    }
    if (value && value->type == Type::kArray) {
      return OutputError{51185,
                         fmt::format("$merge write error: 'on' field '{}' is an array", name)};
    }
    const bool is_missing =
        !value || value->type == Type::kUndefined || (value->type == Type::kNull && !is_out);
    if (is_missing) {
      return OutputError{51132,
                         fmt::format("$merge write error: 'on' field '{}' cannot be missing, "
                                     "null, undefined or an array",
                                     name)};
    }
    write_equal(out, name, *value);
  }
  document.on = out.finish();
  return std::nullopt;
}

std::string output_write_command(const wire::OpMsg& parsed, const OutputStage& stage,
                                 std::string_view verb) {
  Writer out;
  // As mongod's stages write. Who writes a $out has to know what is written.
  out.string(verb, stage.collection).boolean("ordered", stage.kind == OutputStage::Kind::kOut);
  for (const std::string_view name :
       {"bypassDocumentValidation", "comment", "apiVersion", "apiStrict", "apiDeprecationErrors"}) {
    const auto value = parsed.body.find(name);
    if (value) out.value(name, *value);
  }
  const bool has_pipeline = stage.matched == OutputStage::Matched::kPipeline && verb == "update";
  const auto let = parsed.body.find("let");
  if (let && has_pipeline) out.value("let", *let);
  // Whoever asks for no answer is told nothing; but what the next write is, this one's answer says.
  const auto concern = parsed.body.find("writeConcern");
  const bool is_document = concern && concern->type == Type::kDocument;
  const auto w = is_document ? concern->as_document().find("w") : std::nullopt;
  if (concern && (!w || w->to_int64() != 0)) out.value("writeConcern", *concern);
  return out.string("$db", stage.database).finish();
}

std::string output_update(const OutputStage& stage, const OutputDocument& document) {
  using Matched = OutputStage::Matched;
  const Document whole(document.document);
  Writer out;
  out.document("q", Document(document.on));
  switch (stage.matched) {
    case Matched::kReplace:
    case Matched::kFail:
      out.document("u", whole);
      break;
    case Matched::kMerge:
      out.open_document("u").document("$set", whole).close();
      break;
    case Matched::kKeepExisting:
      out.open_document("u").document("$setOnInsert", whole).close();
      break;
    case Matched::kPipeline:
      out.value("u", stage.pipeline);
      out.document("c", Document(*document.variables));
      break;
  }
  const bool upserts =
      stage.missing == OutputStage::Missing::kInsert && stage.matched != Matched::kPipeline;
  return out.boolean("upsert", upserts).finish();
}

std::string equal_filter(const Document& values) {
  Writer out;
  for (const bson::Element& each : values) write_equal(out, each.name, each.value);
  return out.finish();
}

std::string output_error_text(const OutputStage& stage, int code, std::string_view words) {
  std::string_view why;
  if (stage.kind == OutputStage::Kind::kMerge && code == wire::code::kDuplicateKey) {
    why = stage.matched == OutputStage::Matched::kFail
              ? "$merge with whenMatched: fail found an existing document with the same values for "
                "the 'on' fields :: caused by :: "
              : "$merge failed due to a DuplicateKey error :: caused by :: ";
  } else if (stage.kind == OutputStage::Kind::kMerge && code == wire::code::kImmutableField) {
    why =
        "$merge failed to update the matching document, did you attempt to modify the _id or the "
        "shard key? :: caused by :: ";
  }
  return fmt::format("PlanExecutor error during aggregation :: caused by :: {}{}", why, words);
}

}  // namespace outrigger
