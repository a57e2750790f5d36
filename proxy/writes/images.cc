// Reads that only the capture needs: which documents a filter means, and documents around a write.
//
// They go over the app's own connection. Where the app's user may write and not read, mongod says
// so (13); then mongod is asked whether the write would be let in, and only if it would the
// sidecar's own user reads. Errors of a read are never taken for "there is nothing".
#include <algorithm>

#include "proxy/capture/reads.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/capture.h"

namespace outrigger {
namespace {

using bson::Document;

}  // namespace

std::optional<int64_t> Capture::time_left_ms() const {
  if (!deadline_us_) return std::nullopt;
  const int64_t left_us = *deadline_us_ - context_.clock.monotonic_us();
  return std::max<int64_t>(1, left_us / 1000);
}

bool Capture::is_out_of_time() const {
  return deadline_us_ && context_.clock.monotonic_us() >= *deadline_us_;
}

std::string Capture::out_of_time() {
  return wire::error_body(wire::code::kMaxTimeMsExpired, "operation exceeded time limit");
}

// For locks, at most as long as the app's command may take.
net::Task<bool> Capture::take(LockRequest& locks) {
  const bool taken = co_await wait_for_locks(context_, locks, deadline_us_);
  co_return taken;
}

net::Task<Capture::Read> Capture::read(std::string find, Visit visit, bool timed) {
  Read out;
  if (timed && is_out_of_time()) {
    out.end = Read::End::kVerdict;
    out.body = out_of_time();
    co_return out;
  }
  bson::Writer whole;
  whole.append_all(Document(find));
  const auto left_ms = timed ? time_left_ms() : std::nullopt;
  if (left_ms) whole.int64("maxTimeMS", *left_ms);
  whole.open_document("readConcern").string("level", "local").close();
  find = whole.finish();
  std::string body = find;
  for (;;) {
    bson::Writer sent;
    sent.append_all(Document(body)).string("$db", command_->database);
    const std::string command = sent.finish();
    std::string request = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(command));
    Result<std::string> reply = co_await backend_.call(std::move(request));
    if (!reply) co_return out;
    const auto parsed = wire::parse_op_msg_trusted(*reply);
    if (!parsed) co_return out;
    if (!is_ok(parsed->body)) {
      std::string refusal(parsed->body.bytes());
      std::string again;
      if (body == find) again = std::move(find);
      out = co_await refused_read(std::move(again), std::move(visit), std::move(refusal));
      co_return out;
    }
    const int64_t cursor = show_batch(parsed->body, visit);
    if (cursor == 0) break;
    bson::Writer more;
    more.int64("getMore", cursor).string("collection", command_->collection);
    body = more.finish();
  }
  backend_.can_read(command_->ns);
  out.end = Read::End::kDone;
  co_return out;
}

// mongod refused a read of ours on the app's connection. `find` is empty where a part of the answer
// was shown already.
net::Task<Capture::Read> Capture::refused_read(std::string find, Visit visit, std::string refusal) {
  Read out;
  out.body = std::move(refusal);
  const int code = wire::code_of(Document(out.body));
  out.end = Read::End::kRefused;
  if (code == wire::code::kMaxTimeMsExpired) {
    out.end = Read::End::kVerdict;  // in the words of a write that ran out of time
    out.body = with_times(out_of_time(), Document(out.body));
  }
  if (code != wire::code::kUnauthorized || find.empty()) co_return out;
  std::optional<std::string> no = co_await refusal_to_write();
  if (no) {
    out.end = no->empty() ? Read::End::kBroken : Read::End::kVerdict;
    out.body = std::move(*no);
    co_return out;
  }
  const std::string database(command_->database);
  std::function<Result<StoreFound>(Store&)> job = [database, find](Store& store) {
    return store.find(database, find);
  };
  Result<StoreFound> found = co_await context_.store.ask(std::move(job));
  if (!found) {
    context_.log->warn("{}", found.error().message());
    out.end = Read::End::kBroken;
    co_return out;
  }
  if (!found->refusal.empty()) {
    out.body = std::move(found->refusal);
    co_return out;
  }
  for (const std::string& document : found->documents) visit(Document(document));
  out.end = Read::End::kDone;
  co_return out;
}

// The images of a run are in memory together. Where they are many, mongod is asked first how large
// they are; what does not fit is left for the next run.
net::Task<Capture::Read> Capture::fit_images(Run& run) {
  const std::vector<const RunItem*> items = items_needing(run, Taken::kAfter);
  Read out{Read::End::kDone, {}};
  if (items.size() <= kUnaskedImagesMax) co_return out;
  Sizes sizes;
  Visit visit = [&sizes](const Document& document) { take_size(document, sizes); };
  std::string find = build_sizes_find(*command_, items);
  out = co_await read(std::move(find), std::move(visit), true);
  if (!out.done()) co_return out;
  const size_t fitting = fitting_items(run, sizes);
  if (fitting == run.items.size()) co_return out;
  run.items.resize(fitting);
  run.verbatim = false;
  co_return out;
}

net::Task<Capture::Read> Capture::read_images(std::vector<const RunItem*> items, Taken taken,
                                              Images& images) {
  std::string find = build_images_find(*command_, items, taken);
  Visit visit = [&images](const Document& document) { take_image(document, images); };
  Read out = co_await read(std::move(find), std::move(visit), taken == Taken::kBefore);
  if (out.end != Read::End::kDone && out.end != Read::End::kBroken) {
    context_.log->warn("documents of a write in {} cannot be read: {}", command_->ns,
                       bson::to_json(Document(out.body), 300));
  }
  co_return out;
}

}  // namespace outrigger
