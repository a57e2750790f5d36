// Commands about indexes that this site has relaxed (replication/store/relaxed_indexes.h). To apps
// those are unique, and there, also while they are *away*: until mongod has made one anew it knows
// nothing of it. So what an app says of one is put in the words by which mongod finds it, what
// mongod would refuse is refused where it cannot know, and what it answers is made what it would
// be. Pure.
//
// `specs`, `away`: as RelaxedIndexes has them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/mongo/wire/op_msg.h"

namespace outrigger {

// A createIndexes that says `unique` of relaxed indexes, in the words by which mongod finds them
// there. Nothing: it names none.
[[nodiscard]] std::optional<std::string> as_relaxed(const wire::OpMsg& parsed,
                                                    const std::vector<std::string>& specs);
// Why a createIndexes is refused, a body: it gives the name of a relaxed index to another one, or
// another name to a relaxed one.
[[nodiscard]] std::optional<std::string> index_conflict(const wire::OpMsg& parsed,
                                                        const std::vector<std::string>& specs);
// Of relaxed indexes the names that a createIndexes gives to others than these.
[[nodiscard]] std::vector<std::string> asked_otherwise(const wire::OpMsg& parsed,
                                                       const std::vector<std::string>& specs);

// A dropIndexes where some are away.
class IndexDrop {
 public:
  // `parsed` outlives it. `there`: how many others the collection has, that of _id among them.
  IndexDrop(const wire::OpMsg& parsed, const std::vector<std::string>& away, size_t there);

  // What mongod is to be sent, a whole message; nothing: the command as it is.
  [[nodiscard]] std::optional<std::string> words() const;
  // mongod's answer, a whole message, as it would be if they were there.
  [[nodiscard]] std::string answered(std::string reply);
  // Names of those that are dropped with it, once it is answered.
  [[nodiscard]] const std::vector<std::string>& gone() const { return gone_; }

 private:
  void read_target(const std::vector<std::string>& away);

  const wire::OpMsg& parsed_;
  const size_t away_;
  const size_t there_;
  std::vector<std::string> named_;   // of those away, by the command
  std::vector<std::string> others_;  // what else a list of names has
  bool is_list_ = false;
  bool is_all_ = false;
  std::vector<std::string> gone_;
};

}  // namespace outrigger
