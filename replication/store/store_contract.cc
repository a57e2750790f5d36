#include "replication/store/store_contract.h"

#include <map>
#include <random>

namespace outrigger {
namespace {

using bson::make_double;
using bson::make_int32;
using bson::make_int64;
using bson::make_string;
using bson::OwnedValue;
using bson::Writer;
using Kind = WriteOutcome::Kind;

constexpr auto kTimeout = std::chrono::milliseconds(5000);

std::string doc(int32_t id, int32_t n) { return Writer().int32("_id", id).int32("n", n).finish(); }

bool same(const std::string& a, const std::string& b) {
  return equal_unordered(bson::Document(a), bson::Document(b));
}

std::string random_database() {
  std::random_device seed;
  return "contract_" + std::to_string(seed());
}

}  // namespace

std::string store_name(const testing::TestParamInfo<StoreMaker>& info) { return info.param.name; }

void StoreContract::SetUp() {
  store_ = GetParam().make();
  ASSERT_NE(store_, nullptr) << "no store: see the messages above";
  ns_ = random_database() + ".things";
}

StoreWrite StoreContract::replace(const std::string& document) const {
  StoreWrite write;
  write.kind = StoreWrite::Kind::kReplaceOrInsert;
  write.ns = ns_;
  write.id = OwnedValue(*bson::Document(document).find("_id"));
  write.document = document;
  return write;
}

StoreWrite StoreContract::insert(const std::string& document) const {
  StoreWrite write = replace(document);
  write.kind = StoreWrite::Kind::kInsert;
  return write;
}

StoreWrite StoreContract::update(OwnedValue id, std::vector<StoreWrite::Set> set,
                                 std::vector<Path> unset) const {
  return {StoreWrite::Kind::kUpdate, ns_, std::move(id), "", std::move(set), std::move(unset)};
}

StoreWrite StoreContract::remove(OwnedValue id) const {
  return {StoreWrite::Kind::kRemove, ns_, std::move(id), "", {}, {}};
}

std::vector<WriteOutcome> StoreContract::write(const std::vector<StoreWrite>& writes) {
  auto outcomes = store_->apply(writes);
  EXPECT_TRUE(outcomes.has_value()) << (outcomes ? "" : outcomes.error().message());
  return outcomes.value_or(std::vector<WriteOutcome>(writes.size()));
}

void StoreContract::given(const std::string& document) {
  ASSERT_TRUE(write({replace(document)}).front().ok());
}

std::string StoreContract::stored(const OwnedValue& id) {
  auto found = store_->read(ns_, std::vector{id});
  if (!found) return found.error().message();
  return found->front() ? to_json(bson::Document(*found->front())) : "none";
}

TEST_P(StoreContract, AnswersAndSaysWhatItIs) {
  EXPECT_TRUE(store_->wait_available(kTimeout));
  EXPECT_TRUE(store_->ping());
  const auto info = store_->info();
  ASSERT_TRUE(info) << info.error().message();
  EXPECT_TRUE(info->writable);
  EXPECT_FALSE(info->version.empty());
  EXPECT_GE(info->wire_version_max, 13);
  EXPECT_EQ(info->process_id.size(), 12u);
  EXPECT_EQ(info->kind == StoreKind::kStandalone, info->set_name.empty());
  EXPECT_EQ(info->hosts.size(), info->kind == StoreKind::kStandalone ? 0u : 1u);
  EXPECT_EQ(info->session_timeout_minutes, 30);
}

TEST_P(StoreContract, LacksNoRightWithoutAuthentication) {
  EXPECT_EQ(store_->missing_rights().value(), std::vector<std::string>{});
}

TEST_P(StoreContract, ReadsInTheOrderAskedAndLeavesGaps) {
  given(doc(1, 10));
  given(doc(2, 20));
  const auto found =
      store_->read(ns_, std::vector{make_int32(2), make_int32(9), make_int32(1), make_int32(2)});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 4u);
  EXPECT_EQ((*found)[0], doc(2, 20));
  EXPECT_EQ((*found)[1], std::nullopt);
  EXPECT_EQ((*found)[2], doc(1, 10));
  EXPECT_EQ((*found)[3], doc(2, 20));
}

