#include "integration/world/world_app.h"

#include <fmt/format.h>

#include <functional>

#include "integration/world/world_accounts.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger::world {
namespace {

using bson::Document;
using bson::Writer;

constexpr int kSharedDocuments = 4;  // of each kind that everybody writes to
constexpr int64_t kWithinBurstMs = 300;
constexpr int kTallyOwners = 3;

// Half of the writes wait for the journal, as without a concern.
void write_concern(WorldParts& parts, Writer& out) {
  if (parts.chance(50)) out.open_document("writeConcern").int32("w", 1).close();
}

std::string insert_command(WorldParts& parts, const char* collection, const std::string& document) {
  Writer out;
  out.string("insert", collection).open_array("documents").document("0", Document(document));
  out.close();
  write_concern(parts, out);
  return out.finish();
}

using Fill = std::function<void(Writer&)>;

std::string update_command(WorldParts& parts, const char* collection, const std::string& id,
                           const Fill& update, bool upsert = true) {
  Writer out;
  out.string("update", collection).open_array("updates").open_document("0");
  out.open_document("q").string("_id", id).close().open_document("u");
  update(out);
  out.close().boolean("upsert", upsert).close().close();
  write_concern(parts, out);
  return out.finish();
}

std::string delete_command(WorldParts& parts, const char* collection, const std::string& id) {
  Writer out;
  out.string("delete", collection).open_array("deletes").open_document("0");
  out.open_document("q").string("_id", id).close().int32("limit", 1).close().close();
  write_concern(parts, out);
  return out.finish();
}

const char* word(WorldDriver::Outcome outcome) {
  if (outcome == WorldDriver::Outcome::kDone) return "done";
  return outcome == WorldDriver::Outcome::kRefused ? "refused" : "not known";
}

}  // namespace

WorldApp::WorldApp(WorldParts& parts, WorldBook& book, int number, const WorldSite& site,
                   int64_t pause_ms_max)
    : parts_(parts),
      book_(book),
      number_(number),
      name_(fmt::format("app{}", number)),
      pause_ms_max_(pause_ms_max),
      process_(parts.network.start_process(site.name())),
      driver_(parts, *process_, site.proxy_address(), !site.is_standalone()) {}

void WorldApp::tell(const std::string& what, Outcome outcome) {
  if (outcome == Outcome::kDone) book_.acknowledge();
  parts_.story.tell(name_, fmt::format("{}: {}", what, word(outcome)));
}

net::Task<void> WorldApp::run() {
  while (!is_over_) {
    // In bursts.
    const int64_t pause_ms = parts_.draw(0, parts_.chance(85) ? kWithinBurstMs : pause_ms_max_);
    co_await parts_.sleep_ms(pause_ms);
    if (is_over_) break;
    const int64_t which = parts_.draw(1, 100);
    if (which <= 12) {
      (void)co_await insert_kept();
    } else if (which <= 24) {
      co_await set_field();
    } else if (which <= 36) {
      co_await add();
    } else if (which <= 46) {
      co_await push_or_pull();
    } else if (which <= 62) {
      co_await write_own();
    } else if (which <= 67) {
      co_await raise_cause();
    } else if (which <= 74) {
      co_await count();
    } else if (which <= 78 && number_ <= kTallyOwners) {
      co_await assign();
    } else if (which <= 84) {
      co_await look_at_cause();
    } else {
      co_await be_wild();
    }
  }
}

net::Task<WorldApp::Outcome> WorldApp::send(const std::string& command) {
  const WorldDriver::Answer answer = co_await driver_.write(command);
  co_return answer.outcome;
}

net::Task<WorldApp::Outcome> WorldApp::insert_kept() {
  const std::string id = fmt::format("{}-{}", name_, ++writes_);
  Writer document;
  document.string("_id", id).int64("n", writes_).string("from", name_);
  const std::string command = insert_command(parts_, kKept, document.finish());
  const WorldDriver::Answer answer = co_await driver_.write(command);
  tell("insert " + id, answer.outcome);
  book_.inserted(id, answer.outcome);
  // Nobody else inserts it: only its own first attempt can be there.
  if (answer.code == wire::code::kDuplicateKey) {
    book_.say(name_ + ": the insert of " + id + " met itself");
  }
  co_return answer.outcome;
}

