#include "proxy/writes/capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;

std::string unsupported(const std::string& what, std::string_view why) {
  return wire::error_body(wire::code::kCommandNotSupported,
                          fmt::format("{} is not replicated by Outrigger yet: {}", what, why));
}

// How often a collection may turn out to be another one while a command runs.
constexpr int kMadeAnewMax = 5;

// The run says what the app's own message says: it can go out as it came.
bool says_the_same(const Run& run, const WriteCommand& command) {
  if (run.items.size() != command.statements.size() || command.unacknowledged ||
      !waits_for_journal(command)) {
    return false;
  }
  return std::all_of(run.items.begin(), run.items.end(), [](const RunItem& item) {
    return item.filter.empty() && item.document.empty() && !item.upsert_changed &&
           !item.collates_simply && !item.drops_collation && !item.statement->multi;
  });
}

}  // namespace

net::Task<Capture::Answer> Capture::run(std::string_view message, const wire::OpMsg& parsed,
                                        CommandKind kind, bool is_strangers) {
  Answer answer;
  wire::WireResult<WriteCommand> command = parse_write(parsed, kind);
  if (!command) {
    answer = co_await refuse_as_the_store(parsed, kind, command.error());
    co_return answer;
  }
  command_ = &*command;
  parsed_ = &parsed;
  original_ = message;
  if (is_strangers) {
    std::optional<std::string> no = co_await refusal_to_write();
    if (no && no->empty()) answer.kind = Answer::Kind::kClose;
    if (no) answer.bytes = std::move(*no);
    if (no) co_return answer;
  }
  if (!context_.policy.replicates(command->ns)) {
    context_.metrics.refused_unsupported.Increment();
    wire::WireError ours;
    ours.code = wire::code::kCommandNotSupported;
    ours.message = fmt::format("a write to {} is not replicated by Outrigger yet: {}", command->ns,
                               command->database == "outrigger"
                                   ? "that database is the sidecar's own"
                                   : "collections of the system mean another thing at every site");
    answer = co_await refuse_as_the_store(parsed, kind, std::move(ours));
    co_return answer;
  }
  if (command->session.in_transaction) {
    context_.metrics.refused_transaction.Increment();
    answer.bytes = unsupported("a write in a transaction",
                               "transactions may read; send their writes one by one");
    co_return answer;
  }
  const Status admitted = context_.replica.admit();
  if (!admitted) {
    context_.metrics.refused_unavailable.Increment();
    answer.bytes = wire::overloaded_body(admitted.error().message());
    co_return answer;
  }
  if (command->max_time_ms > 0) {
    deadline_us_ = context_.clock.monotonic_us() + command->max_time_ms * 1000;
  }
  if (command->session.txn_number) {
    const bool known = co_await learn_user(command->session);
    if (!known) {
      answer.kind = Answer::Kind::kClose;
      co_return answer;
    }
  }
  std::optional<Answer> refused = co_await refuse_by_facts();
  if (refused) co_return std::move(*refused);
  Answer done = co_await run_statements();
  co_return done;
}

net::Task<std::optional<Capture::Answer>> Capture::refuse_by_facts() {
  CollectionInfo info;
  Answer answer;
  facts_forgotten_ = context_.facts.forgotten(command_->ns);
  if (const CollectionInfo* known = context_.facts.known(command_->ns)) {
    info = *known;
  } else {
    Result<CollectionInfo> learned = co_await context_.facts.learn(command_->ns);
    if (!learned && learned.error().code == ErrorCode::kRefused) {
      // mongod will not even look at such a name: it says so of the command, too.
      wire::WireError ours;
      ours.code = wire::code::kInvalidNamespace;
      ours.message = fmt::format("Invalid namespace specified '{}'", command_->ns);
      answer = co_await refuse_as_the_store(*parsed_, command_->kind, std::move(ours));
      co_return answer;
    }
    if (!learned) {
      context_.metrics.refused_unavailable.Increment();
      answer.bytes = wire::overloaded_body(learned.error().message());
      co_return answer;
    }
    info = *learned;
  }
  simple_collation_ = info.simple_collation;
  uuid_.clear();
  const bool knows_guard = context_.knows_uuids && command_->kind != CommandKind::kFindAndModify;
  if (knows_guard && !command_->strict_api) uuid_ = info.uuid;
  if (info.type == CollectionInfo::Type::kView) {
    answer.kind = Answer::Kind::kPass;  // mongod refuses it, in its own words
    co_return answer;
  }
  std::string_view why;
  if (info.capped) why = "a capped collection evicts documents on its own at every site";
  if (info.type == CollectionInfo::Type::kTimeSeries) why = "it is a time-series collection";
  if (why.empty()) co_return std::nullopt;
  context_.metrics.refused_unsupported.Increment();
  answer.bytes = unsupported("a write to " + command_->ns, why);
  co_return answer;
}

