// How much of the ledger is kept, and looking at it.
//
// The rule: while it is larger than may be, its oldest closed entries go. What is open (a document
// or a record set aside, a part left out) is never dropped, however old and however large.
//
// Nothing is scanned when an entry is written: the log knows how many bytes there are. A search for
// the oldest closed entry begins where the last one ended, as everything before that is open;
// entries that come with an older stamp move the place back.
#include <algorithm>

#include "config/limits.h"
#include "replication/site/replica_impl.h"

namespace outrigger {
namespace {

constexpr size_t kPieceEntries = 1000;
constexpr size_t kPieceBytes = 1u << 20;
constexpr uint64_t kReadMax = 64u << 20;  // in one step
constexpr int64_t kSayEveryUs = 60'000'000;

constexpr const char* kAboutOpen = "ledger";  // an alarm

// So much goes at once, so that it is not a few entries every second.
uint64_t kept_after_trimming(uint64_t bytes_max) { return bytes_max - bytes_max / 32; }

}  // namespace

Status Replica::Impl::load_ledger() {
  auto count = outbox.meta(meta_keys::kLedgerDropped);
  if (!count) return tl::unexpected(count.error());
  ledger_dropped = *count ? parse_sortable(**count).value_or(0) : 0;
  return {};
}

void Replica::Impl::put_ledger(outbox::Batch& batch, const std::string& key,
                               const LedgerEntry& entry) {
  batch.put_ledger(key, encode_ledger(entry));
  const std::lock_guard lock(mutex);
  ledger_closed_from = std::min(ledger_closed_from, key);
  ledger_first = std::min(ledger_first, key);
}

// Whether something is still to come of it. What the log says counts: it changes in one piece with
// the entry.
Result<bool> Replica::Impl::is_open(const std::string& key, const LedgerEntry& entry) const {
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

// The next entries by age. False: there are no more.
Result<bool> Replica::Impl::trim_piece(uint64_t& bytes, uint64_t& read) {
  std::string from;
  std::string began;
  {
    const std::lock_guard lock(mutex);
    began = from = ledger_closed_from;
  }
  auto oldest = outbox.oldest_ledger(from, kPieceEntries, kPieceBytes);
  if (!oldest) return tl::unexpected(oldest.error());
  outbox::Batch batch;
  uint64_t dropped = 0;
  for (const auto& [key, value] : *oldest) {
    if (bytes <= kept_after_trimming(options.ledger_bytes_max)) break;
    from = key + '\0';
    read += value.size();
    const auto entry = decode_ledger(value);
    if (!entry) continue;  // whatever it was, it may have been open
    const auto to_come = is_open(key, *entry);
    if (!to_come) return tl::unexpected(to_come.error());
    if (*to_come) continue;
    batch.remove_ledger(key);
    bytes -= std::min(bytes, uint64_t{key.size() + value.size()});
    ledger_dropped_through = std::max(ledger_dropped_through, ledger_stamp(key));
    ++dropped;
  }
  if (dropped > 0) {
    batch.put_meta(meta_keys::kLedgerDropped, outbox::sortable(ledger_dropped + dropped));
    if (Status written = outbox.write(std::move(batch)); !written) {
      return tl::unexpected(written.error());
    }
    ledger_dropped += dropped;
    ledger_unsaid += dropped;
  }
  const std::lock_guard lock(mutex);
  if (ledger_closed_from == began) ledger_closed_from = std::move(from);  // else one came meanwhile
  return !oldest->empty();
}

Status Replica::Impl::trim_ledger() {
  const uint64_t bytes_max = options.ledger_bytes_max;
  uint64_t bytes = outbox.usage().ledger_bytes;
  bool more = true;
  if (bytes > bytes_max) {
    uint64_t read = 0;
    while (more && read < kReadMax && bytes > kept_after_trimming(bytes_max)) {
      auto found = trim_piece(bytes, read);
      if (!found) return tl::unexpected(found.error());
      more = *found;
    }
  }
  say_trimmed(bytes, bytes > bytes_max && !more);
  std::string from;
  {
    const std::lock_guard lock(mutex);
    from = ledger_first;
  }
  auto first = outbox.first_ledger_key(from);
  if (!first) return tl::unexpected(first.error());
  ledger_oldest_ms = *first ? hlc_ms(ledger_stamp(**first)) : 0;
  const std::lock_guard lock(mutex);
  if (*first) ledger_first = std::move(**first);
  return {};
}

void Replica::Impl::say_trimmed(uint64_t bytes, bool only_open) {
  if (only_open) {
    alarm(kAboutOpen,
          "the ledger is larger than ledger.max_bytes and all of it is open: nothing of that is "
          "dropped; see what is set aside or left out, or raise ledger.max_bytes");
  } else {
    const std::lock_guard lock(mutex);
    calm(kAboutOpen);
  }
  const int64_t now_us = clock.monotonic_us();
  const bool under_way = bytes > options.ledger_bytes_max && !only_open;
  const bool too_soon = ledger_said_us != 0 && now_us - ledger_said_us < kSayEveryUs;
  if (ledger_unsaid == 0 || under_way || too_soon) return;
  if (options.warn) {
    options.warn("the ledger is larger than ledger.max_bytes: its " +
                 std::to_string(ledger_unsaid) +
                 " oldest closed entries were dropped, those up to " +
                 to_text(Dot{ledger_dropped_through, {}}) + "; " + std::to_string(bytes) +
                 " bytes are kept");
  }
  ledger_said_us = now_us;
  ledger_unsaid = 0;
}

Result<LedgerPage> Replica::conflicts(size_t limit, const LedgerPlace& from) const {
  LedgerPage page;
  if (limit == 0) return page;
  const outbox::Outbox& outbox = impl_->outbox;
  auto pairs = outbox.latest_ledger({from.through, from.skip, limit, limits::kConflictsBytesMax});
  if (!pairs) return tl::unexpected(pairs.error());
  LedgerPlace next = from;
  for (const auto& [key, bytes] : *pairs) {
    auto entry = decode_ledger(bytes);
    if (!entry) return tl::unexpected(entry.error());
    page.entries.push_back(std::move(*entry));
    const Hlc stamp = ledger_stamp(key);
    next = {stamp, stamp == next.through ? next.skip + 1 : 1};
  }
  auto behind = outbox.latest_ledger({next.through, next.skip, 1, 0});
  if (!behind) return tl::unexpected(behind.error());
  if (!page.entries.empty() && !behind->empty()) page.next = next;
  return page;
}

}  // namespace outrigger
