#include "proxy/session/own_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "proxy/mongo/wire/error_reply.h"
#include "proxy/session/own_question.h"
#include "replication/record/catalog.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::OwnedValue;
using bson::Type;
using bson::Value;
using bson::Writer;

constexpr size_t kShownBytes = 200;  // of a value in a sentence
constexpr const char* kArrayOnTheWay = "on the way there is an array now: write the value you want";

std::string dotted(Path path, const ElementPlace* place = nullptr) {
  if (place != nullptr) path[element_in(path)] = std::to_string(place->position);
  return fmt::format("{}", fmt::join(path, "."));
}

// A whole document that lost, by its bytes.
bool is_whole(const LedgerEntry& entry) {
  return entry.path.empty() && entry.shape != Shape::kAbsent && entry.value.type == Type::kDocument;
}
// One that a delete took.
bool is_revival(const LedgerEntry& entry) {
  return is_whole(entry) && entry.kind == loss_kind_text(merge::LossKind::kDeleteUpdate);
}

ChoicePlan refusal(std::string why) {
  return {std::move(why), false, CommandKind::kFindAndModify, ""};
}

// mongod puts _id in front, too.
std::string with_id(const LedgerEntry& entry) {
  const Document document = entry.value.view().as_document();
  Writer out;
  out.value("_id", entry.id);
  for (const bson::Element& field : document) {
    if (field.name != "_id") out.element(field);
  }
  return out.finish();
}

