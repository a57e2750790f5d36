#include "replication/merge/row.h"

#include <algorithm>

#include "replication/merge/body.h"

namespace outrigger::merge {
namespace {

constexpr uint8_t kDetachedFlag = 1;
constexpr size_t kOriginBytes = 24;

// ---- writing

class RowWriter {
 public:
  explicit RowWriter(const DocumentState& state) : state_(state) {
    const VersionVector all = stamps(state);
    for (const auto& [origin, hlc] : all.entries()) {
      origins_.push_back(origin);
      clock_ = std::max(clock_, hlc);
    }
  }

  std::string write() {
    byte(kRowVersion);
    byte(state_.detached ? kDetachedFlag : 0);
    number(origins_.size());
    for (const Origin& origin : origins_) {
      out_.append(origin.site.begin(), origin.site.end());
      fixed(origin.epoch);
    }
    fixed(clock_);
    number(state_.incarnations.size());
    for (const Incarnation& incarnation : state_.incarnations) write(incarnation);
    return std::move(out_);
  }

 private:
  void byte(uint8_t b) { out_.push_back(static_cast<char>(b)); }
  void number(uint64_t n) {
    for (; n >= 0x80; n >>= 7) byte(static_cast<uint8_t>(n | 0x80));
    byte(static_cast<uint8_t>(n));
  }
  void fixed(uint64_t n) {
    for (int shift = 0; shift < 64; shift += 8) byte(static_cast<uint8_t>(n >> shift));
  }
  void hlc(Hlc at) {
    const auto delta = static_cast<int64_t>(at - clock_);
    number((static_cast<uint64_t>(delta) << 1) ^ static_cast<uint64_t>(delta >> 63));
  }
  void dot(const Dot& d) {
    if (d.is_zero()) return number(0);
    const auto at = std::lower_bound(origins_.begin(), origins_.end(), d.origin);
    number(static_cast<uint64_t>(at - origins_.begin()) + 1);
    hlc(d.hlc);
  }
  void text(std::string_view bytes) {
    number(bytes.size());
    out_.append(bytes);
  }
  void value(const bson::OwnedValue& v) {
    byte(static_cast<uint8_t>(v.type));
    text(v.bytes);
  }
  void path(const Path& p, const Path& before) {
    const auto limit = std::min(p.size(), before.size());
    size_t shared = 0;
    while (shared < limit && p[shared] == before[shared]) ++shared;
    number(shared);
    number(p.size() - shared);
    for (size_t i = shared; i < p.size(); ++i) text(p[i]);
  }
  void entries(const std::vector<CounterEntry>& list) {
    number(list.size());
    for (const CounterEntry& entry : list) {
      dot(entry.first);
      hlc(entry.last);
      value(entry.sum);
    }
  }
  template <typename Map, typename Item>
  void list(const Map& map, const Item& item) {
    static const Path kRoot;
    number(map.size());
    const Path* before = &kRoot;
    for (const auto& [at, what] : map) {
      path(at, *before);
      item(what);
      before = &at;
    }
  }
  void write(const Incarnation& incarnation) {
    number(incarnation.births.size());
    for (const Dot& birth : incarnation.births) dot(birth);
    list(incarnation.body.registers, [&](const Register& reg) {
      dot(reg.stamp);
      byte(static_cast<uint8_t>(reg.content));
      if (reg.content == Content::kValue) value(reg.value);
      entries(reg.baseline);
    });
    list(incarnation.body.counters, [&](const std::vector<CounterEntry>& es) { entries(es); });
    list(incarnation.body.asserted, [&](const Dot& stamp) { dot(stamp); });
  }

  const DocumentState& state_;
  std::vector<Origin> origins_;  // sorted
  Hlc clock_ = 0;
  std::string out_;
};

// ---- reading: the first fault sticks, later reads give zeros

class RowReader {
 public:
  explicit RowReader(std::string_view bytes) : rest_(bytes), size_(bytes.size()) {}

  Result<DocumentState> read() {
    const uint8_t version = byte();
    if (version != kRowVersion) broken("unknown version");
    DocumentState state;
    const uint8_t flags = byte();
    state.detached = (flags & kDetachedFlag) != 0;
    if ((flags & ~kDetachedFlag) != 0) broken("unknown flags");
    read_origins();
    clock_ = fixed();
    for (uint64_t n = count(); n > 0 && ok(); --n) state.incarnations.push_back(incarnation());
    if (state.incarnations.empty()) broken("no incarnation");
    if (!rest_.empty()) broken("bytes after the end");
    const bool sparse = !state.detached && state.incarnations.size() == 1;
    if (shown_ && !sparse) broken("a value is missing");
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
  void read_origins() {
    const uint64_t n = number();
    if (n > rest_.size() / kOriginBytes) broken("count too large");
    for (uint64_t i = 0; i < n && ok(); ++i) {
      Origin origin;
      const std::string_view site = take(origin.site.size());
      std::copy(site.begin(), site.end(), origin.site.begin());
      origin.epoch = fixed();
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
    if (content > static_cast<uint8_t>(Content::kShown)) broken("unknown content");
    reg.content = static_cast<Content>(content);
    shown_ |= reg.content == Content::kShown;
    if (reg.content == Content::kValue) reg.value = value();
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
    if (root != result.body.registers.end() &&
        (root->second.content == Content::kAbsent || root->second.content == Content::kValue)) {
      broken("the root is no document");
    }
    return result;
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

std::string encode_row(const DocumentState& state) { return RowWriter(state).write(); }

Result<DocumentState> load_row(std::string_view bytes) {
  if (bytes.empty()) return DocumentState();
  return RowReader(bytes).read();
}

}  // namespace outrigger::merge
