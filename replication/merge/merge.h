// Merging: the state of a document is a join semilattice; what the store shows is a view of it.
//
// State = incarnations (births), each with a body: at each path what its type of merge keeps there
// (types/types.h), and container assertions. A newer register above kills older ones below. Delete
// removes exactly the births it observed, so it beats a concurrent update and spares a concurrent
// re-insert; two births live side by side until both are stable. A delete that yields is beaten by
// a concurrent update, which keeps the whole document (yields.h).
//
// A document, and a part of one that was assigned, is kept as bytes with one stamp. A field in such
// bytes needs no register until something of its own happens to it: what stands for it is the
// nearest register above, or, where there is none, the *floor*: the document as it was born by an
// upsert, or as it was before anything is remembered of it. A floor has a stamp (of the birth, or
// zero) and kills nothing: the fields of two upserts stand side by side.
//
// Values stay in the store. What is remembered of a document is its *row*: stamps of what is not
// yet stable, counter entries and the few values the document does not show. A state is *sparse*
// when it was loaded from a row alone (Content::kShown stands for "what the document shows here")
// and *full* after `fill` with the document. strip(fill(row, doc)) == row.
//
// A document in which a name is repeated cannot be a set of paths. It is *opaque* for as long as it
// is so: its row says it, at every site; what is done to it travels as the whole document.
//
// Pure: no clock, no disk, no store.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "replication/merge/holding/holding.h"
#include "replication/merge/types/contest.h"
#include "replication/merge/types/list.h"
#include "replication/merge/types/register.h"
#include "replication/record/change.h"
#include "replication/record/record.h"

namespace outrigger {

// What a value is to a merge; in the ledger, what it was that lost.
enum class Shape : uint8_t {
  kAbsent = 0,    // an unset
  kDocument = 1,  // a container of fields
  kValue = 2,     // a leaf: scalar, array, or a document that is one value
};

}  // namespace outrigger

namespace outrigger::merge {

struct Body {
  // What stands at each path, type by type (types/types.h).
  std::map<Path, Register> registers;
  // A path with entries has a register of its own unless its base is absent: what the document
  // shows there is no base.
  std::map<Path, CounterEntries> counters;
  std::map<Path, List> lists;  // a path with one has a register of its own in a full state
  // Values that did not know of each other, beside the register that holds the newest. Never empty.
  // In a full state a path with some has a register of its own.
  std::map<Path, Contest> contests;
  // What those who gave a value there had seen at and below the path in other incarnations, which
  // they did not reach: should one come back, that is replaced all the same.
  std::map<Path, VersionVector> replaced{};
  std::map<Path, Dot> asserted;  // newest effect below a container that needed it to be there
  // Fields below no register, where the root has none: full states only.
  SharedBytes floor;
  Dot floor_stamp;  // of an upsert's birth, else zero
};

struct Incarnation {
  std::vector<Dot>
      births;  // sorted; more than one after stable births joined. Zero dot: from before
  Body body;
  std::vector<NotedRemoval> removals{};  // that yield and have met it, sorted
  VersionVector seen{};                  // of it, by all of these
  Holding holding{};
  // The newest writes that are overwritten by what had not seen them, and so tell nothing any more
  // but that there was somebody: a removal that has not seen them has not seen all.
  VersionVector overwritten{};
};

// Since when it holds the keys it shows; zero: since before all that is remembered.
[[nodiscard]] inline Dot claim_of(const Incarnation& incarnation) {
  return std::max(incarnation.births.back(), incarnation.holding.since);
}

struct DocumentState {
  std::vector<Incarnation> incarnations;  // empty: no document
  // Taken away by removals that yield; every value is explicit. An update may bring them back.
  std::vector<Incarnation> gone;
  // The store could not take the merged document (size, unique key): every value is explicit here
  // and the stored document is behind; without incarnations it refused to let the document go.
  bool detached = false;
  bool full = false;
  bool opaque = false;  // a name may be repeated in the document; see `note_opaque`

