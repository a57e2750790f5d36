#include "proxy/expiry/own_connection.h"

#include <utility>

#include "proxy/expiry/own_login.h"

namespace outrigger {
net::Task<Status> OwnConnection::open() {
  if (is_open()) co_return Status();
  Status done;
  if (member_) {
    done = co_await open_at(context_.members[*member_]);
    co_return done;
  }
  const size_t count = context_.members.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t at = (last_ + i) % count;
    done = co_await open_at(context_.members[at]);
    if (done) last_ = at;
    if (done) co_return done;
  }
  co_return done;
}

net::Task<Status> OwnConnection::open_at(const StoreMember& member) {
  Result<std::unique_ptr<Backend>> dialled =
      co_await dial_answering(context_.loop, member, context_.random, context_.log);
  if (!dialled) co_return tl::unexpected(dialled.error());
  backend_ = std::move(*dialled);
  Status done;
  if (!member_ && is_follower(*backend_->process)) {
    done = fail(ErrorCode::kUnavailable, "write to the store", member.name, "it is not primary");
  }
  if (done && login_) done = co_await log_in(*backend_, *login_, context_.random);
  if (!done) backend_->close();
  was_opened_ = done.has_value();
  co_return done;
}

net::Task<Status> OwnConnection::pass_gate() {
  Status opened = co_await open();
  if (!opened || backend_->is_admitted) co_return opened;
  std::string process = *backend_->process;
  backend_->is_admitted = co_await context_.gate.pass(context_.loop, std::move(process));
  if (backend_->is_admitted) co_return Status();
  backend_->close();
  co_return fail(ErrorCode::kUnavailable, "write to the store", "", "it is not served yet");
}

void OwnConnection::close() {
  if (backend_) backend_->close();
}

void OwnConnection::store_gone(const std::string& process) {
  if (backend_ && backend_->process == process) backend_->close();
}

}  // namespace outrigger
