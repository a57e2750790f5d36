// A directory of its own for each test, and verbs to look into and damage what an outbox left
// there.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "replication/outbox/rocks/rocks_outbox.h"

namespace outrigger::outbox {

inline const Origin kOurs{{1}, 7};

// Removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    // In memory where there is such a place: these tests open hundreds of databases.
    const bool has_memory = std::filesystem::is_directory("/dev/shm");
    std::string name = has_memory ? "/dev/shm/outbox_test.XXXXXX" : "/tmp/outbox_test.XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (std::filesystem::path(path_) / name).string();
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class OutboxFixture {
 protected:
  [[nodiscard]] Result<std::unique_ptr<RocksOutbox>> try_open() {
    return RocksOutbox::open(dir_, options_);
  }
  void open() {
    auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().message();
    outbox_ = std::move(*opened);
  }
  void close() { outbox_.reset(); }
  void close_and_open() {
    close();
    open();
  }
  // As the files are this moment: what a killed process leaves. Then goes on there. RocksDB tidies
  // up in the background after an open, so the copy is taken again until nothing moved meanwhile.
  void crash() {
    const std::string copy = dir_ + "x";
    std::map<std::string, uintmax_t> before;
    do {
      before = files();
      std::filesystem::remove_all(copy);
      std::filesystem::create_directory(copy);
      for (const auto& [name, bytes] : before) {
        std::error_code gone;
        std::filesystem::copy_file(dir_ + "/" + name, copy + "/" + name, gone);
      }
    } while (files() != before);
    close();
    std::filesystem::remove_all(dir_);
    dir_ = copy;
  }
  [[nodiscard]] std::map<std::string, uintmax_t> files() const {
    std::map<std::string, uintmax_t> found;
    for (const auto& each : std::filesystem::directory_iterator(dir_)) {
      std::error_code gone;
      const uintmax_t bytes = each.file_size(gone);
      if (!gone) found[each.path().filename().string()] = bytes;
    }
    return found;
  }

  // The biggest file with that ending.
  [[nodiscard]] std::string file(const std::string& ending) const {
    std::string found;
    uintmax_t bytes = 0;
    for (const auto& each : std::filesystem::directory_iterator(dir_)) {
      if (each.path().extension() != ending || each.file_size() < bytes) continue;
      found = each.path().string();
      bytes = each.file_size();
    }
    return found;
  }
  static void cut(const std::string& file, uintmax_t bytes) {
    std::filesystem::resize_file(file, std::filesystem::file_size(file) - bytes);
  }
  static void flip_byte(const std::string& file, double where) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    const auto at =
        static_cast<std::streamoff>(where * static_cast<double>(std::filesystem::file_size(file)));
    stream.seekg(at);
    const int byte = stream.get();
    stream.seekp(at);
    stream.put(static_cast<char>(byte ^ 1));
  }

  TemporaryDirectory home_;
  std::string dir_ = home_ / "data/outbox";
  RocksOutboxOptions options_;
  std::unique_ptr<RocksOutbox> outbox_;
};

}  // namespace outrigger::outbox