net::Task<void> WorldApp::set_field() {
  // Everybody's, and not too large.
  const std::string id = fmt::format("f{}-{}", ++writes_ / 20, parts_.draw(1, kSharedDocuments));
  const std::string field = fmt::format("{}-{}", name_, writes_);
  const Fill fill = [&](Writer& out) { out.open_document("$set").int32(field, 1).close(); };
  const std::string command = update_command(parts_, kFields, id, fill);
  const Outcome outcome = co_await send(command);
  tell(fmt::format("set {}.{}", id, field), outcome);
  book_.set_field(id, field, outcome);
}

net::Task<void> WorldApp::add() {
  const std::string id = fmt::format("c{}-{}", ++writes_ / 20, parts_.draw(1, kSharedDocuments));
  const std::string marker = fmt::format("{}-{}", name_, writes_);
  const int64_t delta = parts_.draw(1, 9);
  const Fill fill = [&](Writer& out) {
    out.open_document("$inc").int64("n", delta).close();
    out.open_document("$set").int32("by." + marker, 1).close();
  };
  const std::string command = update_command(parts_, kCounters, id, fill);
  const Outcome outcome = co_await send(command);
  tell(fmt::format("add {} to {}", delta, id), outcome);
  book_.added(id, marker, delta, outcome);
}

net::Task<void> WorldApp::push_or_pull() {
  if (!pushed_.empty() && parts_.chance(30)) {
    const auto [id, marker] = pushed_.back();
    pushed_.pop_back();
    const Fill pull = [&](Writer& out) { out.open_document("$pull").string("l", marker).close(); };
    const std::string command = update_command(parts_, kLists, id, pull, false);
    book_.pulled(id, marker);
    const Outcome outcome = co_await send(command);
    tell(fmt::format("pull {} from {}", marker, id), outcome);
    co_return;
  }
  const std::string id = fmt::format("l{}-{}", ++writes_ / 20, parts_.draw(1, kSharedDocuments));
  const std::string marker = fmt::format("{}-{}", name_, writes_);
  const Fill push = [&](Writer& out) { out.open_document("$push").string("l", marker).close(); };
  const std::string command = update_command(parts_, kLists, id, push);
  const Outcome outcome = co_await send(command);
  tell(fmt::format("push {} to {}", marker, id), outcome);
  book_.pushed(id, marker, outcome);
  if (outcome == Outcome::kDone) pushed_.emplace_back(id, marker);
}

// Nobody else writes to it, so that it is known what must come of it; until it is not.
net::Task<void> WorldApp::write_own() {
  const std::string id = fmt::format("{}-{}", name_, own_documents_);
  const int64_t value = parts_.draw(1, 100);
  const int64_t which = parts_.draw(1, 10);
  const char* const does = which <= 6 ? "$inc" : which <= 9 ? "$set" : "$unset";
  std::optional<int64_t> after = which <= 6 ? own_n_.value_or(0) + value : value;
  if (which == 10) after.reset();
  const Fill fill = [&](Writer& out) { out.open_document(does).int64("n", value).close(); };
  const std::string command = update_command(parts_, kOwn, id, fill);
  const Outcome outcome = co_await send(command);
  tell(fmt::format("{} {} of own {}", does, value, id), outcome);
  if (outcome == Outcome::kDone) {
    own_n_ = after;
    book_.is_now(kOwn, id, after);
  } else if (outcome == Outcome::kUnknown) {
    book_.is_not_known(kOwn, id);
    ++own_documents_;
    own_n_.reset();
  }
}

net::Task<void> WorldApp::count() {
  const std::string id = book_.tally_of(static_cast<int>(parts_.draw(1, kTallyOwners)));
  const int64_t delta = parts_.draw(1, 9);
  const Fill fill = [&](Writer& out) {
    out.open_document("$inc").int64("n", delta).int64("by-" + name_, delta).close();
  };
  const std::string command = update_command(parts_, kTallies, id, fill, false);
  const Outcome outcome = co_await send(command);
  tell(fmt::format("count {} in {}", delta, id), outcome);
}

