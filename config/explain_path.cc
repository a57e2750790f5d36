// What `--explain` prints.
#include <algorithm>

#include "config/merge_rules.h"
#include "config/policy.h"
#include "config/units.h"

namespace outrigger {
namespace {

std::vector<std::string> names_of(std::string_view dotted) {
  std::vector<std::string> names;
  for (;;) {
    const size_t dot = dotted.find('.');
    names.emplace_back(dotted.substr(0, dot));
    if (dot == std::string_view::npos) return names;
    dotted.remove_prefix(dot + 1);
  }
}

std::string joined(const std::vector<std::string>& names, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ".") + names[i];
  return text;
}

// May this name be the position of an element, where what is above it is an array?
bool is_position(const std::string& name) {
  if (name.starts_with('$') || name.starts_with('*')) return true;
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

const std::string kKept =
    "one value with all that is in it; whoever has seen a value replaces it, and ";
const std::string kBeside = kKept + "of values that sites gave without seeing each other's ";
const std::string kUnion =
    kKept +
    "what sites gave without seeing each other's is united: an array of all distinct elements, "
    "those of the earlier one first, of what is no array itself";

std::string meaning(PathType type) {
  switch (type) {
    case PathType::kByOperation:
      return "what $inc adds adds up, elements that $push, $pull and edits of elements name merge "
             "one by one, fields of documents merge one by one; of two other values given to one "
             "path the later one stands everywhere, and the ledger keeps the other";
    case PathType::kList:
      return "an array whose elements merge one by one: pushes of several sites all stand, an "
             "element is removed where it was seen; of two arrays assigned whole the later stands, "
             "but where every element has an _id of its own: then they are told apart by it";
    case PathType::kKeyed:
      return "an array of documents that are told apart by one field, also where it is assigned "
             "whole: edits of different ones, and of different fields of one, all stand";
    case PathType::kSet:
      return "an array in which equal elements show once: what several sites add stands, an "
             "element "
             "is removed where it was seen, also where the array is assigned whole";
    case PathType::kCounter:
      return "what $inc adds adds up; a value assigned replaces what its writer had seen, and "
             "increments it had not seen are added to it";
    case PathType::kBounded:
      return "as a counter, but where the sum of what is added leaves these bounds, the bound "
             "shows, everywhere: the sum is remembered and goes on counting, and the ledger keeps "
             "it; what is assigned or inserted shows as it is";
    case PathType::kLww:
      return "every write gives it a value, $inc and $push, too: the later one stands everywhere, "
             "and the ledger keeps the other";
    case PathType::kAtomic:
      return "one value with all that is in it: a write to a part of it gives it as a whole, the "
             "later one stands everywhere, and the ledger keeps what the other had";
    case PathType::kFirstWins:
      return kBeside + "the first of them shows";
    case PathType::kMax:
      return kBeside +
             "the largest of them shows, in the order in which MongoDB sorts values (of "
             "mixed kinds, by kind: numbers before texts before dates)";
    case PathType::kMin:
      return kBeside +
             "the smallest of them shows, in the order in which MongoDB sorts values (of "
             "mixed kinds, by kind: numbers before texts before dates)";
    case PathType::kPrefer:
      return kBeside + "the one that stands last in the list shows; any other loses to those in it";
    case PathType::kSite:
      return kBeside + "that of the site that stands last in the list shows; any other site loses";
    case PathType::kLongest:
      return kBeside + "the text of the most characters shows";
    case PathType::kMultiValue:
      return kBeside +
             "the latest of them shows, and the ledger keeps the others open until "
             "somebody decides";
    case PathType::kUnion:
      return kUnion;
  }
  return {};
}

const std::string kRemovesWin =
    "an array in which equal elements show once, and from which what was taken away stays away: a "
    "value that one site takes away, also by assigning the array without it, and another one adds, "
    "neither seeing the other, is not there, and the ledger has what was added; who has seen that "
    "it was taken away may add it anew. What takes away the whole array, or a document it is in, "
    "takes away what it has seen";

std::string meaning(const PathRuling& ruling) {
  return do_removals_win(ruling) ? kRemovesWin : meaning(ruling.type);
}

std::string at_line(const std::string& file, int line) {
  return file + ":" + std::to_string(line) + ": ";
}

std::string about_namespace(const Settings& settings, const Policy& policy, const std::string& file,
                            const std::string& ns) {
  const ReplicateRule& rule = policy.rule_for(ns);
  const bool is_named = rule.line > 0 && !settings.replicate.empty();
  std::string text =
      is_named ? at_line(file, rule.line) + "the rule of namespace '" + rule.namespace_glob + "'"
               : "no rule names this namespace";
  if (!policy.replicates(ns)) text += "; it does not travel: other sites have no say in it";
  return text + "\n";
}

std::string about_escalation(const Escalation& escalation) {
  if (escalation == Escalation()) return {};
  std::string where;
  if (escalation.differs_by) {
    where = " where it and what it lost to are no numbers that differ by at most " +
            number_text(*escalation.differs_by);
  }
  if (escalation.older_than_ms) {
    where += std::string(where.empty() ? " where" : ", or where") + " it was written more than " +
             duration_text(*escalation.older_than_ms) + " before what it lost to";
  }
  return "escalate: what loses there is open in the ledger until somebody decides" + where + "\n";
}

// What holds for all documents of a namespace, whatever the path.
std::string about_rules(const MergeRules& rules) {
  std::string text;
  if (rules.updates_win()) {
    text +=
        "deletes: update_wins: a document that one site deletes and another one updates, "
        "neither seeing the other, stays whole; the ledger has the delete\n";
  }
  if (rules.replaces_by_diff()) {
    text +=
        "replaces: diff: a replacement of a document is a write of what it changes in it, as if "
        "that alone had been updated\n";
  }
  if (rules.inserts_merge()) {
    text +=
        "inserts: merge: of two inserts of one _id that did not see each other the fields of both "
        "stand, as those of two upserts; of one path the later\n";
  }
  if (rules.keeps_duplicates()) {
    text +=
        "unique: keep: documents that came to hold one key of a unique index at sites that were "
        "apart are all shown; the ledger has them, and the index refuses new ones\n";
  }
  return text;
}

std::string about_version_field(const std::vector<std::string>& field) {
  if (field.empty()) return {};
  return "version_field: " + joined(field, field.size()) +
         ": a write that names it gives the whole document: of two that did not see each other "
         "the later stands whole, and the ledger has the other, whole\n";
}

std::string deciding(const std::string& file, const PathRuling& ruling) {
  const std::string which = ruling.rule == nullptr ? "no pattern matches: the default decides"
                                                   : at_line(file, ruling.rule->line) + "'" +
                                                         text_of(*ruling.rule) + "' decides";
  return which + ": " + meaning(ruling) + "\n";
}

// Where no name of the path is the position of an element.
std::string about_fields(const MergeRules& rules, const std::string& file,
                         const std::vector<std::string>& path) {
  const PathRuling ruling = rules.at(path);
  std::string text = deciding(file, ruling) + about_escalation(rules.escalation(path));
  if (ruling.depth < path.size()) {
    text += joined(path, path.size()) + " is a part of the value at " + joined(path, ruling.depth) +
            "\n";
  }
  return text;
}

// Where the first `depth` names of the path lead to an array.
std::string about_element(const MergeRules& rules, const std::string& file,
                          const std::vector<std::string>& path, size_t depth) {
  const std::vector<std::string> array(path.begin(), path.begin() + static_cast<ptrdiff_t>(depth));
  const PathRuling ruling = rules.at(array);
  const std::string merges =
      is_assigned(ruling.type)
          ? "which is a part of the value of the array"
          : "and what is in an element merges field by field, by what is done to it: no rule "
            "but the array's holds there; an array in an element is one value";
  return deciding(file, ruling) + about_escalation(rules.escalation(array)) +
         joined(path, path.size()) + " is in an element of it, " + merges + "\n";
}

// One answer for each way in which the names may be meant: whoever has a value at this path knows
// which of them are positions.
std::string about_path(const MergeRules& rules, const std::string& file,
                       const std::vector<std::string>& path) {
  std::string text;
  const size_t kept_at = rules.at(path).depth;
  std::string last_array;
  for (size_t i = 1; i < path.size() && i < kept_at; ++i) {
    if (!is_position(path[i])) continue;
    last_array = joined(path, i);
    text += "where " + last_array + " is an array: " + about_element(rules, file, path, i);
  }
  if (last_array.empty()) return about_fields(rules, file, path);
  return "where " + last_array + " is a document: " + about_fields(rules, file, path) + text;
}

}  // namespace

std::string explain_path(const Settings& settings, const std::string& file, const std::string& ns,
                         const std::string& dotted) {
  const Policy policy(settings);
  std::string text = about_namespace(settings, policy, file, ns);
  if (!policy.replicates(ns)) return text;
  const MergeRules rules = policy.merge_rules(ns);
  text += about_rules(rules);
  text += about_version_field(rules.version_field()) + about_path(rules, file, names_of(dotted));
  return text + "This is what " + file +
         " says; what sites have agreed on since then holds instead: outriggerctl status\n";
}

std::vector<std::string> rules_of_documents_alone(const Settings& settings,
                                                  const std::string& file) {
  std::vector<std::string> lines;
  for (const ReplicateRule& each : settings.replicate) {
    for (const PathRule& rule : each.fields) {
      const std::vector<std::string>& names = rule.pattern;
      const auto at = std::find_if(names.begin() + 1, names.end(), is_position);
      if (at == names.end()) continue;
      const auto depth = static_cast<size_t>(at - names.begin());
      const std::string above = joined(names, depth);
      lines.push_back(at_line(file, rule.line) + "'" + text_of(rule) + "' holds where " + above +
                      " is a document; in the elements of an array no rule holds but that of the "
                      "array (" +
                      above + ")");
    }
  }
  return lines;
}

}  // namespace outrigger