bool is_index(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Why no update can name it; empty: one can.
std::string why_no_path(const Path& path) {
  for (const std::string& name : path) {
    if (is_element_name(name)) continue;
    const bool is_odd = name.empty() || name.front() == '$' || name.find('.') != std::string::npos;
    if (is_odd) {
      return fmt::format("no update can name the field \"{}\": replace the document", name);
    }
  }
  return !path.empty() && path.front() == "_id" ? "an _id cannot change" : "";
}

std::string why_no_shape(const LedgerEntry& entry) {
  if (is_into_element(entry.path) && !entry.beside) {
    return why_no_place(entry.path, ElementNow::Kind::kGone);
  }
  if (!entry.path.empty()) return why_no_path(entry.path);
  if (!is_whole(entry)) return "what lost is no document: write the one you want";
  if (is_revival(entry)) return "";
  for (const bson::Element& field : entry.value.view().as_document()) {
    if (!field.name.empty() && field.name.front() == '$') {
      return fmt::format("no update can give the field \"{}\": delete and insert the document",
                         field.name);
    }
  }
  return "";
}

void open_command(Writer& out, std::string_view name, const LedgerEntry& entry) {
  out.string(name, std::string_view(entry.ns).substr(entry.ns.find('.') + 1));
}
std::string close_command(Writer& out, const LedgerEntry& entry) {
  return out.string("$db", std::string_view(entry.ns).substr(0, entry.ns.find('.'))).finish();
}
// Whatever the collection takes for equal: this document, and these bytes.
void write_collation(Writer& out) {
  out.open_document("collation").string("locale", "simple").close();
}

// Opens the filter. Of a path through a name that could be an index, no array on the way there.
void open_filter(Writer& out, std::string_view name, const LedgerEntry& entry) {
  out.open_document(name).open_document("_id").value("$eq", entry.id).close();
  for (size_t i = 1; i < element_in(entry.path); ++i) {
    if (!is_index(entry.path[i])) continue;
    const Path above(entry.path.begin(), entry.path.begin() + static_cast<ptrdiff_t>(i));
    out.open_document(dotted(above)).open_document("$not").string("$type", "array");
    out.close().close();
  }
}

// In a filter: exactly this stands in the place of the loser, or is the array that it is in.
void write_stands(Writer& out, const LedgerEntry& entry, const Value& value) {
  const std::string of = is_whole(entry) ? "$$ROOT" : "$" + dotted(path_of_array(entry.path));
  out.open_document("$expr").open_array("$eq").string("0", of);
  out.open_document("1").value("$literal", value).close().close().close();
}

// An array that has, or has not, such an element.
void write_has_element(Writer& out, const LedgerEntry& entry, const Value& value, bool has) {
  out.open_document(dotted(entry.path));
  if (!has) out.open_document("$not");
  out.open_document("$elemMatch").value("$eq", value).close();
  if (!has) out.close();
  out.close();
}

void write_fields(Writer& out, std::string_view name, const LedgerEntry& entry) {
  if (entry.path.empty()) return;
  out.open_document(name).int32("_id", 0).int32(dotted(path_of_array(entry.path)), 1).close();
}

// {update: {$set or $unset: path}}
void write_update(Writer& out, const std::string& path, const std::optional<OwnedValue>& value) {
  out.open_document("update").open_document(value ? "$set" : "$unset");
  if (value) out.value(path, *value);
  if (!value) out.string(path, "");
  out.close().close();
}

ChoicePlan finish_find_and_modify(Writer& out, const LedgerEntry& entry) {
  write_fields(out, "fields", entry);
  write_collation(out);
  return {"", false, CommandKind::kFindAndModify, close_command(out, entry)};
}

std::optional<OwnedValue> loser(const LedgerEntry& entry) {
  if (entry.shape == Shape::kAbsent) return std::nullopt;
  if (is_whole(entry)) return bson::make_document(with_id(entry));
  return entry.value;
}

ChoicePlan plan_element(ChoiceVerb verb, const LedgerEntry& entry) {
  const bool is_choice = verb == ChoiceVerb::kChoose;
  const std::string path = dotted(entry.path);
  Writer out;
  open_command(out, "findAndModify", entry);
  open_filter(out, "query", entry);
  if (entry.winning) {
    const OwnedValue& before = is_choice ? *entry.winning : entry.value;
    const OwnedValue& after = is_choice ? entry.value : *entry.winning;
    write_has_element(out, entry, before.view(), true);
    out.close();
    write_update(out, path + ".$", after);
  } else {
    // Twice chosen it must not be there twice.
    write_has_element(out, entry, entry.value.view(), !is_choice);
    out.close().open_document("update").open_document(is_choice ? "$push" : "$pullAll");
    if (is_choice) {  // not taken for modifiers, whatever it is
      out.open_document(path).open_array("$each").value("0", entry.value).close().close();
    }
    if (!is_choice) out.open_array(path).value("0", entry.value).close();
    out.close().close();
  }
  return finish_find_and_modify(out, entry);
}

ChoicePlan plan_revival(ChoiceVerb verb, const LedgerEntry& entry) {
  const std::string document = with_id(entry);
  Writer out;
  if (verb == ChoiceVerb::kChoose) {
    open_command(out, "insert", entry);
    out.open_array("documents").document("0", Document(document)).close();
    return {"", false, CommandKind::kInsert, close_command(out, entry)};
  }
  open_command(out, "delete", entry);
  out.open_array("deletes").open_document("0");
  open_filter(out, "q", entry);
  write_stands(out, entry, {Type::kDocument, document});
  out.close().int32("limit", 1);
  write_collation(out);
  out.close().close();
  return {"", false, CommandKind::kDelete, close_command(out, entry)};
}

// What had won, as far as it is known here.
std::optional<Replaced> winner(const LedgerEntry& entry) {
  if (entry.replaced) return entry.replaced;
  if (entry.winning) return Replaced{entry.winning};
  return std::nullopt;
}

std::optional<Value> element_at(const Value& array, size_t position) {
  if (array.type != Type::kArray) return std::nullopt;
  for (const bson::Element& each : array.as_document()) {
    if (position-- == 0) return each.value;
  }
  return std::nullopt;
}

// What stands at the place of the loser in a document, or a projection of it; `from`: below so many
// names of its path. Nothing also where something else stands on the way, which `stop` then is.
std::optional<OwnedValue> value_at(Value at, const Path& path, const ElementPlace* place,
                                   size_t from = 0, Type* stop = nullptr) {
  for (size_t i = from; i < path.size(); ++i) {
    const bool is_position = place != nullptr && is_element_name(path[i]);
    if (!is_position && at.type != Type::kDocument) {
      if (stop != nullptr) *stop = at.type;
      return std::nullopt;
    }
    const auto next =
        is_position ? element_at(at, place->position) : at.as_document().find(path[i]);
    if (!next) return std::nullopt;
    at = *next;
  }
  return OwnedValue(at);
}
std::optional<OwnedValue> value_at(const Document& document, const Path& path,
                                   const ElementPlace* place) {
  return value_at({Type::kDocument, document.bytes()}, path, place);
}

ChoicePlan plan_value(ChoiceVerb verb, const LedgerEntry& entry, const ElementPlace* place) {
  std::optional<OwnedValue> value = loser(entry);
  Type stop = Type::kDocument;
  std::optional<OwnedValue> now;
  if (place != nullptr) {
    now = value_at(place->array.view(), entry.path, place, element_in(entry.path), &stop);
    if (stop == Type::kArray) return refusal(kArrayOnTheWay);
  }
  Writer out;
  open_command(out, "findAndModify", entry);
  open_filter(out, "query", entry);
  if (verb == ChoiceVerb::kRevert) {
    const std::optional<Replaced> before = winner(entry);
    if (!before) {
      return refusal(
          "what had won here is not known at this site: revert where it was chosen, or write "
          "the value you want");
    }
    if (place != nullptr) {
      if (now != value) return {"", true, CommandKind::kFindAndModify, ""};
    } else if (value) {
      write_stands(out, entry, value->view());
    } else {
      out.open_document(dotted(entry.path)).boolean("$exists", false).close();
    }
    value = before->value;
  }
  if (place != nullptr) write_stands(out, entry, place->array.view());
  out.close();
  if (is_whole(entry)) {
    if (!value) return refusal("nothing had stood there: delete the document");
    out.value("update", *value);
  } else {
    write_update(out, dotted(entry.path, place), value);
  }
  return finish_find_and_modify(out, entry);
}

ChoicePlan plan_dismissal(const LedgerEntry& entry) {
  if (entry.kind == kNotApplied || entry.kind == kUnique || entry.kind == kKeptKind ||
      entry.kind == kQuarantinedKind) {
    return refusal(why_not_of_kind(entry));
  }
  LedgerEntry of = entry;
  if (of.ns == kCatalogNs && of.id.type == Type::kString) of.ns = of.id.view().as_string();
  Writer out;
  open_command(out, "update", of);
  out.open_array("updates").open_document("0");
  out.open_document("q").int32("$alwaysFalse", 1).close();
  out.open_document("u").open_document("$set").int32("x", 1).close().close();
  out.close().close();
  return {"", false, CommandKind::kUpdate, close_command(out, of)};
}

bool has_element(const std::optional<OwnedValue>& array, const OwnedValue& wanted) {
  if (!array || array->type != Type::kArray) return false;
  for (const bson::Element& each : array->view().as_document()) {
    if (each.value == wanted.view()) return true;
  }
  return false;
}

int64_t amount(const std::optional<Value>& value) {
  return value ? value->to_int64().value_or(0) : 0;
}

}  // namespace

