#include "replication/store/mongo/mongo_journal.h"

namespace outrigger::mongo {

Status Journal::wait() {
  const std::string step = "wait for the journal";
  auto of_kind = topology_.kind();
  if (!of_kind) return tl::unexpected<Error>(of_kind.error());
  auto reply = delete_nothing(*of_kind);
  if (reply && !reply->ok && reply->code == kUnauthorized) {
    // Our user may not write everywhere. Anywhere will do.
    auto place = privileges_.somewhere_to_delete();
    if (!place) return tl::unexpected<Error>(place.error());
    nothing_ns_ = place->empty() ? kNobodysNamespace : std::move(*place);
    reply = delete_nothing(*of_kind);
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
    client_.drop();
    return fail(ErrorCode::kUnavailable, step, client_.name(), to_json(reply->document()),
                "it is tried again");
  }
  return {};
}

// A write that changes nothing is answered, as its concern asks, when all before it is there.
Result<CommandReply> Journal::delete_nothing(StoreKind of_kind) {
  const Names where = split(nothing_ns_);
  bson::Writer nothing;
  nothing.string("delete", where.collection).open_array("deletes").open_document("0");
  nothing.open_document("q").open_document("_id").open_array("$in").close().close().close();
  nothing.int32("limit", 1).close().close();
  nothing.open_document("writeConcern");
  if (of_kind == StoreKind::kStandalone) {
    nothing.int32("w", 1);
  } else {
    nothing.string("w", "majority");
  }
  nothing.boolean("j", true).close();
  return client_.run(where.database, nothing.finish());
}

}  // namespace outrigger::mongo
