// What a document must be by its history alone: a function of the set of records, by the rules of
// README's table, that knows no state of a merge, no vector of a replica, no order of arrival. What
// sites hold in a world is held against it (merge_world_test.cc).
//
// It speaks of what has a path of fields; of rules of paths, of those that choose among numbers or
// by time, right below the document. Of an array whose elements were edited it says only, and only
// where those are sets, which values are in it (set_history.h): list_by_history
// (merge_world_values.h) and the histories on real MongoDBs speak of others. So may
// what holds nothing: a document that is empty may be there or not.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replication/merge/worlds/merge_world_values.h"

namespace outrigger::merge {

class History {
 public:
  // All records that write to a document, by its _id (id_text). Borrowed, here and below.
  using Records = std::vector<const Record*>;
  [[nodiscard]] static std::map<std::string, Records> by_document(
      const std::map<Origin, std::vector<Published>>& log);

  // Of the document of this _id. `has_sets`: what is taken from its arrays stays away.
  History(const Records& records, const std::string& id, bool has_sets = false);

  // How a document that a site holds is not what it must be; empty: it is. Nothing: it is not
  // there.
  [[nodiscard]] std::string why_not(const std::optional<bson::Document>& held) const;
  // A field is twice in one document: whole documents travel then, and of removals that yield to
  // them this says nothing.
  [[nodiscard]] bool repeats_names() const;
  // What was written, a line each.
  [[nodiscard]] std::string text() const;

  struct Event {
    Dot at;
    const VersionVector* deps;
    const Effect* effect;
    std::set<Dot> touched{};  // the births that stood as it was made
    bool counts = false;      // one of them is left
    [[nodiscard]] bool sees(const Dot& dot) const { return deps->covers(dot); }
  };
  // A value that was given to a path, or nothing; and what is above it, with it.
  struct Given {
    const Event* by;
    Path path;
    std::optional<bson::Value> value;
  };
  [[nodiscard]] const std::vector<Event>& events() const { return events_; }
  // Whose value a path has; null: nobody gave it one.
  [[nodiscard]] const Given* governing(const Path& path) const;

 private:
  struct Counted {
    const Event* by;
    bson::OwnedValue delta;
  };
  struct Shown {
    enum { kAbsent, kValue, kFields, kSet, kAny } what = kAbsent;
    bson::OwnedValue value{};
    std::set<std::string> items{};
    std::map<std::string, Shown> fields{};
  };

  [[nodiscard]] std::set<Dot> standing(const Event* viewer) const;
  [[nodiscard]] static std::vector<std::set<Dot>> joined(const std::set<Dot>& births,
                                                         const std::vector<const Event*>& removals);
  void note(const Event& event);
  void count();
  [[nodiscard]] const Given* contending(const Path& path) const;
  [[nodiscard]] std::optional<Dot> newest_below(const Path& path) const;
  [[nodiscard]] std::set<std::string> names_below(const Path& path) const;
  [[nodiscard]] Shown shown(const Path& path) const;
  [[nodiscard]] Shown set_shown(const Path& path) const;
  [[nodiscard]] Shown fields(const Path& path) const;
  [[nodiscard]] static std::string difference(const Shown& wanted,
                                              const std::optional<bson::Value>& held,
                                              const Path& path);

  std::vector<Event> events_;  // in the order of their stamps
  std::vector<Given> given_;   // by events that count
  std::map<Path, std::vector<Counted>> counted_;
  std::map<Path, Dot> newest_;   // of what was done at each path
  std::set<Path> arrays_;        // of which elements were edited
  std::set<Path> written_into_;  // arrays in an element of which something was written
  const bool has_sets_;
  bool is_there_ = false;
};

}  // namespace outrigger::merge
