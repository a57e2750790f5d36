#include "integration/memory_mongod/update.h"

#include <algorithm>

#include "integration/memory_mongod/filter.h"
#include "proxy/mongo/wire/error_reply.h"
#include "replication/bson/fields.h"
#include "replication/bson/number.h"
#include "replication/store/memory/memory_document.h"

namespace outrigger::world {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

struct Step {
  enum class Kind { kSet, kUnset, kIncrement, kPush, kPull } kind;
  Path path;
  Value value;
};

OrError<std::vector<Step>> steps_of(const Document& operators, bool inserts) {
  std::vector<Step> steps;
  for (const Element& one : operators) {
    Step::Kind kind = Step::Kind::kSet;
    if (one.name == "$unset") kind = Step::Kind::kUnset;
    if (one.name == "$inc") kind = Step::Kind::kIncrement;
    if (one.name == "$push") kind = Step::Kind::kPush;
    if (one.name == "$pull") kind = Step::Kind::kPull;
    const bool is_set = one.name == "$set" || one.name == "$setOnInsert";
    if ((kind == Step::Kind::kSet && !is_set) || one.value.type != Type::kDocument) {
      return refuse(wire::code::kFailedToParse,
                    "the mongod in memory does not know " + std::string(one.name));
    }
    if (one.name == "$setOnInsert" && !inserts) continue;
    for (const Element& field : one.value.as_document()) {
      steps.push_back({kind, path_of(field.name), field.value});
    }
  }
  // mongod goes by the names, not by how they stand in the update.
  std::stable_sort(steps.begin(), steps.end(),
                   [](const Step& a, const Step& b) { return a.path < b.path; });
  return steps;
}

// $push of a value, $pull of what equals one. Nothing: there is nothing to take from.
OrError<std::optional<bson::OwnedValue>> array_after(const Step& step, const Document& document) {
  bson::PathFinder finder(document);
  const auto there = finder.find(step.path);
  const bool pushes = step.kind == Step::Kind::kPush;
  if (!there && !pushes) return std::optional<bson::OwnedValue>();
  if (there && there->type != Type::kArray) {
    return refuse(wire::code::kBadValue, "The field must be an array");
  }
  bson::Writer out;
  size_t at = 0;
  if (there) {
    for (const Element& each : there->as_document()) {
      if (pushes || !(each.value == step.value)) out.value(bson::index_name(at++), each.value);
    }
  }
  if (pushes) out.value(bson::index_name(at), step.value);
  return std::optional(bson::OwnedValue(Type::kArray, out.finish()));
}

OrError<std::string> taken(const Step& step, const std::string& document);

// Where the first array on the way is one of which the path goes on by a position.
std::optional<size_t> array_on_way(const Step& step, const Document& document) {
  const auto reached = bson::PathFinder(document).walk(step.path);
  const bool is_inside = reached.names < step.path.size() && reached.value;
  if (!is_inside || reached.value->type != Type::kArray) return std::nullopt;
  return reached.names;
}

// Of an array with fewer elements, none: as mongod would make them, this one does not.
OrError<std::string> taken_in_array(const Step& step, const std::string& document, size_t at) {
  const Path way(step.path.begin(), step.path.begin() + static_cast<ptrdiff_t>(at));
  bson::Writer array;
  const Document now(document);
  for (const Element& each : bson::PathFinder(now).find(way)->as_document()) {
    if (each.name != step.path[at]) {
      array.element(each);
      continue;
    }
    // As a field of a document of its own.
    const std::string alone = bson::Writer().value(each.name, each.value).finish();
    Step inside = step;
    inside.path.erase(inside.path.begin(), inside.path.begin() + static_cast<ptrdiff_t>(at));
    const auto next = taken(inside, alone);
    if (!next) return next;
    const auto left = Document(*next).first();
    array.value(each.name, left ? left->value : Value{Type::kNull, {}});
  }
  const bson::OwnedValue after(Type::kArray, array.finish());
  return *with_field(now, way, after.view());
}

OrError<std::string> taken(const Step& step, const std::string& document) {
  if (const auto at = array_on_way(step, Document(document))) {
    return taken_in_array(step, document, *at);
  }
  if (step.kind == Step::Kind::kUnset) return without_field(Document(document), step.path);
  bson::OwnedValue value(step.value);
  if (step.kind == Step::Kind::kIncrement) {
    if (!step.value.is_number())
      return refuse(wire::code::kTypeMismatch, "Cannot increment with non-numeric");
    const Document now(document);
    bson::PathFinder finder(now);
    if (const auto there = finder.find(step.path)) {
      if (!there->is_number())
        return refuse(wire::code::kTypeMismatch, "Cannot apply $inc to a non-number");
      value = bson::increment(*there, step.value).value;
    }
  }
  if (step.kind == Step::Kind::kPush || step.kind == Step::Kind::kPull) {
    auto array = array_after(step, Document(document));
    if (!array) return tl::unexpected(array.error());
    if (!*array) return document;
    value = std::move(**array);
  }
  auto next = with_field(Document(document), step.path, value.view());
  if (!next) return refuse(wire::code::kPathNotViable, "Cannot create field in element");
  return std::move(*next);
}

// The fields of the diff of two documents, level by level.
void write_diff(bson::Writer& out, const Document& before, const Document& after) {
  bson::Writer gone;
  bson::Writer changed;
  bson::Writer fresh;
  bson::Writer inner;
  for (const Element& was : before) {
    const auto is = after.find(was.name);
    if (!is) {
      gone.boolean(was.name, false);
    } else if (*is == was.value) {
      continue;
    } else if (is->type == Type::kDocument && was.value.type == Type::kDocument) {
      inner.open_document("s" + std::string(was.name));
      write_diff(inner, was.value.as_document(), is->as_document());
      inner.close();
    } else {
      changed.value(was.name, *is);
    }
  }
  for (const Element& is : after) {
    if (!before.has(is.name)) fresh.element(is);
  }
  for (const auto& [name, part] : {std::pair{"d", &gone}, {"u", &changed}, {"i", &fresh}}) {
    const std::string bytes = part->finish();
    if (!Document(bytes).empty()) out.document(name, Document(bytes));
  }
  const std::string below = inner.finish();
  out.append_all(Document(below));
}

// What differs, by dotted names.
void write_sets(bson::Writer& sets, bson::Writer& unsets, const std::string& above,
                const Document& before, const Document& after) {
  for (const Element& is : after) {
    const std::string name = above + std::string(is.name);
    const auto was = before.find(is.name);
    if (was && *was == is.value) continue;
    const bool goes_in = was && was->type == Type::kDocument && is.value.type == Type::kDocument;
    if (goes_in) {
      write_sets(sets, unsets, name + ".", was->as_document(), is.value.as_document());
    } else {
      sets.value(name, is.value);
    }
  }
  for (const Element& was : before) {
    if (!after.has(was.name)) unsets.boolean(above + std::string(was.name), true);
  }
}

}  // namespace

