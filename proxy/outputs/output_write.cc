#include "proxy/outputs/output_write.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "config/limits.h"
#include "proxy/capture/reads.h"
#include "proxy/mongo/wire/error_reply.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;

// A namespace of nobody's, for the locks of targets.
constexpr std::string_view kOutputLocks = "outrigger.output";
constexpr std::string_view kLate = "operation exceeded time limit";

std::string message_of(Backend& backend, const std::string& body) {
  return wire::build_op_msg(backend.next_request_id(), 0, 0, Document(body));
}

std::string key_of(const OutputDocument& each) {
  const auto id = Document(each.document).find("_id");
  return id ? bson::canonical_key(*id) : std::string();
}

std::string_view read_level(const wire::OpMsg& parsed) {
  const auto concern = parsed.body.find("readConcern");
  if (!concern || concern->type != bson::Type::kDocument) return {};
  const auto level = concern->as_document().find("level");
  return level && level->type == bson::Type::kString ? level->as_string() : std::string_view();
}

}  // namespace

net::Task<Answer> OutputWrite::run() {
  Failed failed = co_await check();  // of its maxTimeMS, too
  const auto limit = parsed_.body.find("maxTimeMS");
  const int64_t limit_ms = limit ? limit->to_int64().value_or(0) : 0;
  if (limit_ms > 0) deadline_us_ = context_.clock.monotonic_us() + limit_ms * 1000;
  const std::string ns = stage_.ns();
  const LockMode mode = is_out() ? LockMode::kExclusive : LockMode::kShared;
  LockRequest request({{document_lock_key(kOutputLocks, ns), mode}});
  HeldLocks locks;
  if (!failed) locks = co_await wait_for_locks(context_, request, deadline_us_);
  if (!failed && !locks) failed = target_.refuse(wire::code::kMaxTimeMsExpired, kLate);
  if (!failed && !backend_.is_open()) failed = Answer::close();  // its app did not wait
  if (!failed) failed = co_await target_.refusal();
  if (!failed) failed = co_await copy();
  if (failed && cursor_ != 0) {
    const size_t dot = read_ns_.find('.');
    std::string database = read_ns_.substr(0, dot);
    std::string collection = read_ns_.substr(dot + 1);
    co_await target_.give_up(cursor_, std::move(database), std::move(collection));
  }
  writing_ = false;
  if (failed) co_return std::move(*failed);
  const std::string body = answer_body();
  co_return Answer::body(with_times(body, Document(target_.last_answer())));
}

// mongod looks at all of it but the read concern, rights included, and runs nothing.
net::Task<OutputWrite::Failed> OutputWrite::check() {
  std::string message = message_of(backend_, output_check_command(parsed_));
  Result<std::string> reply = co_await backend_.call(std::move(message));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (!is_ok(said->body)) co_return Answer::message(std::move(*reply));
  target_.note_answer(said->body);
  if (read_level(parsed_) != "linearizable") co_return std::nullopt;
  const std::string refusal = wire::error_body(
      wire::code::kInvalidOptions,
      fmt::format("Command aggregate does not support {{ readConcern: {{ level: \"linearizable\", "
                  "provenance: \"clientSupplied\" }} }} :: caused by :: {} cannot be used with a "
                  "'linearizable' read concern level",
                  is_out() ? "$out" : "$merge"));
  co_return Answer::body(with_times(refusal, said->body));
}

net::Task<OutputWrite::Failed> OutputWrite::copy() {
  std::string message = message_of(backend_, output_read_command(parsed_, stage_));
  do {
    Result<std::string> reply = co_await backend_.call(std::move(message));
    const auto said = answer_in(reply);
    if (!said || !is_ok(said->body)) cursor_ = 0;
    if (!said) co_return Answer::close();
    if (!is_ok(said->body)) co_return Answer::message(std::move(*reply));
    target_.note_answer(said->body);
    Failed failed = co_await take_batch(said->body);
    if (failed) co_return failed;
    Writer more;
    more.int64("getMore", cursor_).string("collection", read_ns_.substr(read_ns_.find('.') + 1));
    // No more than is written before the cursor is asked again: it waits for some minutes only.
    if (!is_out()) more.int32("batchSize", static_cast<int32_t>(limits::kOutputBatchMax));
    append_reader(more, parsed_);
    const std::string body = more.string("$db", parsed_.database()).finish();
    message = message_of(backend_, body);
  } while (cursor_ != 0);
  Failed failed;
  if (is_out()) failed = co_await finish_out();
  co_return failed;
}

