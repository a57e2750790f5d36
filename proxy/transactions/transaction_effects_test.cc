// Several statements on one document of a transaction: what of them its record tells.
#include "proxy/transactions/transaction_effects.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

using Kind = DocumentChange::Kind;
using Changes = std::vector<DocumentChange>;

constexpr const char* kNs = "t.a";

std::string document(int32_t n) { return bson::Writer().int32("_id", 1).int32("n", n).finish(); }

PathChange assign(Path path, int32_t value) {
  PathChange change;
  change.path = std::move(path);
  change.value = bson::make_int32(value);
  return change;
}

PathChange increment(Path path, int32_t delta) {
  PathChange change = assign(std::move(path), delta);
  change.kind = Operation::kIncrement;
  return change;
}

bson::OwnedValue array(const std::vector<int32_t>& all) {
  bson::Writer out;
  for (size_t i = 0; i < all.size(); ++i) out.int32(bson::index_name(i), all[i]);
  return {bson::Type::kArray, out.finish()};
}

// Elements {k, n}.
bson::OwnedValue keyed(const std::vector<std::pair<int32_t, int32_t>>& all) {
  bson::Writer out;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto [k, n] = all[i];
    const std::string element = bson::Writer().int32("k", k).int32("n", n).finish();
    out.document(bson::index_name(i), bson::Document(element));
  }
  return {bson::Type::kArray, out.finish()};
}

PathChange edit(const bson::OwnedValue& before, const bson::OwnedValue& after,
                ArrayEdit how = ArrayEdit::kMoves) {
  PathChange change;
  change.kind = Operation::kEdit;
  change.path = {"a"};
  change.value = after;
  change.base_known = true;
  change.base = before;
  change.edit = how;
  return change;
}
PathChange edit(const std::vector<int32_t>& before, const std::vector<int32_t>& after,
                ArrayEdit how = ArrayEdit::kMoves) {
  return edit(array(before), array(after), how);
}

class TransactionEffectsTest : public testing::Test {
 protected:
  void whole(Kind kind, const std::string& bytes = {}, std::vector<PathChange> counted = {}) {
    DocumentChange change;
    change.kind = kind;
    change.ns = kNs;
    change.id = bson::make_int32(1);
    change.document = bytes;
    change.changes = std::move(counted);
    effects_.add(std::move(change));
  }
  void update(PathChange part) {
    DocumentChange change;
    change.ns = kNs;
    change.id = bson::make_int32(1);
    change.changes.push_back(std::move(part));
    effects_.add(std::move(change));
  }
  Changes take() {
    auto all = effects_.take();
    EXPECT_TRUE(all.has_value());
    return all ? std::move(*all) : Changes();
  }
  void show(const std::string& bytes) { effects_.show(kNs, bson::Document(bytes)); }

  TransactionEffects effects_;
};

TEST_F(TransactionEffectsTest, IncrementsAddUpAndStayIncrements) {
  update(increment({"n"}, 2));
  update(increment({"n"}, 3));
  const Changes all = take();
  ASSERT_EQ(all.size(), 1u);
  ASSERT_EQ(all[0].changes.size(), 1u);
  EXPECT_EQ(all[0].changes[0].kind, Operation::kIncrement);
  EXPECT_EQ(all[0].changes[0].value, bson::make_int32(5));
}

TEST_F(TransactionEffectsTest, FieldsStayFields) {
  update(assign({"a"}, 1));
  update(assign({"b"}, 2));
  const Changes all = take();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].kind, Kind::kUpdate);
  EXPECT_EQ(all[0].changes.size(), 2u);
}

TEST_F(TransactionEffectsTest, AnAssignmentTakesThePlaceOfWhatWasDoneThereAndBelow) {
  update(increment({"a", "n"}, 2));
  update(assign({"b"}, 1));
  update(assign({"a"}, 7));
  const Changes all = take();
  ASSERT_EQ(all[0].changes.size(), 2u);
  EXPECT_EQ(all[0].changes[0].path, Path{"b"});
  EXPECT_EQ(all[0].changes[1].path, Path{"a"});
}

