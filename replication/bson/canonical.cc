// Two ideas of equality: `canonical_key` is the unique _id index's, `equal_unordered` is the
// product's promise for whole documents. Input is validated; bytes that are not stay harmless
// because nesting past kDepthMax is taken as raw bytes.
#include <algorithm>
#include <cmath>

#include "replication/bson/bson.h"
#include "replication/bson/decimal128.h"
#include "replication/bson/layout.h"

namespace outrigger::bson {
namespace {

using internal::store;

// Tags that are no BSON type, so that they cannot collide with the raw types.
constexpr char kTagInteger = 'i' | '\x80';
constexpr char kTagReal = 'd' | '\x80';
constexpr char kTagDecimal = 'D' | '\x80';
constexpr char kTagNan = 'n' | '\x80';
constexpr char kTagTooDeep = 'x' | '\x80';

void counted(std::string& key, Bytes bytes) {
  store(key, static_cast<uint32_t>(bytes.size()));
  key.append(bytes);
}

void integer_key(std::string& key, int64_t v) {
  key.push_back(kTagInteger);
  store(key, v);
}

void double_key(std::string& key, double v) {
  if (std::isnan(v)) {
    key.push_back(kTagNan);
  } else if (const auto whole = integer_of(v)) {
    integer_key(key, *whole);
  } else {
    key.push_back(kTagReal);
    store(key, v);
  }
}

// Most numbers are integers or doubles, so those are the cheap forms. Equal means exactly equal, as
// in MongoDB: NumberDecimal("0.5") is 0.5, NumberDecimal("0.1") is not 0.1.
void decimal_key(std::string& key, const Decimal128& v) {
  if (v.kind != Decimal128::Kind::kFinite) return double_key(key, v.to_double());
  if (const auto whole = integer_of(v)) return integer_key(key, *whole);
  const double near = v.to_double();
  if (compare(near, v) == 0) return double_key(key, near);
  const Decimal128 reduced = v.reduced();
  key.push_back(kTagDecimal);
  key.push_back(reduced.negative ? 1 : 0);
  store(key, static_cast<uint64_t>(reduced.coefficient >> 64));
  store(key, static_cast<uint64_t>(reduced.coefficient));
  store(key, static_cast<int16_t>(reduced.exponent));
}

void value_key(std::string& key, const Value& v, int depth);

void document_key(std::string& key, const Document& document, bool names, int depth) {
  for (const Element& element : document) {
    // A leading 1 in front of each element and a 0 at the end: no key is a prefix of another.
    key.push_back(1);
    if (names) key.append(element.name).push_back('\0');
    value_key(key, element.value, depth + 1);
  }
  key.push_back(0);
}

void value_key(std::string& key, const Value& v, int depth) {
  if (depth > kDepthMax) {
    key.push_back(kTagTooDeep);
    key.push_back(static_cast<char>(v.type));
    return counted(key, v.bytes);
  }
  switch (v.type) {
    case Type::kInt32:
      return integer_key(key, v.as_int32());
    case Type::kInt64:
      return integer_key(key, v.as_int64());
    case Type::kDouble:
      return double_key(key, v.as_double());
    case Type::kDecimal128:
      return decimal_key(key, Decimal128::from_bytes(v.bytes));
    case Type::kSymbol:  // equal to the string of the same text
      key.push_back(static_cast<char>(Type::kString));
      return counted(key, v.as_string());
    case Type::kString:
      key.push_back(static_cast<char>(v.type));
      return counted(key, v.as_string());
    case Type::kDocument:
      key.push_back(static_cast<char>(v.type));
      return document_key(key, v.as_document(), true, depth);
    case Type::kArray:  // the index compares elements by position only
      key.push_back(static_cast<char>(v.type));
      return document_key(key, v.as_document(), false, depth);
    case Type::kCodeWithScope: {
      const auto parts = internal::code_with_scope(v.bytes);
      key.push_back(static_cast<char>(v.type));
      counted(key, parts.code);
      return document_key(key, parts.scope, true, depth);
    }
    default:
      key.push_back(static_cast<char>(v.type));
      return counted(key, v.bytes);
  }
}

bool values_equal(const Value& a, const Value& b, int depth);

bool arrays_equal(const Document& a, const Document& b, int depth) {
  auto left = a.begin();
  auto right = b.begin();
  for (; left != a.end() && right != b.end(); ++left, ++right) {
    if (!values_equal(left->value, right->value, depth)) return false;
  }
  return left == a.end() && right == b.end() && left.ok() && right.ok();
}

// By name; equal names keep their order.
bool sorted_elements(const Document& document, std::vector<Element>& out) {
  auto it = document.begin();
  for (; it != document.end(); ++it) out.push_back(*it);
  std::stable_sort(out.begin(), out.end(),
                   [](const Element& a, const Element& b) { return a.name < b.name; });
  return it.ok();
}

bool documents_equal(const Document& a, const Document& b, int depth) {
  if (a.bytes() == b.bytes()) return true;
  if (a.bytes().size() != b.bytes().size()) return false;  // the same elements take the same room
  std::vector<Element> left, right;
  if (!sorted_elements(a, left) || !sorted_elements(b, right)) return false;
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [depth](const Element& x, const Element& y) {
                      return x.name == y.name && values_equal(x.value, y.value, depth);
                    });
}

bool values_equal(const Value& a, const Value& b, int depth) {
  if (a.type != b.type) return false;
  if (a.bytes == b.bytes) return true;
  if (depth > kDepthMax) return false;
  if (a.type == Type::kDocument)
    return documents_equal(a.as_document(), b.as_document(), depth + 1);
  if (a.type == Type::kArray) return arrays_equal(a.as_document(), b.as_document(), depth + 1);
  return false;
}

}  // namespace

std::string canonical_key(const Value& v) {
  std::string key;
  value_key(key, v, 0);
  return key;
}

bool equal_unordered(const Document& a, const Document& b) { return documents_equal(a, b, 0); }

}  // namespace outrigger::bson
