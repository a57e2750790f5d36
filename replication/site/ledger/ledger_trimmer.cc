#include "replication/site/ledger/ledger_trimmer.h"

#include <algorithm>
#include <utility>

#include "replication/site/state/aside.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kPieceEntries = 1000;
constexpr size_t kPieceBytes = 1u << 20;
constexpr uint64_t kReadMax = 64u << 20;  // in one step
constexpr int64_t kSayEveryUs = 60'000'000;

constexpr const char* kAboutOpen = "ledger";              // an alarm
constexpr const char* kAboutDropped = "ledger, dropped";  // another one

// So much goes at once, so that it is not a few entries every second.
uint64_t kept_after_trimming(uint64_t bytes_max) { return bytes_max - bytes_max / 32; }

// Of open losses.
uint64_t open_bytes_max(uint64_t bytes_max) {
  return bytes_max > UINT64_MAX / 2 ? UINT64_MAX : 2 * bytes_max;
}

Result<uint64_t> counted(const outbox::Outbox& outbox, const char* key) {
  auto count = outbox.meta(key);
  if (!count) return tl::unexpected(count.error());
  return *count ? parse_sortable(**count).value_or(0) : 0;
}

}  // namespace

Result<bool> is_open_entry(const outbox::Outbox& outbox, const std::string& key,
                           const LedgerEntry& entry) {
  if (entry.open) return true;
  std::string about;
  if (entry.kind == kQuarantinedKind && entry.id.view().type == bson::Type::kString) {
    about = meta_keys::kQuarantined + std::string(entry.id.view().as_string());
  } else if (entry.kind == kNotApplied) {
    about = meta_keys::kDetached + outbox::row_key(entry.ns, bson::canonical_key(entry.id.view()));
  } else {
    return false;
  }
  auto known = outbox.meta(about);
  if (!known) return tl::unexpected(known.error());
  if (!*known) return false;
  if (entry.kind == kQuarantinedKind) return **known == key;
  auto aside = decode_aside(**known);
  if (!aside) return tl::unexpected(aside.error());
  return aside->ledger_key == key;
}

Status LedgerTrimmer::load() {
  auto closed = counted(context_.outbox, meta_keys::kLedgerDropped);
  if (!closed) return tl::unexpected(closed.error());
  auto open = counted(context_.outbox, meta_keys::kLedgerDroppedOpen);
  if (!open) return tl::unexpected(open.error());
  dropped_ = *closed;
  dropped_open_ = *open;
  return {};
}

void LedgerTrimmer::came(const std::string& key) {
  const MutexLock lock(mutex_);
  for (std::string* from : {&closed_from_, &open_from_, &first_}) *from = std::min(*from, key);
}

Status LedgerTrimmer::trim() {
  const MutexLock one_caller(trimming_);
  if (Status trimmed = trim_closed(); !trimmed) return trimmed;
  if (Status trimmed = trim_open(); !trimmed) return trimmed;
  return note_oldest();
}

Status LedgerTrimmer::trim_closed() {
  const ReplicaOptions& options = context_.options;
  const int64_t keep_ms = options.ledger_keep_ms;
  const int64_t now_ms = context_.clock.wall_ms();
  Pass pass;
  pass.bytes = context_.outbox.usage().ledger_bytes;
  const bool is_too_large = pass.bytes > options.ledger_bytes_max;
  if (is_too_large) pass.goal = kept_after_trimming(options.ledger_bytes_max);
  if (keep_ms > 0 && now_ms > keep_ms) pass.before = hlc_from_ms(now_ms - keep_ms);
  std::string from;
  {
    const MutexLock lock(mutex_);
    from = closed_from_;
  }
  auto due = is_due(from, pass.before);
  if (!due) return tl::unexpected(due.error());
  bool more = true;
  while (more && pass.read < kReadMax && (pass.bytes > pass.goal || *due)) {
    auto found = piece(pass);
    if (!found) return tl::unexpected(found.error());
    more = *found;
  }
  say_closed(pass, is_too_large && pass.bytes > options.ledger_bytes_max && !more);
  return {};
}

// Is there an entry from there on that is older?
Result<bool> LedgerTrimmer::is_due(const std::string& from, Hlc before) const {
  if (before == 0) return false;
  auto first = context_.outbox.first_ledger_key(from);
  if (!first) return tl::unexpected(first.error());
  return *first && ledger_stamp(**first) < before;
}

