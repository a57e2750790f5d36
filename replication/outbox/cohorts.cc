#include "replication/outbox/cohorts.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "replication/outbox/batch.h"

namespace outrigger::outbox {
namespace {

constexpr size_t kNamespaceAt = 32;  // in a key
// Roughly what the heap takes besides the bytes themselves.
constexpr size_t kCohortBytes = 224;
constexpr size_t kMemberBytes = 32;
constexpr size_t kSlotsMin = 1024;

uint64_t seed_of(std::string_view ns) { return XXH3_64bits(ns.data(), ns.size()); }

uint32_t hash_of(std::string_view id, uint64_t seed) {
  return static_cast<uint32_t>(XXH3_64bits_withSeed(id.data(), id.size(), seed));
}

}  // namespace

std::string cohort_key(const Dot& dot, std::string_view ns) {
  return entry_key(dot.origin, dot.hlc).append(ns);
}

std::string_view namespace_of_cohort(std::string_view key) {
  return key.substr(std::min(kNamespaceAt, key.size()));
}

bool is_cohort_note(std::string_view key) {
  return namespace_of_cohort(key).find('\0') != std::string_view::npos;
}

bool for_each_of_cohort(
    std::string_view bytes,
    const std::function<void(std::string_view canonical_id, std::string_view row)>& visit) {
  ByteReader in(bytes, "cohort");
  const std::string_view row = in.bytes32();
  while (in.left() > 0) {
    const std::string_view id = in.bytes32();
    if (in.ok()) visit(id, row);
  }
  return in.ok();
}

void CohortWriter::add(std::string_view canonical_id) { out_.bytes32(canonical_id); }

size_t Cohorts::footprint(const All::value_type& cohort) {
  return kCohortBytes + cohort.first.size() + cohort.second.bytes.size() +
         kMemberBytes * cohort.second.members;
}

std::string_view Cohorts::id_of(const Slot& slot) const {
  const std::string_view bytes = numbered_[slot.cohort]->second.bytes;
  return ByteReader(bytes.substr(slot.id_at), "cohort").bytes32();
}

size_t Cohorts::find(uint32_t hash, std::string_view ns, std::string_view id) const {
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  for (; slots_[at].cohort != kFree; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.hash != hash || numbered_[slot.cohort]->second.ns != ns) continue;
    if (id_of(slot) == id) break;
  }
  return at;
}

// Those behind it move up, so that no search stops before it should.
void Cohorts::erase(size_t at) {
  const size_t mask = slots_.size() - 1;
  for (size_t next = (at + 1) & mask; slots_[next].cohort != kFree; next = (next + 1) & mask) {
    const size_t from_home = (next - slots_[next].hash) & mask;
    if (from_home < ((next - at) & mask)) continue;  // its home is behind the gap
    slots_[at] = slots_[next];
    at = next;
  }
  slots_[at] = {};
  --count_;
}

void Cohorts::make_room(size_t more) {
  size_t size = std::max(slots_.size(), kSlotsMin);
  while (size < 2 * (count_ + more)) size *= 2;
  if (size == slots_.size()) return;
  std::vector<Slot> before(size);
  before.swap(slots_);
  for (const Slot& slot : before) {
    if (slot.cohort == kFree) continue;
    size_t at = slot.hash & (size - 1);
    while (slots_[at].cohort != kFree) at = (at + 1) & (size - 1);
    slots_[at] = slot;
  }
}

// Each slot is somewhere else in memory: they are asked for well before they are needed.
template <typename Visit>
void Cohorts::for_each_hash(std::string_view bytes, uint64_t seed, const Visit& visit) const {
  struct Member {
    uint32_t hash;
    uint32_t id_at;
    std::string_view id;
  };
  constexpr size_t kAhead = 32;
  std::array<Member, kAhead> ahead;
  size_t read = 0;
  size_t visited = 0;
  ByteReader in(bytes, "cohort");
  in.bytes32();
  const size_t mask = slots_.size() - 1;
  while (in.left() > 0 || visited < read) {
    if (in.left() > 0 && read - visited < kAhead) {
      const auto id_at = static_cast<uint32_t>(in.read().size());
      const std::string_view id = in.bytes32();
      const uint32_t hash = hash_of(id, seed);
      __builtin_prefetch(&slots_[hash & mask], 1);
      ahead[read++ % kAhead] = {hash, id_at, id};
      continue;
    }
    const Member& member = ahead[visited++ % kAhead];
    visit(member.hash, member.id_at, member.id);
  }
}

