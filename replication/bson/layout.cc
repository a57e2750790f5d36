#include "replication/bson/layout.h"

namespace outrigger::bson::internal {
namespace {

// Length of "int32 n, n bytes" with n in [n_min, what is left], plus `extra` bytes of header.
size_t counted(const char* at, const char* end, int32_t n_min, size_t extra) {
  const size_t left = static_cast<size_t>(end - at);
  if (left < 4 + extra) return kMalformed;
  const auto n = load<int32_t>(at);
  if (n < n_min || static_cast<size_t>(n) > left - 4 - extra) return kMalformed;
  return 4 + extra + static_cast<size_t>(n);
}

size_t string_length(const char* at, const char* end) {
  const size_t length = counted(at, end, 1, 0);
  return length != kMalformed && at[length - 1] == 0 ? length : kMalformed;
}

size_t container_length(const char* at, const char* end) {
  const auto length = document_length({at, static_cast<size_t>(end - at)});
  return length && at[*length - 1] == 0 ? *length : kMalformed;
}

size_t regex_length(const char* at, const char* end) {
  const size_t pattern = cstring_length(at, end);
  if (pattern == kMalformed) return kMalformed;
  const size_t options = cstring_length(at + pattern + 1, end);
  return options == kMalformed ? kMalformed : pattern + options + 2;
}

size_t code_with_scope_length(const char* at, const char* end) {
  if (end - at < 4) return kMalformed;
  const auto total = load<int32_t>(at);
  if (total < 4 + 5 + 5 || total > end - at) return kMalformed;
  const char* own_end = at + total;
  const size_t code = string_length(at + 4, own_end);
  if (code == kMalformed) return kMalformed;
  const size_t scope = container_length(at + 4 + code, own_end);
  return scope != kMalformed && at + 4 + code + scope == own_end ? static_cast<size_t>(total)
                                                                 : kMalformed;
}

}  // namespace

size_t variable_length(Type type, const char* at, const char* end) {
  switch (type) {
    case Type::kString:
    case Type::kCode:
    case Type::kSymbol:
      return string_length(at, end);
    case Type::kDocument:
    case Type::kArray:
      return container_length(at, end);
    case Type::kBinary:
      return counted(at, end, 0, 1);
    case Type::kRegex:
      return regex_length(at, end);
    case Type::kDbPointer: {
      const size_t name = string_length(at, end);
      return name != kMalformed && end - at >= static_cast<ptrdiff_t>(name + 12) ? name + 12
                                                                                 : kMalformed;
    }
    case Type::kCodeWithScope:
      return code_with_scope_length(at, end);
    default:
      return kMalformed;
  }
}

CodeWithScope code_with_scope(Bytes value) {
  const std::string_view code = string_at(value.data() + 4);
  return {code, Document(value.substr(4 + 4 + code.size() + 1))};
}

Regex regex(Bytes value) {
  const size_t pattern = value.find('\0');
  return {value.substr(0, pattern), value.substr(pattern + 1, value.size() - pattern - 2)};
}

}  // namespace outrigger::bson::internal