Status LedgerTrimmer::trim_open() {
  const uint64_t bytes_max = context_.options.ledger_bytes_max;
  Pass pass;
  pass.of_open = true;
  pass.bytes = context_.outbox.usage().ledger_open_bytes;
  if (pass.bytes <= bytes_max) alarms_.calm(kAboutDropped);
  if (pass.bytes <= open_bytes_max(bytes_max)) return {};
  pass.goal = kept_after_trimming(open_bytes_max(bytes_max));
  bool more = true;
  while (more && pass.read < kReadMax && pass.bytes > pass.goal) {
    auto found = piece(pass);
    if (!found) return tl::unexpected(found.error());
    more = *found;
  }
  if (pass.dropped == 0) return {};
  alarms_.raise(kAboutDropped,
                "open losses alone took twice ledger.max_bytes, so the oldest of them were dropped "
                "before anybody decided about them: decide about those that are left (state open), "
                "have fewer paths escalate, or raise ledger.max_bytes");
  if (context_.options.warn) {
    context_.options.warn("the ledger: " + std::to_string(pass.dropped) +
                          " open losses were dropped, as all of them took twice ledger.max_bytes");
  }
  return {};
}

// The next entries by age. False: there are no more.
Result<bool> LedgerTrimmer::piece(Pass& pass) {
  std::string LedgerTrimmer::*const place =
      pass.of_open ? &LedgerTrimmer::open_from_ : &LedgerTrimmer::closed_from_;
  std::string from;
  std::string began;
  {
    const MutexLock lock(mutex_);
    began = from = this->*place;
  }
  auto oldest = context_.outbox.oldest_ledger(from, kPieceEntries, kPieceBytes);
  if (!oldest) return tl::unexpected(oldest.error());
  outbox::Batch batch;
  uint64_t count = 0;
  bool is_over = oldest->empty();
  for (const auto& [key, value] : *oldest) {
    const bool by_bytes = pass.bytes > pass.goal;
    is_over = !by_bytes && ledger_stamp(key) >= pass.before;
    if (is_over) break;
    from = key + '\0';
    pass.read += value.size();
    const auto entry = decode_ledger(value);
    if (!entry) continue;  // whatever it was, it may have been open
    const auto open = is_open_entry(context_.outbox, key, *entry);
    if (!open) return tl::unexpected(open.error());
    if (pass.of_open ? !(*open && is_loss(entry->kind)) : *open) continue;
    batch.remove_ledger(key);
    pass.bytes -= std::min(pass.bytes, uint64_t{key.size() + value.size()});
    if (by_bytes) {
      ++pass.dropped;
      dropped_through_ = std::max(dropped_through_, ledger_stamp(key));
    }
    ++count;
  }
  if (Status gone = drop(std::move(batch), pass.of_open, count); !gone) {
    return tl::unexpected(gone.error());
  }
  const MutexLock lock(mutex_);
  if (this->*place == began) this->*place = std::move(from);  // else one came meanwhile
  return !is_over;
}

Status LedgerTrimmer::drop(outbox::Batch batch, bool of_open, uint64_t count) {
  if (count == 0) return {};
  std::atomic<uint64_t>& total = of_open ? dropped_open_ : dropped_;
  batch.put_meta(of_open ? meta_keys::kLedgerDroppedOpen : meta_keys::kLedgerDropped,
                 outbox::sortable(total + count));
  if (Status written = context_.write_soon(std::move(batch)); !written) return written;
  total += count;
  return {};
}

void LedgerTrimmer::say_closed(const Pass& pass, bool only_open) {
  if (only_open) {
    alarms_.raise(
        kAboutOpen,
        "the ledger is larger than ledger.max_bytes and all of it is open: decide about it (state "
        "open), see what is set aside or left out, or raise ledger.max_bytes; beyond twice of that "
        "the oldest open losses are dropped");
  } else {
    alarms_.calm(kAboutOpen);
  }
  unsaid_ += pass.dropped;
  const int64_t now_us = context_.clock.monotonic_us();
  const bool under_way = pass.bytes > context_.options.ledger_bytes_max && !only_open;
  const bool too_soon = said_us_ != 0 && now_us - said_us_ < kSayEveryUs;
  if (unsaid_ == 0 || under_way || too_soon) return;
  if (context_.options.warn) {
    context_.options.warn(
        "the ledger is larger than ledger.max_bytes: its " + std::to_string(unsaid_) +
        " oldest closed entries were dropped, those up to " + to_text(Dot{dropped_through_, {}}) +
        "; " + std::to_string(pass.bytes) + " bytes are kept");
  }
  said_us_ = now_us;
  unsaid_ = 0;
}

Status LedgerTrimmer::note_oldest() {
  std::string from;
  {
    const MutexLock lock(mutex_);
    from = first_;
  }
  auto first = context_.outbox.first_ledger_key(from);
  if (!first) return tl::unexpected(first.error());
  oldest_ms_ = *first ? hlc_ms(ledger_stamp(**first)) : 0;
  const MutexLock lock(mutex_);
  // One may have come before it meanwhile.
  if (*first && first_ == from) first_ = std::move(**first);
  return {};
}

void LedgerTrimmer::describe(ReplicaStatus& status) const {
  status.ledger_bytes_max = context_.options.ledger_bytes_max;
  status.ledger_keep_ms = context_.options.ledger_keep_ms;
  status.ledger_dropped = dropped_;
  status.ledger_dropped_open = dropped_open_;
  status.ledger_oldest_ms = oldest_ms_;
}

}  // namespace outrigger
