#include "proxy/capture/ids/id_bytes.h"

#include "replication/bson/fields.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Element;
using bson::Type;
using bson::Value;

// As a pattern up to four times as many; PCRE of MongoDB 6.0 takes twice that.
constexpr size_t kPatternTextBytesMax = 4 * 1024;

// The expression that reads a part of _id, and what it reads.
std::string field_of(const std::string& container, std::string_view name) {
  bson::Writer out;
  out.open_document("$getField");
  out.open_document("field").string("$literal", name).close();
  out.value("input", Document(container).first()->value);
  out.close();
  bson::Writer wrapped;
  return wrapped.document("e", Document(out.finish())).finish();
}

std::string item_of(const std::string& container, int32_t index) {
  bson::Writer out;
  out.open_array("$arrayElemAt");
  out.value("0", Document(container).first()->value).int32("1", index).close();
  bson::Writer wrapped;
  return wrapped.document("e", Document(out.finish())).finish();
}

void append_same_bytes(bson::Writer& out, size_t& count, const std::string& read,
                       const Value& value) {
  const Value expression = Document(read).first()->value;
  if (value.type == Type::kString) {
    const std::string_view text = value.as_string();
    out.open_document(bson::index_name(count++)).open_array("$eq");
    out.open_document("0").value("$type", expression).close();
    out.string("1", "string").close().close();
    out.open_document(bson::index_name(count++)).open_array("$eq");
    out.open_document("0").value("$strLenBytes", expression).close();
    out.int64("1", static_cast<int64_t>(text.size())).close().close();
    out.open_document(bson::index_name(count++)).open_array("$eq");
    out.open_document("0").open_array("$indexOfBytes").value("0", expression);
    out.open_document("1").string("$literal", text).close().close().close();
    out.int32("1", 0).close().close();
    return;
  }
  if (!value.is_container()) return;
  // What reads a field reads the first of a name.
  if (value.type == Type::kDocument && bson::repeats_names(value.as_document())) return;
  int32_t index = 0;
  for (const Element& element : value.as_document()) {
    const std::string inner =
        value.type == Type::kArray ? item_of(read, index++) : field_of(read, element.name);
    append_same_bytes(out, count, inner, element.value);
  }
}

// ---- patterns

bool is_text(const Value& value) {
  return value.type == Type::kString || value.type == Type::kSymbol;
}

bool holds_text(const Value& value) {
  if (is_text(value)) return true;
  if (!value.is_container()) return false;
  for (const Element& element : value.as_document()) {
    if (holds_text(element.value)) return true;
  }
  return false;
}

// A path of a filter can lead through it, to nothing else.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.front() != '$' && name.find('.') == std::string_view::npos;
}

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Of this text and no other: no collation has a say in a pattern.
std::string pattern_of(std::string_view text) {
  std::string out = "\\A";
  for (const char c : text) {
    const bool is_ascii = static_cast<unsigned char>(c) < 0x80;
    if (c == '\0') {
      out += "\\x00";
    } else {
      if (is_ascii && !is_letter_or_digit(c)) out += '\\';
      out += c;
    }
  }
  return out + "\\z";
}

std::string_view text_of(const Value& value) {
  // A symbol's bytes are laid out as a string's.
  return Value{Type::kString, value.bytes}.as_string();
}

void append_patterns(bson::Writer& out, const std::string& path, const Value& value) {
  if (is_text(value)) {
    out.open_document(path).string("$regex", pattern_of(text_of(value))).close();
    return;
  }
  if (value.type != Type::kDocument) return;
  for (const Element& element : value.as_document()) {
    append_patterns(out, path + "." + std::string(element.name), element.value);
  }
}

}  // namespace

bool has_id_patterns(const Value& id) {
  if (is_text(id)) {
    const std::string_view text = text_of(id);
    return text.size() <= kPatternTextBytesMax && bson::is_utf8(text);
  }
  if (id.type != Type::kDocument) return !holds_text(id);
  if (bson::repeats_names(id.as_document())) return false;  // a path leads to the first only
  for (const Element& element : id.as_document()) {
    if (!holds_text(element.value)) continue;
    if (!is_plain_name(element.name) || !has_id_patterns(element.value)) return false;
  }
  return true;
}

void append_id_patterns(bson::Writer& out, const Value& id) { append_patterns(out, "_id", id); }

// Equality comes first: only then is what is read there for sure.
void append_id_expression(bson::Writer& out, const Value& id) {
  bson::Writer root;
  const std::string read = root.string("e", "$_id").finish();
  out.open_document("$expr").open_array("$and");
  out.open_document("0").open_array("$eq").string("0", "$_id");
  out.open_document("1").value("$literal", id).close().close().close();
  size_t count = 1;
  append_same_bytes(out, count, read, id);
  out.close().close();
}

}  // namespace outrigger
