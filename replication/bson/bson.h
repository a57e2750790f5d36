// BSON for the whole product: one parser, so that what is stamped is what mongod stores.
//
// Views borrow bytes and never copy; every read is bounds-checked, so a view over hostile bytes is
// safe to walk (malformed input ends the walk with an error, it never reads outside). `validate`
// is the boundary: bytes from a client, a peer or a disk are validated once (iteratively, with a
// depth limit), after which walking cannot fail. Owned values are plain std::string bytes.
//
// Source: https://bsonspec.org/spec.html (version 1.1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace outrigger::bson {

using Bytes = std::string_view;  // raw bytes, not text

enum class Type : uint8_t {
  kDouble = 0x01,
  kString = 0x02,
  kDocument = 0x03,
  kArray = 0x04,
  kBinary = 0x05,
  kUndefined = 0x06,
  kObjectId = 0x07,
  kBool = 0x08,
  kDate = 0x09,
  kNull = 0x0a,
  kRegex = 0x0b,
  kDbPointer = 0x0c,
  kCode = 0x0d,
  kSymbol = 0x0e,
  kCodeWithScope = 0x0f,
  kInt32 = 0x10,
  kTimestamp = 0x11,
  kInt64 = 0x12,
  kDecimal128 = 0x13,
  kMinKey = 0xff,
  kMaxKey = 0x7f,
};

// What mongod lets a client store, and what it takes in a message, its own documents included.
inline constexpr size_t kStoredBytesMax = 16 * 1024 * 1024;
inline constexpr size_t kDocumentBytesMax = kStoredBytesMax + 16 * 1024;
// Levels of nesting below the root that mongod reads (it stores 180, and answers for that itself).
inline constexpr int kDepthMax = 200;

class Document;

// A borrowed value: its type and its bytes (without the name). Valid as long as the bytes behind
// it.
struct Value {
  Type type = Type::kNull;
  Bytes bytes;

  [[nodiscard]] bool is_number() const;  // int32, int64, double, decimal128
  [[nodiscard]] bool is_container() const {
    return type == Type::kDocument || type == Type::kArray;
  }
  // The accessors below require the matching type (asserted): check `type` first.
  [[nodiscard]] int32_t as_int32() const;
  [[nodiscard]] int64_t as_int64() const;  // kInt64 only
  [[nodiscard]] double as_double() const;  // kDouble only
  [[nodiscard]] bool as_bool() const;      // kBool only
  [[nodiscard]] std::string_view as_string()
      const;                                   // kString, kSymbol, kCode; without the final NUL
  [[nodiscard]] Document as_document() const;  // kDocument, kArray
  // The bytes of a kBinary, whatever its subtype; nothing for other types.
  [[nodiscard]] std::string_view binary() const;
  // Any number (or bool) as an integer when it is one; nothing for other types and fractions.
  [[nodiscard]] std::optional<int64_t> to_int64() const;
  // MongoDB's truth: false for false, zero, null, undefined; true for everything else.
  [[nodiscard]] bool truthy() const;
  // Same type and same bytes.
  friend bool operator==(const Value& a, const Value& b) = default;
};

struct Element {
  std::string_view name;
  Value value;
};

// A borrowed document. Iterating stops early on malformed bytes; `ok()` of the iterator tells.
class Document {
 public:
  class Iterator {
   public:
    const Element& operator*() const { return element_; }
    const Element* operator->() const { return &element_; }
    Iterator& operator++();
    bool operator==(const Iterator& other) const {
      return rest_.data() == other.rest_.data() && at_end_ == other.at_end_;
    }
    // False once malformed bytes ended the walk (the iterator then equals end()).
    [[nodiscard]] bool ok() const { return !malformed_; }

   private:
    friend class Document;
    void read();
    void stop(bool malformed);
    Bytes rest_;  // not yet read, behind element_; null at the end
    Element element_;
    bool at_end_ = true;
    bool malformed_ = false;
  };

  Document() = default;                              // the empty document
  explicit Document(Bytes bytes) : bytes_(bytes) {}  // borrows; bytes as on the wire

  [[nodiscard]] Bytes bytes() const;  // the 5 bytes of {} for a default one
  [[nodiscard]] Iterator begin() const;
  [[nodiscard]] Iterator end() const;
  [[nodiscard]] bool empty() const { return begin() == end(); }
  // First field of that name.
  [[nodiscard]] std::optional<Value> find(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return find(name).has_value(); }
  // First field, if any: a command's name.
  [[nodiscard]] std::optional<Element> first() const;