TEST_F(TransactionEffectsTest, AValueThatIsGivenAndIncrementedIsRead) {
  update(assign({"n"}, 5));
  update(increment({"n"}, 2));
  ASSERT_EQ(effects_.wanted().size(), 1u);
  show(document(7));
  const Changes all = take();
  ASSERT_EQ(all[0].changes.size(), 1u);
  EXPECT_EQ(all[0].changes[0].kind, Operation::kAssign);
  EXPECT_EQ(all[0].changes[0].value, bson::make_int32(7));
}

TEST_F(TransactionEffectsTest, AFieldOfAnAssignedContainerIsReadWithIt) {
  update(assign({"a"}, 1));
  update(assign({"a", "b"}, 2));
  show(bson::Writer().int32("_id", 1).open_document("a").int32("b", 2).close().finish());
  const Changes all = take();
  ASSERT_EQ(all[0].changes.size(), 1u);
  EXPECT_EQ(all[0].changes[0].path, Path{"a"});
  EXPECT_EQ(all[0].changes[0].value.type, bson::Type::kDocument);
}

TEST_F(TransactionEffectsTest, WhatIsTakenAwayAfterItWasGivenIsUnset) {
  update(assign({"n"}, 5));
  PathChange unset;
  unset.kind = Operation::kUnset;
  unset.path = {"n"};
  update(std::move(unset));
  const Changes all = take();
  ASSERT_EQ(all[0].changes.size(), 1u);
  EXPECT_EQ(all[0].changes[0].kind, Operation::kUnset);
}

TEST_F(TransactionEffectsTest, ADocumentThatIsBornAndChangedIsBornAsItEndsUp) {
  whole(Kind::kInsert, document(1));
  update(increment({"n"}, 1));
  ASSERT_EQ(effects_.wanted().size(), 1u);
  EXPECT_FALSE(TransactionEffects(effects_).take().has_value());
  show(document(2));
  const Changes all = take();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].kind, Kind::kInsert);
  EXPECT_EQ(all[0].document, document(2));
}

TEST_F(TransactionEffectsTest, WhatUpsertsCountAddsUp) {
  whole(Kind::kUpsert, document(1), {increment({"n"}, 1)});
  update(increment({"n"}, 4));
  show(document(5));
  const Changes all = take();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].kind, Kind::kUpsert);
  EXPECT_EQ(all[0].document, document(5));
  ASSERT_EQ(all[0].changes.size(), 1u);
  EXPECT_EQ(all[0].changes[0].value, bson::make_int32(5));
}

TEST_F(TransactionEffectsTest, WhatIsMadeAndRemovedNeverWas) {
  whole(Kind::kInsert, document(1));
  whole(Kind::kRemove);
  EXPECT_TRUE(effects_.empty());
  EXPECT_TRUE(take().empty());
}

TEST_F(TransactionEffectsTest, WhatIsRemovedAndMadeAgainIsBoth) {
  update(assign({"n"}, 5));
  whole(Kind::kRemove);
  whole(Kind::kInsert, document(9));
  const Changes all = take();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].kind, Kind::kRemove);
  EXPECT_EQ(all[1].kind, Kind::kInsert);
  EXPECT_EQ(all[1].document, document(9));
}

TEST_F(TransactionEffectsTest, ARemovalYieldsWithTheDocumentAsItWasBeforeTheTransaction) {
  const auto remove = [this](int n) {
    DocumentChange change;
    change.kind = Kind::kRemove;
    change.ns = kNs;
    change.id = bson::make_int32(1);
    change.removal = Removal::kUpdateWins;
    change.document = document(n);
    effects_.add(std::move(change));
  };
  remove(1);
  whole(Kind::kInsert, document(2));
  remove(2);
  Changes all = take();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].removal, Removal::kUpdateWins);
  EXPECT_EQ(all[0].document, document(1));
  update(assign({"n"}, 5));
  remove(5);
  all = take();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].removal, Removal::kPlain);
  EXPECT_EQ(all[0].document, "");
}

TEST_F(TransactionEffectsTest, EditsOfOneArrayLeadFromTheFirstToTheLast) {
  update(edit({1}, {1, 2}));
  update(edit({1, 2}, {2}));
  const Changes all = take();
  ASSERT_EQ(all[0].changes.size(), 1u);
  const PathChange& both = all[0].changes[0];
  EXPECT_EQ(both.kind, Operation::kEdit);
  EXPECT_EQ(both.base, array({1}));
  EXPECT_EQ(both.value, array({2}));
  EXPECT_EQ(both.edit, ArrayEdit::kMoves);
}

