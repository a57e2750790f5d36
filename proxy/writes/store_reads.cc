#include "proxy/writes/store_reads.h"

#include <algorithm>
#include <set>

#include "config/limits.h"
#include "proxy/capture/run_plan.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/transactions/transaction.h"
#include "proxy/writes/run_settler.h"

namespace outrigger {
namespace {

using bson::Document;

FilterRefusal refusal_in(const Document& error) {
  FilterRefusal out;
  out.code = wire::code_of(error);
  const auto text = error.find("errmsg");
  if (text && text->type == bson::Type::kString) out.reason = text->as_string();
  return out;
}

}  // namespace

net::Task<Found> StoreReads::find(const Statement& statement, size_t limit) {
  std::string find = build_ids_find(request_.command, statement, limit, nullptr);
  Found found = co_await find_ids(std::move(find));
  co_return found;
}

net::Task<Found> StoreReads::find_among(const Statement& statement,
                                        const std::vector<bson::OwnedValue>& among) {
  std::string find = build_ids_find(request_.command, statement, 0, &among);
  Found found = co_await find_ids(std::move(find));
  co_return found;
}

net::Task<Found> StoreReads::find_ids(std::string find) {
  Found found;
  found.asked = context_.locks.now();
  size_t bytes = 0;
  std::vector<bson::OwnedValue>& ids = found.ids;
  Visit visit = [&ids, &bytes](const Document& document) {
    const auto id = document.find("_id");
    if (!id) return;
    bytes += sizeof(bson::OwnedValue) + id->bytes.size();
    if (bytes <= limits::kFoundBytesMax) ids.emplace_back(*id);
  };
  StoreRead seen = co_await read(std::move(find), std::move(visit), true);
  if (seen.end == StoreRead::End::kVerdict) found.verdict = std::move(seen.body);
  if (seen.end == StoreRead::End::kRefused) found.refusal = refusal_in(Document(seen.body));
  found.broken = seen.end == StoreRead::End::kBroken;
  if (seen.done() && bytes > limits::kFoundBytesMax) {
    found.verdict = wire::error_body(
        wire::code::kExceededMemoryLimit,
        "the filter finds more documents than Outrigger writes by one statement: " +
            std::to_string(found.ids.size()) + "; write them by several narrower ones");
  }
  co_return found;
}

// With a sort the question is whether it still comes first.
net::Task<std::optional<bool>> StoreReads::is_still_chosen(const Statement& statement,
                                                           const bson::OwnedValue& id) {
  Found found;
  if (statement.sort) {
    found = co_await find(statement, 1);
  } else {
    std::vector<bson::OwnedValue> among;
    among.push_back(id);
    found = co_await find_among(statement, among);
  }
  if (found.broken) co_return std::nullopt;
  const std::string key = bson::canonical_key(id.view());
  co_return found.is_known() &&
      std::any_of(found.ids.begin(), found.ids.end(), [&](const bson::OwnedValue& one) {
        return bson::canonical_key(one.view()) == key;
      });
}

net::Task<Found> StoreReads::those_that_stand(const Statement& statement, Found found) {
  std::vector<bson::OwnedValue> touched;
  for (const bson::OwnedValue& id : found.ids) {
    if (was_touched(id, found.asked)) touched.push_back(id);
  }
  if (touched.empty()) co_return found;
  Found still = co_await find_among(statement, touched);
  if (!still.is_known()) co_return still;
  std::set<std::string> gone;  // of the touched
  for (const bson::OwnedValue& id : touched) gone.insert(bson::canonical_key(id.view()));
  // Under a collation others may be found that are equal to these.
  for (const bson::OwnedValue& id : still.ids) gone.erase(bson::canonical_key(id.view()));
  Found stand;
  stand.asked = found.asked;
  for (bson::OwnedValue& id : found.ids) {
    if (gone.count(bson::canonical_key(id.view())) == 0) stand.ids.push_back(std::move(id));
  }
  co_return stand;
}

bool StoreReads::was_touched(const bson::OwnedValue& id, uint64_t asked) const {
  const std::string& ns = request_.command.ns;
  return context_.locks.changed_since(document_lock_key(ns, id.view()), asked) ||
         context_.locks.changed_since(namespace_lock_key(ns), asked);
}

net::Task<StoreRead> StoreReads::read_images(std::vector<const RunItem*> items, Taken taken,
                                             Images& images) {
  std::string find = build_images_find(request_.command, items, taken);
  Visit visit = [&images](const Document& document) { take_image(document, images); };
  StoreRead out = co_await read(std::move(find), std::move(visit), taken == Taken::kBefore);
  if (out.end != StoreRead::End::kDone && out.end != StoreRead::End::kBroken) {
    context_.log->warn("documents of a write in {} cannot be read: {}", request_.command.ns,
                       bson::to_json(Document(out.body), 300));
  }
  co_return out;
}

net::Task<StoreRead> StoreReads::read_sizes(std::vector<const RunItem*> items, Sizes& sizes) {
  std::string find = build_sizes_find(request_.command, items);
  Visit visit = [&sizes](const Document& document) { take_size(document, sizes); };
  StoreRead out = co_await read(std::move(find), std::move(visit), true);
  co_return out;
}

// `timed`: no longer than the app's command may take.
net::Task<StoreRead> StoreReads::read(std::string find, Visit visit, bool timed) {
  StoreRead out;
  const int64_t now_us = context_.clock.monotonic_us();
  if (timed && request_.is_out_of_time(now_us)) {
    out.end = StoreRead::End::kVerdict;
    out.body = out_of_time_body();
    co_return out;
  }
  bson::Writer whole;
  whole.append_all(Document(find));
  const auto left_ms = timed ? request_.time_left_ms(now_us) : std::nullopt;
  if (left_ms) whole.int64("maxTimeMS", *left_ms);
  Transaction* const transaction = request_.transaction;
  if (transaction == nullptr) whole.open_document("readConcern").string("level", "local").close();
  find = whole.finish();
  std::string body = find;
  for (;;) {
    bson::Writer sent;
    sent.append_all(Document(body)).string("$db", request_.command.database);
    if (transaction != nullptr) {
      const std::string naming = transaction->naming(request_.command.body, true);
      sent.append_all(Document(naming));
    }
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
      out = co_await read_refused(std::move(again), std::move(visit), std::move(refusal));
      co_return out;
    }
    const int64_t cursor = show_batch(parsed->body, visit);
    if (cursor == 0) break;
    bson::Writer more;
    more.int64("getMore", cursor).string("collection", request_.command.collection);
    body = more.finish();
  }
  backend_.can_read(request_.command.ns);
  out.end = StoreRead::End::kDone;
  co_return out;
}

