// Relaxed Extended JSON (v2), for people: always well-formed unless cut, whatever the bytes.
// Bytes that are no UTF-8 come out as U+FFFD.
#include <charconv>
#include <cmath>
#include <ctime>

#include "replication/bson/bson.h"
#include "replication/bson/decimal128.h"
#include "replication/bson/layout.h"

namespace outrigger::bson {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

// Length of the UTF-8 sequence at the front of `text`, 0 when it is none (overlong forms and
// surrogates included: what a strict JSON reader refuses).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  uint32_t point = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  return point < kSmallest[length] || point > 0x10ffff || surrogate ? 0 : length;
}

class JsonWriter {
 public:
  explicit JsonWriter(size_t bytes_max) : bytes_max_(bytes_max) {}

  std::string finish() {
    if (out_.size() <= bytes_max_) return std::move(out_);
    size_t cut = bytes_max_;
    while (cut > 0 && (static_cast<uint8_t>(out_[cut]) & 0xc0) == 0x80) --cut;
    out_.resize(cut);
    return out_ + "...";
  }

  void document(const Document& v, bool array, int depth) {
    if (depth > kDepthMax) return raw("\"(nested too deeply)\"");
    out_.push_back(array ? '[' : '{');
    bool first = true;
    auto it = v.begin();
    for (; it != v.end() && !full(); ++it) {
      if (!first) out_ += ", ";
      first = false;
      if (!array) {
        quoted(it->name);
        out_ += ": ";
      }
      value(it->value, depth + 1);
    }
    if (!it.ok())
      raw(array ? (first ? "\"(malformed)\"" : ", \"(malformed)\"")
                : (first ? "\"(malformed)\": 1" : ", \"(malformed)\": 1"));
    out_.push_back(array ? ']' : '}');
  }

  void value(const Value& v, int depth);

 private:
  [[nodiscard]] bool full() const { return out_.size() > bytes_max_; }
  void raw(std::string_view text) { out_ += text; }

  void quoted(std::string_view text) {
    out_.push_back('"');
    for (size_t i = 0; i < text.size() && !full();) {
      const auto c = static_cast<uint8_t>(text[i]);
      const size_t length = utf8_length(text.substr(i));
      if (length == 0) {
        out_ += "\\ufffd";
      } else if (c == '"' || c == '\\') {
        out_ += {'\\', static_cast<char>(c)};
      } else if (c == '\n') {
        out_ += "\\n";
      } else if (c < 0x20) {
        out_ += {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
      } else {
        out_ += text.substr(i, length);
      }
      i += length == 0 ? 1 : length;
    }
    out_.push_back('"');
  }

  // {"key": "text"}
  void wrapped(std::string_view key, std::string_view text) {
    out_.append("{\"").append(key).append("\": ");
    quoted(text);
    out_.push_back('}');
  }

  void hex(Bytes bytes) {
    for (const char c : bytes) {
      out_.push_back(kHex[static_cast<uint8_t>(c) >> 4]);
      out_.push_back(kHex[static_cast<uint8_t>(c) & 15]);
    }
  }

  void base64(Bytes bytes) {
    static constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.size() && !full(); i += 3) {
      const size_t left = bytes.size() - i;
      const auto byte = [&](size_t k) {
        return k < left ? static_cast<uint8_t>(bytes[i + k]) : 0u;
      };
      const uint32_t group = byte(0) << 16 | byte(1) << 8 | byte(2);
      out_.push_back(kDigits[group >> 18]);
      out_.push_back(kDigits[group >> 12 & 63]);
      out_.push_back(left > 1 ? kDigits[group >> 6 & 63] : '=');
      out_.push_back(left > 2 ? kDigits[group & 63] : '=');
    }
  }

  void real(double v) {
    if (!std::isfinite(v)) {
      return wrapped("$numberDouble", std::isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity");
    }
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, v).ptr;
    const std::string_view digits(text, static_cast<size_t>(end - text));
    raw(digits);
    if (digits.find_first_of(".e") == std::string_view::npos) raw(".0");
  }

