#include "replication/outbox/path_life.h"

#include <algorithm>
#include <utility>

#include "replication/record/record_codec.h"

namespace outrigger {
namespace {

constexpr size_t kLookedBytes = 1u << 20;
constexpr size_t kLookedEntries = 1000;
constexpr size_t kLogBytesMax = 256u << 20;     // of records that are read
constexpr size_t kLedgerBytesMax = 256u << 20;  // of entries
constexpr size_t kEventsMax = 1000;             // that are shown
constexpr size_t kFoundBytesMax = 16u << 20;    // of values that are held

std::string dotted_text(const Path& path) {
  std::string out;
  for (const std::string& name : path) out += (out.empty() ? "" : ".") + name;
  return out;
}

// At the path, above or below.
bool touches(const std::string& here, const std::string& asked) {
  if (here == asked || here.empty() || asked.empty()) return true;
  const bool is_longer = here.size() > asked.size();
  const std::string& inner = is_longer ? here : asked;
  const std::string& outer = is_longer ? asked : here;
  return inner.starts_with(outer) && inner[outer.size()] == '.';
}

// Which element of an array stands at a position only the document tells, and now: whatever is in
// the place of an element's name may be meant.
bool touches(const Path& path, const std::string& asked) {
  const size_t element = element_in(path);
  if (element == path.size()) return touches(dotted_text(path), asked);
  const std::string array = dotted_text(path_of_array(path));
  if (!touches(array, asked)) return false;
  if (asked.size() <= array.size()) return true;
  const size_t dot = asked.find('.', array.size() + 1);
  if (dot == std::string::npos) return true;
  const Path below(path.begin() + static_cast<ptrdiff_t>(element) + 1, path.end());
  return touches(dotted_text(below), asked.substr(dot + 1));
}

// JSON without the blanks between its parts.
std::string squeezed(std::string_view json) {
  std::string out;
  bool is_text = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (!is_text && json[i] == ' ') continue;
    if (json[i] == '"') is_text = !is_text;
    out += json[i];
    if (is_text && json[i] == '\\' && i + 1 < json.size()) out += json[++i];
  }
  return out;
}

// What an effect left at the path that was asked for, if that is at or below its own.
std::optional<bson::OwnedValue> left_at(const Effect& effect, const std::string& asked) {
  if (effect.kind == Operation::kIncrement) return effect.entry.sum;
  if (effect.kind != Operation::kAssign && !effect.is_birth()) return std::nullopt;
  if (is_into_element(effect.path)) return effect.value;
  const std::string here = dotted_text(effect.path);
  bson::Value value = effect.value.view();
  if (here.size() >= asked.size()) return bson::OwnedValue(value);
  std::string_view rest = std::string_view(asked).substr(here.empty() ? 0 : here.size() + 1);
  while (!rest.empty()) {
    const size_t dot = rest.find('.');
    if (value.type != bson::Type::kDocument) return std::nullopt;
    const auto next = value.as_document().find(rest.substr(0, dot));
    if (!next) return std::nullopt;
    value = *next;
    rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  }
  return bson::OwnedValue(value);
}

class PathReader {
 public:
  PathReader(const outbox::Outbox& outbox, const PathQuestion& question)
      : outbox_(outbox), question_(question) {}

  Status read_log();
  Status read_ledger();
  PathLife take();

 private:
  struct Found {
    PathEvent event;
    VersionVector seen;
  };
  void look(const Record& record);
  // Whether there is room for a value of so many bytes.
  bool takes(size_t bytes) {
    found_bytes_ += bytes;
    if (found_bytes_ > kFoundBytesMax) life_.is_whole = false;
    return found_bytes_ <= kFoundBytesMax;
  }
  [[nodiscard]] bool is_of_it(const std::string& ns, const bson::OwnedValue& id) const {
    return ns == question_.ns && squeezed(bson::to_json(id.view(), SIZE_MAX)) == id_;
  }