bool Cohorts::add(std::string_view key, std::string bytes) {
  size_t count = 0;
  const bool is_sound =
      for_each_of_cohort(bytes, [&](std::string_view, std::string_view) { ++count; });
  if (!is_sound || key.size() <= kNamespaceAt || count == 0 || bytes.size() > kFree) return false;
  const auto [at, is_new] = all_.try_emplace(std::string(key));
  if (!is_new) return false;
  if (free_numbers_.empty()) {
    free_numbers_.push_back(static_cast<uint32_t>(numbered_.size()));
    numbered_.push_back(nullptr);
  }
  Cohort& cohort = at->second;
  cohort.number = free_numbers_.back();
  free_numbers_.pop_back();
  numbered_[cohort.number] = &*at;
  cohort.bytes = std::move(bytes);
  cohort.ns = namespace_of_cohort(at->first);
  const uint64_t seed = seed_of(cohort.ns);
  make_room(count);
  cohort.row = ByteReader(cohort.bytes, "cohort").bytes32();
  for_each_hash(cohort.bytes, seed, [&](uint32_t hash, uint32_t id_at, std::string_view id) {
    Slot& slot = slots_[find(hash, cohort.ns, id)];
    if (slot.cohort != kFree) return;
    slot = {hash, cohort.number, id_at};
    ++cohort.members;
    ++count_;
  });
  bytes_ += footprint(*at);
  return true;
}

std::optional<std::string_view> Cohorts::row(std::string_view ns,
                                             std::string_view canonical_id) const {
  if (count_ == 0) return std::nullopt;
  const Slot& found = slots_[find(hash_of(canonical_id, seed_of(ns)), ns, canonical_id)];
  if (found.cohort == kFree) return std::nullopt;
  return numbered_[found.cohort]->second.row;
}

std::optional<Cohorts::Left> Cohorts::leave(std::string_view row_key, std::string_view cohort_key) {
  if (const auto named = all_.find(cohort_key); named != all_.end()) {
    named->second.has_notes = true;
  }
  const size_t end = row_key.find('\0');
  if (count_ == 0 || end == std::string_view::npos) return std::nullopt;
  const std::string_view ns = row_key.substr(0, end);
  const std::string_view id = row_key.substr(end + 1);
  const size_t found = find(hash_of(id, seed_of(ns)), ns, id);
  if (slots_[found].cohort == kFree) return std::nullopt;
  const std::string& key = numbered_[slots_[found].cohort]->first;
  if (!cohort_key.empty() && key != cohort_key) return std::nullopt;
  const auto at = all_.find(key);
  Cohort& cohort = at->second;
  erase(found);
  --cohort.members;
  bytes_ -= kMemberBytes;
  Left left{at->first, cohort.members == 0, cohort.has_notes};
  cohort.has_notes = true;
  if (left.is_empty) remove(at);
  return left;
}

void Cohorts::remove(All::iterator at) {
  const Cohort& cohort = at->second;
  bytes_ -= footprint(*at);
  const uint64_t seed = seed_of(cohort.ns);
  // A slot says where in its cohort the _id stands, so no bytes need be compared. A document that
  // has left has none.
  for_each_hash(cohort.bytes, seed, [&](uint32_t hash, uint32_t id_at, std::string_view) {
    const size_t mask = slots_.size() - 1;
    size_t found = hash & mask;
    while (slots_[found].cohort != kFree &&
           (slots_[found].cohort != cohort.number || slots_[found].id_at != id_at)) {
      found = (found + 1) & mask;
    }
    if (slots_[found].cohort != kFree) erase(found);
  });
  numbered_[cohort.number] = nullptr;
  free_numbers_.push_back(cohort.number);
  all_.erase(at);
}

std::vector<Cohorts::Dropped> Cohorts::drop(
    const std::function<Hlc(const Origin&)>& through,
    const std::function<bool(const Dot&, std::string_view ns)>& is_kept) {
  std::vector<Dropped> dropped;
  for (auto at = all_.begin(); at != all_.end();) {
    const Origin origin = origin_of(at->first);
    const Hlc last = through(origin);
    Dropped gone;
    while (at != all_.end() && origin_of(at->first) == origin) {
      const Hlc stamp = sortable_tail(std::string_view(at->first).substr(0, kNamespaceAt));
      if (stamp > last) break;
      if (is_kept({stamp, origin}, at->second.ns)) {
        if (!gone.first.empty()) dropped.push_back(std::exchange(gone, {}));
        ++at;
        continue;
      }
      if (gone.first.empty()) gone.first = at->first;
      gone.last = at->first;
      gone.documents += at->second.members;
      const auto following = std::next(at);
      remove(at);
      at = following;
    }
    if (!gone.first.empty()) dropped.push_back(std::move(gone));
    at = all_.lower_bound(entry_key(origin, kHlcMax));
  }
  return dropped;
}

void Cohorts::clear() {
  slots_.clear();
  numbered_.clear();
  free_numbers_.clear();
  all_.clear();
  count_ = 0;
  bytes_ = 0;
}

}  // namespace outrigger::outbox
