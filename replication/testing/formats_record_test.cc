// Records, stretches of logs and prepares, as FORMATS.md describes them.
#include "replication/outbox/ledger_news.h"
#include "replication/record/prepare.h"
#include "replication/record/record_codec.h"
#include "replication/store/session_token.h"
#include "replication/testing/formats_testing.h"

namespace outrigger::formats {
namespace {

// At stamp 5 of oslo, who has seen its own stamps up to 4.
Record record_of(std::vector<Effect> effects) {
  Record record;
  record.origin = kOslo;
  record.hlc = 5;
  record.deps.raise(kOslo, 4);
  record.documents.push_back({"t.a", bson::make_int32(1), std::move(effects)});
  return record;
}

Effect effect(Operation kind, Path path = {}, bson::OwnedValue value = {}) {
  Effect result;
  result.kind = kind;
  result.path = std::move(path);
  result.value = std::move(value);
  return result;
}

bson::OwnedValue only_id() { return bson::make_document(bson::Writer().int32("_id", 1).finish()); }

Record every_kind() {
  Record record;
  record.origin = kOslo;
  record.hlc = 9;
  record.deps.raise(kOslo, 8);
  record.deps.raise(kRome, 6);
  Effect increment = effect(Operation::kIncrement, {"c", "n"});
  increment.entry = {Dot{7, kOslo}, 9, bson::make_int32(5)};
  Effect assign = effect(Operation::kAssign, {"c"}, bson::make_bool(true));
  assign.baselines.push_back({{"c", "n"}, {{Dot{4, kRome}, 6, bson::make_int32(2)}}});
  record.documents.push_back(
      {"t.a", bson::make_int32(1), {effect(Operation::kWeakBirth, {}, only_id())}});
  record.documents.push_back({"t.a", bson::make_int32(2), {effect(Operation::kRemove)}});
  record.documents.push_back(
      {"t.b",
       bson::make_string("k"),
       {std::move(increment), std::move(assign), effect(Operation::kUnset, {"x"})}});
  return record;
}

Record retiring() {
  Record record;
  record.origin = kOslo;
  record.hlc = 5;
  const Origin old = origin_of_site(0xaa, 1);
  record.deps.raise(old, 3);
  record.deps.raise(kOslo, 4);
  record.retired.raise(old, 3);
  return record;
}

Record telling_rules() {
  Record record;
  record.origin = kRome;
  record.hlc = 9;
  record.deps.raise(kRome, 8);
  record.rules = "equal_set: drop";
  return record;
}

Record telling_news() {
  Record record = telling_rules();
  record.rules.clear();
  record.news = encode_news({});
  return record;
}

std::vector<Segment> naming_apps() {
  Record record;
  record.origin = kRome;
  record.hlc = 8;
  record.deps.raise(kRome, 7);
  record.app = "till";
  Record next = record;
  next.hlc = 9;
  next.deps.raise(kRome, 8);
  return {{kRome, 7, 9, {record, next}}};
}

Record editing() {
  Effect edit = effect(Operation::kEdit, {"l"});
  edit.edit.removed = {{Dot(), 0}, {Dot{3, kRome}, 0}};
  edit.edit.added.push_back({{{Lane::kBack, {Dot{5, kOslo}, 0}}}, false, bson::make_int32(7)});
  Record record = record_of({edit});
  record.deps.raise(kRome, 3);
  return record;
}

Record taking() {
  Effect edit = effect(Operation::kEdit, {"l"});
  edit.edit.removed = {{Dot(), 0}};
  edit.taken = {bson::make_int32(1)};
  return record_of({edit});
}

Record moving() {
  Effect edit = effect(Operation::kEdit, {"l"});
  edit.edit.moved.push_back(
      {{Dot{3, kRome}, 0}, {{Lane::kAssigned, {Dot(), 1}}, {Lane::kBehind, {Dot{5, kOslo}, 0}}}});
  Record record = record_of({edit});
  record.deps.raise(kRome, 3);
  return record;
}

Record writing_inside() {
  Effect increment = effect(Operation::kIncrement, {"l", element_name({Dot(), 0}), "q"});
  increment.entry = {Dot{5, kOslo}, 5, bson::make_int32(2)};
  Effect assign =
      effect(Operation::kAssign, {"l", element_name({Dot{3, kRome}, 0}), "w"}, bson::make_int32(1));
  Record record = record_of({effect(Operation::kEdit, {"l"}), increment, assign});
  record.deps.raise(kRome, 3);
  return record;
}

Record bounded() {
  Effect increment = effect(Operation::kIncrement, {"n"});
  increment.entry = {Dot{5, kOslo}, 5, bson::make_int32(-7), Bounds{0, 10}};
  return record_of({increment});
}

Record yielding() {
  Effect remove = effect(Operation::kRemove);
  remove.removal = Removal::kUpdateWins;
  Record record = record_of({remove});
  record.documents.front().gone = {Dot{3, kRome}};
  record.documents.front().there = {Dot{2, kRome}};
  record.deps.raise(kRome, 3);
  return record;
}

std::vector<Segment> two_records() {
  Record first = record_of({effect(Operation::kUnset, {"n"})});
  Record second = record_of({effect(Operation::kRemove)});
  second.hlc = 7;
  second.deps.raise(kOslo, 6);
  second.deps.raise(kRome, 3);
  return {Segment{kOslo, 4, 9, {first, second}}};
}

std::string segments_bytes(const std::vector<Segment>& segments) {
  return encode_segments(segments);
}
Result<std::vector<Segment>> segments_in(std::string_view bytes) { return decode_segments(bytes); }

Example record_example(const std::string& name, Record record) {
  return example(name, std::move(record), encode_record,
                 [](const std::string& bytes) { return decode_record(bytes); });
}

Prepare prepare_of(PreparedDocument document) {
  Prepare prepare;
  prepare.hlc = 5;
  prepare.origin = kOslo;
  prepare.deps.raise(kOslo, 4);
  SessionKey key;
  key.lsid.fill(0xcc);
  key.user = 1;
  key.txn_number = 3;
  key.stmt_ids = {0};
  prepare.session = session_token(key);
  prepare.documents.push_back(std::move(document));
  return prepare;
}

PreparedDocument prepared(PreparedDocument::What what) {
  PreparedDocument document;
  document.ns = "t.a";
  document.id = bson::make_int32(1);
  document.what = what;
  return document;
}

// {_id: 1, n: 7}
std::string inserted_document() { return bson::Writer().int32("_id", 1).int32("n", 7).finish(); }

Prepare preparing_update() {
  PreparedDocument document = prepared(PreparedDocument::What::kUpdate);
  document.paths.push_back({Operation::kAssign, {"a", "b"}, bson::make_int32(7)});
  document.paths.push_back({Operation::kUnset, {"x"}, {}});
  document.paths.push_back({Operation::kIncrement, {"n"}, bson::make_int32(1)});
  document.paths.push_back({Operation::kUnknown, {"l"}, {}});
  Prepare prepare = prepare_of(std::move(document));
  prepare.deps.raise(kRome, 3);
  return prepare;
}

Prepare preparing_insert() {
  PreparedDocument document = prepared(PreparedDocument::What::kInsert);
  const std::string bytes = inserted_document();
  document.document = document_digest(bson::Document(bytes));
  return prepare_of(std::move(document));
}

// Nobody writes it any more: what differs is the first byte and that the document follows.
std::string version_2(const Prepare& insert) {
  Prepare prepare = insert;
  prepare.documents.front().document = inserted_document();
  std::string bytes = encode_prepare(prepare);
  bytes.front() = 2;
  return bytes;
}

Prepare preparing_transaction() {
  PreparedDocument document = prepared(PreparedDocument::What::kInsert);
  document.document = inserted_document();
  Prepare prepare = prepare_of(std::move(document));
  prepare.transaction = true;
  prepare.app = "till";
  prepare.session = token_of(prepare.session, {});
  return prepare;
}

Example digest_example() {
  const auto digest = [] {
    const std::string bytes = inserted_document();
    return Parts{document_digest(bson::Document(bytes))};
  };
  return {"document-digest", digest, [](const Parts& parts) {
            const std::string last = bson::Writer().int32("n", 7).int32("_id", 1).finish();
            EXPECT_EQ(document_digest(bson::Document(last)), parts.at(0));
          }};
}

Record keeping(const bson::OwnedValue& value) {
  Record record = record_of({effect(Operation::kAssign, {"n"}, value)});
  record.documents.front().keys = Keys::kKeeps;
  return record;
}

}  // namespace

std::vector<Example> record_examples() {
  const bson::OwnedValue seven = bson::make_int32(7);
  return {
      record_example("record-assign", record_of({effect(Operation::kAssign, {"n"}, seven)})),
      record_example("record-keeps", keeping(seven)),
      record_example("record-insert", record_of({effect(Operation::kBirth, {}, only_id())})),
      record_example("record-every-kind", every_kind()),
      record_example("record-bounded", bounded()),
      record_example("record-edit", editing()),
      record_example("record-takes", taking()),
      record_example("record-moves", moving()),
      record_example("record-inside", writing_inside()),
      record_example("record-yields", yielding()),
      record_example("record-retires", retiring()),
      record_example("record-rules", telling_rules()),
      record_example("record-news", telling_news()),
      example("segments-apps", naming_apps(), segments_bytes, segments_in),
      example("segments-promise", std::vector<Segment>{{kOslo, 5, 9, {}}}, segments_bytes,
              segments_in),
      example("segments-two-records", two_records(), segments_bytes, segments_in),
  };
}

std::vector<Example> prepare_examples() {
  return {
      example("prepare-update", preparing_update(), encode_prepare, decode_prepare),
      example("prepare-insert", preparing_insert(), encode_prepare, decode_prepare),
      example("prepare-version-2", preparing_insert(), version_2, decode_prepare),
      example("prepare-transaction", preparing_transaction(), encode_prepare, decode_prepare),
      digest_example(),
  };
}

}  // namespace outrigger::formats
