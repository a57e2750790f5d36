// The ledger: every value that lost, with what beat it and why, and every document the store would
// not take. Promise 7 of the product: one deterministic winner, the loser never silent.
//
// A loss is found anew whenever a batch is replayed, so an entry's key is made of nothing but what
// lost where to whom (and sorts by the later of the two stamps): writing it twice is writing it
// once. (What no stamp names, kUnrecorded, elements of arrays and sums beyond their bounds are
// named by their values, too.)
// Entries are BSON, so that tools can read them without this code: FORMATS.md, section 8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/causality/stamp.h"
#include "replication/merge/merge.h"
#include "replication/record/effect.h"
#include "replication/record/record.h"

namespace outrigger {

// What people did about an entry, last, at whatever site (ledger_news.h).
enum class LedgerMark : uint8_t {
  kNone,
  kResolved,  // the value that had lost was written again
  kReverted,  // and that was undone
};

// What stood where a value was written.
struct Replaced {
  std::optional<bson::OwnedValue> value;  // nothing: nothing stood there
  friend bool operator==(const Replaced&, const Replaced&) = default;
};

struct LedgerEntry {
  int64_t time_ms = 0;  // of the later of the two stamps; kNotApplied: wall clock
  std::string ns;
  bson::OwnedValue id;
  Path path;  // empty: the whole document
  // loss_kind_text(), kNotApplied, kUnique, kKeptKind, kValidatorBypassed, kLeftOut,
  // kQuarantinedKind, kUnrecorded, kMissing
  std::string kind;
  Shape shape = Shape::kValue;
  bson::OwnedValue value;  // what lost; kNotApplied: the full merged document
  Dot loser;
  Dot winner;
  std::optional<bson::OwnedValue> winning;  // the winning value, when it is a leaf
  std::string reason;                       // one sentence for people
  bool open = false;                        // somebody should decide about it
  bool is_element = false;                  // what lost is one element of the array at `path`
  std::optional<bson::OwnedValue> beside;   // Loss::beside
  LedgerMark mark = LedgerMark::kNone;
  std::optional<Replaced> replaced;  // what a choice put the value in the place of
  Dot decided;                       // what told `mark`, of whatever site; zero: nobody has
  std::string loser_app;             // Record::app of whose value it is; empty: not known
  std::string winner_app;            // likewise
  std::string rule;  // the word of the settings that decided when it was written; empty: none known
  friend bool operator==(const LedgerEntry&, const LedgerEntry&) = default;
};

// Where a page of the ledger begins, from its newest end.
struct LedgerPlace {
  Hlc through = kHlcMax;  // no later stamp
  size_t skip = 0;        // of the newest of these
  friend bool operator==(const LedgerPlace&, const LedgerPlace&) = default;
};
// "117000000000000-3", for a URL.
[[nodiscard]] std::string to_text(const LedgerPlace& place);
[[nodiscard]] std::optional<LedgerPlace> parse_place(std::string_view text);

struct LedgerPage {
  std::vector<LedgerEntry> entries;
  std::optional<LedgerPlace> next;  // of the page behind this; nothing: this was the last
};

inline constexpr const char* kNotApplied = "not_applied";
inline constexpr const char* kUnique = "unique";  // see parked_entry()
inline constexpr const char* kKeptKind = "kept";  // see kept_entry()
inline constexpr const char* kQuarantinedKind = "quarantined";
inline constexpr const char* kValidatorBypassed = "validator_bypassed";
inline constexpr const char* kLeftOut = "left_out";
inline constexpr const char* kUnrecorded = "unrecorded";  // see recovery/redo_found.h
inline constexpr const char* kMissing = "missing";        // likewise

// "set_set", "container", "delete_update", "insert_insert", "hidden_counter", "overflow",
// "update_delete", "bounded".
[[nodiscard]] const char* loss_kind_text(merge::LossKind kind);
// Why a loser of its kind is not brought back by a write, and the way out; empty: it may be.
[[nodiscard]] std::string why_not_of_kind(const LedgerEntry& entry);
// The setting that decides about entries of its kind, whatever their path: "deletes: delete_wins",
// "unique: park", "bounded"; empty: their path or namespace tells.
[[nodiscard]] std::string policy_of_kind(std::string_view kind);
// Is it the kind of a write that lost to another one?
[[nodiscard]] bool is_loss(std::string_view kind);

[[nodiscard]] LedgerEntry ledger_entry(const std::string& ns, const bson::OwnedValue& id,
                                       const merge::Loss& loss);
// A document set aside: `document` is its full merged state (nothing: the store would not let it
// go), `reason` the store's own words.
[[nodiscard]] LedgerEntry not_applied_entry(const std::string& ns, const bson::OwnedValue& id,
                                            const std::optional<std::string>& document,
                                            std::string reason, int64_t wall_ms);
// A document parked as an earlier one holds a key of a unique index that it has, too
// (merge/claims/claim.h): `claim` names it, so that the entry is the same at every site. `owner`:
// the _id of that one, where it is known. Open until it is shown or deleted.
[[nodiscard]] LedgerEntry parked_entry(const std::string& ns, const bson::OwnedValue& id,
                                       const std::string& document, const Dot& claim,
                                       const std::optional<bson::OwnedValue>& owner);
// The same before anybody has looked at claims, `reason` in the store's own words.
[[nodiscard]] LedgerEntry refused_key_entry(const std::string& ns, const bson::OwnedValue& id,
                                            const std::optional<std::string>& document,
                                            std::string reason, int64_t wall_ms);
// A document that shares a key of the unique index with `other`, and is shown as that is
// (kept/kept_keys.h): `keys` are its fields there, by their names, and `claim` names it, where that
// is known. Open until they differ.
[[nodiscard]] LedgerEntry kept_entry(const std::string& ns, const bson::OwnedValue& id,
                                     const std::string& index, const std::string& keys,
                                     const Dot& claim, const bson::OwnedValue& other,
                                     int64_t wall_ms);
// Is it the key of an entry of this kind?
[[nodiscard]] bool is_of_kind(std::string_view ledger_key, std::string_view kind);

// A document stored although its collection's validator, in whose words, refuses it. `newest`: the
// last record that changed it.
[[nodiscard]] LedgerEntry validator_entry(const std::string& ns, const bson::OwnedValue& id,
                                          const Dot& newest, const std::string& words,
                                          int64_t wall_ms);

// A record set aside whole because it may not be applied: its name is the entry's _id, its bytes
// (encode_record) the value.
[[nodiscard]] LedgerEntry quarantined_entry(const Record& record, std::string reason,
                                            int64_t wall_ms);
// The name of a record for people and programs: "<origin in hex>/<stamp>".
[[nodiscard]] std::string record_name(const Dot& dot);

// What an entry adds to the totals of what is open, by its own word: what is set aside says nothing
// of it (site/ledger/ledger_trimmer.h).
struct OpenShare {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // key and value, of what lost to another write
};
[[nodiscard]] OpenShare open_share(std::string_view key, std::string_view bytes);

// "auto" (the rule decided and nobody has to), "open", "resolved", "reverted".
[[nodiscard]] const char* state_text(const LedgerEntry& entry);

// The name of an entry for people, of the key it is kept under: "0199a2b3c4d50001-5f3a9c21d07e",
// the stamp and a digest of the key. The same at every site that has the entry.
[[nodiscard]] std::string ledger_name(std::string_view key);
// The stamp in a name; nothing: that is no name.
[[nodiscard]] std::optional<Hlc> stamp_of_name(std::string_view name);

// Of a value by which entries are told apart that nothing else tells.
[[nodiscard]] uint64_t ledger_value_hash(const bson::OwnedValue& value);

// Under which the outbox keeps it; the same for the same loss, ascending by time.
[[nodiscard]] std::string ledger_key(const LedgerEntry& entry);
// The stamp it sorts by.
[[nodiscard]] Hlc ledger_stamp(std::string_view key);
[[nodiscard]] std::string encode_ledger(const LedgerEntry& entry);
// Errors: kCorrupt.
[[nodiscard]] Result<LedgerEntry> decode_ledger(std::string_view bytes);

}  // namespace outrigger
