// One write command of a MemoryMongod, statement by statement. Private to memory_mongod*.cc.
#pragma once

#include <string>
#include <vector>

#include "integration/memory_mongod/memory_mongod.h"

namespace outrigger::world {

// SHA-256 of "": whose sessions are where nobody logs in.
extern const std::string kNobodysDigest;

class WriteRun {
 public:
  WriteRun(MemoryMongod& mongod, const wire::OpMsg& message);

  [[nodiscard]] OrError<std::string> run(bool& when_journaled);

 private:
  struct Done {
    int64_t n = 0;
    bool is_modified = false;
    std::optional<bson::OwnedValue> upserted;
    std::optional<std::string> before;  // findAndModify
    std::optional<std::string> after;
  };

  [[nodiscard]] std::optional<MongodError> refusal() const;
  [[nodiscard]] bool waits_for_journal() const;
  [[nodiscard]] std::vector<bson::Document> statements() const;
  [[nodiscard]] int32_t stmt_id(size_t index) const;

  [[nodiscard]] OrError<Done> run_one(const bson::Document& statement, int32_t stmt_id);
  [[nodiscard]] OrError<Done> insert(const bson::Document& document, int32_t stmt_id);
  [[nodiscard]] OrError<Done> update(const bson::Document& statement, int32_t stmt_id);
  [[nodiscard]] OrError<Done> update_one(const std::string& before, const bson::Document& change,
                                         int32_t stmt_id);
  [[nodiscard]] OrError<Done> upsert(const bson::Document& filter, const bson::Document& change,
                                     int32_t stmt_id);
  [[nodiscard]] OrError<Done> remove(const bson::Document& statement, int32_t stmt_id);
  [[nodiscard]] OrError<std::vector<std::string>> found(const bson::Document& filter, bool many,
                                                        const bson::Document& sort);
  [[nodiscard]] OrError<std::string> changed(const std::string& before,
                                             const bson::Document& change, bool inserts) const;
  [[nodiscard]] std::optional<MongodError> duplicate(const bson::Value& id) const;
  // Of a key of a unique index.
  [[nodiscard]] std::optional<MongodError> clash(const std::string& document) const;

  [[nodiscard]] OrError<std::string> run_many();
  [[nodiscard]] OrError<std::string> find_and_modify();
  void take(size_t index, OrError<Done> done);
  void optime(bson::Writer& out) const;

  MemoryMongod& mongod_;
  const wire::OpMsg& message_;
  const bson::Document body_;
  const std::string command_;
  std::string ns_;
  MemoryMongod::Session session_;

  int64_t n_ = 0;
  int64_t modified_ = 0;
  std::vector<std::string> errors_;
  std::vector<std::string> upserted_;
  std::vector<int32_t> retried_;
};

}  // namespace outrigger::world