TEST_F(TransactionEffectsTest, EditsOfDifferentKindsAreToldByWhatIsLeft) {
  update(edit({1}, {1, 2}, ArrayEdit::kAddsSet));
  update(edit({1, 2}, {2}));
  EXPECT_EQ(take()[0].changes[0].edit, ArrayEdit::kComputed);
}

TEST_F(TransactionEffectsTest, WhatIsChangedInPlaceAndWhatIsSortedIsToldByTheKey) {
  const auto in_place = edit(keyed({{1, 4}, {2, 4}}), keyed({{1, 5}, {2, 4}}), ArrayEdit::kInPlace);
  const auto sorted = [](PathChange change) {
    change.key = "k";
    return change;
  };
  update(in_place);
  update(sorted(edit(in_place.value, keyed({{2, 4}, {3, 0}, {1, 5}}))));
  EXPECT_EQ(take()[0].changes[0].edit, ArrayEdit::kKeyed);
  update(sorted(edit(keyed({{2, 4}, {1, 4}}), *in_place.base)));
  update(in_place);
  const PathChange both = take()[0].changes[0];
  EXPECT_EQ(both.edit, ArrayEdit::kKeyed);
  EXPECT_EQ(both.key, "k");
  // Without it, by what is left.
  update(in_place);
  update(edit(in_place.value, keyed({{2, 4}, {1, 5}})));
  EXPECT_EQ(take()[0].changes[0].edit, ArrayEdit::kComputed);
}

TEST_F(TransactionEffectsTest, WhatIsPushedAndWhatIsChangedInPlaceStandsInPlace) {
  update(edit({1}, {1, 2}));
  update(edit({1, 2}, {5, 2}, ArrayEdit::kInPlace));
  EXPECT_EQ(take()[0].changes[0].edit, ArrayEdit::kInPlace);
  update(edit({1}, {1}, ArrayEdit::kAddsSet));
  update(edit({1}, {}));
  EXPECT_EQ(take()[0].changes[0].edit, ArrayEdit::kMoves);
}

TEST_F(TransactionEffectsTest, WhatIsNamedInElementsIsNamedByBoth) {
  const auto named = [](PathChange change, uint32_t position, std::optional<int32_t> delta) {
    ElementPart& part = change.parts.emplace_back();
    part.position = position;
    if (delta) part.delta = bson::make_int32(*delta);
    return change;
  };
  update(named(edit({1, 1}, {3, 1}, ArrayEdit::kInPlace), 0, 2));
  update(named(edit({3, 1}, {7, 1}, ArrayEdit::kInPlace), 0, 4));
  update(named(edit({7, 1}, {7, 9}, ArrayEdit::kInPlace), 1, std::nullopt));
  update(edit({7, 9}, {7, 9, 5}));
  const std::vector<ElementPart> parts = take()[0].changes[0].parts;
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[1], (ElementPart{0, {}, bson::make_int32(4)}));
  EXPECT_EQ(parts[2], (ElementPart{1, {}, {}}));
  // Once is enough.
  update(named(edit({1, 1}, {3, 1}, ArrayEdit::kInPlace), 0, 2));
  update(named(edit({3, 1}, {5, 1}, ArrayEdit::kInPlace), 0, 2));
  EXPECT_EQ(take()[0].changes[0].parts.size(), 1u);
  // Of one of them it is not known.
  update(named(edit({1, 1}, {3, 1}, ArrayEdit::kInPlace), 0, 2));
  update(edit({3, 1}, {3, 4}, ArrayEdit::kInPlace));
  EXPECT_TRUE(take()[0].changes[0].parts.empty());
}

