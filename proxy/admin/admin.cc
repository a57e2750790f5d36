#include "proxy/admin/admin.h"

#include <algorithm>
#include <charconv>

#include "config/limits.h"
#include "replication/outbox/ledger.h"

namespace outrigger {
namespace {

constexpr size_t kConflictsDefault = 20;

size_t limit_of(const HttpRequest& request) {
  const std::string text = request.field("limit").value_or("");
  size_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return kConflictsDefault;
  }
  return std::min(limit, limits::kConflictsShownMax);
}

// A field of the query with %XX as the bytes they stand for; others stay as they are.
std::string decoded(const HttpRequest& request, std::string_view name) {
  const std::string sent = request.field(name).value_or("");
  std::string out;
  for (size_t i = 0; i < sent.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = sent.data() + i + 1;
    const bool is_coded = sent[i] == '%' && i + 2 < sent.size() &&
                          std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2;
    out += is_coded ? static_cast<char>(byte) : sent[i];
    if (is_coded) i += 2;
  }
  return out;
}

HttpAnswer ready_answer(const Status& ready) {
  if (ready) return {200, "text/plain", "ok\n"};
  return {503, "text/plain", ready.error().message() + "\n"};
}

HttpAnswer listed_answer(const Result<std::string>& found) {
  if (found) return {200, "application/json", *found};
  return {500, "text/plain", found.error().message() + "\n"};
}

HttpAnswer named_answer(const Result<std::string>& found) {
  if (!found && found.error().code == ErrorCode::kNotFound) {
    return {404, "text/plain", found.error().message() + "\n"};
  }
  return listed_answer(found);
}

HttpAnswer chosen_answer(const Result<std::string>& answer) {
  if (answer) return {200, "application/json", *answer + "\n"};
  const bool is_refused = answer.error().code == ErrorCode::kRefused;
  return {is_refused ? 409 : 503, "text/plain", answer.error().message() + "\n"};
}

HttpAnswer retry_answer(const Status& taken) {
  if (taken) return {200, "text/plain", "ok\n"};
  const bool unknown = taken.error().code == ErrorCode::kNotFound;
  return {unknown ? 404 : 409, "text/plain", taken.error().message() + "\n"};
}

HttpServer::Routes routes_of(const AdminView& view) {
  HttpServer::Routes routes;
  routes["/healthz"] = {[](const HttpRequest&) {
                          return HttpAnswer{200, "text/plain", "ok\n"};
                        },
                        true};
  routes["/metrics"] = {[view](const HttpRequest&) {
    return HttpAnswer{200, "text/plain; version=0.0.4", view.metrics()};
  }};
  routes["/readyz"] = {[view](const HttpRequest&) { return ready_answer(view.ready()); }};
  routes["/status"] = {[view](const HttpRequest&) {
    return HttpAnswer{200, "application/json", view.status()};
  }};
  routes["/conflicts"] = {[view](const HttpRequest& request) {
    if (const auto name = request.field("name")) return named_answer(view.conflict(*name));
    const std::string from = request.field("from").value_or(to_text(LedgerPlace()));
    const auto place = parse_place(from);
    if (!place) {
      return HttpAnswer{400, "text/plain", "from: expected what `next` of a page said\n"};
    }
    return listed_answer(view.conflicts(limit_of(request), *place));
  }};
  for (const std::string verb : {"choose", "revert", "dismiss"}) {
    routes["/conflicts/" + verb] = {[view, verb](const HttpRequest& request) {
      return chosen_answer(view.choose(verb, request.field("name").value_or("")));
    }};
    routes["/conflicts/" + verb].posted = true;
  }
  routes["/explain"] = {[view](const HttpRequest& request) {
    PathQuestion question{decoded(request, "namespace"), decoded(request, "id"),
                          decoded(request, "path")};
    if (question.ns.empty() || question.id.empty()) {
      return HttpAnswer{400, "text/plain", "expected namespace=, id= (as JSON) and path=\n"};
    }
    return listed_answer(view.explain(question));
  }};
  routes["/quarantine"] = {[view](const HttpRequest& request) {
    return listed_answer(view.quarantined(limit_of(request)));
  }};
  routes["/quarantine/retry"] = {[view](const HttpRequest& request) {
    return retry_answer(view.retry(request.field("record").value_or("")));
  }};
  routes["/quarantine/retry"].posted = true;
  return routes;
}

}  // namespace

Result<std::unique_ptr<Admin>> Admin::listen(const Endpoint& endpoint, AdminView view, Logger log,
                                             Threads& threads) {
  auto server = HttpServer::listen(endpoint, routes_of(view), threads);
  if (!server) {
    Error error = server.error();
    error.hint = "is another process using it? see admin.listen";
    return tl::unexpected<Error>(std::move(error));
  }
  std::unique_ptr<Admin> admin(new Admin(std::move(*server)));
  log->info("admin on http://{}:{}", endpoint.host, admin->port());
  return admin;
}

}  // namespace outrigger
