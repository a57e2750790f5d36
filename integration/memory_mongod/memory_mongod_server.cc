#include "integration/memory_mongod/memory_mongod_server.h"

#include "proxy/mongo/wire/framer.h"
#include "proxy/mongo/wire/op_msg.h"

namespace outrigger::world {

Result<std::unique_ptr<MemoryMongodServer>> MemoryMongodServer::listen(net::Loop& loop,
                                                                       net::Network& network,
                                                                       MemoryMongod& mongod,
                                                                       const std::string& address,
                                                                       int64_t journal_ms) {
  std::unique_ptr<MemoryMongodServer> server(new MemoryMongodServer(loop, mongod, journal_ms));
  MemoryMongodServer* self = server.get();
  auto listener = network.listen(address, [self](std::unique_ptr<net::Stream> stream) {
    self->tasks_.spawn(self->serve(std::move(stream)));
  });
  if (!listener) return tl::unexpected<Error>(listener.error());
  server->listener_ = std::move(*listener);
  return server;
}

net::Task<void> MemoryMongodServer::stop() {
  is_stopped_ = true;
  listener_->close();
  for (net::Stream* stream : streams_) stream->close();
  co_await tasks_.until_empty();
}

net::Task<void> MemoryMongodServer::serve(std::unique_ptr<net::Stream> stream) {
  streams_.push_back(stream.get());
  wire::Framer framer;
  bool goes_on = true;
  while (goes_on) {
    const Result<std::string_view> bytes = co_await stream->read_some();
    if (!bytes || bytes->empty()) break;
    std::string_view rest = *bytes;
    const wire::Framer::Step step = framer.next(rest);
    if (step.kind == wire::Framer::Kind::kError) break;
    if (step.kind != wire::Framer::Kind::kMessage) continue;
    std::string message(step.message);
    if (!rest.empty()) stream->unread(rest);
    goes_on = co_await answer(*stream, std::move(message));
  }
  streams_.remove(stream.get());
}

net::Task<bool> MemoryMongodServer::answer(net::Stream& stream, std::string message) {
  const auto parsed = wire::parse_op_msg(message);
  if (!parsed) co_return false;
  if (const int64_t busy_ms = mongod_.busy_ms(); busy_ms > 0) {
    const MemoryMongod::Operation operation = mongod_.begin(*parsed, stream.peer_address());
    net::Timer timer(loop_);
    co_await timer.sleep_ms(busy_ms);
    if (is_stopped_) co_return false;
    if (!mongod_.end(operation)) co_return false;  // it was killed
  }
  const MongodReply reply = mongod_.run(*parsed);
  if (reply.when_journaled) {
    net::Timer timer(loop_);
    co_await timer.sleep_ms(journal_ms_);
    if (is_stopped_) co_return false;  // what it waited for may be lost
    mongod_.journal();
  }
  if (parsed->more_to_come()) co_return true;
  const std::string bytes =
      wire::build_op_msg(++request_id_, parsed->header.request_id, 0, bson::Document(reply.body));
  const Status sent = co_await stream.write(bytes);
  co_return sent.has_value();
}

}  // namespace outrigger::world
