#include "replication/outbox/writer_apps.h"

#include <utility>

#include "replication/record/record_codec.h"

namespace outrigger {

Result<LedgerEntry> WriterApps::named(LedgerEntry entry) {
  auto lost = app_of(entry.loser);
  if (!lost) return tl::unexpected(lost.error());
  auto won = app_of(entry.winner);
  if (!won) return tl::unexpected(won.error());
  entry.loser_app = *std::move(lost);
  entry.winner_app = *std::move(won);
  return entry;
}

Result<std::string> WriterApps::app_of(const Dot& dot) {
  if (dot.is_zero()) return std::string();
  const auto known = apps_.find(dot);
  if (known != apps_.end()) return known->second;
  auto entry = outbox_.entry(dot.origin, dot.hlc);
  if (!entry) return tl::unexpected(entry.error());
  std::string app;
  if (*entry && names_app(**entry)) {
    auto record = decode_record(**entry);
    if (record) app = std::move(record->app);  // what is damaged is found where it is needed
  }
  apps_.emplace(dot, app);
  return app;
}

}  // namespace outrigger