// mongod refused a read of ours on the app's connection. `find` is empty where a part of the answer
// was shown already.
net::Task<StoreRead> StoreReads::read_refused(std::string find, Visit visit, std::string refusal) {
  StoreRead out;
  out.body = std::move(refusal);
  const int code = wire::code_of(Document(out.body));
  out.end = StoreRead::End::kRefused;
  if (code == wire::code::kMaxTimeMsExpired) {
    out.end = StoreRead::End::kVerdict;  // in the words of a write that ran out of time
    out.body = with_times(out_of_time_body(), Document(out.body));
  }
  if (request_.transaction != nullptr) {
    // Nobody else sees what a transaction sees. Labels tell how it ended.
    const bool ended = Document(out.body).has("errorLabels");
    if (ended || code == wire::code::kUnauthorized) out.end = StoreRead::End::kVerdict;
    co_return out;
  }
  if (code != wire::code::kUnauthorized || find.empty()) co_return out;
  std::optional<std::string> no = co_await refusals_.refusal_to_write(request_.command);
  if (no) {
    out.end = no->empty() ? StoreRead::End::kBroken : StoreRead::End::kVerdict;
    out.body = std::move(*no);
    co_return out;
  }
  const std::string database(request_.command.database);
  std::function<Result<StoreFound>(Store&)> job = [database, find](Store& store) {
    return store.find(database, find);
  };
  Result<StoreFound> found = co_await context_.store.ask(std::move(job));
  if (!found) {
    context_.log->warn("{}", found.error().message());
    out.end = StoreRead::End::kBroken;
    co_return out;
  }
  if (!found->refusal.empty()) {
    out.body = std::move(found->refusal);
    co_return out;
  }
  for (const std::string& document : found->documents) visit(Document(document));
  out.end = StoreRead::End::kDone;
  co_return out;
}

