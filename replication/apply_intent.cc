#include "replication/apply_intent.h"

#include <cstring>

namespace outrigger {
namespace {

constexpr char kVersion = 1;

template <typename Number>
void put(std::string& out, Number number) {
  for (size_t i = 0; i < sizeof number; ++i) {
    out += static_cast<char>(static_cast<uint64_t>(number) >> (8 * i) & 0xff);
  }
}

void put_bytes(std::string& out, std::string_view bytes) {
  put(out, static_cast<uint32_t>(bytes.size()));
  out += bytes;
}

// Reads on; once something did not fit, everything after it reads as zero and ok() is false.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}

  std::string_view raw(size_t count) {
    if (rest_.size() < count) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  template <typename Number>
  Number number() {
    uint64_t value = 0;
    size_t shift = 0;
    for (const char byte : raw(sizeof(Number))) {
      value |= static_cast<uint64_t>(static_cast<uint8_t>(byte)) << shift;
      shift += 8;
    }
    return static_cast<Number>(value);
  }
  std::string_view bytes() { return raw(number<uint32_t>()); }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace

std::string encode_intent(const ApplyIntent& intent) {
  std::string out(1, kVersion);
  put(out, static_cast<uint32_t>(intent.after.entries().size()));
  for (const auto& [origin, hlc] : intent.after.entries()) {
    out.append(origin.site.begin(), origin.site.end());
    put(out, origin.epoch);
    put(out, hlc);
  }
  put(out, static_cast<uint32_t>(intent.documents.size()));
  for (const IntendedDocument& document : intent.documents) {
    put_bytes(out, document.ns);
    put(out, static_cast<uint8_t>(document.id.type));
    put_bytes(out, document.id.bytes);
    put(out, static_cast<uint8_t>(document.document.has_value()));
    put_bytes(out, document.document ? std::string_view(*document.document) : std::string_view());
  }
  return out;
}

Result<ApplyIntent> decode_intent(std::string_view bytes) {
  const auto corrupt = [] {
    return fail(ErrorCode::kCorrupt, "read apply intent", "", "cut short or of another version");
  };
  Cursor cursor(bytes);
  if (cursor.number<uint8_t>() != kVersion) return corrupt();
  ApplyIntent intent;
  for (auto count = cursor.number<uint32_t>(); count > 0 && cursor.ok(); --count) {
    Origin origin;
    const std::string_view site = cursor.raw(origin.site.size());
    if (cursor.ok()) std::memcpy(origin.site.data(), site.data(), site.size());
    origin.epoch = cursor.number<uint64_t>();
    intent.after.raise(origin, cursor.number<uint64_t>());
  }
  for (auto count = cursor.number<uint32_t>(); count > 0 && cursor.ok(); --count) {
    IntendedDocument document;
    document.ns = cursor.bytes();
    document.id.type = static_cast<bson::Type>(cursor.number<uint8_t>());
    document.id.bytes = cursor.bytes();
    const bool present = cursor.number<uint8_t>() != 0;
    const std::string_view content = cursor.bytes();
    if (present) document.document = std::string(content);
    intent.documents.push_back(std::move(document));
  }
  if (!cursor.ok() || !cursor.at_end()) return corrupt();
  return intent;
}

}  // namespace outrigger
