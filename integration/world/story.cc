#include "integration/world/story.h"

#include <fmt/format.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include <cstdio>
#include <memory>

namespace outrigger::world {
namespace {

class StorySink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  StorySink(Story& story, std::string who) : story_(story), who_(std::move(who)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    story_.tell(who_, std::string_view(line.payload.data(), line.payload.size()));
  }
  void flush_() override {}

 private:
  Story& story_;
  const std::string who_;
};

}  // namespace

void Story::tell(std::string_view who, std::string_view what) {
  const uint64_t ms = time_.now_us() / 1000;
  std::string line = fmt::format("{:>4}:{:02}:{:02}.{:03}  {:<14} {}", ms / 3'600'000,
                                 ms / 60'000 % 60, ms / 1000 % 60, ms % 1000, who, what);
  for (const char byte : line) {
    digest_ = (digest_ ^ static_cast<uint8_t>(byte)) * 1099511628211ULL;
  }
  ++events_;
  if (is_aloud_) std::fprintf(stderr, "%s\n", line.c_str());
  last_.push_back(std::move(line));
  if (last_.size() > events_max_) last_.pop_front();
}

std::string Story::text() const {
  std::string out;
  for (const std::string& line : last_) out += line + "\n";
  return out;
}

Logger Story::logger(const std::string& who) {
  auto logger = std::make_shared<spdlog::logger>(who, std::make_shared<StorySink>(*this, who));
  logger->set_level(spdlog::level::info);
  return logger;
}

}  // namespace outrigger::world
