// What a site remembers beside records and rows, as FORMATS.md describes it.
#include "replication/apply/apply_intent.h"
#include "replication/outbox/ledger.h"
#include "replication/recovery/oplog_time.h"
#include "replication/recovery/recovery.h"
#include "replication/site/corrections/corrections.h"
#include "replication/site/kept/kept_changes.h"
#include "replication/site/rules/rules_keeper.h"
#include "replication/site/state/aside.h"
#include "replication/site/state/meta_keys.h"
#include "replication/testing/formats_testing.h"

namespace outrigger::formats {
namespace {

Met met() { return {met_pair(Dot{5, kOslo}, Dot{3, kRome})}; }

ApplyIntent intent() {
  ApplyIntent intent;
  intent.after.raise(kRome, 3);
  StoreWrite replace;
  replace.kind = StoreWrite::Kind::kReplaceOrInsert;
  replace.ns = "t.a";
  replace.id = bson::make_int32(1);
  replace.document = bson::Writer().int32("_id", 1).finish();
  StoreWrite update;
  update.kind = StoreWrite::Kind::kUpdate;
  update.ns = "t.a";
  update.id = bson::make_int32(2);
  update.set = {{{"a", "b"}, bson::make_bool(true)}};
  update.unset = {{"x"}};
  StoreWrite remove;
  remove.kind = StoreWrite::Kind::kRemove;
  remove.ns = "t.a";
  remove.id = bson::make_int32(3);
  StoreWrite insert;  // as it is read back
  insert.kind = StoreWrite::Kind::kInsert;
  intent.writes = {replace, update, remove, insert, insert};
  intent.births = {{3, Dot{3, kRome}, 1, 2}};
  intent.met.emplace(outbox::row_key("t.a", bson::canonical_key(replace.id.view())), met());
  return intent;
}

Aside aside() {
  Aside aside;
  aside.ledger_key = "key";  // any bytes
  aside.since_ms = 1'700'000'000'000;
  aside.code = 11000;
  aside.met = met();
  return aside;
}

RelaxedIndex relaxed() {
  bson::Writer spec;
  spec.int32("v", 2).open_document("key").int32("n", 1).close().string("name", "n_1");
  return {"t.a", spec.finish(), true};
}

KeptDocument kept() { return {"t.a", bson::make_int32(2), "n_1", bson::make_int32(1), "key"}; }

// Oslo's later value beat rome's.
LedgerEntry loss() {
  LedgerEntry entry;
  entry.ns = "t.a";
  entry.id = bson::make_int32(1);
  entry.path = {"n"};
  entry.kind = "set_set";
  entry.value = bson::make_int32(7);
  entry.loser = Dot{3, kRome};
  entry.winner = Dot{5, kOslo};
  entry.winning = bson::make_int32(8);
  entry.reason = "why";
  entry.rule = "lww";
  return entry;
}

Record unwanted() {
  Record record;
  record.origin = kRome;
  record.hlc = 3;
  record.deps.raise(kRome, 2);
  return record;
}

Example key_of_loss() {
  return {"key-ledger", [] { return Parts{ledger_key(loss())}; },
          [](const Parts& parts) { EXPECT_EQ(ledger_stamp(parts.at(0)), 5u); }};
}

Example number_item(const std::string& name, const std::string& key, uint64_t number) {
  return {name,
          [=] {
            return Parts{key, outbox::sortable(number)};
          },
          [=](const Parts& parts) {
            EXPECT_EQ(parts.at(0), key);
            EXPECT_EQ(parse_sortable(parts.at(1)), number);
          }};
}

Example vector_item(const std::string& name, const char* prefix, const Origin& origin, Hlc hlc) {
  return {name,
          [=] {
            return Parts{meta_keys::of_origin(prefix, origin), outbox::sortable(hlc)};
          },
          [=](const Parts& parts) {
            EXPECT_EQ(meta_keys::origin_in(prefix, parts.at(0)), origin);
            EXPECT_EQ(parse_sortable(parts.at(1)), hlc);
          }};
}

Example oplog_time() {
  const Timestamp time{1'700'000'000, 2};
  return {"meta-oplog-time",
          [=] {
            return Parts{meta_keys::kOplogTime, encode_oplog_time(time)};
          },
          [=](const Parts& parts) {
            EXPECT_EQ(parts.at(0), meta_keys::kOplogTime);
            EXPECT_EQ(decode_oplog_time(parts.at(1)), time);
          }};
}

// The key is put together from a constant and what is told apart by it.
Example item(const std::string& name, const std::string& key, const std::string& value) {
  return {name,
          [=] {
            return Parts{key, value};
          },
          [=](const Parts& parts) {
            EXPECT_EQ(parts, (Parts{key, value}));
          }};
}

// What a note puts into the log.
template <typename Note>
Example note_item(const std::string& name, const Note& note) {
  KeptChanges changes;
  if constexpr (std::is_same_v<Note, RelaxedIndex>) changes.put(note);
  if constexpr (std::is_same_v<Note, KeptDocument>) changes.put(note, LedgerEntry(), true);
  outbox::Batch batch;
  changes.add_to(batch);
  return item(name, batch.changes().front().key, batch.changes().front().bytes);
}

Example rules_item() {
  Record record;
  record.origin = kRome;
  record.hlc = 9;
  record.rules = "equal_set: drop";
  outbox::Batch batch;
  RulesKeeper::put(batch, {&record});
  return item("meta-rules", batch.changes().front().key, batch.changes().front().bytes);
}

Example correction() {
  const bson::OwnedValue id = bson::make_int32(1);
  outbox::Batch batch;
  put_correction(batch, {outbox::row_key("t.a", bson::canonical_key(id.view())), id});
  const auto& change = batch.changes().front();
  return {"meta-correction", [parts = Parts{change.key, change.bytes}] { return parts; },
          [id](const Parts& parts) { EXPECT_EQ(decode_correction(parts.at(1)), id); }};
}

Example retry() {
  const std::string answer = bson::Writer().int64("n", 1).finish();
  return {"retry", [answer] { return Parts{encode_retry(1'700'000'000'000, answer)}; },
          [answer](const Parts& parts) {
            EXPECT_EQ(parse_sortable(parts.at(0).substr(0, 8)), 1'700'000'000'000u);
            EXPECT_EQ(retry_answer(parts.at(0)), answer);
          }};
}

std::string bytes_of(const SiteId& site) { return {site.begin(), site.end()}; }

}  // namespace

std::vector<Example> site_examples() {
  const std::string quarantined = record_name(unwanted().dot());
  return {
      example("apply-intent", intent(), encode_intent, decode_intent),
      example("aside", aside(), encode_aside, decode_aside),
      example("ledger-entry", loss(), encode_ledger, decode_ledger),
      key_of_loss(),
      retry(),
      example("ledger-entry-quarantined", quarantined_entry(unwanted(), "why", 0), encode_ledger,
              decode_ledger),
      item("meta-site-id", meta_keys::kSiteId, bytes_of(kOslo.site)),
      rules_item(),
      item("meta-rules-held", meta_keys::kRulesHeld, "equal_set: drop"),
      item("meta-rules-file", meta_keys::kRulesFile, "equal_set: keep"),
      correction(),
      number_item("meta-clock-bound", meta_keys::kBound, hlc_from_ms(1'700'000'000'000)),
      number_item("meta-ledger-dropped", meta_keys::kLedgerDropped, 3),
      number_item("meta-ledger-dropped-open", meta_keys::kLedgerDroppedOpen, 3),
      oplog_time(),
      vector_item("meta-vector", meta_keys::kVector, kRome, 3),
      vector_item("meta-vector-retired", meta_keys::kVector, VersionVector::retired_of(kOslo.site),
                  3),
      vector_item("meta-floor", meta_keys::kFloor, kOslo, 4),
      vector_item("meta-journaled", meta_keys::kJournaled, kOslo, 4),
      item("meta-store-process", meta_keys::kStoreProcess, std::string(12, '\xdd')),
      item("meta-transaction", meta_keys::kTransaction + std::string(16, '\xcc'), ""),
      item("meta-backend", meta_keys::kBackend + std::string(16, '\xcc') + "127.0.0.1:4711", ""),
      item("meta-member", meta_keys::kMember + bytes_of(kRome.site), "rome"),
      note_item("meta-relaxed", relaxed()),
      note_item("meta-kept", kept()),
      item("meta-quarantined", meta_keys::kQuarantined + quarantined,
           ledger_key(quarantined_entry(unwanted(), "why", 0))),
  };
}

}  // namespace outrigger::formats