std::optional<ChoiceVerb> choice_verb(const wire::OpMsg& parsed) {
  if (parsed.database() != kOwnDatabase || parsed.more_to_come()) return std::nullopt;
  const std::string_view name = parsed.command_name();
  if (name == "choose") return ChoiceVerb::kChoose;
  if (name == "revert") return ChoiceVerb::kRevert;
  if (name == "dismiss") return ChoiceVerb::kDismiss;
  return std::nullopt;
}

bool needs_place(ChoiceVerb verb, const LedgerEntry& entry) {
  return verb != ChoiceVerb::kDismiss && is_into_element(entry.path);
}

ChoicePlan plan_choice(ChoiceVerb verb, const LedgerEntry& entry, const ElementPlace* place) {
  if (verb == ChoiceVerb::kDismiss) return plan_dismissal(entry);
  ChoicePlan plan;
  plan.refusal = why_not_of_kind(entry);
  if (plan.refusal.empty()) plan.refusal = why_no_shape(entry);
  if (!plan.refusal.empty()) return plan;
  if (place == nullptr && needs_place(verb, entry)) return plan;
  if (entry.is_element) return plan_element(verb, entry);
  return is_revival(entry) ? plan_revival(verb, entry) : plan_value(verb, entry, place);
}

ChoiceReply read_choice(const ChoicePlan& plan, const LedgerEntry& entry, const Document& reply,
                        const ElementPlace* place) {
  ChoiceReply out;
  Document error = reply;
  const auto errors = reply.find("writeErrors");
  if (errors && errors->type == Type::kArray) {
    const auto first = errors->as_document().first();
    if (first && first->value.type == Type::kDocument) error = first->value.as_document();
  }
  out.code = wire::code_of(error);
  if (out.code != 0) {
    const auto words = error.find("errmsg");
    if (words && words->type == Type::kString) out.words = std::string(words->as_string());
    return out;
  }
  if (plan.kind != CommandKind::kFindAndModify) {
    out.is_written = amount(reply.find("n")) > 0;
    return out;
  }
  const auto before = reply.find("value");
  if (!before || before->type != Type::kDocument) return out;
  out.is_written = true;
  if (!entry.is_element) out.instead = Replaced{value_at(before->as_document(), entry.path, place)};
  return out;
}

