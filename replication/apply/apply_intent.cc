#include "replication/apply/apply_intent.h"

#include <cstring>

#include "replication/site/aside.h"

namespace outrigger {
namespace {

constexpr char kVersion = 2;

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

void put_path(std::string& out, const Path& path) {
  put(out, static_cast<uint32_t>(path.size()));
  for (const std::string& name : path) put_bytes(out, name);
}

void put_value(std::string& out, const bson::OwnedValue& value) {
  put(out, static_cast<uint8_t>(value.type));
  put_bytes(out, value.bytes);
}

void put_write(std::string& out, const StoreWrite& write) {
  put(out, static_cast<uint8_t>(write.kind));
  put_bytes(out, write.ns);
  put_value(out, write.id);
  if (write.kind == StoreWrite::Kind::kReplaceOrInsert) put_bytes(out, write.document);
  if (write.kind != StoreWrite::Kind::kUpdate) return;
  put(out, static_cast<uint32_t>(write.set.size()));
  for (const StoreWrite::Set& set : write.set) {
    put_path(out, set.path);
    put_value(out, set.value);
  }
  put(out, static_cast<uint32_t>(write.unset.size()));
  for (const Path& path : write.unset) put_path(out, path);
}

Path read_path(Cursor& cursor) {
  Path path;
  for (auto count = cursor.number<uint32_t>(); count > 0 && cursor.ok(); --count) {
    path.emplace_back(cursor.bytes());
  }
  return path;
}

bson::OwnedValue read_value(Cursor& cursor) {
  bson::OwnedValue value;
  value.type = static_cast<bson::Type>(cursor.number<uint8_t>());
  value.bytes = cursor.bytes();
  return value;
}

bool read_write(Cursor& cursor, StoreWrite& write) {
  write.kind = static_cast<StoreWrite::Kind>(cursor.number<uint8_t>());
  if (write.kind > StoreWrite::Kind::kRemove) return false;
  write.ns = cursor.bytes();
  write.id = read_value(cursor);
  if (write.kind == StoreWrite::Kind::kReplaceOrInsert) write.document = cursor.bytes();
  if (write.kind != StoreWrite::Kind::kUpdate) return cursor.ok();
  for (auto count = cursor.number<uint32_t>(); count > 0 && cursor.ok(); --count) {
    Path path = read_path(cursor);
    write.set.push_back({std::move(path), read_value(cursor)});
  }
  for (auto count = cursor.number<uint32_t>(); count > 0 && cursor.ok(); --count) {
    write.unset.push_back(read_path(cursor));
  }
  return cursor.ok();
}

}  // namespace

std::string encode_intent(const ApplyIntent& intent) {
  std::string out(1, kVersion);
  put(out, static_cast<uint32_t>(intent.after.entries().size()));
  for (const auto& [origin, hlc] : intent.after.entries()) {
    out.append(origin.site.begin(), origin.site.end());
    put(out, origin.epoch);
    put(out, hlc);
  }
  put(out, static_cast<uint32_t>(intent.writes.size()));
  for (const StoreWrite& write : intent.writes) put_write(out, write);
  put(out, static_cast<uint32_t>(intent.met.size()));
  for (const auto& [key, met] : intent.met) {
    put_bytes(out, key);
    put(out, static_cast<uint32_t>(met.size()));
    for (const auto& [a, b] : met) out += encode_dot(a) + encode_dot(b);
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
    if (!read_write(cursor, intent.writes.emplace_back())) return corrupt();
  }
  constexpr size_t kDotBytes = 32;
  for (auto count = cursor.number<uint32_t>(); count > 0 && cursor.ok(); --count) {
    Met& met = intent.met[std::string(cursor.bytes())];
    for (auto each = cursor.number<uint32_t>(); each > 0 && cursor.ok(); --each) {
      const Dot first = decode_dot(cursor.raw(kDotBytes));
      met.emplace(first, decode_dot(cursor.raw(kDotBytes)));
    }
  }
  if (!cursor.ok() || !cursor.at_end()) return corrupt();
  return intent;
}

}  // namespace outrigger