TEST_P(StoreContract, ReadsAndWritesMoreThanOneBatch) {
  std::vector<StoreWrite> writes;
  std::vector<OwnedValue> ids;
  for (int32_t i = 0; i < 2500; ++i) {
    writes.push_back(replace(doc(i, i)));
    ids.push_back(make_int32(i));
  }
  for (const WriteOutcome& outcome : write(writes)) ASSERT_TRUE(outcome.ok()) << outcome.message;
  const auto found = store_->read(ns_, ids);
  ASSERT_TRUE(found);
  for (int32_t i = 0; i < 2500; ++i) ASSERT_EQ((*found)[static_cast<size_t>(i)], doc(i, i));
}

TEST_P(StoreContract, InsertsWhatIsNotThereAndLeavesWhatIs) {
  constexpr int32_t kMany = 2500;
  for (const int32_t id : {0, 999, 1000, 2499}) given(doc(id, -1));
  std::vector<StoreWrite> writes;
  for (int32_t i = 0; i < kMany; ++i) writes.push_back(insert(doc(i, i)));
  writes.push_back(update(make_int32(7), {{{"n"}, make_int32(70)}}));
  writes.push_back(insert(doc(7, 7)));
  const std::vector<WriteOutcome> outcomes = write(writes);
  for (int32_t i = 0; i < kMany; ++i) {
    const bool was_there = i == 0 || i == 999 || i == 1000 || i == 2499;
    const WriteOutcome& outcome = outcomes[static_cast<size_t>(i)];
    ASSERT_EQ(outcome.kind, was_there ? Kind::kRejected : Kind::kOk) << i << outcome.message;
    ASSERT_EQ(outcome.code, was_there ? 11000 : 0);
  }
  EXPECT_EQ(outcomes.back().code, 11000);
  EXPECT_EQ(stored(make_int32(999)), bson::to_json(bson::Document(doc(999, -1))));
  EXPECT_EQ(stored(make_int32(1001)), bson::to_json(bson::Document(doc(1001, 1001))));
  EXPECT_EQ(stored(make_int32(7)), bson::to_json(bson::Document(doc(7, 70))));
}

TEST_P(StoreContract, InsertsDocumentsOfAnyFieldNameOnce) {
  const std::string odd = Writer().int32("_id", 1).int32("$n", 1).timestamp("t", 0, 0).finish();
  const std::string other = Writer().int32("_id", 1).int32("$n", 2).timestamp("t", 0, 0).finish();
  EXPECT_TRUE(write({insert(odd)}).front().ok());
  EXPECT_EQ(write({insert(other)}).front().code, 11000);
  EXPECT_EQ(store_->read(ns_, std::vector{make_int32(1)})->front(), odd);
}

TEST_P(StoreContract, FindsAnIdOfAnyNumberType) {
  given(doc(1, 10));
  EXPECT_NE(stored(make_double(1.0)), "none");
  EXPECT_NE(stored(make_int64(1)), "none");
  ASSERT_TRUE(write({update(make_int64(1), {{{"n"}, make_int32(11)}})}).front().ok());
  EXPECT_EQ(stored(make_int32(1)), bson::to_json(bson::Document(doc(1, 11))));
}