std::string look_command(const LedgerEntry& entry) {
  Writer out;
  open_command(out, "find", entry);
  out.open_document("filter").open_document("_id").value("$eq", entry.id).close().close();
  write_fields(out, "projection", entry);
  out.int32("limit", 1).boolean("singleBatch", true);
  write_collation(out);
  return close_command(out, entry);
}

std::string why_not_written(ChoiceVerb verb, const LedgerEntry& entry,
                            const std::optional<Document>& found, const ElementPlace* place) {
  const bool is_choice = verb == ChoiceVerb::kChoose;
  if (!found) {
    if (!is_choice && is_revival(entry)) return "";  // gone, as it is to be
    return "the document is not there any more: a delete of it has an entry of its own, or else "
           "insert it";
  }
  const std::optional<OwnedValue> now = value_at(*found, entry.path, place);
  const bool came_back =
      is_choice && is_revival(entry) && bson::equal_unordered(*found, Document(with_id(entry)));
  if (came_back) return "";
  const std::string shown = now ? bson::to_json(now->view(), kShownBytes) : std::string("nothing");
  if (entry.is_element) {
    const bool has = has_element(now, entry.value);
    const bool is_so = entry.winning ? has_element(now, is_choice ? entry.value : *entry.winning)
                                     : has == is_choice;
    if (is_so) return "";
    return fmt::format(
        "the array holds no element any more that {} could take the place of: "
        "there is {}; write what you want of it",
        is_choice ? "the lost one" : "the one that had won", shown);
  }
  if (is_choice) return kArrayOnTheWay;
  if (is_revival(entry)) return "the document has changed since it came back: delete it yourself";
  const std::optional<Replaced> before = winner(entry);
  if (before && before->value == now) return "";
  return fmt::format("what was chosen stands there no more: there is {}; write the value you want",
                     shown);
}

std::optional<Replaced> worth_noting(const LedgerEntry& entry,
                                     const std::optional<Replaced>& instead) {
  if (!instead || instead->value == loser(entry)) return std::nullopt;
  if (entry.winning && instead->value == entry.winning && !entry.replaced) return std::nullopt;
  return instead;
}

}  // namespace outrigger
