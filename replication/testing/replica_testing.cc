#include "replication/testing/replica_testing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "replication/bson/number.h"
#include "replication/outbox/memory/memory_outbox.h"
#include "replication/record/record_codec.h"
#include "replication/store/session_token.h"

namespace outrigger {
namespace {

using Fields = TestSite::Fields;

std::string make_document(int id, const Fields& fields) {
  bson::Writer writer;
  writer.int32("_id", id);
  for (const auto& [name, value] : fields) writer.value(name, value);
  return writer.finish();
}

DocumentChange change_of(int id, DocumentChange::Kind kind) {
  DocumentChange change;
  change.kind = kind;
  change.ns = kTestNs;
  change.id = bson::make_int32(id);
  return change;
}

std::string with_field(const std::string& document, const std::string& field,
                       const std::optional<bson::OwnedValue>& value) {
  bson::Writer writer;
  bool written = false;
  for (const bson::Element& element : bson::Document(document)) {
    if (element.name != field) {
      writer.element(element);
    } else if (value) {
      writer.value(field, *value);
      written = true;
    }
  }
  if (value && !written) writer.value(field, *value);
  return writer.finish();
}

PreparedDocument prepared_of(const DocumentChange& change) {
  PreparedDocument prepared;
  prepared.ns = change.ns;
  prepared.id = change.id;
  prepared.document = change.document;
  switch (change.kind) {
    case DocumentChange::Kind::kInsert:
      prepared.what = PreparedDocument::What::kInsert;
      prepared.document = document_digest(bson::Document(change.document));
      break;
    case DocumentChange::Kind::kUpsert:
      prepared.what = PreparedDocument::What::kUpsert;
      break;
    case DocumentChange::Kind::kReplace:
      prepared.what = PreparedDocument::What::kReplace;
      break;
    case DocumentChange::Kind::kRemove:
      prepared.what = PreparedDocument::What::kRemove;
      prepared.removal = change.removal;
      if (change.removal != Removal::kPlain) prepared.document = change.document;
      break;
    case DocumentChange::Kind::kUpdate:
      prepared.what = PreparedDocument::What::kUpdate;
      break;
  }
  for (const PathChange& path : change.changes) {
    prepared.paths.push_back({path.kind, path.path, path.value});
  }
  return prepared;
}

}  // namespace

TestSite::TestSite(std::string name_, std::vector<std::string> members_, OutboxMaker make_outbox,
                   StoreKind kind)
    : name(std::move(name_)),
      members(std::move(members_)),
      make_outbox_(std::move(make_outbox)),
      kind_(kind) {
  StoreInfo info;
  info.kind = kind;
  info.writable = true;
  mongod.set_info(info);
  lsid_.fill(0x11);
  std::copy_n(name.begin(), std::min(name.size(), lsid_.size()), lsid_.begin());
  replica_options.site = name;
  replica_options.members = members;
  open();
  EXPECT_TRUE(recover().has_value());
}

TestSite::~TestSite() { kill(); }

DocumentChange TestSite::inserting(int id, Fields fields) {
  DocumentChange change = change_of(id, DocumentChange::Kind::kInsert);
  change.document = make_document(id, fields);
  return change;
}

DocumentChange TestSite::replacing(int id, Fields fields) {
  DocumentChange change = change_of(id, DocumentChange::Kind::kReplace);
  change.document = make_document(id, fields);
  return change;
}

DocumentChange TestSite::setting(int id, const std::string& field, bson::OwnedValue value) {
  DocumentChange change = change_of(id, DocumentChange::Kind::kUpdate);
  change.changes.push_back({Operation::kAssign, {field}, std::move(value), false, {}});
  return change;
}

DocumentChange TestSite::unsetting(int id, const std::string& field) {
  DocumentChange change = change_of(id, DocumentChange::Kind::kUpdate);
  change.changes.push_back({Operation::kUnset, {field}, {}, false, {}});
  return change;
}

DocumentChange TestSite::incrementing(int id, const std::string& field, int delta) {
  DocumentChange change = change_of(id, DocumentChange::Kind::kUpdate);
  change.keys = Keys::kPasses;  // no test counts in a unique index
  change.changes.push_back({Operation::kIncrement, {field}, bson::make_int32(delta), false, {}});
  return change;
}

DocumentChange TestSite::removing(int id) { return change_of(id, DocumentChange::Kind::kRemove); }

DocumentChange TestSite::yielding(int id) const {
  DocumentChange change = removing(id);
  change.removal = Removal::kUpdateWins;
  change.document = document(id).value_or("");
  return change;
}

std::unique_ptr<TestSite::Pending> TestSite::begin(DocumentChange change) {
  return begin_numbered(std::move(change), ++txn_number_);
}

std::unique_ptr<TestSite::Pending> TestSite::begin_again(const Pending& first) {
  return begin_numbered(first.change, first.txn_number);
}

std::string TestSite::retry_key_of(const Pending& pending) const {
  return retry_key(kTestNs, std::string(lsid_.begin(), lsid_.end()), 0, pending.txn_number, 0);
}

std::unique_ptr<TestSite::Pending> TestSite::begin_numbered(DocumentChange change,
                                                            int64_t txn_number) {
  auto pending = std::make_unique<Pending>();
  pending->lock = std::make_unique<LockRequest>();
  pending->lock->add(namespace_lock_key(change.ns), LockMode::kShared);
  pending->lock->add(document_lock_key(change.ns, change.id.view()), LockMode::kExclusive);
  if (!locks.try_acquire(*pending->lock)) return nullptr;
  Prepare prepare;
  if (kind_ != StoreKind::kStandalone) {
    pending->txn_number = txn_number;
    prepare.session = session_token({lsid_, 0, txn_number, {0}});
  }
  prepare.app = app;
  prepare.documents.push_back(prepared_of(change));
  auto write = replica->begin(std::move(prepare));
  EXPECT_TRUE(write.has_value()) << write.error().message();
  pending->write = std::move(*write);
  pending->change = std::move(change);
  return pending;
}

// Fills in what an image would tell (the base of increments) and does the change.
void TestSite::store(Pending& pending) {
  DocumentChange& change = pending.change;
  const std::optional<std::string> before = mongod.document(change.ns, change.id);
  OplogWrite entry;
  switch (change.kind) {
    case DocumentChange::Kind::kInsert:
    case DocumentChange::Kind::kUpsert:
    case DocumentChange::Kind::kReplace:
      entry.kind = before ? OplogWrite::Kind::kUpdate : OplogWrite::Kind::kInsert;
      entry.o = change.document;
      mongod.put(change.ns, change.document);
      break;
    case DocumentChange::Kind::kRemove:
      entry.kind = OplogWrite::Kind::kRemove;
      mongod.remove(change.ns, change.id);
      break;
    case DocumentChange::Kind::kUpdate: {
      ASSERT_TRUE(before.has_value());
      std::string after = *before;
      for (PathChange& path : change.changes) {
        const auto now = bson::Document(after).find(path.path.front());
        std::optional<bson::OwnedValue> value;
        if (path.kind == Operation::kAssign) value = path.value;
        if (path.kind == Operation::kIncrement) {
          path.base_known = true;
          if (now) path.base = bson::OwnedValue(*now);
          value = now ? bson::add(*now, path.value.view()).value : path.value;
        }
        after = with_field(after, path.path.front(), value);
      }
      mongod.put(change.ns, after);
      break;
    }
  }
  pending.stored = true;
  if (kind_ == StoreKind::kStandalone) return;
  entry.at = Timestamp{1000, ++oplog_};
  entry.ns = change.ns;
  entry.id = change.id;
  entry.lsid_id.assign(lsid_.begin(), lsid_.end());
  entry.txn_number = pending.txn_number;
  entry.stmt_ids = {0};
  mongod.add_oplog(std::move(entry));
}

void TestSite::settle(std::unique_ptr<Pending> pending) {
  const Status settled = replica->settle(pending->write, {pending->change}, {});
  EXPECT_TRUE(settled.has_value()) << settled.error().message();
  release(*pending);
}

void TestSite::drop(std::unique_ptr<Pending> pending) {
  EXPECT_TRUE(replica->drop(pending->write).has_value());
  release(*pending);
}

void TestSite::release(Pending& pending) {
  pending.write.leave_to_recovery();
  locks.release(*pending.lock);
}

void TestSite::run(DocumentChange change) {
  auto pending = begin(std::move(change));
  ASSERT_NE(pending, nullptr) << "the document is locked";
  store(*pending);
  settle(std::move(pending));
  flush();
}

void TestSite::insert(int id, Fields fields) { run(inserting(id, std::move(fields))); }
void TestSite::upsert(int id, Fields fields) {
  DocumentChange change = inserting(id, std::move(fields));
  change.kind = DocumentChange::Kind::kUpsert;
  run(std::move(change));
}
void TestSite::set(int id, const std::string& field, int value) {
  run(setting(id, field, bson::make_int32(value)));
}
void TestSite::set(int id, const std::string& field, const std::string& value) {
  run(setting(id, field, bson::make_string(value)));
}
void TestSite::unset(int id, const std::string& field) { run(unsetting(id, field)); }
void TestSite::inc(int id, const std::string& field, int delta) {
  run(incrementing(id, field, delta));
}
void TestSite::remove(int id) { run(removing(id)); }
void TestSite::yield(int id) { run(yielding(id)); }
void TestSite::replace(int id, Fields fields) { run(replacing(id, std::move(fields))); }

void TestSite::flush() { EXPECT_TRUE(sync_now(*commit).has_value()); }

void TestSite::kill() {
  recovery.reset();
  applier.reset();
  replica.reset();
  commit.reset();
  outbox.reset();
}

void TestSite::open() {
  outbox = make_outbox_();
  commit = std::make_unique<outbox::CommitThread>(*outbox, threads);
  auto opened = Replica::open(replica_options, *outbox, *commit, clock, random);
  ASSERT_TRUE(opened.has_value()) << opened.error().message();
  replica = std::move(*opened);
  applier = std::make_unique<Applier>(*replica, *outbox, *commit, locks, mongod, threads,
                                      applier_options);
  recovery = std::make_unique<Recovery>(*replica, *outbox, *commit, mongod);
}

Result<RecoveryReport> TestSite::recover() { return recovery->run(*applier); }

void TestSite::restart() {
  kill();
  open();
  auto report = recover();
  EXPECT_TRUE(report.has_value()) << report.error().message();
}

void TestSite::apply_all() {
  for (int i = 0; i < 1000; ++i) {
    auto outcome = applier->step();
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message();
    if (*outcome != StepOutcome::kApplied) return;
  }
  FAIL() << "the applier does not come to rest";
}

void TestSite::collect() {
  replica->journaled(replica->answered());  // a store in memory forgets nothing
  EXPECT_TRUE(replica->collect_step(1000).has_value());
  flush();
}

std::optional<std::string> TestSite::document(int id) const {
  return mongod.document(kTestNs, bson::make_int32(id));
}

std::string TestSite::show(int id) const {
  const auto found = document(id);
  return found ? bson::to_json(bson::Document(*found)) : "none";
}

int64_t TestSite::number(int id, const std::string& field) const {
  const auto found = document(id);
  if (!found) return -1;
  const auto value = bson::Document(*found).find(field);
  return value ? value->to_int64().value_or(-1) : -1;
}

std::vector<LedgerEntry> TestSite::ledger() const {
  std::vector<LedgerEntry> entries;
  std::optional<LedgerPlace> place = LedgerPlace();
  while (place) {
    auto page = replica->conflicts(1000, *place);
    EXPECT_TRUE(page.has_value());
    for (LedgerEntry& entry : page->entries) entries.push_back(std::move(entry));
    place = page->next;
  }
  return entries;
}

Origin run_of(const TestSite& site) {
  const SiteHello hello = site.replica->hello();
  return {hello.site_id, hello.epoch};
}

Result<std::vector<Segment>> read_segments(const Replica& replica, const VersionVector& has,
                                           size_t bytes_max, const VersionVector& told) {
  auto batch = replica.read_batch(has, bytes_max, told);
  if (batch && batch->more) batch = replica.read_batch(has, bytes_max, told, false);
  if (!batch) return tl::unexpected(batch.error());
  if (batch->bytes.empty()) return std::vector<Segment>();
  return decode_segments(batch->bytes);
}

Link::Link(TestSite& from, TestSite& to) : to_(to), hello_(from.replica->hello()) {
  to_.replica->introduce(hello_);
  to_.replica->hear_members(from.replica->members());
}

Link::~Link() { to_.replica->parted(hello_); }

void pull(TestSite& from, TestSite& to) {
  const Link link(from, to);
  auto segments = read_segments(*from.replica, to.replica->applied(), 1u << 20);
  ASSERT_TRUE(segments.has_value()) << segments.error().message();
  const Status taken = to.replica->offer(std::move(*segments), run_of(from));
  ASSERT_TRUE(taken.has_value()) << taken.error().message();
  for (const Report& report : from.replica->reports()) to.replica->hear(report, run_of(from));
  to.apply_all();
}

void exchange(TestSite& a, TestSite& b) {
  for (int i = 0; i < 3; ++i) {
    pull(a, b);
    pull(b, a);
  }
}

void settle_down(const std::vector<TestSite*>& sites, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (TestSite* from : sites) {
      for (TestSite* to : sites) {
        if (from != to) pull(*from, *to);
      }
    }
    size_t rows = 0;
    for (TestSite* site : sites) {
      site->collect();
      rows += site->status().rows + site->status().outbox_records;
    }
    if (rows == 0 && round >= 3) return;
  }
}

TestSite::OutboxMaker memory_outbox() {
  auto outbox = std::make_shared<outbox::MemoryOutbox>();
  return [outbox] { return outbox; };
}

}  // namespace outrigger