TEST_P(StoreContract, DoesNotLookForWhatCanBeNoId) {
  const auto id = [](Writer& of) { return bson::make_document(of.finish()); };
  const OwnedValue reference = id(Writer().string("$ref", "c").int32("$id", 1));
  given(Writer().value("_id", reference).int32("n", 1).finish());
  EXPECT_NE(stored(reference), "none");
  EXPECT_EQ(stored(id(Writer().int32("a", 1).int32("$x", 1))), "none");
  for (const OwnedValue& none : {id(Writer().int32("$x", 1)), id(Writer().string("$ref", "c")),
                                 OwnedValue(bson::Type::kArray, Writer().finish())}) {
    const auto found = store_->read(ns_, std::vector{none});
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST_P(StoreContract, FindsIdsThatAreStringsAndDocuments) {
  const OwnedValue text = make_string("Paris");
  const OwnedValue pair = bson::make_document(Writer().int32("a", 1).string("b", "x").finish());
  given(Writer().value("_id", text).int32("n", 1).finish());
  given(Writer().value("_id", pair).int32("n", 2).finish());
  EXPECT_EQ(stored(make_string("paris")), "none");
  ASSERT_TRUE(write({update(pair, {{{"n"}, make_int32(3)}}), remove(text)})[0].ok());
  EXPECT_EQ(stored(text), "none");
  EXPECT_NE(stored(pair).find("3"), std::string::npos);
}

TEST_P(StoreContract, SetsAndUnsetsByPath) {
  given(
      Writer().int32("_id", 1).int32("gone", 1).open_document("a").int32("b", 1).close().finish());
  const auto outcome =
      write({update(make_int32(1), {{{"a", "c"}, make_int32(2)}, {{"x", "y"}, make_string("z")}},
                    {{"gone"}, {"not", "there"}})});
  EXPECT_TRUE(outcome.front().ok()) << outcome.front().message;
  Writer want;
  want.int32("_id", 1).open_document("a").int32("b", 1).int32("c", 2).close();
  want.open_document("x").string("y", "z").close();
  const std::string wanted = want.finish();
  EXPECT_TRUE(same(store_->read(ns_, std::vector{make_int32(1)})->front().value(), wanted));
}

TEST_P(StoreContract, AnUpdateOfNothingStillSaysWhetherTheDocumentIsThere) {
  given(doc(1, 10));
  const auto outcomes = write({update(make_int32(1), {}), update(make_int32(2), {})});
  EXPECT_EQ(outcomes[0].kind, Kind::kOk);
  EXPECT_EQ(outcomes[1].kind, Kind::kNotMatched);
  EXPECT_NE(stored(make_int32(1)).find("10"), std::string::npos);
}

TEST_P(StoreContract, AnUpdateNeverMakesADocument) {
  given(doc(1, 1));
  const auto outcomes =
      write({update(make_int32(7), {{{"n"}, make_int32(5)}}),
             update(make_int32(1), {{{"n"}, make_int32(5)}}), replace(doc(8, 8))});
  EXPECT_EQ(outcomes[0].kind, Kind::kNotMatched);
  EXPECT_EQ(outcomes[1].kind, Kind::kOk);
  EXPECT_EQ(outcomes[2].kind, Kind::kOk);
  EXPECT_EQ(stored(make_int32(7)), "none");
}

TEST_P(StoreContract, ApplyingTwiceIsApplyingOnce) {
  const std::vector<StoreWrite> writes{replace(doc(1, 1)), remove(make_int32(2))};
  given(doc(2, 2));
  for (int round = 0; round < 2; ++round) {
    for (const WriteOutcome& outcome : write(writes)) EXPECT_EQ(outcome.kind, Kind::kOk);
  }
  EXPECT_EQ(stored(make_int32(2)), "none");
  EXPECT_NE(stored(make_int32(1)), "none");
}

TEST_P(StoreContract, WritesADocumentMoreThanOnceInTheOrderGiven) {
  given(doc(2, 2));
  const auto outcomes = write({replace(doc(1, 1)), remove(make_int32(2)),
                               update(make_int32(1), {{{"n"}, make_int32(2)}}), replace(doc(2, 3)),
                               remove(make_int32(1))});
  for (const WriteOutcome& outcome : outcomes) EXPECT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_EQ(stored(make_int32(1)), "none");
  EXPECT_EQ(stored(make_int32(2)), bson::to_json(bson::Document(doc(2, 3))));
}

TEST_P(StoreContract, LooksAtPartsOfDocuments) {
  given(Writer().int32("_id", 1).int32("a", 1).int32("b", 2).int32("c", 3).finish());
  given(doc(2, 2));
  std::map<size_t, std::string> seen;
  const std::vector<OwnedValue> ids{make_int32(1), make_int32(5), make_int32(2)};
  const auto visit = [&](size_t index, const bson::Document& document) {
    seen[index] = to_json(document);
  };
  ASSERT_TRUE(store_->look(ns_, ids, std::vector<std::string>{"a", "_id", "c"}, visit));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0],
            to_json(bson::Document(Writer().int32("_id", 1).int32("a", 1).int32("c", 3).finish())));
  EXPECT_EQ(seen[2], to_json(bson::Document(Writer().int32("_id", 2).finish())));
  ASSERT_TRUE(store_->look(ns_, ids, std::vector<std::string>{}, visit));
  EXPECT_EQ(seen[0], to_json(bson::Document(Writer().int32("_id", 1).finish())));
  ASSERT_TRUE(store_->look(ns_, ids, std::nullopt, visit));
  EXPECT_EQ(seen[2], to_json(bson::Document(doc(2, 2))));
}