OrError<std::string> updated(const Document& operators, const std::string& document, bool inserts) {
  const auto steps = steps_of(operators, inserts);
  if (!steps) return tl::unexpected(steps.error());
  std::string now = document;
  for (const Step& step : *steps) {
    auto next = taken(step, now);
    if (!next) return next;
    now = std::move(*next);
  }
  return now;
}

bool has_operators(const Document& update) {
  const auto first = update.first();
  return first && first->name.starts_with("$");
}

std::string seed_of(const Document& filter) {
  std::string out = bson::Writer().finish();
  for (const Element& part : filter) {
    if (part.name.starts_with("$")) continue;
    std::optional<Value> value = part.value;
    if (part.value.type == Type::kDocument) {
      const auto first = part.value.as_document().first();
      const bool is_operators = first && first->name.starts_with("$");
      if (is_operators) value = part.value.as_document().find("$eq");
    }
    if (!value) continue;
    if (auto next = with_field(Document(out), path_of(part.name), *value)) out = std::move(*next);
  }
  return out;
}

std::string oplog_sets(const Document& before, const Document& after) {
  bson::Writer sets;
  bson::Writer unsets;
  write_sets(sets, unsets, "", before, after);
  bson::Writer out;
  out.int32("$v", 1);
  for (const auto& [name, part] : {std::pair{"$set", &sets}, {"$unset", &unsets}}) {
    const std::string bytes = part->finish();
    if (!Document(bytes).empty()) out.document(name, Document(bytes));
  }
  return out.finish();
}

std::string oplog_diff(const Document& before, const Document& after) {
  bson::Writer out;
  out.int32("$v", 2).open_document("diff");
  write_diff(out, before, after);
  return out.close().finish();
}

}  // namespace outrigger::world