// Everything is read.
net::Task<OutputWrite::Failed> OutputWrite::finish_out() {
  const size_t count = held_.size();
  Failed failed = co_await write_held();
  if (!failed) failed = co_await target_.is_the_same();
  if (!failed) failed = co_await target_.remove_all_but(taken_);
  if (!failed && count == 0) failed = co_await target_.make();
  if (!failed) failed = co_await target_.is_the_same();
  co_return failed;
}

net::Task<OutputWrite::Failed> OutputWrite::take_batch(const Document& reply) {
  Failed failed;
  const Visit visit = [this, &failed](const Document& each) {
    if (!failed) failed = take(each);
  };
  const auto results = reply.find("results");
  if (stage_.is_map_reduce && results && results->type == bson::Type::kArray) {
    for (const bson::Element& each : results->as_document()) visit(each.value.as_document());
  } else {
    cursor_ = show_batch(reply, visit);
    const auto cursor = reply.find("cursor");
    const bool is_one = cursor && cursor->type == bson::Type::kDocument;
    const auto ns = is_one ? cursor->as_document().find("ns") : std::nullopt;
    if (ns && ns->type == bson::Type::kString) read_ns_ = ns->as_string();
  }
  if (!failed && !is_out()) {
    failed = co_await write_held();
    let_go();
  }
  co_return failed;
}

OutputWrite::Failed OutputWrite::take(const Document& shown) {
  OutputDocument document = output_document(stage_, shown, context_.birth().id());
  const std::optional<OutputError> wrong = find_match_fields(stage_, document);
  if (wrong) return target_.fail_with(wrong->code, wrong->what);
  Failed failed;
  if (is_out()) {
    // A _id is noted twice, and each costs a node and its place besides its bytes.
    const size_t bytes = document.bytes() + 2 * (document.on.size() + 64);
    held_bytes_ += bytes;
    if (context_.output_bytes.fetch_add(bytes) + bytes > limits::kOutputsBytesMax) {
      return target_.refuse(
          wire::code::kExceededMemoryLimit,
          fmt::format("what $out gives is more than Outrigger holds at once, {} MiB for all: write "
                      "it by several, or by $merge",
                      limits::kOutputsBytesMax >> 20));
    }
    failed = note_id(document);
  }
  held_.push_back(std::move(document));
  return failed;
}

OutputWrite::Failed OutputWrite::note_id(const OutputDocument& document) {
  if (taken_.insert(key_of(document)).second) return std::nullopt;
  const Document id(document.on);
  Writer error;
  error.open_document("keyPattern").int32("_id", 1).close().document("keyValue", id);
  const std::string fields = error.finish();
  return target_.fail_with(
      wire::code::kDuplicateKey,
      fmt::format("E11000 duplicate key error collection: {} index: _id_ dup key: {}", stage_.ns(),
                  bson::to_json(id, 1000)),
      Document(fields));
}

void OutputWrite::let_go() {
  context_.output_bytes.fetch_sub(held_bytes_);
  held_bytes_ = 0;
  held_.clear();
}

// What has begun to take the place of another is not left half-way for that.
bool OutputWrite::is_late() const {
  return deadline_us_ && context_.clock.monotonic_us() > *deadline_us_ && !(is_out() && writing_);
}

net::Task<OutputWrite::Failed> OutputWrite::write_held() {
  Failed failed;
  if (is_late()) co_return target_.refuse(wire::code::kMaxTimeMsExpired, kLate);
  if (stage_.looks_at_each()) {
    failed = co_await write_each();
    co_return failed;
  }
  for (size_t first = 0; first < held_.size() && !failed;) {
    failed = co_await write_batch(first, batch_end(first));
    if (!failed && is_late()) failed = target_.refuse(wire::code::kMaxTimeMsExpired, kLate);
  }
  co_return failed;
}

