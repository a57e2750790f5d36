// How the paths of one namespace merge: the `fields` of its rule. They are asked where a write is
// made; what was decided travels with the write, so a merge never asks.
//
// The first pattern that matches a path decides for it. A rule says nothing of what lies below its
// path, but where its type keeps the value whole: then what lies below is a part of that value, and
// no other rule can reach it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace outrigger {

// What decides for one path.
struct PathRuling {
  PathType type = PathType::kByOperation;
  size_t depth = 0;                // names of the path at which the value is kept
  const PathRule* rule = nullptr;  // null: no rule names it
};

// A value that borrows from the rule; the default one is what holds where no rule says anything.
class MergeRules {
 public:
  MergeRules() = default;
  explicit MergeRules(const ReplicateRule& rule)
      : fields_(&rule.fields),
        escalation_(rule.escalate),
        updates_win_(rule.deletes == DeletePolicy::kUpdateWins),
        replaces_by_diff_(rule.replaces == ReplacePolicy::kDiff),
        inserts_merge_(rule.inserts == InsertPolicy::kMerge),
        keeps_duplicates_(rule.unique == UniquePolicy::kKeep),
        version_field_(&rule.version_field) {}

  [[nodiscard]] bool empty() const { return fields_ == nullptr || fields_->empty(); }
  // What the longest list of preferred texts takes in a record, about.
  [[nodiscard]] size_t rule_bytes_max() const;
  // Of a path, named from the document's root down.
  [[nodiscard]] PathRuling at(const std::vector<std::string>& path) const;
  // Does an update stand against a delete that has not seen it?
  [[nodiscard]] bool updates_win() const { return updates_win_; }
  // Of two inserts of one _id, do the fields of both stand?
  [[nodiscard]] bool inserts_merge() const { return inserts_merge_; }
  // Is a replacement what it changes, field by field?
  [[nodiscard]] bool replaces_by_diff() const { return replaces_by_diff_; }
  // Are documents that hold one key of a unique index all shown?
  [[nodiscard]] bool keeps_duplicates() const { return keeps_duplicates_; }
  // Where versions are counted, a replacement is one, even if it changes none of that field.
  void give_versions_whole() { replaces_by_diff_ = replaces_by_diff_ && version_field().empty(); }
  // At which path apps count versions of a document; empty: they do not.
  [[nodiscard]] const std::vector<std::string>& version_field() const;
  // Is what is written at this path a version: at that field, above or below it?
  [[nodiscard]] bool gives_version(const std::vector<std::string>& path) const;
  // About what of that which loses there is somebody to decide? Empty: of whole documents.
  [[nodiscard]] Escalation escalation(const std::vector<std::string>& path) const;

 private:
  const std::vector<PathRule>* fields_ = nullptr;
  Escalation escalation_;
  bool updates_win_ = false;
  bool replaces_by_diff_ = false;
  bool inserts_merge_ = false;
  bool keeps_duplicates_ = false;
  const std::vector<std::string>* version_field_ = nullptr;
};

// The field that tells the elements of an array at its path apart, where an array is assigned whole
// or computed; empty: none does.
[[nodiscard]] std::string_view element_key_of(const PathRuling& ruling);
// Does what takes a value away from an array there stand against adds of an equal one that it had
// not seen?
[[nodiscard]] bool do_removals_win(const PathRuling& ruling);
// Does every write to such a path give it a value, whatever its operator? Then its author tells
// what it has become.
[[nodiscard]] bool is_assigned(PathType type);
// Is what lies below such a path a part of its value?
[[nodiscard]] bool is_kept_whole(PathType type);
// Do values that did not see each other stand side by side there until the rule chooses?
[[nodiscard]] bool is_contest(PathType type);

[[nodiscard]] bool pattern_matches(const std::vector<std::string>& pattern,
                                   const std::vector<std::string>& path, size_t depth);

// A type by its word in the settings, and back.
[[nodiscard]] std::optional<PathType> path_type_of(std::string_view word);
// "max", "set(remove_wins)", "keyed(sku)",
// "bounded[0, 500]", or "prefer[open, paid]" and "site[oslo, rome]" with what
// is preferred: a rule that lacks its pattern.
[[nodiscard]] std::optional<PathRule> parse_path_type(std::string_view text);
[[nodiscard]] std::string_view word_of(PathType type);
// All of them, as an error message lists them.
[[nodiscard]] std::string path_type_words();
// "items.*.note": nothing where it is no pattern.
[[nodiscard]] std::optional<std::vector<std::string>> parse_pattern(std::string_view dotted);
// "items.*.note = list": a rule in normal form.
[[nodiscard]] std::string text_of(const PathRule& rule);
// "true", "false", or "{differs_by: 10, older_than: 30d}": as it is written in the settings.
[[nodiscard]] std::string text_of(const Escalation& escalation);
// Why this rule of several can have no say, or takes it from another; empty: it is fine.
[[nodiscard]] std::string why_no_rule(const std::vector<PathRule>& rules, size_t at);

// For a person: which rule of the file decides for a path, and what it means. Where a name of it
// may be the position of an element: once for a document, once for an array.
[[nodiscard]] std::string explain_path(const Settings& settings, const std::string& file,
                                       const std::string& ns, const std::string& dotted);
// For a person: a line for each rule that may be thought to reach into elements of an array, which
// none does.
[[nodiscard]] std::vector<std::string> rules_of_documents_alone(const Settings& settings,
                                                                const std::string& file);

}  // namespace outrigger