// A command that mongod refuses as a whole must not be run in part.
net::Task<std::optional<Capture::Answer>> Capture::refuse_in_one_piece(std::optional<Run>& whole) {
  const std::vector<Statement>& statements = command_->statements;
  if (statements.size() == 1) co_return std::nullopt;
  Run run = gather(0);
  if (run.items.size() == statements.size()) {
    whole = std::move(run);
    co_return std::nullopt;
  }
  std::optional<Answer> refused = co_await refused_whole();
  co_return refused;
}

net::Task<Capture::Answer> Capture::run_statements() {
  ReplyBuilder reply(*command_);
  std::optional<Answer> early = co_await answer_retry(reply);
  std::optional<Run> whole;
  if (!early) early = co_await refuse_in_one_piece(whole);
  if (early) co_return std::move(*early);
  const std::vector<Statement>& statements = command_->statements;
  size_t next = 0;
  int anew = 0;
  while (next < statements.size()) {
    const size_t first = next;
    const Statement& statement = statements[next];
    End end = End::kDone;
    const std::optional<std::string> known = remembered(statement);
    if (known) {
      whole.reset();
      ++next;
      // After a crash nobody but mongod knows the document a findAndModify gave.
      const bool answers =
          command_->kind != CommandKind::kFindAndModify || Document(*known).has("reply");
      if (answers) reply.add_remembered(Document(*known), statement.index);
      if (!answers) end = co_await ask_again(statement, reply);
    } else {
      Run run = whole ? std::move(*whole) : gather(next);
      whole.reset();
      const bool is_direct = !run.items.empty();
      if (is_direct) end = co_await execute(run, reply);
      if (!is_direct) end = co_await execute_resolved(statement, reply);
      next += is_direct ? run.items.size() : 1;
    }
    if (end == End::kBroken) {
      Answer answer;
      answer.kind = Answer::Kind::kClose;
      co_return answer;
    }
    if (end == End::kAnotherCollection) {
      next = first;
      if (++anew > kMadeAnewMax) {
        reply.fail(wire::overloaded_body(command_->ns + " is made anew again and again"));
        break;
      }
      std::optional<Answer> refused = co_await refuse_by_facts();
      if (refused) co_return std::move(*refused);
      continue;
    }
    anew = 0;
    if (reply.failed() || (command_->ordered && reply.has_errors())) break;
  }
  Answer answer = co_await finish(reply);
  co_return answer;
}

std::optional<std::string> Capture::remembered(const Statement& statement) const {
  const AppSession& session = command_->session;
  if (!session.txn_number || session.lsid_id.empty() || !session_is_own_) return std::nullopt;
  Result<std::optional<std::string>> found = context_.replica.retry(retry_key(
      command_->ns, session.lsid_id, session.user, *session.txn_number, statement.stmt_id));
  if (!found || !found->has_value() || (*found)->empty()) return std::nullopt;
  return std::move(*found);
}

bool Capture::compares_simply(const Statement& statement) const {
  if (!statement.has_collation) return simple_collation_;
  const auto locale = statement.collation.find("locale");
  return locale && locale->type == bson::Type::kString && locale->as_string() == "simple";
}

