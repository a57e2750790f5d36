// What is about to be noted of indexes and documents (kept_notes.h), with what the ledger is to say
// of it. It goes into a batch, and into memory only once that is written: where the write fails, or
// something is in the way before it, nothing is taken for noted that is not, and whoever looks next
// notes all of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/result.h"
#include "replication/bson/bson.h"
#include "replication/outbox/batch.h"
#include "replication/outbox/ledger.h"

namespace outrigger {

struct RelaxedIndex {
  std::string ns;
  std::string spec;      // KeyIndex has it
  bool is_made = false;  // anew: until then it may be away
  [[nodiscard]] std::string name() const;
  friend bool operator==(const RelaxedIndex&, const RelaxedIndex&) = default;
};

// One of them in one index; not the one before it, by its _id.
struct KeptDocument {
  std::string ns;
  bson::OwnedValue id;
  std::string index;
  bson::OwnedValue other;  // the first that has its key
  std::string ledger_key;
  [[nodiscard]] std::string row_key() const;
  friend bool operator==(const KeptDocument&, const KeptDocument&) = default;
};

// The bytes: FORMATS.md, section 9.3.
[[nodiscard]] std::string encode_relaxed(const RelaxedIndex& index);
[[nodiscard]] std::string encode_kept_document(const KeptDocument& document);
// Errors: kCorrupt.
[[nodiscard]] Result<RelaxedIndex> decode_relaxed(std::string_view bytes);
[[nodiscard]] Result<KeptDocument> decode_kept_document(std::string_view bytes);

// Where it stands in the log.
[[nodiscard]] std::string kept_note_key(const RelaxedIndex& index);
[[nodiscard]] std::string kept_note_key(const std::string& row_key, const std::string& index);
[[nodiscard]] std::string kept_note_key(const KeptDocument& document);

// One thread's.
class KeptChanges {
 public:
  void put(const RelaxedIndex& index);
  void remove(const RelaxedIndex& index);
  // `is_new`: nothing was known of it, and somebody is to hear of it.
  void put(const KeptDocument& document, LedgerEntry entry, bool is_new);
  void remove(const KeptDocument& document);
  // What the ledger says of one that is noted.
  void set_entry(const std::string& ledger_key, LedgerEntry entry);

  // All that `later` says, after this.
  void append(const KeptChanges& later);

  [[nodiscard]] bool empty() const;
  // The notes; the entries are the ledger's (LedgerKeeper::put).
  void add_to(outbox::Batch& batch) const;

  // By where it stands. Nothing: it goes.
  [[nodiscard]] const std::map<std::string, std::optional<RelaxedIndex>>& indexes() const {
    return indexes_;
  }
  [[nodiscard]] const std::map<std::string, std::optional<KeptDocument>>& documents() const {
    return documents_;
  }
  [[nodiscard]] const std::map<std::string, LedgerEntry>& entries() const { return entries_; }
  // Keys of those of them that are new.
  [[nodiscard]] const std::vector<std::string>& fresh() const { return fresh_; }

 private:
  std::map<std::string, std::optional<RelaxedIndex>> indexes_;
  std::map<std::string, std::optional<KeptDocument>> documents_;
  std::map<std::string, LedgerEntry> entries_;
  std::vector<std::string> fresh_;
};

}  // namespace outrigger
