#include "proxy/capture/doubt.h"

#include <algorithm>

#include "proxy/mongo/wire/error_reply.h"
#include "replication/store/store_errors.h"

namespace outrigger {
namespace {

using bson::Document;

bool may_have_happened(const Run& run, const Document& error) {
  const bool projects =
      run.command->kind == CommandKind::kFindAndModify && run.command->body.has("fields");
  const int32_t code = wire::code_of(error);
  const StoreErrorKind kind =
      projects ? store_error_kind_behind_projection(code) : store_error_kind(code);
  return kind == StoreErrorKind::kMayHaveHappened;
}

// Said of a whole run: did any of it happen? An answer that grew too large is refused behind the
// writes it is about.
bool any_may_have_happened(const Run& run, const Document& refusal) {
  constexpr int32_t kTooLarge = 10334;
  return may_have_happened(run, refusal) ||
         (run.items.size() > 1 && wire::code_of(refusal) == kTooLarge);
}

const RunReply::WriteError* error_of(const RunReply& reply, size_t item) {
  for (const RunReply::WriteError& error : reply.errors) {
    if (error.item == item) return &error;
  }
  return nullptr;
}

bool is_upserted(const RunReply& reply, size_t item) {
  return std::any_of(reply.upserted.begin(), reply.upserted.end(),
                     [&](const RunReply::Upserted& entry) { return entry.item == item; });
}

// The item was matched, as far as the answer says, and its record needs an image that is missing.
bool lacks_an_image(const Run& run, const RunReply& reply, size_t at, const Images& before,
                    const Images& after) {
  const RunItem& item = run.items[at];
  if (!item.shape || reply.n == 0 || is_upserted(reply, at)) return false;
  const bool is_there = after.count(item.key) > 0;
  if (needs_unplanned_after_images(run, reply) && !is_there) return false;  // it matched nothing
  const bool lacks_after = item.needs_after && !is_there;
  const bool lacks_before = item.needs_before && before.count(item.key) == 0;
  return lacks_after || lacks_before;
}

}  // namespace

std::vector<size_t> doubtful_items(const Run& run, const RunReply& reply, const Images& before,
                                   const Images& after) {
  std::vector<size_t> out;
  bool is_over = false;  // mongod stopped at an error
  for (size_t i = 0; i < run.items.size() && !is_over; ++i) {
    const RunItem& item = run.items[i];
    if (!reply.ok) {
      if (any_may_have_happened(run, reply.body)) out.push_back(i);
      continue;
    }
    const RunReply::WriteError* error = error_of(reply, i);
    is_over = error != nullptr && run.stops_at_error();
    if (item.recorded) continue;
    const bool doubtful =
        error ? may_have_happened(run, error->error) : lacks_an_image(run, reply, i, before, after);
    if (doubtful) out.push_back(i);
  }
  return out;
}

bool is_refused_surely(const Run& run, const RunReply& reply) {
  if (!reply.ok) return !any_may_have_happened(run, reply.body);
  return std::none_of(
      reply.errors.begin(), reply.errors.end(),
      [&](const RunReply::WriteError& error) { return may_have_happened(run, error.error); });
}

Run run_of_one(const Run& run, const RunItem& item) {
  Run out;
  out.command = run.command;
  out.rules = run.rules;
  out.items.push_back(item);
  return out;
}

RunReply reply_of_one() {
  RunReply out;
  out.ok = true;
  out.n = out.modified = 1;
  return out;
}

bool met_another_collection(const RunReply& reply) {
  const auto is_so = [](const Document& error) {
    const auto text = error.find("errmsg");
    const bool has_text = text && text->type == bson::Type::kString;
    const int32_t code = wire::code_of(error);
    return code == wire::code::kCollectionUuidMismatch ||
           (has_text && store_refuses_names(code, text->as_string()));
  };
  if (!reply.ok) return is_so(Document(reply.body));
  return reply.n == 0 && !reply.errors.empty() &&
         std::all_of(reply.errors.begin(), reply.errors.end(),
                     [&](const RunReply::WriteError& error) { return is_so(error.error); });
}

}  // namespace outrigger
