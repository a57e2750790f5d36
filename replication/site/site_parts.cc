#include "replication/site/site_parts.h"

#include <algorithm>
#include <cstring>

#include "replication/merge/row.h"
#include "replication/record/bytes.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

constexpr size_t kRowsPerScan = 10'000;

uint64_t random_epoch(Random& random) {
  uint64_t epoch = kRetired;
  while (epoch == kRetired) epoch = random.number();
  return epoch;
}

Result<SiteId> site_id(outbox::Outbox& outbox, Random& random) {
  auto known = outbox.meta(meta_keys::kSiteId);
  if (!known) return tl::unexpected(known.error());
  SiteId id{};
  if (*known) {
    ByteReader in(**known, "site id");
    id = in.site();
    in.end();
    if (!in.ok()) return in.error();
    return id;
  }
  random.fill(id);
  outbox::Batch batch;
  batch.put_meta(meta_keys::kSiteId,
                 std::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
  if (Status written = outbox.write(std::move(batch)); !written) {
    return tl::unexpected(written.error());
  }
  return id;
}

Result<VersionVector> load_vector(const outbox::Outbox& outbox, const char* prefix) {
  auto pairs = outbox.scan_meta(prefix);
  if (!pairs) return tl::unexpected(pairs.error());
  VersionVector vector;
  for (const auto& [key, bytes] : *pairs) {
    const auto origin = meta_keys::origin_in(prefix, key);
    const auto hlc = parse_sortable(bytes);
    if (!origin || !hlc) return fail(ErrorCode::kCorrupt, "open outbox", prefix, "malformed entry");
    vector.raise(*origin, *hlc);
  }
  return vector;
}

// The entries of this site may be behind what was published (they are written late), never the
// records.
Result<VersionVector> load_applied(const outbox::Outbox& outbox, const SiteId& site) {
  auto vector = load_vector(outbox, meta_keys::kVector);
  if (!vector) return vector;
  auto origins = outbox.origins();
  if (!origins) return tl::unexpected(origins.error());
  for (const Origin& origin : *origins) {
    if (origin.site != site) continue;
    auto last = outbox.last_entry(origin);
    if (!last) return tl::unexpected(last.error());
    vector->raise(origin, *last);
  }
  return vector;
}

Result<int64_t> count_rows(const outbox::Outbox& outbox) {
  auto rows = static_cast<int64_t>(outbox.cohort_rows());
  std::string cursor;
  do {
    auto next = outbox.scan_rows(cursor, kRowsPerScan,
                                 [&](std::string_view, std::string_view, std::string_view bytes) {
                                   rows += merge::counts(bytes) ? 1 : 0;
                                 });
    if (!next) return tl::unexpected(next.error());
    cursor = std::move(*next);
  } while (!cursor.empty());
  return rows;
}

Status load_aside(const outbox::Outbox& outbox, AsideDocuments& documents) {
  auto set_aside = outbox.scan_meta(meta_keys::kDetached);
  if (!set_aside) return tl::unexpected(set_aside.error());
  for (const auto& [key, bytes] : *set_aside) {
    auto aside = decode_aside(bytes);
    if (!aside) return tl::unexpected(aside.error());
    documents.load(key.substr(std::strlen(meta_keys::kDetached)), std::move(*aside));
  }
  return {};
}

Status load_corrections(const outbox::Outbox& outbox, Corrections& corrections) {
  auto noted = outbox.scan_meta(meta_keys::kCorrection);
  if (!noted) return tl::unexpected(noted.error());
  for (const auto& [key, bytes] : *noted) {
    auto id = decode_correction(bytes);
    if (!id) return tl::unexpected(id.error());
    const Correction one{key.substr(std::strlen(meta_keys::kCorrection)), *std::move(id)};
    corrections.add(std::span(&one, 1));
  }
  return {};
}

// Beyond every stamp that an earlier run has given or seen.
Result<Hlc> first_stamp(const outbox::Outbox& outbox, const Clock& clock,
                        const VersionVector& applied) {
  auto bound = outbox.meta(meta_keys::kBound);
  if (!bound) return tl::unexpected(bound.error());
  auto prepares = outbox.scan_prepares();
  if (!prepares) return tl::unexpected(prepares.error());
  Hlc start =
      std::max(hlc_from_ms(clock.wall_ms()), *bound ? parse_sortable(**bound).value_or(0) : Hlc{0});
  for (const auto& [origin, hlc] : applied.entries()) start = std::max(start, hlc);
  for (const auto& [hlc, bytes] : *prepares) start = std::max(start, hlc);
  return start;
}

}  // namespace

Result<std::shared_ptr<SiteParts>> SiteParts::open(ReplicaOptions options, outbox::Outbox& outbox,
                                                   outbox::CommitThread& commit, const Clock& clock,
                                                   Random& random) {
  OUTRIGGER_ASSERT(!options.members.empty());
  auto id = site_id(outbox, random);
  if (!id) return tl::unexpected(id.error());
  auto applied = load_applied(outbox, *id);
  if (!applied) return tl::unexpected(applied.error());
  auto start = first_stamp(outbox, clock, *applied);
  if (!start) return tl::unexpected(start.error());
  auto floors = load_vector(outbox, meta_keys::kFloor);
  if (!floors) return tl::unexpected(floors.error());
  auto journaled = load_vector(outbox, meta_keys::kJournaled);
  if (!journaled) return tl::unexpected(journaled.error());
  auto rows = count_rows(outbox);
  if (!rows) return tl::unexpected(rows.error());

  const Origin self{*id, random_epoch(random)};
  auto parts = std::make_shared<SiteParts>(
      SiteContext{std::move(options), outbox, commit, clock, self, *start},
      SiteState::Loaded{std::move(*applied), std::move(*floors), std::move(*journaled),
                        outbox.usage(), *rows});
  parts->writes.owned_by(parts);
  if (Status loaded = parts->members.load(); !loaded) return tl::unexpected(loaded.error());
  if (Status loaded = parts->rules.load(); !loaded) return tl::unexpected(loaded.error());
  if (Status loaded = load_aside(outbox, parts->aside); !loaded) {
    return tl::unexpected(loaded.error());
  }
  if (Status loaded = load_corrections(outbox, parts->corrections); !loaded) {
    return tl::unexpected(loaded.error());
  }
  if (Status loaded = parts->kept.load(outbox); !loaded) return tl::unexpected(loaded.error());
  if (Status loaded = parts->quarantine.load(); !loaded) return tl::unexpected(loaded.error());
  if (Status loaded = parts->ledger.load(); !loaded) return tl::unexpected(loaded.error());
  if (Status loaded = parts->news.load(); !loaded) return tl::unexpected(loaded.error());
  if (Status renewed = parts->records.renew_bound(); !renewed) {
    return tl::unexpected(renewed.error());
  }
  return parts;
}

}  // namespace outrigger
