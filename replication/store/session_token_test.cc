#include "replication/store/session_token.h"

#include <gtest/gtest.h>

namespace outrigger {
namespace {

constexpr uint64_t kUser = 0x0102030405060708;

SessionKey key_of(std::vector<int32_t> stmt_ids) {
  SessionKey key;
  key.lsid.fill('s');
  key.user = kUser;
  key.txn_number = 7;
  key.stmt_ids = std::move(stmt_ids);
  return key;
}

OplogWrite write_of(std::vector<int32_t> stmt_ids) {
  OplogWrite write;
  write.lsid_id = std::string(16, 's');
  write.lsid_uid = "\1\2\3\4\5\6\7\10" + std::string(24, 'u');
  write.txn_number = 7;
  write.stmt_ids = std::move(stmt_ids);
  return write;
}

TEST(SessionToken, APrepareHasNoSessionUntilItIsGivenOne) {
  EXPECT_EQ(session_token({}), Prepare().session);
  EXPECT_FALSE(is_numbered(Prepare().session));
  EXPECT_EQ(session_id(Prepare().session), "");
}

TEST(SessionToken, APrepareKeepsWhateverIsInIt) {
  for (const std::vector<int32_t>& stmt_ids : {std::vector<int32_t>(),
                                               {INT32_MIN, -1, 0, INT32_MAX},
                                               std::vector<int32_t>(1000, 70'000)}) {
    Prepare prepare;
    prepare.session = session_token(key_of(stmt_ids));
    const auto decoded = decode_prepare(encode_prepare(prepare));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
    EXPECT_EQ(decoded->session, prepare.session);
  }
}

TEST(SessionToken, NumbersAndIdAreApart) {
  SessionKey key = key_of({0});
  EXPECT_TRUE(is_numbered(session_token(key)));
  EXPECT_EQ(session_id(session_token(key)), std::string(kSessionIdBytes, 's'));
  key.txn_number = 0;
  EXPECT_TRUE(is_numbered(session_token(key)));
  key.txn_number = -1;
  EXPECT_FALSE(is_numbered(session_token(key)));
  EXPECT_EQ(session_id(session_token(key)), std::string(kSessionIdBytes, 's'));
}

TEST(SessionToken, SomeStatementsKeepTheirNumbersAndTheRestOfIt) {
  const std::string token = session_token(key_of({5, 6, 7}));
  EXPECT_EQ(token_of(token, std::vector<size_t>{2, 0}), session_token(key_of({7, 5})));
  EXPECT_EQ(token_of(token, std::vector<size_t>{1, 3}), session_token(key_of({6})));
  EXPECT_EQ(token_of(token, {}), session_token(key_of({})));
}

TEST(SessionToken, AWriteIsOfItBySessionUserNumberAndStatement) {
  const auto is_of = [](const SessionKey& key, const OplogWrite& write) {
    return !writes_of(session_token(key), {write}).empty();
  };
  EXPECT_TRUE(is_of(key_of({1, 2}), write_of({2, 3})));
  EXPECT_FALSE(is_of(key_of({1, 2}), write_of({3})));
  EXPECT_TRUE(is_of(key_of({1, 2}), write_of({})));
  EXPECT_TRUE(is_of(key_of({}), write_of({3})));
  OplogWrite other = write_of({1});
  other.lsid_id.back() = 't';
  EXPECT_FALSE(is_of(key_of({1}), other));
  other = write_of({1});
  other.txn_number = 8;
  EXPECT_FALSE(is_of(key_of({1}), other));
  other = write_of({1});
  other.lsid_uid.front() = 9;
  EXPECT_FALSE(is_of(key_of({1}), other));
  SessionKey ours = key_of({1});
  ours.user = 0;
  EXPECT_TRUE(is_of(ours, other));
}

TEST(SessionToken, WritesAreFoundInTheirOrder) {
  const std::vector<OplogWrite> oplog{write_of({1}), write_of({9}), write_of({0})};
  const auto found = writes_of(session_token(key_of({0, 1})), oplog);
  EXPECT_EQ(found, (std::vector{&oplog[0], &oplog[2]}));
}

TEST(SessionToken, AStatementIsRememberedByAllItsNumbersAndItsCollection) {
  Prepare prepare;
  prepare.documents.resize(2);
  prepare.documents[0].ns = "t.a";
  prepare.documents[1].ns = "t.b";
  prepare.session = session_token(key_of({4, 5}));
  const std::string lsid(16, 's');
  EXPECT_EQ(retry_keys(prepare), (std::vector{retry_key("t.a", lsid, kUser, 7, 4),
                                              retry_key("t.b", lsid, kUser, 7, 5)}));
  prepare.session = session_token(key_of({4}));
  EXPECT_TRUE(retry_keys(prepare).empty());
  SessionKey key = key_of({4, 5});
  key.txn_number = -1;
  prepare.session = session_token(key);
  EXPECT_TRUE(retry_keys(prepare).empty());
}

}  // namespace
}  // namespace outrigger