net::Task<StoreRead> StoreReads::count_measurements(Run& run) {
  struct Counted {
    std::vector<int64_t> equal;
    std::string process;
  };
  using Counts = Result<Counted>;
  std::vector<bson::Document> measurements;  // borrowed from the run, which waits
  for (const RunItem& item : run.items) measurements.push_back(inserted(item));
  std::string ns = request_.command.ns;
  std::function<Counts(Store&)> job = [ns, measurements](Store& store) -> Counts {
    auto equal = store.count_measurements(ns, measurements);
    if (!equal) return tl::unexpected(equal.error());
    if (Status alive = store.ping(); !alive) return tl::unexpected(alive.error());
    return Counted{std::move(*equal), store.process_id()};
  };
  Counts counted = co_await context_.store.ask(std::move(job));
  StoreRead out;
  out.end = counted ? StoreRead::End::kDone : StoreRead::End::kVerdict;
  if (!counted) out.body = wire::overloaded_body(counted.error().message());
  if (!counted) co_return out;
  // Started anew, it may lack some that are to be put back.
  if (backend_.process && counted->process != *backend_.process) {
    out.end = StoreRead::End::kBroken;
    co_return out;
  }
  const Birth birth = context_.birth();
  for (size_t i = 0; i < run.items.size(); ++i) {
    name_measurement(run.items[i], counted->equal[i], birth.id());
  }
  co_return out;
}

bool StoreReads::have_been_recorded(const Run& run) const {
  return run.is_of_series &&
         std::any_of(run.items.begin(), run.items.end(), [&](const RunItem& item) {
           return remembered(context_, request_, *item.statement).has_value();
         });
}

void look_at_row(const Replica& replica, const WriteCommand& command, RunItem& item) {
  const bool modifies = command.kind == CommandKind::kFindAndModify;
  if (!item.shape && !modifies) return;
  std::vector<const Path*> increments;
  std::vector<const Path*> pushes;
  // Of a version, which is told by the document after it, nobody asks what there was.
  if (item.shape && !item.shape->is_version) {
    for (const UpdateShape::Operation& op : item.shape->operations) {
      if (op.kind == Operation::kIncrement) increments.push_back(&op.path);
    }
    for (const auto& [path, edit] : item.shape->edits) {
      if (edit.appends) pushes.push_back(&path);
    }
  }
  const RowKnowledge known = replica.row_knowledge(command.ns, item.key, increments, pushes);
  item.set_aside = known.set_aside;
  if (!item.shape) return;
  item.opaque = known.opaque;
  item.needs_after = item.needs_after || known.opaque;
  const auto lacks = [](const std::vector<bool>& all) {
    return std::find(all.begin(), all.end(), false) != all.end();
  };
  item.needs_before =
      item.needs_before || lacks(known.base_is_known) || lacks(known.array_is_known);
}

bool is_replaced_by_diff(const RunItem& item) {
  return item.shape && item.shape->form == UpdateShape::Form::kDiff &&
         item.statement->update->type != bson::Type::kArray;
}

bool is_told_by_both(const RunItem& item) {
  return item.shape && (item.shape->form == UpdateShape::Form::kDiff || item.shape->is_version);
}

bool takes_two_images(const RunItem& item) {
  return item.needs_keys != nullptr || (item.needs_before && is_told_by_both(item));
}

bool any_edits_unknown(const Run& run) {
  return std::any_of(run.items.begin(), run.items.end(), [](const RunItem& item) {
    if (!item.shape) return false;
    return item.shape->edits_unknown() || (item.needs_before && !item.shape->edits.empty());
  });
}

}  // namespace outrigger