std::optional<RunItem> Capture::direct_item(const Statement& statement) {
  RunItem item;
  item.statement = &statement;
  // mongod refuses it; without `multi` it would run.
  if (statement.multi && command_->session.txn_number) return std::nullopt;
  if (command_->kind == CommandKind::kInsert) {
    if (!is_complete_insert(statement.raw)) complete(item);
    const Document document = item.document.empty() ? statement.raw : Document(item.document);
    item.id = bson::OwnedValue(*document.find("_id"));
  } else {
    const auto id = filter_id(statement.filter, compares_simply(statement));
    if (!id) return std::nullopt;
    item.id = bson::OwnedValue(*id);
    // Nothing makes sure that the collection still compares as we were told: this does.
    item.collates_simply = uuid_.empty() && !statement.has_collation && is_collated(*id);
    item.narrows_further = ++statement.filter.begin() != statement.filter.end();
  }
  item.key = bson::canonical_key(item.id.view());
  item.upsert = statement.upsert;
  if (!statement.remove && statement.update) {
    item.shape = read_update_shape(*statement.update, statement.array_filters.has_value());
    const bool literal = item.shape->form == UpdateShape::Form::kLiteral;
    item.needs_after = !literal || item.upsert;
    item.needs_before = item.shape->form == UpdateShape::Form::kDiff;
    if (command_->kind == CommandKind::kFindAndModify) item.needs_after = true;
    // mongod refuses such an update; without `multi` it would run.
    if (statement.multi && item.shape->form == UpdateShape::Form::kReplacement) return std::nullopt;
  }
  return item;
}

void Capture::complete(RunItem& item) {
  const Statement& statement = *item.statement;
  bool changed = false;
  const auto now_s = static_cast<uint32_t>(context_.clock.wall_ms() / 1000);
  std::string document = complete_insert(statement.raw, fresh_object_id(), now_s,
                                         static_cast<uint32_t>(statement.index) + 1, &changed);
  if (changed) item.document = std::move(document);
}

// Statements that must be alone: their answer, or an image of 16 MB, is theirs only.
static bool is_alone(const RunItem& item) {
  return item.upsert || item.narrows_further || item.needs_before;
}

Run Capture::new_run() const {
  Run run;
  run.command = command_;
  run.uuid = uuid_;
  return run;
}

Run Capture::gather(size_t first) {
  Run run = new_run();
  // Names of documents in `items`, which stay where they are.
  std::unordered_set<std::string_view> keys;
  const size_t most = std::min(command_->statements.size() - first, kRunStatementsMax);
  size_t bytes = 0;
  for (size_t i = first; i < command_->statements.size(); ++i) {
    const Statement& statement = command_->statements[i];
    if (run.items.size() == kRunStatementsMax || bytes > kRunBytesMax) break;
    if (i > first && remembered(statement)) break;
    std::optional<RunItem> item = direct_item(statement);
    if (!item || (i > first && is_alone(*item)) || keys.count(item->key) > 0) break;
    bytes += statement.raw.bytes().size();
    run.items.push_back(std::move(*item));
    if (is_alone(run.items.back()) || most == 1) break;
    if (i == first) {
      run.items.reserve(most);
      keys.reserve(most);
    }
    keys.insert(run.items.back().key);
  }
  // mongod answers nothing to what says that more is to come.
  run.verbatim = !run.items.empty() && !parsed_->more_to_come() && says_the_same(run, *command_);
  return run;
}

net::Task<Capture::Answer> Capture::finish(ReplyBuilder& reply) {
  Answer answer;
  if (durable_) {
    const std::shared_ptr<net::OneShot<Status>> durable = std::move(durable_);
    const Status synced = co_await durable->wait();
    if (!synced) {
      context_.log->error("a write is not acknowledged: {}", synced.error().message());
      answer.kind = Answer::Kind::kClose;
      co_return answer;
    }
  }
  if (reply_is_whole_ && !reply.failed()) {
    answer.kind = Answer::Kind::kMessage;
    answer.bytes = std::move(store_reply_);
    co_return answer;
  }
  answer.bytes = reply.finish();
  co_return answer;
}

}  // namespace outrigger
