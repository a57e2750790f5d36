// Documents that one record gave birth to, while nothing else is known of them: a cohort. Their
// rows are the same, so they are written as one item and forgotten as one, where a row for each
// would have to be put, found again, read and removed. Who belongs to which cohort is held in
// memory, as much as bytes_max allows; what finds no room gets rows.
// The bytes: FORMATS.md, section 6. A document that leaves is noted under a key of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replication/causality/stamp.h"
#include "replication/record/bytes.h"

namespace outrigger::outbox {

[[nodiscard]] std::string cohort_key(const Dot& dot, std::string_view ns);
[[nodiscard]] bool is_cohort_note(std::string_view key);
// False: malformed.
bool for_each_of_cohort(
    std::string_view bytes,
    const std::function<void(std::string_view canonical_id, std::string_view row)>& visit);
[[nodiscard]] std::string_view namespace_of_cohort(std::string_view key);

// Puts a cohort together.
class CohortWriter {
 public:
  explicit CohortWriter(std::string_view row) { add(row); }
  void add(std::string_view canonical_id);
  [[nodiscard]] std::string take() { return out_.take(); }

 private:
  ByteWriter out_;
};

// The cohorts there are and who belongs to them. Not thread-safe.
class Cohorts {
 public:
  explicit Cohorts(size_t bytes_max) : bytes_max_(bytes_max) {}
  Cohorts(const Cohorts&) = delete;
  Cohorts& operator=(const Cohorts&) = delete;

  // As it was written. False: malformed; nothing changed.
  bool add(std::string_view key, std::string bytes);
  [[nodiscard]] bool has_room() const { return bytes_ < bytes_max_; }
  // Of a document that belongs to one. Valid until anything changes.
  [[nodiscard]] std::optional<std::string_view> row(std::string_view ns,
                                                    std::string_view canonical_id) const;

  // A document, by the key of its row, leaves its cohort if it is in one. Where `cohort` is named,
  // by a note of that one which is there already, it leaves no other.
  struct Left {
    std::string key;        // of the cohort
    bool is_empty = false;  // it was the last one: the cohort is gone
    bool has_notes = false;
  };
  [[nodiscard]] std::optional<Left> leave(std::string_view row_key, std::string_view cohort = {});

  // Drops the cohorts of records up to `through` of their origin that are not kept: all there are
  // between two keys.
  struct Dropped {
    std::string first;
    std::string last;
    size_t documents = 0;  // that had not left
  };
  [[nodiscard]] std::vector<Dropped> drop(
      const std::function<Hlc(const Origin&)>& through,
      const std::function<bool(const Dot&, std::string_view ns)>& is_kept);

  [[nodiscard]] size_t documents() const { return count_; }
  void clear();

 private:
  struct Cohort {
    std::string bytes;
    std::string_view ns;   // in its key
    std::string_view row;  // in `bytes`
    uint32_t number = 0;   // in `numbered_`
    size_t members = 0;
    bool has_notes = false;
  };
  using All = std::map<std::string, Cohort, std::less<>>;
  // A document: an open hash table of these, as small as can be, takes them in order of arrival
  // with one touch of memory each.
  struct Slot {
    uint32_t hash = 0;
    uint32_t cohort = kFree;  // its number
    uint32_t id_at = 0;       // where its _id, with its length, stands in the cohort's bytes
  };
  static constexpr uint32_t kFree = UINT32_MAX;

  [[nodiscard]] static size_t footprint(const All::value_type& cohort);
  [[nodiscard]] std::string_view id_of(const Slot& slot) const;
  // Where it stands, or the free slot where its place would be.
  [[nodiscard]] size_t find(uint32_t hash, std::string_view ns, std::string_view id) const;
  void erase(size_t at);
  // Calls visit(hash, id_at, id) for each document of a cohort that is well formed.
  template <typename Visit>
  void for_each_hash(std::string_view bytes, uint64_t seed, const Visit& visit) const;
  void make_room(size_t more);
  void remove(All::iterator cohort);

  const size_t bytes_max_;
  size_t bytes_ = 0;
  All all_;
  std::vector<All::value_type*> numbered_;  // null: free
  std::vector<uint32_t> free_numbers_;
  std::vector<Slot> slots_;  // a power of two, at most half of them taken
  size_t count_ = 0;
};

}  // namespace outrigger::outbox
