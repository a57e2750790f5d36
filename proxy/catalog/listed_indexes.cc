#include "proxy/catalog/listed_indexes.h"

#include <set>

#include "proxy/mongo/wire/error_reply.h"
#include "replication/site/site_parts.h"
#include "replication/store/key_guard.h"

namespace outrigger {
namespace {

using bson::Document;

void append_shown(const bson::Value& batch, const std::string& ns, const RelaxedIndexes& relaxed,
                  bson::Writer& to) {
  std::set<std::string, std::less<>> names;
  size_t at = 0;
  for (const bson::Element& each : batch.as_document()) {
    if (each.value.type != bson::Type::kDocument) continue;
    const Document listed = each.value.as_document();
    names.emplace(index_name_of(listed));
    to.document(bson::index_name(at++), Document(relaxed.shown(ns, listed)));
  }
  for (const std::string& spec : relaxed.in(ns)) {
    if (names.contains(index_name_of(Document(spec)))) continue;
    to.document(bson::index_name(at++), Document(with_guard(Document(spec), KeyGuard::kAll)));
  }
}

std::string ask_for_all(const wire::OpMsg& parsed) {
  bson::Writer out;
  for (const bson::Element& each : parsed.body) {
    if (each.name != "cursor") out.element(each);
  }
  const std::string body = out.finish();
  return wire::build_op_msg(parsed.header.request_id, 0, 0, Document(body));
}

std::string with_relaxed_shown(std::string reply, const std::string& ns,
                               const RelaxedIndexes& relaxed) {
  const auto parsed = wire::parse_op_msg_trusted(reply);
  if (!parsed || !wire::is_ok(parsed->body)) return reply;
  bson::Writer out;
  for (const bson::Element& field : parsed->body) {
    if (field.name != "cursor" || field.value.type != bson::Type::kDocument) {
      out.element(field);
      continue;
    }
    out.open_document("cursor");
    for (const bson::Element& each : field.value.as_document()) {
      if (each.name != "firstBatch" || each.value.type != bson::Type::kArray) {
        out.element(each);
        continue;
      }
      out.open_array("firstBatch");
      append_shown(each.value, ns, relaxed, out);
      out.close();
    }
    out.close();
  }
  const std::string body = out.finish();
  return wire::build_op_msg(parsed->header.request_id, parsed->header.response_to, 0,
                            Document(body));
}

}  // namespace

bool lists_relaxed(const ProxyContext& context, const wire::OpMsg& parsed) {
  return parsed.command_name() == "listIndexes" && !parsed.more_to_come() &&
         !context.replica.parts().kept.shown().in(ns_of(parsed)).empty();
}

net::Task<Answer> list_indexes(const ProxyContext& context, Backend& backend,
                               const wire::OpMsg& parsed) {
  std::string message = ask_for_all(parsed);
  Result<std::string> reply = co_await backend.call(std::move(message));
  if (!reply) co_return Answer::close();
  const RelaxedIndexes& relaxed = context.replica.parts().kept.shown();
  std::string shown = with_relaxed_shown(std::move(*reply), ns_of(parsed), relaxed);
  co_return Answer::message(std::move(shown));
}

}  // namespace outrigger
