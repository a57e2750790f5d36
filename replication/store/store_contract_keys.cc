// What an index refuses, as every Store has it.
#include "replication/store/store_contract.h"

namespace outrigger {
namespace {

using bson::make_int32;
using bson::make_string;
using bson::OwnedValue;
using bson::Writer;

std::string user(int32_t id, const std::string& mail, int32_t n = 0) {
  return Writer().int32("_id", id).string("mail", mail).int32("n", n).finish();
}

const std::string kIndex = "mail_1";

// An index on `mail` that a store has been given, unique at first, and one document of no interest.
class MailIndex {
 public:
  MailIndex(Store& store, std::string ns) : store_(store), ns_(std::move(ns)) {
    EXPECT_EQ(put(user(0, "other")).code, 0);
    EXPECT_TRUE(set(KeyGuard::kNew).ok());
    EXPECT_TRUE(set(KeyGuard::kAll).ok());
  }
  WriteOutcome put(const std::string& document) {
    StoreWrite write;
    write.kind = StoreWrite::Kind::kReplaceOrInsert;
    write.ns = ns_;
    write.id = OwnedValue(*bson::Document(document).find("_id"));
    write.document = document;
    auto outcomes = store_.apply(std::span(&write, 1));
    EXPECT_TRUE(outcomes.has_value());
    return outcomes ? outcomes->front()
                    : WriteOutcome{WriteOutcome::Kind::kRejected, -1, "", false};
  }
  GuardChange set(KeyGuard guard) {
    auto index = store_.key_index(ns_, kIndex);
    EXPECT_TRUE(index.has_value());
    auto guarded = store_.set_guard(ns_, index && *index ? (*index)->spec : spec(), guard);
    EXPECT_TRUE(guarded.has_value()) << (guarded ? "" : guarded.error().message());
    return guarded.value_or(GuardChange{-1, "an error"});
  }
  [[nodiscard]] std::optional<KeyGuard> guard(const std::string& name = kIndex) {
    auto index = store_.key_index(ns_, name);
    EXPECT_TRUE(index.has_value());
    return index && *index ? std::optional((*index)->guard) : std::nullopt;
  }
  // 1 and 2 share a key, and nobody is to come to share it.
  void give_duplicates() {
    EXPECT_TRUE(put(user(1, "k")).ok());
    EXPECT_TRUE(set(KeyGuard::kNone).ok());
    EXPECT_TRUE(put(user(2, "k")).ok());
    EXPECT_TRUE(set(KeyGuard::kNew).ok());
  }

 private:
  [[nodiscard]] static std::string spec() {
    return Writer().open_document("key").int32("mail", 1).close().string("name", kIndex).finish();
  }

  Store& store_;
  const std::string ns_;
};

}  // namespace

TEST_P(StoreContract, AnIndexSaysWhatItRefuses) {
  MailIndex index(*store_, ns_);
  EXPECT_EQ(index.guard(), KeyGuard::kAll);
  for (const KeyGuard each : {KeyGuard::kNone, KeyGuard::kNew, KeyGuard::kNone, KeyGuard::kNew,
                              KeyGuard::kAll, KeyGuard::kNew}) {
    EXPECT_TRUE(index.set(each).ok());
    EXPECT_TRUE(index.set(each).ok()) << "done twice";
    EXPECT_EQ(index.guard(), each);
  }
  EXPECT_EQ(index.guard("x_1"), std::nullopt);
  const auto none = store_->key_index(ns_ + "_none", kIndex);
  ASSERT_TRUE(none.has_value());
  EXPECT_FALSE(none->has_value());
}

TEST_P(StoreContract, DuplicatesThatAreThereStayAndNoneIsAdded) {
  MailIndex index(*store_, ns_);
  index.give_duplicates();
  const auto refused = write({replace(user(3, "k")), replace(user(3, "new"))});
  EXPECT_EQ(unique_index_of(refused[0]), kIndex);
  EXPECT_TRUE(refused[1].ok());
  EXPECT_EQ(index.put(user(1, "k", 7)).code, 0) << "replaced, with its key";
  EXPECT_TRUE(write({update(make_int32(2), {{{"n"}, make_int32(8)}})}).front().ok());
  EXPECT_EQ(write({update(make_int32(3), {{{"mail"}, make_string("k")}})}).front().code, 11000);
}

TEST_P(StoreContract, TheHoldersOfAKeyAreAllOthersThatShareIt) {
  MailIndex index(*store_, ns_);
  index.give_duplicates();
  for (const int32_t of : {2, 3}) {
    const auto found = store_->holders(ns_, user(of, "k"), kIndex);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->size(), of == 2 ? 1u : 2u) << of;
    EXPECT_EQ(store_->holds_keys(ns_, user(of, "k"), kIndex).value(), of == 2);
  }
  EXPECT_FALSE(store_->holds_keys(ns_, user(2, "z"), kIndex).value());
}