 private:
  Bytes bytes_;
};

// Owned value: a type and its bytes.
struct OwnedValue {
  Type type = Type::kNull;
  std::string bytes;
  OwnedValue() = default;
  explicit OwnedValue(const Value& v) : type(v.type), bytes(v.bytes) {}
  OwnedValue(Type t, std::string b) : type(t), bytes(std::move(b)) {}
  [[nodiscard]] Value view() const { return Value{type, bytes}; }
  friend bool operator==(const OwnedValue&, const OwnedValue&) = default;
};

// Checks that `bytes` are exactly one well-formed document: lengths, terminators, known types,
// UTF-8 is not required (mongod does not), nesting at most depth_max levels below the root.
// Iterative. Errors: kCorrupt, or kUnsupported for nesting, with the byte offset in the reason.
[[nodiscard]] Status validate(Bytes bytes, int depth_max = kDepthMax);

// The length in the first four bytes if a document could start here and fits, else nothing.
[[nodiscard]] std::optional<size_t> document_length(Bytes bytes);

// Appends elements to a growing document. Names must not hold NUL (asserted for our own names; use
// the same name bytes for copies of validated input).
class Writer {
 public:
  Writer() {
    out_.reserve(128);  // most commands and replies of our own: one allocation
    open_root();
  }
  Writer& value(std::string_view name, const Value& v);
  Writer& value(std::string_view name, const OwnedValue& v) { return value(name, v.view()); }
  Writer& element(const Element& e) { return value(e.name, e.value); }
  Writer& int32(std::string_view name, int32_t v);
  Writer& int64(std::string_view name, int64_t v);
  Writer& real(std::string_view name, double v);
  Writer& boolean(std::string_view name, bool v);
  Writer& null(std::string_view name);
  Writer& string(std::string_view name, std::string_view v);
  Writer& date(std::string_view name, int64_t ms);
  Writer& timestamp(std::string_view name, uint32_t seconds, uint32_t increment);
  Writer& object_id(std::string_view name, Bytes twelve_bytes);
  Writer& binary(std::string_view name, uint8_t subtype, Bytes data);
  Writer& document(std::string_view name, const Document& v);
  Writer& array(std::string_view name, const Document& v);
  Writer& append_all(const Document& v);  // every element of v, at the current level
  // Nesting; array elements are named by the caller ("0", "1", ...) or with `index_name`.
  Writer& open_document(std::string_view name);
  Writer& open_array(std::string_view name);
  Writer& close();
  // Bytes so far at the current root, open levels not counted as closed.
  [[nodiscard]] size_t size() const { return out_.size(); }
  // Ends the document and hands it over; the writer is then a fresh one.
  [[nodiscard]] std::string finish();

 private:
  void open_root();
  void header(Type type, std::string_view name);
  std::string out_;
  std::vector<size_t> open_;
};

// "0", "1", ... without allocating for small indexes is not promised; returned by value.
[[nodiscard]] std::string index_name(size_t index);

// Value makers.
[[nodiscard]] OwnedValue make_int32(int32_t v);
[[nodiscard]] OwnedValue make_int64(int64_t v);
[[nodiscard]] OwnedValue make_double(double v);
[[nodiscard]] OwnedValue make_string(std::string_view v);
[[nodiscard]] OwnedValue make_document(std::string bytes);
[[nodiscard]] OwnedValue make_bool(bool v);

// One byte string per class of values that MongoDB's unique _id index (simple collation) holds
// equal, different strings for different classes: numbers compare equal across int32, int64,
// double and decimal128 (1, NumberLong(1), 1.0 and NumberDecimal("1.00") share a key; -0 and 0 too;
// NaNs share one), field order inside sub-documents matters, -0/0 and number types inside
// sub-documents and arrays are normalised the same way. Not ordered.
[[nodiscard]] std::string canonical_key(const Value& v);

// Whole documents compared as the product promises: equal up to the order of fields at every level
// (array order counts); types and bytes of leaves must be the same.
[[nodiscard]] bool equal_unordered(const Document& a, const Document& b);

// Whether it is UTF-8 as a strict reader takes it: no overlong forms, no surrogates.
[[nodiscard]] bool is_utf8(std::string_view text);

// A readable form for logs and JSON replies (relaxed Extended JSON); `bytes_max` cuts with "...".
[[nodiscard]] std::string to_json(const Document& v, size_t bytes_max = 4096);
[[nodiscard]] std::string to_json(const Value& v, size_t bytes_max = 4096);

}  // namespace outrigger::bson
