// One client connection: read a message, decide by its command, answer, in order.
//
// Reads pass byte for byte, replies in pieces; writes go through the capture; the handshake is
// masked. One connection to the store per client connection, dialled for its first message.
#pragma once

#include <memory>
#include <string>

#include "proxy/backend.h"
#include "proxy/commands.h"
#include "proxy/context.h"
#include "proxy/wire/framer.h"
#include "proxy/wire/op_msg.h"

namespace outrigger {

class Session {
 public:
  // `context` outlives the session.
  Session(ProxyContext& context, std::unique_ptr<net::Stream> client);
  ~Session();

  // Serves until either side ends. A write under way is finished first, whatever the client does.
  net::Task<void> run();
  // Ends the session once the command under way is answered; at once when it is idle.
  void drain();
  // Ends it now, unless a write is under way.
  void abort();

 private:
  enum class Next { kGoOn, kEnd };

  net::Task<Next> serve(std::string_view message);
  net::Task<Next> serve_msg(std::string_view message);
  net::Task<Next> serve_query(std::string_view message);
  net::Task<Next> hello(const wire::OpMsg& parsed);
  net::Task<Next> write(std::string_view message, const wire::OpMsg& parsed, CommandKind kind);
  net::Task<Next> ddl(std::string_view message, const wire::OpMsg& parsed);
  net::Task<Next> pass(std::string_view message, bool more_to_come);
  net::Task<Next> answer(const wire::OpMsg& parsed, std::string body);
  net::Task<Next> answer_refusal(const wire::OpMsg& parsed, std::string body);
  net::Task<Next> answer_error(const wire::MsgHeader& header, const wire::WireError& error);
  net::Task<bool> connect();
  // Why the command may not pass, or nothing.
  [[nodiscard]] std::optional<std::string> refusal(const wire::OpMsg& parsed) const;
  [[nodiscard]] bool replicates(const wire::OpMsg& parsed) const;
  void client_gone();

  ProxyContext& context_;
  std::unique_ptr<net::Stream> client_;
  std::unique_ptr<Backend> backend_;
  wire::Framer framer_;
  bool writing_ = false;  // a capture is under way: the store's answer must be awaited
  bool serving_ = false;  // a message is under way
  bool draining_ = false;
};

}  // namespace outrigger