// Its owner alone makes the document: of two that are born at once, the values of one stand.
net::Task<void> WorldApp::assign() {
  const std::string id = book_.tally_of(number_);
  const int64_t value = 1000 * parts_.draw(1, 9);
  Writer out;
  out.string("findAndModify", kTallies).open_document("query").string("_id", id).close();
  out.open_document("update").open_document("$set").int64("n", value).close().close();
  out.boolean("upsert", true);
  write_concern(parts_, out);
  const std::string command = out.finish();
  const WorldDriver::Answer answer = co_await driver_.write(command);
  tell(fmt::format("assign {} to {}", value, id), answer.outcome);
  if (answer.outcome == Outcome::kUnknown) book_.assigned_perhaps(number_);
  if (answer.outcome != Outcome::kDone) co_return;
  const auto before = Document(answer.reply).find("value");
  const bool was_there = before && before->type == bson::Type::kDocument;
  book_.assigned(id, value, was_there ? std::string(before->as_document().bytes()) : "");
}

// The effect is written only when the cause surely was.
net::Task<void> WorldApp::raise_cause() {
  const int64_t next = ++raised_;
  const Fill fill = [&](Writer& out) { out.open_document("$set").int64("n", next).close(); };
  for (const char* collection : {kCauses, kEffects}) {
    const std::string command = update_command(parts_, collection, name_, fill);
    const Outcome outcome = co_await send(command);
    tell(fmt::format("raise {} to {}", collection, next), outcome);
    if (outcome == Outcome::kDone) book_.is_now(collection, name_, next);
    if (outcome == Outcome::kUnknown) book_.is_not_known(collection, name_);
    if (outcome != Outcome::kDone) co_return;
  }
}

// Its connection may have died since it was used last, and its driver may not wait for an answer.
net::Task<void> WorldApp::write_last() {
  constexpr int kTries = 8;
  for (int i = 0; i < kTries; ++i) {
    const Outcome outcome = co_await insert_kept();
    if (outcome == Outcome::kDone) co_return;
  }
  book_.say(name_ + " cannot write although everything is healed");
}

net::Task<int64_t> WorldApp::read_number(const char* collection, const std::string& id) {
  Writer find;
  find.string("find", collection).open_document("filter").string("_id", id).close();
  const std::string command = find.finish();
  const WorldDriver::Answer answer = co_await driver_.read(command);
  if (answer.outcome != Outcome::kDone) co_return -1;
  const Document cursor = Document(answer.reply).find("cursor")->as_document();
  const auto first = cursor.find("firstBatch")->as_document().first();
  if (!first) co_return 0;
  const auto n = first->value.as_document().find("n");
  co_return n ? n->to_int64().value_or(0) : 0;
}

net::Task<void> WorldApp::look_at_cause() {
  const std::string whose = fmt::format("app{}", parts_.draw(1, kApps));
  const int64_t effect = co_await read_number(kEffects, whose);
  const int64_t cause = co_await read_number(kCauses, whose);
  if (effect < 0 || cause < 0 || cause >= effect) co_return;
  parts_.story.tell(name_,
                    fmt::format("sees the effect {} of {} without its cause", effect, whose));
  book_.say(
      fmt::format("{} saw effect {} of {} when its cause was {}", name_, effect, whose, cause));
}

