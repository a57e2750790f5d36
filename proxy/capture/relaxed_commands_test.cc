#include "proxy/capture/relaxed_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/mongo/wire/error_reply.h"
#include "replication/store/key_guard.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string spec_of(const std::string& field, const std::string& name,
                    KeyGuard guard = KeyGuard::kNone) {
  Writer out;
  out.int32("v", 2).open_document("key").int32(field, 1).close().string("name", name);
  const std::string plain = out.finish();
  return with_guard(Document(plain), guard);
}

class RelaxedCommandsTest : public ::testing::Test {
 protected:
  const wire::OpMsg& parse(const std::string& body) {
    message_ = wire::build_op_msg(7, 0, 0, Document(body));
    parsed_ = *wire::parse_op_msg(message_);
    return parsed_;
  }
  const wire::OpMsg& drop(const std::function<void(Writer&)>& index) {
    Writer out;
    out.string("dropIndexes", "users");
    index(out);
    return parse(out.string("$db", "shop").finish());
  }
  const wire::OpMsg& drop_names(const std::vector<std::string>& names) {
    return drop([&](Writer& out) {
      out.open_array("index");
      size_t at = 0;
      for (const std::string& name : names) out.string(bson::index_name(at++), name);
      out.close();
    });
  }
  const wire::OpMsg& create(const std::vector<std::string>& specs) {
    Writer out;
    out.string("createIndexes", "users").open_array("indexes");
    size_t at = 0;
    for (const std::string& spec : specs) out.document(bson::index_name(at++), Document(spec));
    return parse(out.close().string("$db", "shop").finish());
  }
  static std::string reply(const std::string& body) {
    return wire::build_op_msg(8, 7, 0, Document(body));
  }
  static std::string done(int was) {
    return reply(Writer().int32("nIndexesWas", was).real("ok", 1).finish());
  }
  static std::string refused(int code) { return reply(wire::error_body(code, "no")); }
  static int code(const std::string& message) {
    return wire::code_of(wire::parse_op_msg(message)->body);
  }
  static int64_t was(const std::string& message) {
    const auto parsed = wire::parse_op_msg(message);
    const auto count = parsed->body.find("nIndexesWas");
    return wire::is_ok(parsed->body) && count ? count->to_int64().value_or(-1) : -1;
  }

  const std::vector<std::string> away_{spec_of("mail", "k")};
  std::string message_;
  wire::OpMsg parsed_;
};

TEST_F(RelaxedCommandsTest, OneThatIsAwayIsDroppedByItsNameOrItsKeys) {
  const std::function<void(Writer&)> forms[] = {
      [](Writer& out) { out.string("index", "k"); },
      [](Writer& out) { out.open_array("index").string("0", "k").close(); },
      [](Writer& out) { out.open_document("index").real("mail", 1).close(); },
  };
  for (const auto& form : forms) {
    IndexDrop drop_it(drop(form), away_, 2);
    EXPECT_FALSE(drop_it.words());
    EXPECT_EQ(was(drop_it.answered(refused(27))), 3);
    EXPECT_THAT(drop_it.gone(), ElementsAre("k"));
  }
}

TEST_F(RelaxedCommandsTest, WhereMongodRefusesForAnotherReasonNothingIsGone) {
  IndexDrop by_name(drop([](Writer& out) { out.string("index", "k"); }), away_, 2);
  EXPECT_EQ(code(by_name.answered(refused(13))), 13);
  EXPECT_THAT(by_name.gone(), IsEmpty());
  IndexDrop all(drop([](Writer& out) { out.string("index", "*"); }), away_, 2);
  EXPECT_EQ(code(all.answered(refused(27))), 27);
  EXPECT_THAT(all.gone(), IsEmpty());
}

TEST_F(RelaxedCommandsTest, OthersThatAreNamedWithItDecide) {
  const wire::OpMsg& parsed = drop_names({"k", "n_1"});
  IndexDrop both(parsed, away_, 3);
  const auto words = both.words();
  ASSERT_TRUE(words);
  const auto sent = wire::parse_op_msg(*words);
  const Document index = sent->body.find("index")->as_document();
  EXPECT_EQ(index.first()->value.as_string(), "n_1");
  EXPECT_EQ(sent->body.find("$db")->as_string(), "shop");
  EXPECT_EQ(code(both.answered(refused(27))), 27);
  EXPECT_THAT(both.gone(), IsEmpty());
  EXPECT_EQ(was(both.answered(done(3))), 4);
  EXPECT_THAT(both.gone(), ElementsAre("k"));
}

TEST_F(RelaxedCommandsTest, AllOfThemAreDroppedWithAll) {
  IndexDrop all(drop([](Writer& out) { out.string("index", "*"); }), away_, 2);
  EXPECT_EQ(was(all.answered(done(2))), 3);
  EXPECT_THAT(all.gone(), ElementsAre("k"));
}

TEST_F(RelaxedCommandsTest, OfKeysThatTwoHaveNoneIsDropped) {
  const std::vector<std::string> two{spec_of("mail", "k"), spec_of("mail", "l")};
  IndexDrop by_keys(drop([](Writer& out) { out.open_document("index").int32("mail", 1).close(); }),
                    two, 1);
  EXPECT_EQ(code(by_keys.answered(refused(27))), 27);
  EXPECT_THAT(by_keys.gone(), IsEmpty());
}

TEST_F(RelaxedCommandsTest, OthersPassAsTheyAre) {
  IndexDrop other(drop_names({"n_1"}), away_, 2);
  EXPECT_FALSE(other.words());
  const std::string answer = done(3);
  EXPECT_EQ(other.answered(answer), answer);
  EXPECT_THAT(other.gone(), IsEmpty());
}

TEST_F(RelaxedCommandsTest, ItsNameIsForNoOtherIndexAndItHasNoOtherName) {
  const std::string same = spec_of("mail", "k", KeyGuard::kAll);
  const std::string other = spec_of("n", "n_1");
  const auto code_of = [&](const std::vector<std::string>& specs) {
    const auto refused = index_conflict(create(specs), away_);
    return refused ? wire::code_of(Document(*refused)) : 0;
  };
  EXPECT_EQ(code_of({same, other}), 0);
  EXPECT_EQ(code_of({other}), 0);
  EXPECT_EQ(code_of({other, spec_of("mail", "k")}), 86);
  EXPECT_EQ(code_of({spec_of("phone", "k", KeyGuard::kAll)}), 86);
  EXPECT_EQ(code_of({spec_of("mail", "l", KeyGuard::kAll)}), 85);
}

TEST_F(RelaxedCommandsTest, EachOfACommandIsJudgedByItself) {
  const std::string same = spec_of("mail", "k", KeyGuard::kAll);
  EXPECT_THAT(asked_otherwise(create({same, spec_of("n", "n_1")}), away_), IsEmpty());
  EXPECT_THAT(asked_otherwise(create({spec_of("mail", "k"), spec_of("n", "n_1")}), away_),
              ElementsAre("k"));
}

}  // namespace
}  // namespace outrigger
