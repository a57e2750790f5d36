#include "proxy/session/ddl.h"

namespace outrigger {

net::Task<Result<std::string>> run_ddl(Backend& backend, std::string_view message,
                                       const wire::OpMsg& parsed) {
  Status sent = co_await backend.stream().write(message);
  if (!sent) co_return tl::unexpected(sent.error());
  if (parsed.more_to_come()) {
    Result<std::string> done = co_await backend.ping();  // it is done before
    co_return done;
  }
  Result<std::string> reply = co_await backend.receive();
  co_return reply;
}

net::Task<Result<std::string>> run_create(ProxyContext& context, Backend& backend,
                                          std::string_view message, const wire::OpMsg& parsed,
                                          std::string ns, bool& writing) {
  LockRequest request;
  request.add(namespace_lock_key(ns), LockMode::kExclusive);
  HeldLocks locks = co_await wait_for_locks(context, request);
  writing = true;
  Result<std::string> reply = co_await run_ddl(backend, message, parsed);
  writing = false;
  context.facts.forget(ns);
  locks.release();
  co_return reply;
}

}  // namespace outrigger
