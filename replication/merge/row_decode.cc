#include <algorithm>

#include "replication/merge/body.h"
#include "replication/merge/row.h"

namespace outrigger::merge {
namespace {

constexpr size_t kOriginBytes = 24;

// The first fault sticks, later reads give zeros.
class RowReader {
 public:
  explicit RowReader(std::string_view bytes) : rest_(bytes), size_(bytes.size()) {}

  Result<DocumentState> read() {
    DocumentState state;
    const uint8_t kind = byte();
    if (kind >> 4 != kRowVersion) broken("unknown version");
    if (kind == kGeneral) {
      general(state);
    } else if (kind == kInserted || kind == kInsertedOpaque) {
      inserted(state);
    } else if (kind != kOpaque) {
      broken("unknown kind");
    }
    state.opaque |= kind == kOpaque || kind == kInsertedOpaque;
    if (!rest_.empty()) broken("bytes after the end");
    if (!ok()) {
      return fail(ErrorCode::kCorrupt, "read row", "at byte " + std::to_string(broken_at_), fault_,
                  "the versions of this document are damaged; restore the data directory");
    }
    return state;
  }

 private:
  [[nodiscard]] bool ok() const { return fault_.empty(); }
  void broken(const char* what) {
    if (!ok()) return;
    fault_ = what;
    broken_at_ = size_ - rest_.size();
    rest_ = {};
  }
  void inserted(DocumentState& state) {
    Incarnation& only = state.incarnations.emplace_back();
    const Origin origin = read_origin();
    const Dot birth{fixed(), origin};
    if (birth.is_zero()) broken("stamp of zero");
    only.births.push_back(birth);
    Register& root = only.body.registers[{}];
    root.stamp = birth;
    root.content = Content::kShown;
  }
  void general(DocumentState& state) {
    const uint8_t flags = byte();
    state.detached = (flags & kDetachedFlag) != 0;
    state.opaque = (flags & kOpaqueFlag) != 0;
    if ((flags & ~(kDetachedFlag | kOpaqueFlag)) != 0) broken("unknown flags");
    read_origins();
    clock_ = fixed();
    for (uint64_t n = count(); n > 0 && ok(); --n) state.incarnations.push_back(incarnation());
    if (state.incarnations.empty() && !state.detached) broken("no incarnation");
    const bool sparse = !state.detached && state.incarnations.size() == 1;
    if (shown_ && !sparse) broken("a value is missing");
  }
  std::string_view take(uint64_t n) {
    if (n > rest_.size()) {
      broken("ends early");
      return {};
    }
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  uint8_t byte() {
    const std::string_view b = take(1);
    return b.empty() ? 0 : static_cast<uint8_t>(b[0]);
  }
  uint64_t number() {
    uint64_t n = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint64_t b = byte();
      if (shift == 63 && b > 1) break;
      n |= (b & 0x7f) << shift;
      if (b < 0x80) return n;
    }
    broken("number too long");
    return 0;
  }
  // Of items that take at least a byte each, so a false count cannot make us allocate.
  uint64_t count() {
    const uint64_t n = number();
    if (n > rest_.size()) broken("count too large");
    return ok() ? n : 0;
  }
  uint64_t fixed() {
    uint64_t n = 0;
    int shift = 0;
    for (const char c : take(8)) {
      n |= static_cast<uint64_t>(static_cast<uint8_t>(c)) << shift;
      shift += 8;
    }
    return n;
  }
  Hlc hlc() {
    const uint64_t n = number();
    const Hlc at = clock_ + ((n >> 1) ^ (~(n & 1) + 1));
    if (at == 0) broken("stamp of zero");
    return at;
  }
  Dot dot() {
    const uint64_t index = number();
    if (index == 0 || !ok()) return {};
    if (index > origins_.size()) {
      broken("unknown origin");
      return {};
    }
    const Hlc at = hlc();
    return Dot{at, origins_[index - 1]};
  }
  Origin read_origin() {
    Origin origin;
    const std::string_view site = take(origin.site.size());
    std::copy(site.begin(), site.end(), origin.site.begin());
    origin.epoch = fixed();
    return origin;
  }
  // A document, or nothing.
  SharedBytes document() {
    const std::string_view bytes = take(number());
    if (bytes.empty()) return {};
    if (!bson::validate(bytes)) broken("not a document");
    return ok() ? SharedBytes::of(bytes) : SharedBytes();
  }
  void read_origins() {
    const uint64_t n = number();
    if (n > rest_.size() / kOriginBytes) broken("count too large");
    for (uint64_t i = 0; i < n && ok(); ++i) {
      const Origin origin = read_origin();
      if (!origins_.empty() && !(origins_.back() < origin)) broken("origins out of order");
      origins_.push_back(origin);
    }
  }
  bson::OwnedValue value() {
    const uint8_t type = byte();
    const std::string_view bytes = take(number());
    if (!ok()) return {};
    // Legal inside a document is legal: {"": value}.
    std::string wrapped(4, '\0');
    wrapped.push_back(static_cast<char>(type));
    wrapped.push_back('\0');
    wrapped.append(bytes).push_back('\0');
    for (int i = 0; i < 4; ++i) wrapped[i] = static_cast<char>(wrapped.size() >> (8 * i));
    bool legal = wrapped.size() <= bson::kDocumentBytesMax && bson::validate(wrapped).has_value();
    if (legal) {
      const auto first = bson::Document(wrapped).first();
      legal = first && first->value.bytes.size() == bytes.size();
    }
    if (!legal) broken("not a value");
    return {static_cast<bson::Type>(type), std::string(bytes)};
  }
  Path path(const Path& before) {
    const uint64_t shared = number();
    if (shared > before.size()) broken("path shares too much");
    if (!ok()) return {};
    Path p(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(shared));
    for (uint64_t n = count(); n > 0 && ok(); --n) {
      p.emplace_back(take(number()));
      if (p.back().find('\0') != std::string::npos) broken("name with NUL");
    }
    if (p.size() > kPathDepthMax) broken("path too deep");
    return p;
  }
  std::vector<CounterEntry> entries() {
    std::vector<CounterEntry> list;
    for (uint64_t n = count(); n > 0 && ok(); --n) {
      CounterEntry entry;
      entry.first = dot();
      entry.last = hlc();
      entry.sum = value();
      if (!ok()) break;
      if (!entry.sum.view().is_number()) broken("sum is no number");
      if (entry.first.is_zero()) broken("entry without a name");
      if (!list.empty() && !(list.back().first < entry.first)) broken("entries out of order");
      list.push_back(std::move(entry));
    }
    return list;
  }
  template <typename Map, typename Item>
  void list(Map& map, const Item& item) {
    const Path root;
    for (uint64_t n = count(); n > 0 && ok(); --n) {
      Path p = path(map.empty() ? root : map.rbegin()->first);
      if (!ok()) return;
      if (!map.empty() && !(map.rbegin()->first < p)) broken("paths out of order");
      map.emplace_hint(map.end(), std::move(p), item());
    }
  }
  Register read_register() {
    Register reg;
    reg.stamp = dot();
    const uint8_t content = byte();
    if (content > kDocumentFollows) broken("unknown content");
    reg.content = content == kDocumentFollows ? Content::kDocument : static_cast<Content>(content);
    shown_ |= reg.content == Content::kShown;
    if (reg.content == Content::kValue) reg.value = value();
    if (content == kDocumentFollows) reg.fields = document();
    reg.baseline = entries();
    return reg;
  }
  Incarnation incarnation() {
    Incarnation result;
    for (uint64_t n = count(); n > 0 && ok(); --n) {
      const Dot birth = dot();
      const auto& births = result.births;
      if (!births.empty() && !(births.back() < birth)) broken("births out of order");
      result.births.push_back(birth);
    }
    if (result.births.empty()) broken("no birth");
    result.body.floor = document();
    list(result.body.registers, [&] { return read_register(); });
    list(result.body.counters, [&] {
      std::vector<CounterEntry> es = entries();
      if (es.empty()) broken("counter without entries");
      return es;
    });
    list(result.body.asserted, [&] { return dot(); });
    if (result.body.counters.contains(Path()) || result.body.asserted.contains(Path())) {
      broken("the root is no field");
    }
    const auto root = result.body.registers.find(Path());
    if (root != result.body.registers.end() && !is_document(root->second)) {
      broken("the root is no document");
    }
    // Without a register that governs the whole document it was born by an upsert.
    const bool weak = root == result.body.registers.end() && result.births.size() == 1;
    if (weak) result.body.floor_stamp = result.births.front();
    return result;
  }

  static bool is_document(const Register& root) {
    if (root.content == Content::kAbsent) return false;
    return root.content != Content::kValue || root.value.type == bson::Type::kDocument;
  }

  std::string_view rest_;
  const size_t size_;
  std::string fault_;
  size_t broken_at_ = 0;
  std::vector<Origin> origins_;
  Hlc clock_ = 0;
  bool shown_ = false;
};

}  // namespace

Result<DocumentState> load_row(std::string_view bytes) {
  if (bytes.empty()) return DocumentState();
  return RowReader(bytes).read();
}

std::optional<Dot> birth_in_row(std::string_view row) {
  if (row.empty() || static_cast<uint8_t>(row.front()) != kInserted) return std::nullopt;
  const auto state = load_row(row);
  if (!state || state->incarnations.size() != 1) return std::nullopt;
  return state->incarnations.front().births.front();
}

}  // namespace outrigger::merge
