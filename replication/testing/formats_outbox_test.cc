// Keys of the outbox and what its families hold by themselves, as FORMATS.md describes them.
#include "replication/merge/row.h"
#include "replication/outbox/cohorts.h"
#include "replication/outbox/rocks/rocks.h"
#include "replication/outbox/rocks/rocks_outbox_testing.h"
#include "replication/outbox/rocks/row_origins.h"
#include "replication/store/session_token.h"
#include "replication/testing/formats_testing.h"

namespace outrigger::formats {
namespace {

using outbox::Batch;

const std::string kRow = "row";  // any bytes

std::string only_key(const Batch& batch) {
  EXPECT_EQ(batch.changes().size(), 1u);
  return batch.changes().front().key;
}

std::string id_key(int32_t id) { return bson::canonical_key(bson::make_int32(id).view()); }

Example prepare_key() {
  return {"key-prepare", [] { return Parts{only_key(Batch().put_prepare(258, ""))}; },
          [](const Parts& parts) { EXPECT_EQ(outbox::sortable_tail(parts.at(0)), 258u); }};
}

Example entry_key() {
  return {"key-entry", [] { return Parts{only_key(Batch().put_entry(kOslo, 5, ""))}; },
          [](const Parts& parts) {
            EXPECT_EQ(outbox::origin_of(parts.at(0)), kOslo);
            EXPECT_EQ(outbox::sortable_tail(parts.at(0)), 5u);
          }};
}

Example row_key() {
  return {
      "key-row", [] { return Parts{only_key(Batch().put_row("t.a", id_key(1), kRow))}; },
      [](const Parts& parts) { EXPECT_EQ(parts.at(0), "t.a" + std::string(1, '\0') + id_key(1)); }};
}

// Not one but a byte string for each class of equal values: there is nothing to read back.
Example canonical_example(const std::string& name, bson::OwnedValue value, bson::OwnedValue equal) {
  return {
      name, [value] { return Parts{bson::canonical_key(value.view())}; },
      [equal](const Parts& parts) { EXPECT_EQ(bson::canonical_key(equal.view()), parts.at(0)); }};
}

bson::OwnedValue document(bson::Writer& writer) { return bson::make_document(writer.finish()); }

bson::OwnedValue decimal(uint8_t coefficient, std::string_view exponent) {
  std::string bytes(16, '\0');
  bytes[0] = static_cast<char>(coefficient);
  bytes.replace(14, 2, exponent);
  return {bson::Type::kDecimal128, bytes};
}

std::string cohort() {
  outbox::CohortWriter writer(kRow);
  writer.add(id_key(1));
  writer.add(id_key(2));
  return writer.take();
}

Example cohort_example() {
  return {"cohort",
          [] {
            Batch batch;
            batch.put_cohort(Dot{5, kOslo}, "t.a", cohort());
            return Parts{batch.changes().front().key, batch.changes().front().bytes};
          },
          [](const Parts& parts) {
            EXPECT_FALSE(outbox::is_cohort_note(parts.at(0)));
            EXPECT_EQ(outbox::namespace_of_cohort(parts.at(0)), "t.a");
            std::vector<std::string> ids;
            EXPECT_TRUE(outbox::for_each_of_cohort(parts.at(1),
                                                   [&](std::string_view id, std::string_view row) {
                                                     ids.emplace_back(id);
                                                     EXPECT_EQ(row, kRow);
                                                   }));
            EXPECT_EQ(ids, (std::vector<std::string>{id_key(1), id_key(2)}));
          }};
}

std::string inserted_row() { return merge::birth_row(Dot{5, kOslo}, /*opaque=*/false); }

Example kept_row_example() {
  return {
      "kept-row",
      [] { return Parts{outbox::kept_row(inserted_row(), [](std::string_view) { return 1u; })}; },
      [](const Parts& parts) {
        const std::string origin = inserted_row().substr(1, merge::kOriginBytes);
        const auto origin_of = [&](uint64_t number) {
          return number == 1 ? std::optional<std::string_view>(origin) : std::nullopt;
        };
        EXPECT_EQ(outbox::row_of_kept(parts.at(0), origin_of), inserted_row());
      }};
}

// In an outbox that the product writes; looked at with RocksDB's own eyes.
class OutboxOnDisk {
 public:
  OutboxOnDisk() : outbox_(std::move(*outbox::RocksOutbox::open(home_ / "outbox"))) {}
  [[nodiscard]] outbox::RocksOutbox& get() { return *outbox_; }
  [[nodiscard]] Parts meta(std::string_view key) const {
    return {std::string(key), outbox_->meta(key)->value_or("none")};
  }