TEST_P(StoreContract, KnowsWhichProcessAnsweredLast) {
  given(doc(1, 1));
  EXPECT_EQ(store_->process_id(), store_->info()->process_id);
}

TEST_P(StoreContract, PutsTheIdInFrontOfADocumentThatHasNone) {
  StoreWrite bare = replace(doc(1, 1));
  bare.document = Writer().int32("n", 4).finish();
  EXPECT_TRUE(write({bare}).front().ok());
  EXPECT_EQ(store_->read(ns_, std::vector{make_int32(1)})->front(), doc(1, 4));
}

TEST_P(StoreContract, StoresDocumentsOfAnyFieldName) {
  const std::string odd = Writer()
                              .int32("_id", 1)
                              .int32("$n", 1)
                              .int32("a.b", 2)
                              .int32("", 3)
                              .int32("0", 4)
                              .timestamp("t", 0, 0)
                              .open_document("$sub")
                              .int32("$x.y", 1)
                              .close()
                              .finish();
  given(doc(1, 1));
  EXPECT_TRUE(write({replace(odd)}).front().ok());
  EXPECT_EQ(store_->read(ns_, std::vector{make_int32(1)})->front(), odd);
  ASSERT_TRUE(write({remove(make_int32(1))}).front().ok());
  EXPECT_TRUE(write({replace(odd)}).front().ok());
  EXPECT_EQ(store_->read(ns_, std::vector{make_int32(1)})->front(), odd);
}

TEST_P(StoreContract, KeepsRepeatedFieldNamesUnderAnEmptyTimestampToo) {
  const std::string twice = Writer().timestamp("_id", 0, 0).int32("a", 1).int32("a", 2).finish();
  const OwnedValue id(*bson::Document(twice).find("_id"));
  for (int written = 0; written < 2; ++written) {
    EXPECT_TRUE(write({replace(twice)}).front().ok());
    EXPECT_EQ(store_->read(ns_, std::vector{id})->front(), twice);
  }
}

TEST_P(StoreContract, KeepsRepeatedFieldNames) {
  const std::string twice = Writer().int32("_id", 1).int32("a", 1).int32("a", 2).finish();
  given(doc(1, 1));
  EXPECT_TRUE(write({replace(twice)}).front().ok());
  EXPECT_EQ(store_->read(ns_, std::vector{make_int32(1)})->front(), twice);
  EXPECT_TRUE(store_->ping());
}