// An array has many keys, and each of them another holder.
TEST_P(StoreContract, ManyHoldersAreAllFound) {
  MailIndex index(*store_, ns_);
  constexpr int32_t kMany = 150;
  std::vector<StoreWrite> writes;
  Writer all;
  all.int32("_id", 0).open_array("mail");
  for (int32_t i = 1; i <= kMany; ++i) {
    const std::string mail = "m" + std::to_string(i);
    writes.push_back(replace(user(i, mail)));
    all.string(bson::index_name(static_cast<size_t>(i) - 1), mail);
  }
  const std::string document = all.close().finish();
  for (const WriteOutcome& each : write(writes)) EXPECT_TRUE(each.ok());
  const auto found = store_->holders(ns_, document, kIndex);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->size(), static_cast<size_t>(kMany));
  EXPECT_FALSE(store_->holds_keys(ns_, document, kIndex).value());
}

TEST_P(StoreContract, NoIndexIsMadeToBeUnique) {
  MailIndex index(*store_, ns_);
  const std::string spec =
      Writer().open_document("key").int32("n", 1).close().string("name", "n_1").finish();
  const auto none = store_->set_guard(ns_, spec, KeyGuard::kAll);
  ASSERT_TRUE(none.has_value());
  EXPECT_EQ(none->code, GuardChange::kNoIndex);
}

TEST_P(StoreContract, OnlyWithoutDuplicatesItIsUniqueAgain) {
  MailIndex index(*store_, ns_);
  index.give_duplicates();
  const GuardChange refused = index.set(KeyGuard::kAll);
  EXPECT_EQ(refused.code, GuardChange::kHasDuplicates);
  ASSERT_EQ(refused.duplicates.size(), 1u);
  EXPECT_EQ(refused.duplicates.front(), (std::vector{make_int32(1), make_int32(2)}));
  EXPECT_EQ(index.guard(), KeyGuard::kNew);
  EXPECT_TRUE(write({remove(make_int32(1))}).front().ok());
  EXPECT_TRUE(index.set(KeyGuard::kAll).ok());
  EXPECT_EQ(index.guard(), KeyGuard::kAll);
  EXPECT_EQ(index.put(user(3, "k")).code, 11000);
}

TEST_P(StoreContract, WhoHadSharedAKeyAndChangedItMustNotComeBackToIt) {
  MailIndex index(*store_, ns_);
  index.give_duplicates();
  EXPECT_EQ(index.put(user(2, "z")).code, 0);
  EXPECT_EQ(index.put(user(2, "k")).code, 11000);
}

TEST_P(StoreContract, ItsFieldsAreThoseOfAUniqueOne) {
  MailIndex index(*store_, ns_);
  index.give_duplicates();
  const auto info = store_->collection(ns_);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->unique_fields, std::vector<Path>{{"mail"}});
}

}  // namespace outrigger