  void date(int64_t ms) {
    constexpr int64_t kYear10000 = 253402300800000;
    if (ms < 0 || ms >= kYear10000) {
      raw("{\"$date\": ");
      wrapped("$numberLong", std::to_string(ms));
      return raw("}");
    }
    const auto seconds = static_cast<time_t>(ms / 1000);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[40];
    size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    std::string stamp(text, length);
    if (ms % 1000 != 0) stamp += "." + std::to_string(1000 + ms % 1000).substr(1);
    wrapped("$date", stamp + "Z");
  }

  void binary(Bytes v) {
    raw("{\"$binary\": {\"base64\": \"");
    base64(v.substr(5));
    raw("\", \"subType\": \"");
    hex(v.substr(4, 1));
    raw("\"}}");
  }

  void regex(const internal::Regex& v) {
    raw("{\"$regularExpression\": {\"pattern\": ");
    quoted(v.pattern);
    raw(", \"options\": ");
    quoted(v.options);
    raw("}}");
  }

  void db_pointer(Bytes v) {
    const std::string_view name = internal::string_at(v.data());
    raw("{\"$dbPointer\": {\"$ref\": ");
    quoted(name);
    raw(", \"$id\": {\"$oid\": \"");
    hex(v.substr(4 + name.size() + 1));
    raw("\"}}}");
  }

  void code_with_scope(Bytes v, int depth) {
    const auto parts = internal::code_with_scope(v);
    raw("{\"$code\": ");
    quoted(parts.code);
    raw(", \"$scope\": ");
    document(parts.scope, false, depth + 1);
    raw("}");
  }

  std::string out_;
  size_t bytes_max_;
};

void JsonWriter::value(const Value& v, int depth) {
  switch (v.type) {
    case Type::kDouble:
      return real(v.as_double());
    case Type::kString:
      return quoted(v.as_string());
    case Type::kDocument:
      return document(v.as_document(), false, depth);
    case Type::kArray:
      return document(v.as_document(), true, depth);
    case Type::kBinary:
      return binary(v.bytes);
    case Type::kUndefined:
      return raw("{\"$undefined\": true}");
    case Type::kObjectId:
      raw("{\"$oid\": \"");
      hex(v.bytes);
      return raw("\"}");
    case Type::kBool:
      return raw(v.as_bool() ? "true" : "false");
    case Type::kDate:
      return date(internal::load<int64_t>(v.bytes.data()));
    case Type::kNull:
      return raw("null");
    case Type::kRegex:
      return regex(internal::regex(v.bytes));
    case Type::kDbPointer:
      return db_pointer(v.bytes);
    case Type::kCode:
      return wrapped("$code", v.as_string());
    case Type::kSymbol:
      return wrapped("$symbol", v.as_string());
    case Type::kCodeWithScope:
      return code_with_scope(v.bytes, depth);
    case Type::kInt32:
      return raw(std::to_string(v.as_int32()));
    case Type::kTimestamp:
      return raw("{\"$timestamp\": {\"t\": " +
                 std::to_string(internal::load<uint32_t>(v.bytes.data() + 4)) +
                 ", \"i\": " + std::to_string(internal::load<uint32_t>(v.bytes.data())) + "}}");
    case Type::kInt64:
      return raw(std::to_string(v.as_int64()));
    case Type::kDecimal128:
      return wrapped("$numberDecimal", Decimal128::from_bytes(v.bytes).to_text());
    case Type::kMinKey:
      return raw("{\"$minKey\": 1}");
    case Type::kMaxKey:
      return raw("{\"$maxKey\": 1}");
  }
  raw("null");
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string to_json(const Document& v, size_t bytes_max) {
  JsonWriter writer(bytes_max);
  writer.document(v, false, 0);
  return writer.finish();
}

std::string to_json(const Value& v, size_t bytes_max) {
  JsonWriter writer(bytes_max);
  writer.value(v, 0);
  return writer.finish();
}

}  // namespace outrigger::bson
