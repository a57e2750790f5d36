#include "proxy/capture/relaxed_commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "proxy/capture/reply.h"
#include "proxy/mongo/wire/error_reply.h"
#include "replication/store/key_guard.h"

namespace outrigger {
namespace {

using bson::Document;

// `key` of a spec.
Document fields_of(const Document& spec) {
  const auto key = spec.find("key");
  return key && key->type == bson::Type::kDocument ? key->as_document() : Document();
}

bool is_the_relaxed(const Document& asked, const Document& known) {
  return guard_of(asked) == KeyGuard::kAll && is_same_index(asked, known);
}

// Of each index that a createIndexes asks for.
template <typename See>
void each_asked(const wire::OpMsg& parsed, const See& see) {
  const auto indexes = parsed.body.find("indexes");
  if (indexes && indexes->type == bson::Type::kArray) {
    for (const bson::Element& each : indexes->as_document()) {
      if (each.value.type == bson::Type::kDocument) see(each.value.as_document());
    }
  }
  if (const wire::Sequence* sequence = parsed.sequence("indexes")) {
    for (const Document& each : sequence->documents) see(each);
  }
}

std::string text_of(const Document& spec) { return bson::to_json(spec, 300); }

// As mongod says it of indexes that are there.
std::string conflict_of(const Document& asked, const Document& known) {
  const std::string unique = with_guard(known, KeyGuard::kAll);
  if (is_the_relaxed(asked, known)) {
    return wire::error_body(
        wire::code::kIndexOptionsConflict,
        fmt::format("Index already exists with a different name: {}", index_name_of(known)));
  }
  return wire::error_body(
      wire::code::kIndexKeySpecsConflict,
      fmt::format("An existing index has the same name as the requested index. When index names "
                  "are not specified, they are auto generated and can cause conflicts. Please "
                  "refer to our documentation. Requested index: {}, existing index: {}",
                  text_of(asked), text_of(Document(unique))));
}

}  // namespace

std::optional<std::string> as_relaxed(const wire::OpMsg& parsed,
                                      const std::vector<std::string>& specs) {
  const auto indexes = parsed.body.find("indexes");
  if (specs.empty() || !parsed.sequences.empty()) return std::nullopt;
  if (!indexes || indexes->type != bson::Type::kArray) return std::nullopt;
  const auto is_relaxed = [&](const bson::Value& asked) {
    if (asked.type != bson::Type::kDocument) return false;
    if (guard_of(asked.as_document()) != KeyGuard::kAll) return false;
    return std::any_of(specs.begin(), specs.end(), [&](const std::string& spec) {
      return is_same_index(asked.as_document(), Document(spec));
    });
  };
  bool any = false;
  bson::Writer out;
  for (const bson::Element& each : parsed.body) {
    if (each.name != "indexes") {
      out.element(each);
      continue;
    }
    out.open_array("indexes");
    for (const bson::Element& index : indexes->as_document()) {
      const bool is_one = is_relaxed(index.value);
      any = any || is_one;
      if (!is_one) out.element(index);
      if (!is_one) continue;
      const std::string spec = with_guard(index.value.as_document(), KeyGuard::kNew);
      out.document(index.name, Document(spec));
    }
    out.close();
  }
  if (!any) return std::nullopt;
  const std::string body = out.finish();
  return wire::build_op_msg(parsed.header.request_id, 0, parsed.flags & wire::kMoreToCome,
                            Document(body));
}

std::optional<std::string> index_conflict(const wire::OpMsg& parsed,
                                          const std::vector<std::string>& specs) {
  std::optional<std::string> conflict;
  each_asked(parsed, [&](const Document& asked) {
    for (const std::string& spec : specs) {
      const Document known(spec);
      const bool has_name = index_name_of(asked) == index_name_of(known);
      // Of two collations mongod alone knows whether they are one.
      const bool is_it = is_the_relaxed(asked, known) && (has_name || !asked.has("collation"));
      if (!conflict && has_name != is_it) conflict = conflict_of(asked, known);
    }
  });
  return conflict;
}

std::vector<std::string> asked_otherwise(const wire::OpMsg& parsed,
                                         const std::vector<std::string>& specs) {
  std::vector<std::string> names;
  each_asked(parsed, [&](const Document& asked) {
    for (const std::string& spec : specs) {
      const Document known(spec);
      if (index_name_of(known) != index_name_of(asked) || is_the_relaxed(asked, known)) continue;
      names.emplace_back(index_name_of(known));
    }
  });
  return names;
}

// ---- dropIndexes

IndexDrop::IndexDrop(const wire::OpMsg& parsed, const std::vector<std::string>& away, size_t there)
    : parsed_(parsed), away_(away.size()), there_(there) {
  if (!away.empty()) read_target(away);
}

void IndexDrop::read_target(const std::vector<std::string>& away) {
  const auto is_away = [&](std::string_view name) {
    return std::any_of(away.begin(), away.end(), [&](const std::string& spec) {
      return index_name_of(Document(spec)) == name;
    });
  };
  const auto add = [&](const bson::Value& name) {
    if (name.type != bson::Type::kString) return;
    (is_away(name.as_string()) ? named_ : others_).emplace_back(name.as_string());
  };
  const auto index = parsed_.body.find("index");
  if (!index) return;
  is_all_ = index->type == bson::Type::kString && index->as_string() == "*";
  is_list_ = index->type == bson::Type::kArray;
  if (is_list_) {
    for (const bson::Element& each : index->as_document()) add(each.value);
  } else if (is_all_) {
    for (const std::string& spec : away) named_.emplace_back(index_name_of(Document(spec)));
  } else if (index->type == bson::Type::kDocument) {
    for (const std::string& spec : away) {
      if (!are_same_fields(fields_of(Document(spec)), index->as_document())) continue;
      named_.emplace_back(index_name_of(Document(spec)));
    }
    if (named_.size() > 1) named_.clear();  // which one, mongod would ask
  } else {
    add(*index);
  }
}

std::optional<std::string> IndexDrop::words() const {
  if (!is_list_ || named_.empty() || others_.empty()) return std::nullopt;
  bson::Writer out;
  for (const bson::Element& each : parsed_.body) {
    if (each.name != "index") {
      out.element(each);
      continue;
    }
    size_t at = 0;
    out.open_array("index");
    for (const std::string& name : others_) out.string(bson::index_name(at++), name);
    out.close();
  }
  const std::string body = out.finish();
  return wire::build_op_msg(parsed_.header.request_id, 0, parsed_.flags & wire::kMoreToCome,
                            Document(body));
}

std::string IndexDrop::answered(std::string reply) {
  const auto said = wire::parse_op_msg_trusted(reply);
  if (!said || named_.empty()) return reply;
  const bool is_done = wire::is_ok(said->body);
  const bool is_unknown = wire::code_of(said->body) == wire::code::kIndexNotFound;
  // Where it names another one, too, mongod has not found that.
  const bool are_all_away = is_unknown && others_.empty() && !is_all_;
  if (!is_done && !are_all_away) return reply;
  gone_ = named_;
  bson::Writer out;
  if (are_all_away) {
    out.int32("nIndexesWas", static_cast<int32_t>(there_ + away_)).real("ok", 1);
  } else {
    for (const bson::Element& each : said->body) {
      const bool is_count = each.name == "nIndexesWas" && (is_all_ || is_list_);
      const auto count = is_count ? each.value.to_int64() : std::nullopt;
      if (!count) out.element(each);
      if (count) out.int32(each.name, static_cast<int32_t>(*count) + static_cast<int32_t>(away_));
    }
  }
  std::string body = out.finish();
  if (are_all_away) body = with_times(body, said->body);
  return wire::build_op_msg(said->header.request_id, said->header.response_to, 0, Document(body));
}

}  // namespace outrigger
