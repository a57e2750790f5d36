#include "replication/bson/bson.h"

#include "replication/bson/decimal128.h"
#include "replication/bson/layout.h"

namespace outrigger::bson {

using internal::load;

bool Value::is_number() const {
  return type == Type::kInt32 || type == Type::kInt64 || type == Type::kDouble ||
         type == Type::kDecimal128;
}

int32_t Value::as_int32() const {
  OUTRIGGER_ASSERT(type == Type::kInt32 && bytes.size() == 4);
  return load<int32_t>(bytes.data());
}

int64_t Value::as_int64() const {
  OUTRIGGER_ASSERT(type == Type::kInt64 && bytes.size() == 8);
  return load<int64_t>(bytes.data());
}

double Value::as_double() const {
  OUTRIGGER_ASSERT(type == Type::kDouble && bytes.size() == 8);
  return load<double>(bytes.data());
}

bool Value::as_bool() const {
  OUTRIGGER_ASSERT(type == Type::kBool && bytes.size() == 1);
  return bytes[0] != 0;
}

std::string_view Value::as_string() const {
  OUTRIGGER_ASSERT(type == Type::kString || type == Type::kSymbol || type == Type::kCode);
  OUTRIGGER_ASSERT(bytes.size() >= 5);
  return bytes.substr(4, bytes.size() - 5);
}

std::string_view Value::binary() const {
  constexpr size_t kHeaderBytes = 5;  // length and subtype
  if (type != Type::kBinary || bytes.size() < kHeaderBytes) return {};
  return bytes.substr(kHeaderBytes);
}

Document Value::as_document() const {
  OUTRIGGER_ASSERT(is_container());
  return Document(bytes);
}

std::optional<int64_t> Value::to_int64() const {
  switch (type) {
    case Type::kBool:
      return as_bool() ? 1 : 0;
    case Type::kInt32:
      return as_int32();
    case Type::kInt64:
      return as_int64();
    case Type::kDouble:
      return integer_of(as_double());
    case Type::kDecimal128:
      return integer_of(Decimal128::from_bytes(bytes));
    default:
      return std::nullopt;
  }
}

bool Value::truthy() const {
  switch (type) {
    case Type::kNull:
    case Type::kUndefined:
      return false;
    case Type::kDouble:
      return as_double() != 0;
    case Type::kDecimal128:
      return !Decimal128::from_bytes(bytes).is_zero();
    case Type::kBool:
    case Type::kInt32:
    case Type::kInt64:
      return to_int64() != 0;
    default:
      return true;
  }
}

Document::Iterator& Document::Iterator::operator++() {
  read();
  return *this;
}

void Document::Iterator::stop(bool malformed) {
  rest_ = {};
  element_ = {};
  at_end_ = true;
  malformed_ = malformed;
}

namespace {

// The element at the front of [at, end), which is not the document's last byte; false when it does
// not fit.
inline bool read_element(const char* at, const char* end, Element& out) {
  const auto type = static_cast<Type>(*at);
  const size_t name = internal::cstring_length(at + 1, end);
  if (name == internal::kMalformed) return false;
  const char* value = at + 1 + name + 1;
  const size_t length = internal::value_length(type, value, end);
  if (length == internal::kMalformed) return false;
  out = {{at + 1, name}, {type, {value, length}}};
  return true;
}

const char* end_of(const Element& element) {
  return element.value.bytes.data() + element.value.bytes.size();
}

}  // namespace

// rest_ runs up to and including the document's last byte.
void Document::Iterator::read() {
  const char* at = rest_.data();
  const char* end = at + rest_.size();
  if (at == end) return stop(true);
  if (*at == 0) return stop(at + 1 != end);
  if (!read_element(at, end, element_)) return stop(true);
  rest_ = {end_of(element_), static_cast<size_t>(end - end_of(element_))};
}

Bytes Document::bytes() const { return bytes_.empty() ? Bytes("\5\0\0\0\0", 5) : bytes_; }

Document::Iterator Document::begin() const {
  Iterator it;
  if (bytes_.empty()) return it;
  if (document_length(bytes_) != bytes_.size()) {
    it.stop(true);
    return it;
  }
  it.at_end_ = false;
  it.rest_ = bytes_.substr(4);
  it.read();
  return it;
}

Document::Iterator Document::end() const { return {}; }

// Not by the iterator: most of what a command's reader does is to look for fields that are not
// there, and this takes a third less.
std::optional<Value> Document::find(std::string_view name) const {
  if (bytes_.empty() || document_length(bytes_) != bytes_.size()) return std::nullopt;
  const char* at = bytes_.data() + 4;
  const char* end = bytes_.data() + bytes_.size();
  Element element;
  while (at != end && *at != 0) {
    if (!read_element(at, end, element)) return std::nullopt;
    if (element.name == name) return element.value;
    at = end_of(element);
  }
  return std::nullopt;
}

std::optional<Element> Document::first() const {
  const auto it = begin();
  if (it == end()) return std::nullopt;
  return *it;
}

std::optional<size_t> document_length(Bytes bytes) {
  if (bytes.size() < internal::kDocumentBytesMin) return std::nullopt;
  const auto length = load<int32_t>(bytes.data());
  if (length < static_cast<int32_t>(internal::kDocumentBytesMin)) return std::nullopt;
  if (static_cast<size_t>(length) > bytes.size()) return std::nullopt;
  return static_cast<size_t>(length);
}

}  // namespace outrigger::bson
