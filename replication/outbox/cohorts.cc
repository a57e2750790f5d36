#include "replication/outbox/cohorts.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "replication/outbox/batch.h"

namespace outrigger::outbox {
namespace {

constexpr size_t kNamespaceAt = 32;  // in a key
// Roughly what the heap takes besides the bytes themselves.
constexpr size_t kCohortBytes = 224;
constexpr size_t kMemberBytes = 64;

uint64_t hash_of(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

// Nothing at the end, and where the bytes end too early.
std::optional<std::string_view> next_bytes(std::string_view& rest) {
  uint32_t size = 0;
  if (rest.size() < sizeof size) return std::nullopt;
  std::memcpy(&size, rest.data(), sizeof size);
  if (rest.size() - sizeof size < size) return std::nullopt;
  const std::string_view taken = rest.substr(sizeof size, size);
  rest.remove_prefix(sizeof size + size);
  return taken;
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
  const auto row = next_bytes(bytes);
  if (!row) return false;
  while (const auto id = next_bytes(bytes)) visit(*id, *row);
  return bytes.empty();
}

void CohortWriter::add(std::string_view canonical_id) {
  const auto size = static_cast<uint32_t>(canonical_id.size());
  bytes_.append(reinterpret_cast<const char*>(&size), sizeof size).append(canonical_id);
}

size_t Cohorts::Hash::operator()(const Member& member) const {
  return hash_of(member.id, member.of->second.ns_hash);
}

size_t Cohorts::Hash::operator()(const Name& name) const {
  return hash_of(name.id, hash_of(name.ns, 0));
}

size_t Cohorts::footprint(const All::value_type& cohort) {
  return kCohortBytes + cohort.first.size() + cohort.second.bytes.size() +
         kMemberBytes * cohort.second.members;
}

bool Cohorts::add(std::string_view key, std::string bytes) {
  size_t count = 0;
  const bool is_sound =
      for_each_of_cohort(bytes, [&](std::string_view, std::string_view) { ++count; });
  if (!is_sound || key.size() <= kNamespaceAt || count == 0) return false;
  const auto [at, is_new] = all_.try_emplace(std::string(key));
  if (!is_new) return false;
  Cohort& cohort = at->second;
  cohort.bytes = std::move(bytes);
  cohort.ns = namespace_of_cohort(at->first);
  cohort.ns_hash = hash_of(cohort.ns, 0);
  for_each_of_cohort(cohort.bytes, [&](std::string_view id, std::string_view row) {
    cohort.row = row;
    cohort.members += members_.insert({&*at, id}).second ? 1 : 0;
  });
  bytes_ += footprint(*at);
  return true;
}

std::optional<std::string_view> Cohorts::row(std::string_view ns,
                                             std::string_view canonical_id) const {
  const auto found = members_.find(Name{ns, canonical_id});
  if (found == members_.end()) return std::nullopt;
  return found->of->second.row;
}

std::optional<Cohorts::Left> Cohorts::leave(std::string_view row_key, std::string_view cohort_key) {
  const size_t end = row_key.find('\0');
  if (members_.empty() || end == std::string_view::npos) return std::nullopt;
  const auto found = members_.find(Name{row_key.substr(0, end), row_key.substr(end + 1)});
  if (found == members_.end()) return std::nullopt;
  if (!cohort_key.empty() && found->of->first != cohort_key) return std::nullopt;
  const auto at = all_.find(found->of->first);
  Cohort& cohort = at->second;
  members_.erase(found);
  --cohort.members;
  bytes_ -= kMemberBytes;
  Left left{at->first, cohort.members == 0, cohort.has_notes};
  cohort.has_notes = true;
  if (left.is_empty) remove(at);
  return left;
}

void Cohorts::remove(All::iterator cohort) {
  bytes_ -= footprint(*cohort);
  for_each_of_cohort(cohort->second.bytes, [&](std::string_view id, std::string_view) {
    const auto member = members_.find(Name{cohort->second.ns, id});
    if (member != members_.end() && member->of == &*cohort) members_.erase(member);
  });
  all_.erase(cohort);
}

std::vector<Cohorts::Dropped> Cohorts::drop(const std::function<Hlc(const Origin&)>& through) {
  std::vector<Dropped> dropped;
  for (auto at = all_.begin(); at != all_.end();) {
    const Origin origin = origin_of(at->first);
    const Hlc last = through(origin);
    Dropped gone;
    while (at != all_.end() && origin_of(at->first) == origin) {
      if (sortable_tail(std::string_view(at->first).substr(0, kNamespaceAt)) > last) break;
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
  members_.clear();
  all_.clear();
  bytes_ = 0;
}

}  // namespace outrigger::outbox
