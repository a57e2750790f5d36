// A register: what was last given to a path. Of two writes the larger stamp stands.
//
// It holds a value, nothing (an unset), or a document, which is a container: its fields merge by
// themselves and lie in the register's bytes only as they were assigned with it. Every other type
// counts on the register that governs its path, so a register also says how far its author had
// seen what stands beside it: its baseline.
#pragma once

#include <memory>
#include <string>

#include "replication/merge/types/author.h"
#include "replication/merge/types/row_stamps.h"

namespace outrigger::merge {

// A document's bytes, or a part of them, shared by copies of a state.
struct SharedBytes {
  std::shared_ptr<const std::string> owner;
  bson::Bytes bytes;  // within *owner; empty: the empty document

  [[nodiscard]] static SharedBytes of(bson::Bytes document);  // a copy
  [[nodiscard]] SharedBytes part(bson::Bytes inside) const { return {owner, inside}; }
  [[nodiscard]] bson::Document document() const {
    return bytes.empty() ? bson::Document() : bson::Document(bytes);
  }
};

enum class Content : uint8_t {
  kAbsent = 0,
  kDocument = 1,
  kValue = 2,
  kShown = 3,  // sparse states only: whatever the document shows at this path
};

struct Register {
  Dot stamp;
  Content content = Content::kAbsent;
  bson::OwnedValue value;   // kValue
  SharedBytes fields;       // kDocument: those assigned with it
  CounterEntries baseline;  // sorted by first dot
  bool is_version = false;  // of the root: where it loses, the ledger has it whole
  SharedBytes given;        // is_version: all of it as it was written, whatever came into it since
  uint32_t order = 0;       // place among new siblings; not part of the state
};

// The register that an assignment, an unset or a birth leaves at its path.
[[nodiscard]] Register assigned(const Effect& effect, Authorship& author);
// Gives it a content: `value` at `path`, whose bytes are a part of `within`.
void hold(Register& reg, const Path& path, const bson::Value& value, const SharedBytes& within);
// Of two registers at one path: the larger stamp; one commit only adds up its baselines.
void join(Register& reg, const Register& other);

// The store shows what it holds, so a row need not.
void leave_to_store(Register& reg);
// The store does not show what it should: somebody took it away behind our back.
void give_up_shown(Register& reg, const Path& path);
// As a row keeps it, with this content.
[[nodiscard]] Register kept_in_row(const Register& reg, Content content);

// Calls visit(stamp, needs_closed) for what must be stable before the register can be forgotten.
template <typename Visit>
void for_each_stamp(const Register& reg, const Visit& visit) {
  visit(reg.stamp, false);
  for (const CounterEntry& entry : reg.baseline) visit(entry.newest(), false);
}

void write(RowOut& out, const Register& reg);
void read(RowIn& in, Register& reg);
// Stamp and content alone: all there is of one that is no version and has no baseline.
void write_content(RowOut& out, const Register& reg);
void read_content(RowIn& in, Register& reg);
// A document, or nothing.
[[nodiscard]] SharedBytes read_bytes(RowIn& in);

}  // namespace outrigger::merge