 private:
  outbox::TemporaryDirectory home_;
  std::unique_ptr<outbox::RocksOutbox> outbox_;
};

Example format_example() {
  return {
      "meta-format", [] { return OutboxOnDisk().meta(std::string_view("\0format", 7)); },
      [](const Parts& parts) { EXPECT_EQ(parts.at(1), std::to_string(outbox::kFormatVersion)); }};
}

Example origin_example() {
  return {"meta-origin",
          [] {
            OutboxOnDisk outbox;
            EXPECT_TRUE(
                outbox.get().write(std::move(Batch().put_row("t.a", id_key(1), inserted_row()))));
            EXPECT_EQ(outbox.get().row("t.a", id_key(1)).value(), inserted_row());
            return outbox.meta(std::string_view("\0origin\0\0\0\0", 11));
          },
          [](const Parts& parts) {
            EXPECT_EQ(parts.at(1), inserted_row().substr(1, merge::kOriginBytes));
          }};
}

Parts totals_of(std::string_view key, Batch&& batch) {
  OutboxOnDisk outbox;
  EXPECT_TRUE(outbox.get().write(std::move(batch)));
  return outbox.meta(key);
}

Example totals_example() {
  const auto encode = [] {
    Batch batch;
    batch.put_entry(kOslo, 5, "three").put_entry(kOslo, 6, "words").put_entry(kOslo, 7, "more");
    return totals_of(std::string_view("\0totals", 7), std::move(batch));
  };
  return {"meta-totals", encode, [](const Parts& parts) {
            EXPECT_EQ(outbox::sortable_tail(parts.at(1).substr(0, 8)), 3u);
            EXPECT_EQ(outbox::sortable_tail(parts.at(1)), 14u);
          }};
}

Example ledger_totals_example() {
  const auto encode = [] {
    Batch batch;
    batch.put_ledger("key", "value");
    return totals_of(std::string_view("\0ledger_totals", 14), std::move(batch));
  };
  return {"meta-ledger-totals", encode, [](const Parts& parts) {
            EXPECT_EQ(outbox::sortable_tail(parts.at(1).substr(0, 8)), 1u);
            EXPECT_EQ(outbox::sortable_tail(parts.at(1)), 8u);
          }};
}

// One of kind `kept`, which is no loss.
Example open_totals_example() {
  const auto encode = [] {
    const std::string lost =
        bson::Writer().string("kind", "set_set").boolean("open", true).finish();
    const std::string kept = bson::Writer().string("kind", "kept").boolean("open", true).finish();
    Batch batch;
    batch.put_ledger("key", lost).put_ledger("key2", kept).put_ledger("key3", "value");
    return totals_of(std::string_view("\0ledger_open_totals", 19), std::move(batch));
  };
  return {"meta-ledger-open-totals", encode, [](const Parts& parts) {
            EXPECT_EQ(outbox::sortable_tail(parts.at(1).substr(0, 8)), 2u);
            EXPECT_EQ(outbox::sortable_tail(parts.at(1)), 3u + 30u);
          }};
}

// What the outbox writes when one of the two leaves.
Example note_example() {
  const std::string key = outbox::cohort_key(Dot{5, kOslo}, "t.a");
  return {"cohort-note",
          [key] {
            outbox::Cohorts cohorts(1 << 20);
            EXPECT_TRUE(cohorts.add(key, cohort()));
            const std::string row_key = outbox::row_key("t.a", id_key(1));
            const auto left = cohorts.leave(row_key);
            return Parts{left->key + row_key.substr(3), ""};
          },
          [](const Parts& parts) {
            EXPECT_TRUE(outbox::is_cohort_note(parts.at(0)));
            EXPECT_EQ(outbox::namespace_of_cohort(parts.at(0)), outbox::row_key("t.a", id_key(1)));
          }};
}

Example retry_key_example() {
  return {"key-retry", [] { return Parts{retry_key("t.a", std::string(16, '\xcc'), 1, 3, 2)}; },
          [](const Parts& parts) {
            SessionKey key;
            key.lsid.fill(0xcc);
            key.user = 1;
            key.txn_number = 3;
            key.stmt_ids = {2};
            Prepare prepare;
            prepare.session = session_token(key);
            prepare.documents.emplace_back().ns = "t.a";
            EXPECT_EQ(retry_keys(prepare), parts);
          }};
}

}  // namespace

std::vector<Example> outbox_examples() {
  return {
      prepare_key(),
      entry_key(),
      row_key(),
      canonical_example("canonical-integer", bson::make_int32(1), bson::make_double(1)),
      canonical_example("canonical-real", bson::make_double(0.5), decimal(5, "\x3e\x30")),
      canonical_example("canonical-decimal", decimal(1, "\x3e\x30"), decimal(10, "\x3c\x30")),
      canonical_example("canonical-string", bson::make_string("k"),
                        {bson::Type::kSymbol, std::string("\2\0\0\0k\0", 6)}),
      canonical_example("canonical-document",
                        document(bson::Writer().int32("a", 1).string("b", "k")),
                        document(bson::Writer().int64("a", 1).string("b", "k"))),
      cohort_example(),
      note_example(),
      retry_key_example(),
      format_example(),
      kept_row_example(),
      origin_example(),
      totals_example(),
      ledger_totals_example(),
      open_totals_example(),
  };
}

}  // namespace outrigger::formats
