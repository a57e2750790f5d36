#include <gtest/gtest.h>

#include <cstdlib>

#include "replication/outbox/rocks/rocks_outbox.h"
#include "replication/testing/replica_testing.h"

namespace outrigger {
namespace {

struct TemporaryDirectory {
  std::string path;
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "replica-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
};

}  // namespace

TestSite::OutboxMaker rocks_outbox() {
  auto directory = std::make_shared<TemporaryDirectory>();
  return [directory]() -> std::shared_ptr<outbox::Outbox> {
    auto outbox = outbox::RocksOutbox::open(directory->path + "/outbox");
    EXPECT_TRUE(outbox.has_value()) << outbox.error().message();
    return std::shared_ptr<outbox::Outbox>(std::move(*outbox));
  };
}

}  // namespace outrigger