// What exclude each other, what comes back after it was deleted, and all of it at once.
std::string WorldApp::wild_statement(std::string& what) {
  const std::string id = fmt::format("w{}", parts_.draw(1, 2 * kSharedDocuments));
  const std::string field = fmt::format("f{}", parts_.draw(1, 3));
  const int64_t value = parts_.draw(1, 1'000'000);
  const int64_t which = parts_.draw(1, 9);
  what = fmt::format("wild {} on {}.{} {}", which, id, field, value);
  switch (which) {
    case 1: {
      Writer document;
      document.string("_id", id).int64(field, value);
      return insert_command(parts_, kWild, document.finish());
    }
    case 2:
      return delete_command(parts_, kWild, id);
    case 3:
      return update_command(parts_, kWild, id, [&](Writer& out) { out.int64(field, value); });
    case 4:
      return update_command(
          parts_, kWild, id,
          [&](Writer& out) {
            out.open_document("$unset").string(field, "").close();
            out.open_document("$set").open_document("in").int64(field, value).close().close();
          },
          parts_.chance(50));
    case 5:
      return update_command(
          parts_, kWild, id,
          [&](Writer& out) { out.open_document("$inc").int64(field, value).close(); },
          parts_.chance(50));
    case 6:
      return update_command(parts_, kWild, id, [&](Writer& out) {
        out.open_document("$push").open_document("items").int64("n", value).close().close();
      });
    case 7:
    case 8:
      return update_command(
          parts_, kWild, id,
          [&](Writer& out) {
            const std::string item = fmt::format("items.{}.", parts_.draw(0, 2));
            out.open_document("$inc").int64(item + "n", value).close();
            out.open_document("$set").int64(item + field, value).close();
          },
          false);
    default:
      return update_command(
          parts_, kWild, id,
          [&](Writer& out) {
            out.open_document("$set").int64(field, value).int64("in." + field, value).close();
          },
          parts_.chance(50));
  }
}

net::Task<void> WorldApp::be_wild() {
  std::string what;
  const std::string command = wild_statement(what);
  const Outcome outcome = co_await send(command);
  tell(what, outcome);
}

net::Task<void> WorldApp::run_accounts() {
  constexpr int64_t kEveryMs = 20'000;
  constexpr int64_t kApartMsMax = 150;
  while (!is_over_) {
    const int64_t now_ms = parts_.time->now_us() / 1000;
    const int64_t pause_ms = kEveryMs - now_ms % kEveryMs + parts_.draw(0, kApartMsMax);
    co_await parts_.sleep_ms(pause_ms);
    const int64_t times = parts_.draw(0, 3);
    for (int64_t i = 0; i < times && !is_over_; ++i) co_await register_account();
  }
}

// Few keys, so that sites apart give one away twice; often one of its own, again and again.
std::string WorldApp::account_statement(std::string& what) {
  const int64_t number = parts_.draw(1, kAccountsMax);
  const std::string id = fmt::format("u{}", number);
  const std::string field = parts_.chance(70) ? "mail" : "phone";
  const int64_t key = parts_.chance(60) ? number % 5 + 1 : parts_.draw(1, 5);
  const int64_t which = parts_.draw(1, 9);
  what = fmt::format("account {} of {}.{} {}", which, id, field, key);
  switch (which) {
    case 1:
    case 2: {
      Writer document;
      document.string("_id", id).int64(field, key).string("from", name_);
      return insert_command(parts_, kAccounts, document.finish());
    }
    case 3:
    case 9:
      return delete_command(parts_, kAccounts, id);
    case 4:
      return update_command(
          parts_, kAccounts, id, [&](Writer& out) { out.int64(field, key).string("from", name_); },
          parts_.chance(50));
    case 5:
      return update_command(
          parts_, kAccounts, id,
          [&](Writer& out) { out.open_document("$unset").string(field, "").close(); }, false);
    case 6:
      return update_command(
          parts_, kAccounts, id,
          [&](Writer& out) { out.open_document("$inc").int64("n", 1).close(); }, false);
    default:
      return update_command(
          parts_, kAccounts, id,
          [&](Writer& out) { out.open_document("$set").int64(field, key).close(); },
          parts_.chance(50));
  }
}

net::Task<void> WorldApp::register_account() {
  std::string what;
  const std::string command = account_statement(what);
  const Outcome outcome = co_await send(command);
  tell(what, outcome);
}

net::Task<void> WorldApp::delete_accounts() {
  for (int i = 1; i <= kAccountsMax; ++i) {
    const std::string id = fmt::format("u{}", i);
    const std::string command = delete_command(parts_, kAccounts, id);
    const Outcome outcome = co_await send(command);
    tell("delete " + id, outcome);
  }
}

}  // namespace outrigger::world
