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

constexpr size_t kBatchDocumentsMax = 1000;
constexpr size_t kBatchBytesMax = size_t{8} << 20;

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
  Failed failed = co_await check();
  if (!failed) failed = co_await target_.refusal();
  if (!failed) failed = co_await copy();
  if (failed && cursor_ != 0) co_await give_up_cursor();
  writing_ = false;
  if (failed) co_return std::move(*failed);
  const std::string body = answer_body();
  co_return Answer::body(with_times(body, Document(target_.last_answer())));
}

// mongod looks at all of it, rights included, and runs nothing.
net::Task<OutputWrite::Failed> OutputWrite::check() {
  std::string message = message_of(backend_, output_check_command(parsed_));
  Result<std::string> reply = co_await backend_.call(std::move(message));
  const auto said = answer_in(reply);
  if (!said) co_return Answer::close();
  if (!is_ok(said->body)) co_return Answer::message(std::move(*reply));
  target_.note_answer(said->body);
  if (read_level(parsed_) != "linearizable") co_return std::nullopt;
  co_return Answer::body(
      wire::error_body(wire::code::kInvalidOptions,
                       "$out and $merge cannot be used with a 'linearizable' read "
                       "concern"));
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
    append_reader(more, parsed_);
    const std::string body = more.string("$db", parsed_.database()).finish();
    message = message_of(backend_, body);
  } while (cursor_ != 0);
  Failed failed;
  if (is_out() && !others_removed_) failed = co_await target_.remove_all_but(written_);
  if (is_out() && !failed && taken_.empty()) failed = co_await target_.make();
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
  const bool waits = is_out() && cursor_ != 0 && held_bytes_ <= kHeldBytesMax;
  if (!failed && !waits) failed = co_await write_held();
  co_return failed;
}

OutputWrite::Failed OutputWrite::take(const Document& shown) {
  OutputDocument document = output_document(stage_, shown, context_.birth().id());
  const std::optional<OutputError> wrong = find_match_fields(stage_, document);
  if (wrong) return target_.fail_with(wrong->code, wrong->what);
  held_bytes_ += document.document.size() + document.on.size();
  if (document.variables) held_bytes_ += document.variables->size();
  held_.push_back(std::move(document));
  if (!is_out()) return std::nullopt;
  std::string key = key_of(held_.back());
  taken_bytes_ += 2 * (sizeof(key) + key.size());
  if (taken_bytes_ > limits::kFoundBytesMax) {
    return Answer::body(wire::error_body(
        wire::code::kExceededMemoryLimit,
        fmt::format("a $out of more documents than Outrigger keeps the _ids of: {}; write them by "
                    "several $merge",
                    taken_.size())));
  }
  if (taken_.insert(std::move(key)).second) return std::nullopt;
  const Document id(held_.back().on);
  Writer error;
  error.open_document("keyPattern").int32("_id", 1).close().document("keyValue", id);
  const std::string fields = error.finish();
  return target_.fail_with(
      wire::code::kDuplicateKey,
      fmt::format("E11000 duplicate key error collection: {} index: _id_ dup key: {}", stage_.ns(),
                  bson::to_json(id, 1000)),
      Document(fields));
}

net::Task<OutputWrite::Failed> OutputWrite::write_held() {
  Failed failed;
  if (stage_.looks_at_each()) failed = co_await write_each();
  for (size_t first = 0; !stage_.looks_at_each() && !failed && first < held_.size();) {
    size_t end = first;
    for (size_t bytes = 0; end < held_.size() && end - first < kBatchDocumentsMax; ++end) {
      bytes += held_[end].document.size();
      if (end > first && bytes > kBatchBytesMax) break;
    }
    failed = co_await write_batch(first, end);
  }
  held_.clear();
  held_bytes_ = 0;
  co_return failed;
}

// `first` becomes that of what is left.
net::Task<OutputWrite::Failed> OutputWrite::write_batch(size_t& first, size_t end) {
  const bool inserts = !is_out() && stage_.matched == OutputStage::Matched::kFail;
  const CommandKind kind = inserts ? CommandKind::kInsert : CommandKind::kUpdate;
  const std::span<const OutputDocument> documents =
      std::span<const OutputDocument>(held_).subspan(first, end - first);
  OutputTarget::Written written = co_await target_.write(kind, documents);
  if (is_out()) {
    for (const OutputDocument& each : documents.first(written.documents)) {
      written_.insert(key_of(each));
    }
  }
  if (is_out() && written.code == wire::code::kDuplicateKey && !others_removed_) {
    // An old document is in the way, which has no place in what is written.
    first += written.documents;
    others_removed_ = true;
    Failed failed = co_await target_.remove_all_but(written_);
    co_return failed;
  }
  first = end;
  if (written.failed) co_return std::move(written.failed);
  const bool is_short = written.n < static_cast<int64_t>(documents.size());
  if (stage_.missing != OutputStage::Missing::kFail || !is_short) co_return std::nullopt;
  co_return target_.fail_with(wire::code::kMergeStageNoMatchingDocument,
                              "$merge could not find a matching document in the target collection "
                              "for at least one document in the source collection");
}

// Of a pipeline that may find nothing, the answer must say so of each document.
net::Task<OutputWrite::Failed> OutputWrite::write_each() {
  for (const OutputDocument& each : held_) {
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

net::Task<void> OutputWrite::give_up_cursor() {
  Writer out;
  out.string("killCursors", read_ns_.substr(read_ns_.find('.') + 1));
  out.open_array("cursors").int64("0", cursor_).close();
  append_reader(out, parsed_);
  const std::string body = out.string("$db", parsed_.database()).finish();
  std::string message = message_of(backend_, body);
  const Result<std::string> ended = co_await backend_.call(std::move(message));
  if (!ended) context_.log->debug("{}", ended.error().message());
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