size_t OutputWrite::batch_end(size_t first) const {
  const size_t of_each = stage_.pipeline.bytes.size();
  size_t end = first;
  for (size_t bytes = 0; end < held_.size() && end - first < limits::kOutputBatchMax; ++end) {
    bytes += held_[end].bytes() + of_each;
    if (end > first && bytes > limits::kOutputBatchBytesMax) break;
  }
  return end;
}

// `first` becomes that of what is left.
net::Task<OutputWrite::Failed> OutputWrite::write_batch(size_t& first, size_t end) {
  // What is new is inserted, and needs no looking for.
  const bool inserts = is_out() ? target_.is_new() : stage_.matched == OutputStage::Matched::kFail;
  const CommandKind kind = inserts ? CommandKind::kInsert : CommandKind::kUpdate;
  const std::span<const OutputDocument> documents =
      std::span<const OutputDocument>(held_).subspan(first, end - first);
  OutputTarget::Written written = co_await target_.write(kind, documents);
  if (is_out() && written.failed) {
    first += written.documents;
    Failed failed = co_await make_room(written, first);
    co_return failed;
  }
  const bool is_first = first == 0;
  first = end;
  if (written.failed) co_return std::move(written.failed);
  if (is_out() && is_first) {  // from now on it is known which collection that is
    Failed failed = co_await target_.is_the_same();
    co_return failed;
  }
  const bool is_short = written.n < static_cast<int64_t>(documents.size());
  if (stage_.missing != OutputStage::Missing::kFail || !is_short) co_return std::nullopt;
  co_return target_.fail_with(wire::code::kMergeStageNoMatchingDocument,
                              "$merge could not find a matching document in the target collection "
                              "for at least one document in the source collection");
}

// An old document may be in the way of the one at `end`: it has its key, or its _id is this one
// under the collection's collation. It has no place in what is written, or is written anew later.
net::Task<OutputWrite::Failed> OutputWrite::make_room(OutputTarget::Written& written, size_t end) {
  const bool is_id = written.code == wire::code::kImmutableField;
  if (!is_id && written.code != wire::code::kDuplicateKey) co_return std::move(written.failed);
  for (; written_end_ < end; ++written_end_) written_.insert(key_of(held_[written_end_]));
  const std::string holder = is_id ? held_[end].on : written.holder;
  Answer why = std::move(*written.failed);
  Failed failed = co_await target_.remove_holders(holder, written_, std::move(why));
  co_return failed;
}

// Of a pipeline that may find nothing, the answer must say so of each document.
net::Task<OutputWrite::Failed> OutputWrite::write_each() {
  for (const OutputDocument& each : held_) {
    if (is_late()) co_return target_.refuse(wire::code::kMaxTimeMsExpired, kLate);
    const std::span<const OutputDocument> one(&each, 1);
    OutputTarget::Written written = co_await target_.write(CommandKind::kUpdate, one);
    if (written.failed) co_return std::move(written.failed);
    if (written.n > 0) continue;
    OutputTarget::Written made = co_await target_.write(CommandKind::kInsert, one);
    if (!made.failed) continue;
    if (made.code != wire::code::kDuplicateKey) co_return std::move(made.failed);
    // Somebody else was sooner; then there is something to update. Or it is another key.
    written = co_await target_.write(CommandKind::kUpdate, one);
    if (written.failed) co_return std::move(written.failed);
    if (written.n == 0) co_return std::move(made.failed);
  }
  co_return std::nullopt;
}

std::string OutputWrite::answer_body() const {
  Writer out;
  if (stage_.is_map_reduce && stage_.database == parsed_.database()) {
    out.string("result", stage_.collection);
  } else if (stage_.is_map_reduce) {
    out.open_document("result").string("db", stage_.database);
    out.string("collection", stage_.collection).close();
  } else {
    out.open_document("cursor").open_array("firstBatch").close();
    out.int64("id", 0).string("ns", read_ns_).close();
  }
  const std::optional<std::string>& concern_error = target_.concern_error();
  if (concern_error) out.document("writeConcernError", Document(*concern_error));
  return out.real("ok", 1.0).finish();
}

}  // namespace outrigger
