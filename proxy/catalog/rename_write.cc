#include "proxy/catalog/rename_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <utility>

#include "proxy/capture/harmless.h"
#include "proxy/catalog/rename_checks.h"
#include "proxy/mongo/wire/error_reply.h"
#include "proxy/writes/catalog_command.h"
#include "proxy/writes/run_settler.h"
#include "replication/bson/fields.h"
#include "replication/site/site_parts.h"

namespace outrigger {
namespace {

using bson::Document;
using bson::Writer;

constexpr int64_t kBehindUs = 2'000'000;
constexpr int64_t kLookMs = 25;

std::string_view database_of(std::string_view ns) { return ns.substr(0, ns.find('.')); }

}  // namespace

bool rename_travels(const wire::OpMsg& parsed, const Policy& policy) {
  return policy.replicates(bson::text_at(parsed.body, "renameCollection")) ||
         policy.replicates(bson::text_at(parsed.body, "to"));
}

RenameWrite::RenameWrite(ProxyContext& context, Backend& backend, bool& writing,
                         std::string_view message, const wire::OpMsg& parsed)
    : context_(context),
      backend_(backend),
      writing_(writing),
      message_(message),
      parsed_(parsed),
      from_(bson::text_at(parsed.body, "renameCollection")),
      to_(bson::text_at(parsed.body, "to")) {
  const auto drop = parsed.body.find("dropTarget");
  drops_target_ = drop && (drop->type != bson::Type::kBool || drop->truthy());
}

net::Task<Answer> RenameWrite::run() {
  // mongod refuses it there, in its own words.
  if (read_session(parsed_.body).in_transaction) co_return Answer::pass();
  Failed failed = co_await refusal();
  if (failed) co_return std::move(*failed);
  const Status admitted = context_.replica.admit();
  if (!admitted) {
    context_.metrics.refused_unavailable.Increment();
    co_return Answer::body(wire::overloaded_body(admitted.error().message()));
  }
  forget_facts();
  Answer answer = co_await rename();
  co_return answer;
}

void RenameWrite::forget_facts() {
  for (const std::string& ns : {from_, to_}) context_.facts.forget(ns);
}

// What mongod says of the command and the app's rights: it is asked about a collection that cannot
// be the one of that name. Then what makes it impossible here, whatever there is.
net::Task<RenameWrite::Failed> RenameWrite::refusal() {
  const bool is_across = database_of(from_) != database_of(to_);
  if (backend_.can(StoreFeature::kNamesCollections)) {
    Uuid nobodys{};
    context_.random.fill(nobodys);
    constexpr uint8_t kUuid = 4;
    Writer out;
    for (const bson::Element& each : parsed_.body) {
      if (each.name != "collectionUUID" && each.name != "writeConcern") out.element(each);
    }
    out.binary("collectionUUID", kUuid,
               {reinterpret_cast<const char*>(nobodys.data()), nobodys.size()});
    const std::string body = out.finish();
    std::string message = wire::build_op_msg(backend_.next_request_id(), 0, 0, Document(body));
    Result<std::string> reply = co_await backend_.call(std::move(message));
    const auto said = answer_in(reply);
    if (!said) co_return Answer::close();
    const int code = wire::code_of(said->body);
    const bool may =
        is_of_the_guard(said->body) || (is_across && code == wire::code::kInvalidOptions);
    if (!may) co_return Answer::message(std::move(*reply));
  }
  for (const std::string& ns : {from_, to_}) {
    if (context_.policy.replicates(ns)) continue;
    co_return refuse(ns + " does not replicate; copy the documents, and drop the collection");
  }
  if (!is_across) co_return std::nullopt;
  co_return refuse("it leads to another database; copy the documents, and drop the collection");
}

// Nobody waits for a name to be refused it: who is away is known without its lock.
net::Task<RenameWrite::Failed> RenameWrite::refusal_of_members() {
  const MembersLevel any;
  const MembersLack lack = members_lack(context_.replica, any, context_.clock.wall_ms());
  if (!lack.is_away) co_return std::nullopt;
  const Result<Seen> seen = co_await look();
  if (!seen) co_return Answer::body(wire::overloaded_body(seen.error().message()));
  if (mongod_refuses(seen->rename, drops_target_)) co_return std::nullopt;
  co_return refuse(lack.why);
}

net::Task<Answer> RenameWrite::rename() {
  Failed failed = co_await refusal_of_members();
  if (failed) co_return std::move(*failed);
  LockRequest request;
  for (const std::string& ns : {from_, to_}) {
    add_catalog_locks(request, ns, LockMode::kExclusive);
  }
  HeldLocks locks = co_await wait_for_locks(context_, request);
  Result<Seen> seen = co_await look();
  if (!seen) co_return Answer::body(wire::overloaded_body(seen.error().message()));
  if (mongod_refuses(seen->rename, drops_target_)) {
    Answer answer = co_await pass_refusal(std::move(*seen));
    co_return answer;
  }
  std::string why = in_the_way(seen->rename);
  if (why.empty()) {
    Result<std::string> large = co_await measure();
    if (!large) co_return Answer::body(wire::overloaded_body(large.error().message()));
    why = std::move(*large);
  }
  if (why.empty()) why = co_await wait_for_members();
  if (why.empty()) why = in_the_way(seen->rename);  // records may have been set aside meanwhile
  if (why.empty()) {
    const Status listed = co_await list(*seen);
    if (!listed) co_return Answer::body(wire::overloaded_body(listed.error().message()));
    why = too_large(*seen);
  }
  if (!why.empty()) co_return refuse(why);
  Result<CatalogParts> parts = co_await begin(*seen);
  if (!parts) co_return Answer::body(wire::overloaded_body(parts.error().message()));
  writing_ = true;
  Answer answer = co_await send(std::move(*seen), std::move(*parts));
  writing_ = false;
  forget_facts();  // before the locks are given back
  co_return answer;
}

// As it says what is wrong with it, it is asked.
net::Task<Answer> RenameWrite::pass_refusal(Seen seen) {
  Result<std::string> reply = co_await send_as_it_came();
  if (!reply) co_return Answer::close();
  if (!is_done(*reply)) co_return Answer::message(std::move(*reply));
  writing_ = true;
  const bool took_a_place = seen.rename.target.exists;
  const bool told = co_await tell_unforeseen(std::move(seen));
  writing_ = false;
  forget_facts();
  if (!told) context_.log->error("{} was renamed at this site only", from_);
  if (told && took_a_place) context_.log->error("what {} held is still at other sites", to_);
  co_return Answer::close();
}

// The collection was made meanwhile, for an index (that takes no lock before it is built) or around
// the sidecar. What is prepared now is found to have happened.
net::Task<bool> RenameWrite::tell_unforeseen(Seen seen) {
  std::function<Result<CollectionInfo>(Store&)> job = [to = to_](Store& store) {
    return store.collection(to);
  };
  const Result<CollectionInfo> there = co_await context_.store.ask(std::move(job));
  if (!there || there->uuid.empty()) co_return false;
  seen.rename.uuid = there->uuid;
  Result<CatalogParts> parts = co_await begin(seen);
  if (!parts) co_return false;
  co_await leave_in_doubt(*parts);
  co_return true;
}

std::string RenameWrite::in_the_way(const Rename& rename) const {
  const SiteParts& site = context_.replica.parts();
  const auto aside = site.aside.in_namespaces(1);
  for (const CatalogEntry* entry : {&rename.source, &rename.target}) {
    if (entry->is_series()) return entry->ns + " is a time series";
    if (!entry->building.empty()) return "an index of " + entry->ns + " is being built; wait";
    if (aside.contains(entry->ns)) {
      return "documents of " + entry->ns + " are set aside or parked: see `conflicts`, decide them";
    }
    if (!site.kept.relaxed_in(entry->ns).empty()) {
      return "documents of " + entry->ns + " share a key of a unique index: see `conflicts`";
    }
    const std::string name = bson::canonical_key(bson::make_string(entry->ns).view());
    if (site.aside.find(outbox::row_key(kCatalogNs, name))) {
      return "an index of " + entry->ns + " is being built, or cannot be: see `conflicts`";
    }
  }
  if (site.quarantine.size() == 0) return {};
  return "records are set aside that may be of it: see `outriggerctl quarantine`";
}

// Who is away is not waited for: nobody may write to either name meanwhile.
net::Task<std::string> RenameWrite::wait_for_members() {
  const Replica& replica = context_.replica;
  const MembersLevel level = members_level(replica);
  const int64_t until_us = context_.clock.monotonic_us() + kBehindUs;
  net::Timer pause(context_.loop);
  for (;;) {
    MembersLack lack = members_lack(replica, level, context_.clock.wall_ms());
    const bool is_late = context_.clock.monotonic_us() > until_us || context_.store.stopping();
    if (lack.why.empty() || lack.is_away || is_late) co_return std::move(lack.why);
    co_await pause.sleep_ms(kLookMs);
  }
}

// By the books first: whatever cannot be told need not be read.
net::Task<Result<std::string>> RenameWrite::measure() {
  using BothSizes = std::array<CollectionSize, 2>;
  std::function<Result<BothSizes>(Store&)> job = [from = from_,
                                                  to = to_](Store& store) -> Result<BothSizes> {
    auto source = size_of(store, from);
    if (!source) return tl::unexpected(source.error());
    auto target = size_of(store, to);
    if (!target) return tl::unexpected(target.error());
    return BothSizes{*source, *target};
  };
  const Result<BothSizes> sizes = co_await context_.store.ask(std::move(job));
  if (!sizes) co_return tl::unexpected(sizes.error());
  co_return too_large_to_tell((*sizes)[0], (*sizes)[1].documents,
                              context_.replica.parts().context.outbox.room());
}

std::string RenameWrite::too_large(const Seen& seen) const {
  CollectionSize source{static_cast<int64_t>(seen.documents.size()), 0};
  for (const ListedDocument& each : seen.documents) source.bytes += each.bytes;
  return too_large_to_tell(source, static_cast<int64_t>(seen.replaced.size()),
                           context_.replica.parts().context.outbox.room());
}

net::Task<Result<RenameWrite::Seen>> RenameWrite::look() {
  std::function<Result<Seen>(Store&)> job = [from = from_, to = to_](Store& store) -> Result<Seen> {
    Seen seen;
    seen.rename.from = from;
    seen.rename.to = to;
    const std::array<bson::OwnedValue, 2> names = {bson::make_string(from), bson::make_string(to)};
    auto shown = store.read(std::string(kCatalogNs), names);
    if (!shown) return tl::unexpected(shown.error());
    seen.rename.source.ns = from;
    seen.rename.target.ns = to;
    for (size_t i = 0; i < names.size(); ++i) {
      if (!(*shown)[i]) continue;
      auto entry = catalog_entry(Document(*(*shown)[i]));
      if (!entry) return tl::unexpected(entry.error());
      (i == 0 ? seen.rename.source : seen.rename.target) = std::move(*entry);
    }
    auto source = store.collection(from);
    if (!source) return tl::unexpected(source.error());
    seen.rename.uuid = std::move(source->uuid);
    return seen;
  };
  Result<Seen> seen = co_await context_.store.ask(std::move(job));
  co_return seen;
}

net::Task<Status> RenameWrite::list(Seen& seen) {
  using Listed = std::vector<ListedDocument>;
  std::function<Result<std::string>(Store&)> ask = run_of;
  Result<std::string> run = co_await context_.store.ask(std::move(ask));
  if (!run) co_return tl::unexpected(run.error());
  std::function<Result<Listed>(Store&)> source = [ns = from_](Store& store) {
    return store.list(ns, kRenamedMax + 1);
  };
  Result<Listed> listed = co_await context_.store.ask(std::move(source));
  if (!listed) co_return tl::unexpected(listed.error());
  seen.documents = std::move(*listed);
  if (!seen.rename.target.exists) co_return Status();
  std::function<Result<Listed>(Store&)> target = [ns = to_](Store& store) {
    return store.list(ns, kRenamedMax + 1);
  };
  listed = co_await context_.store.ask(std::move(target));
  if (!listed) co_return tl::unexpected(listed.error());
  for (ListedDocument& each : *listed) seen.replaced.push_back(std::move(each.id));
  if (!seen.replaced.empty()) seen.listed_by = std::move(*run);
  co_return Status();
}

// The rename's own prepare is the oldest.
net::Task<Result<CatalogParts>> RenameWrite::begin(const Seen& seen) {
  const std::string session = catalog_session(parsed_, backend_.lsid());
  CatalogParts parts(1);
  parts.front().prepare.session = session;
  parts.front().prepare.documents = prepared_rename(seen.rename);
  CatalogParts replaced = removals(to_, seen.replaced, session);
  std::move(replaced.begin(), replaced.end(), std::back_inserter(parts));
  Result<CatalogParts> begun =
      co_await begin_parts(context_, backend_, std::move(parts), seen.listed_by);
  co_return begun;
}

net::Task<Answer> RenameWrite::send(Seen seen, CatalogParts parts) {
  Result<std::string> reply = co_await send_as_it_came();
  bool stands = reply.has_value();
  if (stands && !is_done(*reply)) {
    const Result<bool> happened = co_await ask_whether_done(seen.rename);
    if (happened && !*happened) {
      const Status dropped = co_await settle_parts(context_, parts, false);
      if (!dropped) co_return Answer::close();
      backend_.note.set_in_doubt(false);
      co_return Answer::message(std::move(*reply));
    }
    stands = happened.has_value();
  }
  if (stands) stands = co_await tell(std::move(seen), parts);
  if (!stands) {
    co_await leave_in_doubt(parts);
    co_return Answer::close();
  }
  backend_.note.set_in_doubt(false);
  const DurableWaits::Shot durable = context_.durable_waits.join(true);
  const Status synced = co_await durable->wait();
  if (synced) co_return Answer::message(std::move(*reply));
  context_.log->error("a rename is not acknowledged: {}", synced.error().message());
  co_return Answer::close();
}

// mongod may give an error and have done it: interrupted while it waited for others.
net::Task<Result<bool>> RenameWrite::ask_whether_done(const Rename& rename) {
  std::function<Result<bool>(Store&)> job = [rename](Store& store) {
    return has_happened(store, rename);
  };
  Result<bool> happened = co_await context_.store.ask(std::move(job));
  co_return happened;
}

// False: `parts` are what is still in doubt.
net::Task<bool> RenameWrite::tell(Seen seen, CatalogParts& parts) {
  std::function<Result<bool>(Store&)> settled = [rename = seen.rename](Store& store) {
    return has_settled(store, rename);
  };
  const Result<bool> is_there = co_await context_.store.ask(std::move(settled));
  if (!is_there || !*is_there) co_return false;
  const Result<std::string> same = co_await backend_.ping();  // the mongod that did it
  if (!same) co_return false;
  CatalogParts replaced;
  std::move(std::next(parts.begin()), parts.end(), std::back_inserter(replaced));
  parts.resize(1);
  Status told = co_await settle_parts(context_, replaced, true);
  std::vector<std::string> gone_from = {from_};
  const auto telling =
      std::make_shared<RenameTelling>(context_.replica.parts(), std::move(seen.rename),
                                      std::move(seen.documents), std::move(gone_from));
  for (bool more = true; told && more;) {
    std::function<Result<bool>(Store&)> job = [telling](Store& store) {
      return telling->step(store);
    };
    const Result<bool> step = co_await context_.store.ask(std::move(job));
    if (!step) told = tl::unexpected(step.error());
    more = step && *step;
  }
  if (told) told = co_await settle_parts(context_, parts, false);
  if (told) co_return true;
  context_.log->warn("a rename is to be told anew: {}", told.error().message());
  co_return false;
}

// Where the log takes no more, only the next start can tell.
net::Task<void> RenameWrite::leave_in_doubt(CatalogParts& parts) {
  if (context_.replica.parts().context.outbox.failure()) {
    for (CatalogPart& part : parts) part.write.leave_to_recovery();
    co_return;
  }
  std::string what = "a rename";
  co_await settle_parts_in_doubt(context_, backend_, parts, std::move(what));
}

net::Task<Result<std::string>> RenameWrite::send_as_it_came() {
  std::optional<std::string> ours = under_our_session(parsed_, backend_);
  if (parsed_.more_to_come()) {  // its answer tells what happened, whoever wants it
    ours = wire::build_op_msg(parsed_.header.request_id, 0, 0, parsed_.body);
  }
  const Status sent = co_await backend_.send_one(ours ? std::string_view(*ours) : message_);
  if (!sent) co_return tl::unexpected(sent.error());
  Result<std::string> reply = co_await backend_.receive();
  co_return reply;
}

Answer RenameWrite::refuse(const std::string& why) const {
  context_.metrics.refused_unsupported.Increment();
  return Answer::body(wire::error_body(
      wire::code::kCommandNotSupported,
      fmt::format("renaming {} to {} is not replicated by Outrigger yet: {}", from_, to_, why)));
}

}  // namespace outrigger
