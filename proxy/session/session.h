// One client connection: read a message, decide by its command, answer, in order.
//
// Reads pass byte for byte, replies in pieces; writes go through the capture; the handshake is
// masked. One connection to the store per client connection, dialled for its first message.
//
// A client is a stranger until mongod has let it in: by a login, or, where mongod asks for none, by
// any command that is more than a handshake. Strangers' messages are bounded in size, all messages
// by the rooms they are gathered in.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "proxy/capture/reply.h"
#include "proxy/client/client_messages.h"
#include "proxy/client/client_replies.h"
#include "proxy/client/greeting.h"
#include "proxy/mongo/backend.h"
#include "proxy/mongo/commands.h"
#include "proxy/mongo/wire/op_msg.h"
#include "proxy/session/store_passage.h"
#include "proxy/writes/context.h"

namespace outrigger {

class Session {
 public:
  enum class News { kSpoke, kLetIn };
  // `context` and `member`, whose client this is, outlive the session. `on_news` is told of each
  // whole message of a stranger, and that it is none any more.
  Session(ProxyContext& context, const StoreMember& member, bool by_socket,
          std::unique_ptr<net::Stream> client, std::function<void(News)> on_news);
  ~Session();

  // Serves until either side ends. A write under way is finished first, whatever the client does.
  net::Task<void> run();
  // Ends the session once the command under way is answered; at once when it is idle.
  void drain();
  // Ends it now, unless a write is under way. True: its connections are closed.
  bool abort();
  // This run of mongod is gone: a connection to it ends, also one that does not say so.
  void store_gone(const std::string& process) {
    if (backend_ && backend_->is_admitted && backend_->process == process) backend_->close();
  }
  // Since when its message is being gathered or served, by the loop's clock; 0 between messages,
  // and while it waits for news.
  [[nodiscard]] uint64_t busy_since_us() const {
    return greeting_.is_waiting() ? 0 : busy_since_us_;
  }
  [[nodiscard]] bool is_serving() const { return serving_; }
  [[nodiscard]] bool is_let_in() const { return is_let_in_; }

 private:
  enum class Next { kGoOn, kEnd };

  net::Task<Next> serve(std::string_view message);
  net::Task<Next> serve_msg(std::string_view message);
  net::Task<Next> serve_query(std::string_view message);
  net::Task<Answer> write(std::string_view message, const wire::OpMsg& parsed, CommandKind kind);
  net::Task<Next> finish(std::string_view message, const wire::OpMsg& parsed, Answer done);
  net::Task<Next> ddl(std::string_view message, const wire::OpMsg& parsed);
  net::Task<Next> pass(std::string_view message, bool more_to_come);
  net::Task<Next> log_in(std::string_view message, const wire::OpMsg& parsed);
  net::Task<Next> answer(const wire::OpMsg& parsed, std::string body);
  net::Task<Next> answer_refusal(const wire::OpMsg& parsed, std::string body);
  net::Task<Next> answer_error(const wire::MsgHeader& header, const wire::WireError& error);
  net::Task<bool> connect();
  // Whether the message may go on; else how: the client has been told why, or is to go.
  net::Task<std::optional<Next>> pass_gate(std::string_view message);
  // mongod has not let it in, and asks for a login.
  [[nodiscard]] bool is_stranger() const;
  void let_in();
  void waited();
  void client_gone();

  ProxyContext& context_;
  const StoreMember& member_;
  StorePassage passage_;
  std::unique_ptr<net::Stream> client_;
  ClientReplies replies_;
  std::unique_ptr<Backend> backend_;
  ClientMessages messages_;
  Greeting greeting_;
  const std::function<void(News)> on_news_;
  uint64_t busy_since_us_ = 0;
  const std::shared_ptr<const void> alive_ = std::make_shared<char>();  // as long as this is
  bool is_let_in_ = false;
  bool writing_ = false;  // a capture is under way: the store's answer must be awaited
  bool serving_ = false;  // a message is under way
  bool draining_ = false;
};

}  // namespace outrigger