TEST_P(StoreContract, RefusesPathsThatDotsWouldChange) {
  given(doc(1, 1));
  const std::vector<Path> bad{{}, {""}, {"a", ""}, {"$a"}, {"a.b"}, {"a", "0"}, {"17"}};
  for (const Path& path : bad) {
    const auto set = store_->apply(std::vector{update(make_int32(1), {{path, make_int32(2)}})});
    ASSERT_FALSE(set.has_value());
    EXPECT_EQ(set.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(store_->apply(std::vector{update(make_int32(1), {}, {path})}).has_value());
  }
  EXPECT_EQ(stored(make_int32(1)), bson::to_json(bson::Document(doc(1, 1))));
}

TEST_P(StoreContract, OneRejectedWriteLeavesTheOthersAlone) {
  given(doc(1, 1));
  const std::string large =
      Writer().int32("_id", 2).string("x", std::string(16 * 1024 * 1024, 'x')).finish();
  const auto outcomes =
      write({update(make_int32(1), {{{"n", "below"}, make_int32(1)}}), replace(large),
             update(make_int32(1), {{{"m"}, make_int32(5)}}), replace(doc(3, 3))});
  EXPECT_EQ(outcomes[0].kind, Kind::kRejected);
  EXPECT_EQ(outcomes[0].code, 28);
  EXPECT_EQ(outcomes[1].kind, Kind::kRejected);
  EXPECT_EQ(outcomes[1].code, 10334);
  EXPECT_TRUE(outcomes[2].ok() && outcomes[3].ok());
  EXPECT_EQ(stored(make_int32(2)), "none");
}

TEST_P(StoreContract, StoresADocumentOfAlmostSixteenMegabytes) {
  const std::string large =
      Writer().int32("_id", 2).string("x", std::string(16 * 1024 * 1024 - 100, 'x')).finish();
  EXPECT_TRUE(write({replace(large), replace(doc(3, 3))}).front().ok());
  EXPECT_EQ(store_->read(ns_, std::vector{make_int32(2)})->front()->size(), large.size());
}

TEST_P(StoreContract, CountsCollectionsThatHoldDocuments) {
  given(doc(1, 1));
  given(doc(2, 2));
  const std::string database = ns_.substr(0, ns_.find('.'));
  const auto all =
      store_->replicated_namespaces([&](std::string_view ns) { return ns.starts_with(database); });
  ASSERT_TRUE(all) << all.error().message();
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ(all->front().ns, ns_);
  EXPECT_EQ(all->front().documents, 2);
  EXPECT_TRUE(store_->replicated_namespaces([](std::string_view) { return false; })->empty());
}

TEST_P(StoreContract, DescribesACollection) {
  EXPECT_FALSE(store_->collection(ns_)->exists());
  given(doc(1, 1));
  const auto info = store_->collection(ns_);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->type, CollectionInfo::Type::kCollection);
  EXPECT_TRUE(info->simple_collation);
  EXPECT_FALSE(info->capped || info->clustered || !info->unique_fields.empty());
  EXPECT_EQ(info->uuid.size(), 16u);
}

TEST_P(StoreContract, WaitsForTheJournalAndLeavesNothingBehind) {
  given(doc(1, 1));
  EXPECT_TRUE(store_->wait_journaled());
  const auto found = store_->replicated_namespaces([](std::string_view) { return true; });
  ASSERT_TRUE(found);
  for (const NamespaceCount& each : *found) EXPECT_FALSE(each.ns.starts_with("outrigger."));
}

TEST_P(StoreContract, FencesAQuietStoreAtOnce) {
  const std::string lsid(16, 'l');
  EXPECT_TRUE(store_->fence(std::vector{lsid}, std::vector<std::string>{"192.0.2.1:5"}, kTimeout));
}

TEST_P(StoreContract, OnlyReplicaSetsHaveAnOplog) {
  const bool standalone = store_->info()->kind == StoreKind::kStandalone;
  const auto last = store_->last_oplog_time();
  const std::vector<std::string> nobody{std::string(16, 'l')};
  if (standalone) {
    EXPECT_EQ(last.error().code, ErrorCode::kUnsupported);
    EXPECT_EQ(store_->oplog_since({}, nobody).error().code, ErrorCode::kUnsupported);
    EXPECT_EQ(store_->watch_oplog(Store::Duration(1)).error().code, ErrorCode::kUnsupported);
  } else {
    ASSERT_TRUE(last) << last.error().message();
    EXPECT_TRUE(store_->oplog_since(*last, nobody)->empty());
    EXPECT_TRUE(store_->watch_oplog(Store::Duration(1)));
  }
}

TEST_P(StoreContract, NamesTheSessionItWritesUnder) {
  given(doc(1, 1));
  const size_t sessions = store_->own_sessions().size();
  EXPECT_EQ(sessions, store_->info()->kind == StoreKind::kStandalone ? 0u : 1u);
  for (const std::string& session : store_->own_sessions()) EXPECT_EQ(session.size(), 16u);
}

}  // namespace outrigger
