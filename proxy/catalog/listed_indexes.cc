#include "proxy/catalog/listed_indexes.h"

#include <set>

#include "proxy/mongo/wire/error_reply.h"
#include "replication/site/site_parts.h"
#include "replication/store/key_guard.h"

namespace outrigger {
namespace {

using bson::Document;

// In which form mongod lists indexes.
enum class Form : uint8_t {
  kSpecs,
  kBuildUuids,  // one that is being built is {spec, buildUUID}
  kBuildInfo,   // each is {spec, and what is known of its build}
};

bool is_asked_for(const wire::OpMsg& parsed, std::string_view name) {
  const auto value = parsed.body.find(name);
  return value && value->truthy();
}

Form form_of(const wire::OpMsg& parsed) {
  if (is_asked_for(parsed, "includeIndexBuildInfo")) return Form::kBuildInfo;
  return is_asked_for(parsed, "includeBuildUUIDs") ? Form::kBuildUuids : Form::kSpecs;
}

class Listing {
 public:
  Listing(Form form, bson::Writer& to) : form_(form), to_(to) {}

  void as_it_is(const Document& listed) { to_.document(bson::index_name(at_++), listed); }
  void as_there(const std::string& spec) {
    const std::string name = bson::index_name(at_++);
    if (form_ != Form::kBuildInfo) to_.document(name, Document(spec));
    if (form_ == Form::kBuildInfo) to_.open_document(name).document("spec", Document(spec)).close();
  }

 private:
  const Form form_;
  bson::Writer& to_;
  size_t at_ = 0;
};

// One that this site has relaxed is there, also while it is being made anew.
void append_shown(const bson::Value& batch, const std::string& ns, const RelaxedIndexes& relaxed,
                  Listing to) {
  std::set<std::string, std::less<>> names;
  for (const bson::Element& each : batch.as_document()) {
    if (each.value.type != bson::Type::kDocument) continue;
    const Document listed = each.value.as_document();
    const auto wrapped = listed.find("spec");
    const bool is_wrapped = wrapped && wrapped->type == bson::Type::kDocument;
    const Document spec = is_wrapped ? wrapped->as_document() : listed;
    names.emplace(index_name_of(spec));
    const auto known = relaxed.find(ns, index_name_of(spec));
    const bool is_relaxed = known && is_same_index(Document(*known), spec);
    if (is_relaxed) to.as_there(relaxed.shown(ns, spec));
    if (!is_relaxed) to.as_it_is(listed);
  }
  for (const std::string& spec : relaxed.in(ns)) {
    if (names.contains(index_name_of(Document(spec)))) continue;
    to.as_there(with_guard(Document(spec), KeyGuard::kAll));
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

std::string with_relaxed_shown(std::string reply, const std::string& ns, Form form,
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
      append_shown(each.value, ns, relaxed, Listing(form, out));
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
  const Form form = form_of(parsed);
  std::string shown = with_relaxed_shown(std::move(*reply), ns_of(parsed), form, relaxed);
  co_return Answer::message(std::move(shown));
}

}  // namespace outrigger
