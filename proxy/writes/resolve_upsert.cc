// An upsert whose filter found nothing inserts a document, and must know which.
#include <random>

#include "proxy/writes/capture.h"

namespace outrigger {
namespace {

// How often the filter is asked again, because somebody wrote in the collection meanwhile, before
// the collection is taken for oneself.
constexpr int kAsksMax = 10;

// Upserts of one filter go one after another: the second finds what the first inserted.
uint64_t filter_lock_key(const WriteCommand& command, const Statement& statement) {
  std::string text = "filter";
  text.append(statement.filter.bytes());
  return document_lock_key(command.ns, std::string_view(text));
}

// The _id that a filter gives to the document it inserts. Of other ways to name one ($and, $in)
// only mongod's answer tells.
std::optional<bson::Value> id_to_insert(const bson::Document& filter) {
  const auto named = filter.find("_id");
  if (named && named->type == bson::Type::kNull) return named;
  return filter_id(filter, true);
}

}  // namespace

std::string Capture::fresh_object_id() {
  // 4 bytes of seconds, 5 random bytes of this thread, 3 bytes counting: as drivers make them.
  struct Maker {
    std::array<char, 5> random{};
    uint32_t counter = 0;
    Maker() {
      std::random_device source;
      for (char& byte : random) byte = static_cast<char>(source());
      counter = source();
    }
  };
  thread_local Maker maker;
  const auto seconds = static_cast<uint32_t>(context_.clock.wall_ms() / 1000);
  const uint32_t count = ++maker.counter;
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(seconds >> shift));
  out.append(maker.random.data(), maker.random.size());
  for (int shift = 16; shift >= 0; shift -= 8) out.push_back(static_cast<char>(count >> shift));
  return out;
}

// What the statement inserts when nothing matches. Under an _id that is new it can only insert.
RunItem Capture::inserting_item(const Statement& statement) {
  RunItem item;
  item.statement = &statement;
  item.shape = read_update_shape(*statement.update, statement.array_filters.has_value());
  const std::optional<bson::Value> named = id_to_insert(statement.filter);
  if (item.shape->given_id) {
    item.id = bson::OwnedValue(*item.shape->given_id);
  } else if (named) {
    item.id = bson::OwnedValue(*named);
  } else {
    item.id = bson::OwnedValue(bson::Type::kObjectId, fresh_object_id());
    item.there = false;
  }
  item.key = bson::canonical_key(item.id.view());
  // mongod lets no filter name an _id twice, and inserts the one it names.
  if (!named) item.filter = narrow_filter(statement.filter, item.id.view());
  item.narrows_further = true;
  item.upsert = true;
  item.needs_after = true;
  return item;
}

net::Task<Capture::End> Capture::insert_by_upsert(const Statement& statement, uint64_t asked,
                                                  ReplyBuilder& reply) {
  Run run = new_run();
  run.items.push_back(inserting_item(statement));
  const uint64_t ns_key = namespace_lock_key(command_->ns);
  LockRequest locks;
  locks.add(ns_key, LockMode::kShared);
  locks.add(filter_lock_key(*command_, statement), LockMode::kExclusive);
  locks.add(document_lock_key(command_->ns, std::string_view(run.items.front().key)),
            LockMode::kExclusive);
  const bool locked = co_await take(locks);
  if (!locked) {
    reply.fail(out_of_time());
    co_return End::kDone;
  }
  int asks = 0;
  while (context_.locks.written_since(ns_key, asked) && ++asks <= kAsksMax) {
    Result<Found> found = co_await find(statement, 1);
    if (!found || !found->ids.empty()) {
      context_.locks.release(locks, Left::kNothing);
      co_return found || found.error().code == ErrorCode::kRefused ? End::kTryAgain : End::kBroken;
    }
    asked = found->asked;
  }
  if (asks > kAsksMax) {
    context_.locks.release(locks, Left::kNothing);
    co_return End::kNeedsAll;
  }
  ReplyBuilder tried(*command_);
  const End end = co_await execute_locked(run, tried);
  context_.locks.release(locks, run.left());
  // Another writer was first, and the filter will find its document; or the statement says or asks
  // something of _id, which mongod gives a new document last.
  if (end == End::kDone && tried.is_refused_surely()) co_return End::kNeedsAll;
  reply.absorb(std::move(tried));
  co_return end;
}

// The app's own upsert, with the collection to itself: what it inserts is known from the answer.
Run Capture::upsert_as_it_is(const Statement& statement) {
  Run run = new_run();
  RunItem item = inserting_item(statement);
  item.filter.clear();
  item.needs_after = false;
  run.items.push_back(std::move(item));
  return run;
}

}  // namespace outrigger
