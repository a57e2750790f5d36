// Asking the store which documents a filter finds, and whether what it found still stands.
#include <set>

#include "config/limits.h"
#include "proxy/capture/reads.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/capture.h"

namespace outrigger {
namespace {

using bson::Document;

}  // namespace

net::Task<Result<std::vector<bson::OwnedValue>>> Capture::find_ids(
    const Statement& statement, size_t limit, const std::vector<bson::OwnedValue>* among) {
  std::vector<bson::OwnedValue> out;
  size_t bytes = 0;
  std::string find = build_ids_find(*command_, statement, limit, among);
  Visit visit = [&out, &bytes](const Document& document) {
    const auto id = document.find("_id");
    if (!id) return;
    bytes += sizeof(bson::OwnedValue) + id->bytes.size();
    if (bytes <= limits::kFoundBytesMax) out.emplace_back(*id);
  };
  Read seen = co_await read(std::move(find), std::move(visit), true);
  if (seen.done() && bytes <= limits::kFoundBytesMax) co_return out;
  if (seen.done()) {
    seen.end = Read::End::kVerdict;
    seen.body = wire::error_body(
        wire::code::kExceededMemoryLimit,
        "the filter finds more documents than Outrigger writes by one statement: " +
            std::to_string(out.size()) + "; write them by several narrower ones");
  }
  if (seen.end == Read::End::kBroken) {
    co_return fail(ErrorCode::kClosed, "find documents", command_->ns, "the connection ended");
  }
  const Document refusal(seen.body);
  const auto text = refusal.find("errmsg");
  find_error_code_ = wire::code_of(refusal);
  std::string reason = "the store refused the filter";
  if (text && text->type == bson::Type::kString) reason = text->as_string();
  if (seen.end == Read::End::kVerdict) verdict_ = std::move(seen.body);
  co_return fail(ErrorCode::kRefused, "", "", std::move(reason));
}

net::Task<Result<Capture::Found>> Capture::find(const Statement& statement, size_t limit) {
  Found found;
  found.asked = context_.locks.now();
  auto ids = co_await find_ids(statement, limit, nullptr);
  if (!ids) co_return tl::unexpected(ids.error());
  found.ids = std::move(*ids);
  co_return found;
}

bool Capture::was_touched(const bson::OwnedValue& id, uint64_t asked) const {
  return context_.locks.changed_since(document_lock_key(command_->ns, id.view()), asked) ||
         context_.locks.changed_since(namespace_lock_key(command_->ns), asked);
}

// Where somebody held a document since the filter was asked, its answer may be of another state of
// it. Then it is asked again, now that nobody else can hold it; the others keep what was found.
net::Task<Result<std::vector<bson::OwnedValue>>> Capture::those_that_stand(
    const Statement& statement, Found found) {
  std::vector<bson::OwnedValue> touched;
  for (const bson::OwnedValue& id : found.ids) {
    if (was_touched(id, found.asked)) touched.push_back(id);
  }
  if (touched.empty()) co_return std::move(found.ids);
  auto still = co_await find_ids(statement, 0, &touched);
  if (!still) co_return tl::unexpected(still.error());
  std::set<std::string> out;  // of the touched
  for (const bson::OwnedValue& id : touched) out.insert(bson::canonical_key(id.view()));
  // Under a collation others may be found that are equal to these.
  for (const bson::OwnedValue& id : *still) out.erase(bson::canonical_key(id.view()));
  std::vector<bson::OwnedValue> stand;
  for (bson::OwnedValue& id : found.ids) {
    if (out.count(bson::canonical_key(id.view())) == 0) stand.push_back(std::move(id));
  }
  co_return stand;
}

// The same for one document. With a sort the question is whether it still comes first.
net::Task<Result<bool>> Capture::still_chosen(const Statement& statement,
                                              const bson::OwnedValue& id) {
  std::vector<bson::OwnedValue> among;
  if (!statement.sort) among.push_back(id);
  const size_t limit = statement.sort ? 1 : 0;
  auto ids = co_await find_ids(statement, limit, statement.sort ? nullptr : &among);
  if (!ids) co_return tl::unexpected(ids.error());
  const std::string key = bson::canonical_key(id.view());
  co_return std::any_of(ids->begin(), ids->end(), [&](const bson::OwnedValue& found) {
    return bson::canonical_key(found.view()) == key;
  });
}

}  // namespace outrigger
