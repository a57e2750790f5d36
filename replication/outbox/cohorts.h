// Documents that one record gave birth to, while nothing else is known of them: a cohort. Their
// rows are the same, so they are written as one item and forgotten as one, where a row for each
// would have to be put, found again, read and removed. Who belongs to which cohort is held in
// memory, as much as bytes_max allows; what finds no room gets rows.
//
//   key     site:16 epoch:8 hlc:8 ns
//   cohort  row:bytes { canonical _id:bytes }*           bytes: length:u32, little-endian, and these
//   note    nothing, under its cohort's key, 0x00, canonical _id: that document has left; what is
//           known of it stands in a row of its own, or is nothing
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "replication/stamp.h"

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
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// The cohorts there are and who belongs to them. Not thread-safe.
class Cohorts {
 public:
  explicit Cohorts(size_t bytes_max) : bytes_max_(bytes_max) {}
  // Members refer to their cohorts.
  Cohorts(const Cohorts&) = delete;
  Cohorts& operator=(const Cohorts&) = delete;

  // As it was written. False: malformed; nothing changed.
  bool add(std::string_view key, std::string bytes);
  [[nodiscard]] bool has_room() const { return bytes_ < bytes_max_; }
  // Of a document that belongs to one. Valid until anything changes.
  [[nodiscard]] std::optional<std::string_view> row(std::string_view ns,
                                                    std::string_view canonical_id) const;

  // A document, by the key of its row, leaves its cohort if it is in one, and in this one if any is
  // named.
  struct Left {
    std::string key;        // of the cohort
    bool is_empty = false;  // it was the last one: the cohort is gone
    bool has_notes = false;
  };
  [[nodiscard]] std::optional<Left> leave(std::string_view row_key, std::string_view cohort = {});

  // Drops the cohorts of records up to `through` of their origin: all there are between two keys.
  struct Dropped {
    std::string first;
    std::string last;
    size_t documents = 0;  // that had not left
  };
  [[nodiscard]] std::vector<Dropped> drop(const std::function<Hlc(const Origin&)>& through);

  [[nodiscard]] size_t documents() const { return members_.size(); }
  [[nodiscard]] bool knows(std::string_view key) const { return all_.count(key) > 0; }
  void clear();

 private:
  struct Cohort {
    std::string bytes;
    std::string_view ns;   // in its key
    std::string_view row;  // in `bytes`
    uint64_t ns_hash = 0;
    size_t members = 0;
    bool has_notes = false;
  };
  using All = std::map<std::string, Cohort, std::less<>>;
  struct Member {
    All::value_type* of;
    std::string_view id;
  };
  struct Name {
    std::string_view ns;
    std::string_view id;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const Member& member) const;
    size_t operator()(const Name& name) const;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Member& a, const Member& b) const {
      return a.id == b.id && a.of->second.ns == b.of->second.ns;
    }
    bool operator()(const Name& a, const Member& b) const {
      return a.id == b.id && a.ns == b.of->second.ns;
    }
    bool operator()(const Member& a, const Name& b) const { return (*this)(b, a); }
  };

  [[nodiscard]] static size_t footprint(const All::value_type& cohort);
  void remove(All::iterator cohort);

  const size_t bytes_max_;
  size_t bytes_ = 0;
  All all_;
  std::unordered_set<Member, Hash, Equal> members_;
};

}  // namespace outrigger::outbox
