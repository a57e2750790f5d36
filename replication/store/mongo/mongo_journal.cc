#include "replication/store/mongo/mongo_journal.h"

namespace outrigger::mongo {
namespace {

// A set may be without a majority for long.
constexpr int32_t kMajorityMsMax = 5'000;
constexpr int64_t kWriteConcernTimeout = 64;

}  // namespace

Status Journal::wait(Of of) {
  const std::string step = "wait for the journal";
  auto of_kind = topology_.kind();
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  auto reply = delete_nothing(*of_kind, of);
  if (reply && !reply->ok && reply->code == kUnauthorized) {
    // Our user may not write everywhere. Anywhere will do.
    auto place = privileges_.somewhere_to_delete();
    if (!place) return tl::unexpected<Error>(place.error());
    nothing_ns_ = place->empty() ? kNobodysNamespace : std::move(*place);
    reply = delete_nothing(*of_kind, of);
  }
  if (!reply) {
    reply.error().step = step;
    return tl::unexpected<Error>(reply.error());
  }
  if (!reply->ok) {
    return tl::unexpected<Error>(client_.refusal(step, reply->code, reply->message));
  }
  for (const char* trouble : {"writeConcernError", "writeErrors"}) {
    if (!reply->document().has(trouble)) continue;
    const int64_t code = integer(sub(reply->document(), "writeConcernError"), "code");
    const bool is_late = code == kWriteConcernTimeout;
    if (!is_late) client_.drop();
    return fail(is_late ? ErrorCode::kTimeout : ErrorCode::kUnavailable, step, client_.name(),
                to_json(reply->document()), "it is tried again");
  }
  return {};
}

// A write that changes nothing is answered, as its concern asks, when all before it is there.
Result<CommandReply> Journal::delete_nothing(StoreKind of_kind, Of of) {
  const Names where = split(nothing_ns_);
  bson::Writer nothing;
  nothing.string("delete", where.collection).open_array("deletes").open_document("0");
  nothing.open_document("q").open_document("_id").open_array("$in").close().close().close();
  nothing.int32("limit", 1).close().close();
  nothing.open_document("writeConcern");
  const bool is_several = of_kind == StoreKind::kMultiMember;
  if (of_kind == StoreKind::kStandalone || (is_several && of == Of::kPrimary)) {
    nothing.int32("w", 1);
  } else {
    nothing.string("w", "majority");
  }
  if (is_several && of == Of::kMajority) nothing.int32("wtimeout", kMajorityMsMax);
  nothing.boolean("j", true).close();
  return client_.run(where.database, nothing.finish());
}

}  // namespace outrigger::mongo