TEST_F(TransactionEffectsTest, WhatIsPushedToWhatAnUpsertMadeStandsBesideWhatOthersPush) {
  PathChange first = edit({}, {1});
  first.base.reset();
  whole(Kind::kUpsert, document(0), {first});
  update(edit({1}, {1, 2}));
  PathChange counted = increment({"c"}, 4);
  counted.base_known = true;
  update(std::move(counted));
  show(document(9));
  const Changes all = take();
  ASSERT_EQ(all[0].changes.size(), 2u);
  EXPECT_EQ(all[0].changes[0].kind, Operation::kEdit);
  EXPECT_EQ(all[0].changes[0].value, array({1, 2}));
  EXPECT_FALSE(all[0].changes[0].base.has_value());
  EXPECT_EQ(all[0].changes[1].value, bson::make_int32(4));
}

TEST_F(TransactionEffectsTest, HoldsNoMoreThanWhatIsLeftOfIt) {
  update(edit({1}, {1, 2}));
  const size_t once = effects_.bytes();
  for (int i = 0; i < 9; ++i) update(edit({1, 2}, {1, 2}));
  EXPECT_EQ(effects_.bytes(), once);
}

TEST_F(TransactionEffectsTest, AnArrayGivenHereAndEditedIsGiven) {
  PathChange given = edit({}, {1});
  given.kind = Operation::kAssign;
  update(std::move(given));
  update(edit({1}, {1, 2}));
  const Changes all = take();
  ASSERT_EQ(all[0].changes.size(), 1u);
  EXPECT_EQ(all[0].changes[0].kind, Operation::kAssign);
  EXPECT_EQ(all[0].changes[0].value, array({1, 2}));
}

TEST_F(TransactionEffectsTest, AnEditOfWhatNoEditLeftIsAnAssignment) {
  update(edit({1}, {1, 2}));
  update(edit({7}, {7, 3}));
  EXPECT_EQ(take()[0].changes[0].kind, Operation::kAssign);
}

TEST_F(TransactionEffectsTest, ThePrepareTellsWhatIsPushedAndAssignsWhatIsPulled) {
  update(edit({1}, {1, 2, 3}));
  SessionKey session;
  session.lsid.fill(1);
  const PreparedPath pushed = prepare_of(take(), session).documents[0].paths[0];
  EXPECT_EQ(pushed.kind, Operation::kEdit);
  EXPECT_EQ(pushed.value, array({2, 3}));
  update(edit({1, 2}, {2}));
  const PreparedPath pulled = prepare_of(take(), session).documents[0].paths[0];
  EXPECT_EQ(pulled.kind, Operation::kAssign);
  EXPECT_EQ(pulled.value, array({2}));
}

TEST_F(TransactionEffectsTest, AReplacementStandsForAllBeforeIt) {
  update(increment({"n"}, 5));
  whole(Kind::kReplace, document(3));
  EXPECT_TRUE(effects_.wanted().empty());
  const Changes all = take();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].kind, Kind::kReplace);
}

TEST_F(TransactionEffectsTest, AVersionStaysOneAndWhatMerelyTravelsWholeIsNone) {
  DocumentChange version;
  version.kind = Kind::kReplace;
  version.ns = kNs;
  version.id = bson::make_int32(1);
  version.is_version = true;
  version.document = document(1);
  effects_.add(version);
  update(assign({"x"}, 1));
  whole(Kind::kReplace, document(2));
  const Changes given = take();
  EXPECT_TRUE(given.at(0).is_version);
  EXPECT_TRUE(prepare_of(given, SessionKey()).documents[0].told_whole);
  update(assign({"a", "0"}, 1));
  update(increment({"a", "0"}, 1));
  bson::Writer shown;
  shown.int32("_id", 1).value("a", array({2}));
  effects_.show(kNs, bson::Document(shown.finish()));
  const Changes travels = take();
  EXPECT_EQ(travels.at(0).kind, Kind::kReplace);
  EXPECT_FALSE(travels.at(0).is_version);
}

TEST_F(TransactionEffectsTest, ThePrepareHoldsAllOfIt) {
  whole(Kind::kRemove);
  whole(Kind::kInsert, document(9));
  SessionKey session;
  session.lsid.fill(1);
  session.txn_number = 3;
  const Prepare prepare = prepare_of(take(), session);
  EXPECT_TRUE(prepare.transaction);
  const auto read = decode_prepare(encode_prepare(prepare));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, prepare);
  ASSERT_EQ(read->documents.size(), 2u);
  EXPECT_EQ(read->documents[1].document, document(9));
}

}  // namespace
}  // namespace outrigger