  const outbox::Outbox& outbox_;
  const PathQuestion& question_;
  const std::string id_{squeezed(question_.id)};
  std::vector<Found> found_;
  size_t found_bytes_ = 0;
  PathLife life_;
};

void PathReader::look(const Record& record) {
  for (const DocumentEffects& document : record.documents) {
    if (!is_of_it(document.ns, document.id)) continue;
    for (const Effect& effect : document.effects) {
      if (!touches(effect.path, question_.path)) continue;
      PathEvent event{record.dot(), effect.kind, effect.path, left_at(effect, question_.path),
                      {},           record.app};
      constexpr size_t kOfOrigin = sizeof(Origin) + 4 * sizeof(void*);
      const size_t around =
          sizeof(Found) + record.app.size() + kOfOrigin * record.deps.entries().size();
      if (!takes(around + (event.value ? event.value->bytes.size() : 0))) return;
      found_.push_back({std::move(event), record.deps});
    }
  }
}

Status PathReader::read_log() {
  auto origins = outbox_.origins();
  if (!origins) return tl::unexpected(origins.error());
  size_t bytes = 0;
  for (const Origin& origin : *origins) {
    for (Hlc after = 0;;) {
      auto entries = outbox_.read_entries(origin, after, kHlcMax, kLookedBytes);
      if (!entries) return tl::unexpected(entries.error());
      if (entries->empty()) break;
      for (const auto& [hlc, encoded] : *entries) {
        auto record = decode_record(encoded);
        if (!record) return tl::unexpected(record.error());
        look(*record);
        after = hlc;
        bytes += encoded.size();
      }
      if (bytes > kLogBytesMax) {
        life_.is_whole = false;
        return {};
      }
    }
  }
  return {};
}

Status PathReader::read_ledger() {
  outbox::LedgerRange range{kHlcMax, 0, kLookedEntries, kLookedBytes};
  for (size_t bytes = 0; bytes <= kLedgerBytesMax;) {
    auto pairs = outbox_.latest_ledger(range);
    if (!pairs) return tl::unexpected(pairs.error());
    if (pairs->empty()) return {};
    for (const auto& [key, encoded] : *pairs) {
      const Hlc stamp = ledger_stamp(key);
      range.skip = stamp == range.through ? range.skip + 1 : 1;
      range.through = stamp;
      bytes += encoded.size();
      auto entry = decode_ledger(encoded);
      if (!entry) return tl::unexpected(entry.error());
      if (!is_of_it(entry->ns, entry->id) || !touches(entry->path, question_.path)) continue;
      if (!takes(encoded.size())) return {};
      life_.losses.push_back(std::move(*entry));
    }
  }
  life_.is_whole = false;
  return {};
}

PathLife PathReader::take() {
  std::stable_sort(found_.begin(), found_.end(), [](const Found& one, const Found& other) {
    return one.event.dot < other.event.dot;
  });
  if (found_.size() > kEventsMax) {  // the newest
    found_.erase(found_.begin(), found_.end() - kEventsMax);
    life_.is_whole = false;
  }
  for (size_t i = 0; i < found_.size(); ++i) {
    PathEvent& event = found_[i].event;
    for (size_t before = 0; before < i; ++before) {
      const Dot& dot = found_[before].event.dot;
      const bool is_named = !event.unseen.empty() && event.unseen.back() == dot;
      if (dot == event.dot || is_named || found_[i].seen.covers(dot)) continue;
      event.unseen.push_back(dot);
    }
  }
  for (Found& each : found_) life_.events.push_back(std::move(each.event));
  return std::move(life_);
}

}  // namespace

Result<PathLife> path_life(const outbox::Outbox& outbox, const PathQuestion& question) {
  PathReader reader(outbox, question);
  if (Status read = reader.read_log(); !read) return tl::unexpected(read.error());
  if (Status read = reader.read_ledger(); !read) return tl::unexpected(read.error());
  return reader.take();
}

}  // namespace outrigger