  // One incarnation, which is what the store shows: its values need not be remembered.
  // (Of one that came back they are, until that is stable: no store need have had all of it.)
  [[nodiscard]] bool is_alone() const {
    return !detached && incarnations.size() == 1 && incarnations.front().removals.empty();
  }
  // Some of what it stands for is known to the store alone.
  [[nodiscard]] bool is_sparse() const {
    return !full && !detached && (incarnations.empty() || is_alone());
  }
};

enum class LossKind : uint8_t {
  kSetSet = 1,         // two values for one path
  kContainer = 2,      // a field lost to a newer whole value above it, or a whole value to fields
  kDeleteUpdate = 3,   // an update lost to a delete that had not seen it
  kInsertInsert = 4,   // two inserts of one _id; fields of the earlier
  kHiddenCounter = 5,  // increments hidden under a value that is not a number
  kOverflow = 6,       // a sum left the int64 range and was clamped
  kUpdateDelete = 7,   // a delete lost to an update it had not seen: the document is there
  kBounded = 8,        // a sum left its bounds, one of which shows
};

// A value that lost, with what beat it. Order-independent: every site that sees both reports it.
struct Loss {
  LossKind kind = LossKind::kSetSet;
  Path path;                    // where; empty: the whole document
  Shape shape = Shape::kValue;  // what lost: a value, a document or an unset
  bson::OwnedValue value;       // for kDocument: the document's bytes
  Dot loser;
  Dot winner;
  std::optional<bson::OwnedValue> winning;  // the winning value, when it is a leaf
  bool is_element = false;                  // what lost is one element of the array at `path`
  // Of what lost in an element of an array that is still there: what else of the element may tell
  // it from others (a document).
  std::optional<bson::OwnedValue> beside;
  bool removal_wins = false;     // that element was taken away by who had not seen it
  ContestRule rule;              // that decided, where one did
  std::optional<Bounds> bounds;  // kBounded
};

// ---- rows (the bytes: FORMATS.md, section 5)
[[nodiscard]] Result<DocumentState> load_row(std::string_view bytes);  // empty bytes: no row
// Turns a sparse state into a full one. `document` is the stored one, or nothing. Without a row and
// with a document: one incarnation born at stamp zero. Costs one copy of the document, however many
// fields it has.
void fill(DocumentState& state, const std::optional<bson::Document>& document);
// Settles whether the document is opaque, now that it is known. Looks only where it may be.
void note_opaque(DocumentState& state, const std::optional<std::string>& document);
// The row to keep for a state whose document is stored. Empty when there is nothing to
// remember (every stamp zero, no list, not opaque) or the document is gone.
[[nodiscard]] std::string strip(const DocumentState& state);

// ---- view
// The document a full state stands for (BSON), nothing when deleted. Sums are added in dot order.
[[nodiscard]] std::optional<std::string> document_of(const DocumentState& state,
                                                     std::vector<Loss>* losses = nullptr);

// Does a bound show somewhere in place of a sum? Then a store does not hold the sum, the row does.
[[nodiscard]] bool is_out_of_bounds(const DocumentState& state);
// Those that do, as document_of() tells them of the state; the second where something is counted:
// before such a write or after it the store may then show something else than the state does.
[[nodiscard]] std::vector<Loss> bounds_shown(const DocumentState& state);
[[nodiscard]] std::vector<Loss> bounds_counted_on(const DocumentState& state,
                                                  const DocumentEffects& effects);
// Of a sum that goes on beyond its bounds nothing is told: where one showed before, it stays so.
void leave_out_bounds(std::vector<Loss>& losses, const std::vector<Loss>& shown);

// ---- effects of a local write, from a row alone (sparse state) or a full one
// The row of a document that was just inserted where nothing was remembered, without the way round
// by a state. `opaque`: it repeats names.
[[nodiscard]] std::string birth_row(const Dot& dot, bool opaque);
[[nodiscard]] DocumentEffects local_effects(const DocumentState& state,
                                            const DocumentChange& change,
                                            const LocalContext& context);
// May an increment at `path` be recorded without an image of the document (base already explicit)?
[[nodiscard]] bool base_known(const DocumentState& state, const Path& path);
// Is it all the same to an edit of elements at `path` whether there was an empty array or none?
// Else an image of the document must tell, or the array is assigned as a whole.
[[nodiscard]] bool missing_is_empty(const DocumentState& state, const Path& path);
// Applies a local write's effects to the sparse (or full) state it was made from. `change` gives
// the values counters start from. The result is what the row must hold after the write.
void apply_local(DocumentState& state, const DocumentChange& change, const DocumentEffects& effects,
                 const LocalContext& context);

// ---- effects of a peer's record on a full state; what lost is appended to `losses`
void apply_remote(DocumentState& state, const Record& record, const DocumentEffects& effects,
                  std::vector<Loss>* losses);

// ---- collection
// Joins births that are stable; true if all stamps may go now (every one is covered by `stable`,
// every counter entry by `closed` too). What stays then is stable_row(state).
[[nodiscard]] bool collect(DocumentState& state, const VersionVector& stable,
                           const VersionVector& closed);
// `keeps_claim`: and since when it holds its keys.
[[nodiscard]] std::string stable_row(const DocumentState& state, bool keeps_claim = false);
// Whatever is still to come has seen this much.
struct Settled {
  const VersionVector& stable;
  const VersionVector& closed;
  [[nodiscard]] bool has(const Dot& stamp) const { return stable.covers(stamp); }
  // Nor is an entry of that newest stamp ever made longer.
  [[nodiscard]] bool has_closed(const Dot& stamp) const {
    return stable.covers(stamp) && closed.covers(stamp);
  }
};
// Of a sparse state that may not go: what of it is settled is left to the document, where that
// shows it (fold.cc).
void fold(DocumentState& state, const Settled& settled);
// The largest stamp per origin in the state: what must become stable before the row can go.
[[nodiscard]] VersionVector stamps(const DocumentState& state);

}  // namespace outrigger::merge
