// What must have been noted as lost, by the history alone. A value that was given to a path stands,
// or somebody who had seen it put something in its place: gave the path, or what is above it,
// another value or none, took the document away or made it anew. Else it is lost, and every site
// must say so: of it, or of what it was a part of.
//
// Equal values of one path are one: of which of them stood it is all the same. Likewise numbers
// that are added, which must be noted where they are hidden under something that is no number.
//
// Nothing is said of arrays whose elements were edited, of removals that lose, of containers that
// hold nothing, of numbers to which somebody adds, nor of documents of which a removal yields.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "replication/merge/worlds/history.h"

namespace outrigger::merge {

class HistoryLosses {
 public:
  explicit HistoryLosses(const History& history)  // borrowed
      : history_(history), events_(history.events()) {}

  // Which value was lost and is not in what a site noted of this document; empty: none. `held`: the
  // document at the end.
  [[nodiscard]] std::string not_noted(const std::optional<bson::Document>& held,
                                      const std::vector<Loss>& noted) const;

 private:
  using Event = History::Event;
  // A value that was given to a path, by an event that counts or not.
  struct Written {
    const Event* by;
    Path path;
    bson::Value value;
  };
  [[nodiscard]] bool is_incremented(const Path& path) const;
  [[nodiscard]] std::vector<Written> all_written() const;
  [[nodiscard]] bool is_replaced(const Written& one) const;
  [[nodiscard]] bool still_shows(const Written& one,
                                 const std::optional<bson::Document>& held) const;
  [[nodiscard]] bool is_in(const bson::Value& container, const Path& below,
                           const Written& one) const;
  [[nodiscard]] std::string not_noted_counter(const std::optional<bson::Document>& held,
                                              const std::vector<Loss>& noted) const;
  [[nodiscard]] bool is_noted(const Written& one, const std::vector<Loss>& noted) const;

  const History& history_;
  const std::vector<Event>& events_;
};

}  // namespace outrigger::merge
