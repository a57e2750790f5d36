#include "tools/outriggerctl_view.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <vector>

#include "tools/outriggerctl_text.h"

namespace outrigger::ctl {
namespace {

using simdjson::dom::element;

constexpr std::string_view kLostDelete = "update_delete";  // the kind of an entry

// An older or newer outrigger may not say everything; what is missing shows as empty or zero.
std::string text_of(const element& from, const char* key) {
  std::string_view found;
  return from[key].get(found) == simdjson::SUCCESS ? safe(found) : std::string();
}

int64_t number_of(const element& from, const char* key) {
  int64_t found = 0;
  return from[key].get(found) == simdjson::SUCCESS ? found : 0;
}

bool truth_of(const element& from, const char* key) {
  bool found = false;
  return from[key].get(found) == simdjson::SUCCESS && found;
}

element part_of(const element& from, const char* key) {
  element found = from;
  return from[key].get(found) == simdjson::SUCCESS ? found : from;
}

std::vector<element> list_of(const element& from, const char* key) {
  simdjson::dom::array found;
  if (from[key].get(found) != simdjson::SUCCESS) return {};
  return {found.begin(), found.end()};
}

// A value of a document as JSON in one line; "" when there is none.
std::string value_of(const element& from, const char* key, const Look& look) {
  element found;
  if (from[key].get(found) != simdjson::SUCCESS) return {};
  return shorten(safe(simdjson::minify(found)), look.value_columns_max);
}

tl::unexpected<Error> not_ours(const char* what) {
  return fail(ErrorCode::kCorrupt, "read", what, "this is not what an outrigger says",
              "is --admin the admin port of an outrigger?");
}

Result<element> parse_status(simdjson::dom::parser& parser, std::string_view json) {
  element root;
  std::string_view site;
  if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS ||
      root["site"].get(site) != simdjson::SUCCESS) {
    return not_ours("/status");
  }
  return root;
}

// Of a table.
Row head(std::initializer_list<const char*> names) {
  Row row;
  for (const char* name : names) row.push_back({name});
  return row;
}

Colour state_colour(std::string_view state) {
  if (state == "open") return Colour::kGreen;
  return state == "refused" ? Colour::kRed : Colour::kYellow;
}

Row peer_row(const element& peer, int64_t now_ms) {
  const std::string state = text_of(peer, "state");
  const int64_t behind = number_of(peer, "records_behind");
  const int64_t heard = number_of(peer, "last_heard_ms");
  const int64_t rtt = number_of(peer, "rtt_ms");
  std::string lag = count(behind, "record");
  if (behind > 0) {
    lag += fmt::format(", {}, {}", bytes(number_of(peer, "bytes_behind")),
                       duration(number_of(peer, "behind_ms")));
  }
  // An error that was followed by an open link is history.
  const std::string error = state == "open" ? "" : text_of(peer, "last_error");
  return {{text_of(peer, "site"), Colour::kNone},
          {state, state_colour(state)},
          {lag, behind > 0 ? Colour::kYellow : Colour::kNone},
          {heard > 0 ? duration(std::max<int64_t>(0, now_ms - heard)) + " ago" : "never"},
          {rtt >= 0 ? duration(rtt) : "-"},
          {bytes(number_of(peer, "bytes_out"))},
          {bytes(number_of(peer, "bytes_in"))},
          {text_of(peer, "address")},
          {error, Colour::kRed}};
}

std::string peers_table(const element& root, int64_t now_ms, const Look& look) {
  std::vector<Row> rows = {head({"PEER", "LINK", "IT LACKS", "HEARD", "ROUND TRIP", "SENT",
                                 "RECEIVED", "ADDRESS", "LAST ERROR"})};
  for (const element& peer : list_of(root, "peers")) rows.push_back(peer_row(peer, now_ms));
  return rows.size() == 1 ? "no peers\n" : table(rows, look);
}

// One "name  value" line each.
class Facts {
 public:
  explicit Facts(const Look& look) : look_(look) {}
  void add(std::string_view name, std::string_view value, Colour colour = Colour::kNone) {
    out_ += paint(fmt::format("{:<10}", name), Colour::kBold, look_) + paint(value, colour, look_);
    out_ += '\n';
  }
  std::string take() { return std::move(out_); }

 private:
  Look look_;
  std::string out_;
};

void add_writes(Facts& facts, const element& root) {
  const std::string failure = text_of(root, "outbox_failed");
  const int64_t open = number_of(root, "open_writes");
  if (!failure.empty()) return facts.add("writes", "refused: " + failure, Colour::kRed);
  std::string text = count(open) + " under way";
  const int64_t oldest = number_of(root, "oldest_open_write_ms");
  if (open > 0) text += ", the oldest for " + duration(oldest);
  facts.add("writes", text, open > 0 && oldest > 1000 ? Colour::kYellow : Colour::kNone);
}

// Nothing where nothing expires.
void add_expiry(Facts& facts, const element& root) {
  const element expiry = part_of(root, "expiry");
  const int64_t indexes = number_of(expiry, "indexes");
  if (indexes > 0) {
    facts.add("expiry",
              fmt::format("by {}, TTL indexes: {}, {} deleted", text_of(expiry, "by"),
                          count(indexes), count(number_of(expiry, "expired"), "document")));
  }
  for (const element& lack : list_of(expiry, "lacks")) {
    std::string_view why;
    if (lack.get(why) == simdjson::SUCCESS) facts.add("expiry", safe(why), Colour::kYellow);
  }
}

std::string amount(const element& part) {
  return count(number_of(part, "records"), "record") + ", " + bytes(number_of(part, "bytes"));
}

// Where a stamp was made, if its site is known: "2026-11-22T19:19:00.657Z@5786…/4f…".
std::string author(std::string_view stamp, const std::map<std::string, std::string>& names) {
  const size_t at = stamp.rfind('@');
  if (at == std::string_view::npos) return std::string(stamp);
  const auto found = names.find(std::string(stamp.substr(at + 1, 4)));
  return found == names.end() ? std::string(stamp.substr(at + 1)) : found->second;
}

// The first four digits of a site's id -> its name; without those that are not unique.
std::map<std::string, std::string> site_names(std::string_view status) {
  std::map<std::string, std::string> names;
  simdjson::dom::parser parser;
  const Result<element> root = parse_status(parser, status);
  if (!root) return names;
  std::vector<element> sites = list_of(*root, "peers");
  sites.push_back(*root);
  for (const element& site : sites) {
    const std::string id = text_of(site, "site_id").substr(0, 4);
    if (id.empty()) continue;
    const auto [at, is_new] = names.emplace(id, text_of(site, "site"));
    if (!is_new) at->second = id;
  }
  return names;
}

// "2026-11-22 19:19:00" of a stamp, or of a wall clock time without one.
std::string time_of(const element& entry) {
  const time_t seconds = static_cast<time_t>(number_of(entry, "time_ms") / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

// "2026-11-22T19:19:00.657Z at oslo" of a stamp.
std::string made(std::string_view stamp, const std::map<std::string, std::string>& names) {
  const std::string_view time = stamp.substr(0, stamp.rfind('@'));
  return stamp.empty() ? "" : std::string(time) + " at " + author(stamp, names);
}

std::string app_of(const element& from, const char* key) {  // ", app 'shop-web'"
  const std::string app = shorten(text_of(from, key), 40);  // columns
  return app.empty() ? "" : ", app '" + app + "'";
}

Colour conflict_colour(std::string_view state) {
  if (state == "open") return Colour::kRed;
  return state == "auto" ? Colour::kNone : Colour::kGreen;
}

Row conflict_row(const element& entry, const std::map<std::string, std::string>& names,
                 const Look& look) {
  const std::string kind = text_of(entry, "kind");
  const std::string loser = text_of(entry, "lost_stamp");
  std::string lost = kind == kLostDelete ? "the delete" : value_of(entry, "lost", look);
  if (!loser.empty()) lost += " of " + author(loser, names);
  std::string won = value_of(entry, "won", look);
  const std::string winner = text_of(entry, "won_stamp");
  if (won.empty() && kind == "delete_update") won = "the delete";
  if (!won.empty() && !winner.empty()) won += " of " + author(winner, names);
  if (won.empty()) won = shorten(text_of(entry, "reason"), 2 * look.value_columns_max);
  const std::string state = text_of(entry, "state");
  return {{text_of(entry, "name")},
          {time_of(entry)},
          {text_of(entry, "namespace")},
          {value_of(entry, "_id", look)},
          {text_of(entry, "path")},
          {kind, kind == "not_applied" ? Colour::kRed : Colour::kYellow},
          {state, conflict_colour(state)},
          {lost},
          {won}};
}

}  // namespace

Result<std::string> status_text(std::string_view json, int64_t now_ms, Look look) {
  simdjson::dom::parser parser;
  const Result<element> root = parse_status(parser, json);
  if (!root) return tl::unexpected(root.error());
  Facts facts(look);
  facts.add("site",
            fmt::format("{} (outrigger {}), up {}", text_of(*root, "site"),
                        text_of(*root, "version"), duration(number_of(*root, "uptime_ms"))));
  const bool available = truth_of(*root, "store_available");
  facts.add("store", text_of(*root, "store") + (available ? "" : ": not available"),
            available ? Colour::kNone : Colour::kRed);
  facts.add("clients", count(number_of(*root, "connections"), "connection"));
  add_writes(facts, *root);
  facts.add("outbox", amount(part_of(*root, "outbox")) + " kept");
  facts.add("inbox", amount(part_of(*root, "inbox")) + " to apply");
  facts.add("metadata", "for " + count(number_of(*root, "rows"), "document") + " not yet stable");
  const int64_t set_aside = number_of(*root, "not_applied");
  const int64_t gone = number_of(part_of(*root, "ledger"), "dropped");
  const std::string dropped = gone > 0 ? count(gone) + " older ones dropped, " : "";
  facts.add("ledger",
            count(number_of(*root, "conflicts"), "losing value") + ", " + dropped +
                count(set_aside, "document") + " set aside",
            set_aside > 0 ? Colour::kRed : Colour::kNone);
  add_expiry(facts, *root);
  const int64_t quarantined = number_of(*root, "quarantined");
  if (quarantined > 0) {
    facts.add("records", count(quarantined, "record") + " set aside", Colour::kRed);
  }
  for (const element& alarm : list_of(*root, "alarms")) {
    std::string_view what;
    if (alarm.get(what) == simdjson::SUCCESS) facts.add("alarm", safe(what), Colour::kRed);
  }
  for (const element& held : list_of(*root, "held")) {
    std::string_view why;
    if (held.get(why) == simdjson::SUCCESS) facts.add("held", safe(why), Colour::kYellow);
  }
  return facts.take() + "\n" + peers_table(*root, now_ms, look);
}

Result<std::string> peers_text(std::string_view json, int64_t now_ms, Look look) {
  simdjson::dom::parser parser;
  const Result<element> root = parse_status(parser, json);
  if (!root) return tl::unexpected(root.error());
  return peers_table(*root, now_ms, look);
}

Result<std::string> conflicts_text(std::string_view json, std::string_view status, Look look) {
  simdjson::dom::parser parser;
  element page;
  simdjson::dom::array entries;
  if (parser.parse(json.data(), json.size()).get(page) != simdjson::SUCCESS ||
      page["conflicts"].get(entries) != simdjson::SUCCESS) {
    return not_ours("/conflicts");
  }
  const std::map<std::string, std::string> names = site_names(status);
  std::vector<Row> rows = {head(
      {"NAME", "TIME (UTC)", "NAMESPACE", "_ID", "PATH", "KIND", "STATE", "LOST", "BEATEN BY"})};
  for (const element entry : entries) rows.push_back(conflict_row(entry, names, look));
  if (rows.size() == 1) return "no conflicts\n";
  std::string out = table(rows, look);
  if (truth_of(page, "more")) out += "older ones: --from " + text_of(page, "next") + "\n";
  return out;
}

Result<std::string> conflict_text(std::string_view json, std::string_view status, Look look) {
  look.value_columns_max = SIZE_MAX;
  simdjson::dom::parser parser;
  element entry;
  std::string_view kind;
  if (parser.parse(json.data(), json.size()).get(entry) != simdjson::SUCCESS ||
      entry["kind"].get(kind) != simdjson::SUCCESS) {
    return not_ours("/conflicts");
  }
  const std::map<std::string, std::string> names = site_names(status);
  const std::string state = text_of(entry, "state");
  const std::string path = text_of(entry, "path");
  const std::string element_of = truth_of(entry, "element") ? ", an element of the array" : "";
  Facts facts(look);
  facts.add("name", text_of(entry, "name"));
  facts.add("state", state, conflict_colour(state));
  facts.add("time", time_of(entry) + " UTC");
  facts.add("document", text_of(entry, "namespace") + ", _id " + value_of(entry, "_id", look));
  facts.add("path", (path.empty() ? "the whole document" : path) + element_of);
  const std::string loser = kind == kLostDelete ? "the delete" : value_of(entry, "lost", look);
  facts.add("lost", loser, Colour::kYellow);
  const std::string lost = made(text_of(entry, "lost_stamp"), names);
  if (!lost.empty()) facts.add("", "written " + lost + app_of(entry, "lost_app"));
  const std::string won = kind == "delete_update" ? "the delete" : value_of(entry, "won", look);
  if (!won.empty()) facts.add("won", won);
  const std::string winner = made(text_of(entry, "won_stamp"), names);
  if (!winner.empty())
    facts.add(won.empty() ? "won" : "", "written " + winner + app_of(entry, "won_app"));
  const std::string rule = text_of(entry, "rule");
  facts.add("rule", (rule.empty() ? safe(kind) : rule + " (" + safe(kind) + ")") + ": " +
                        text_of(entry, "reason"));
  return facts.take();
}

Result<std::string> path_text(std::string_view json, std::string_view status, Look look) {
  simdjson::dom::parser parser;
  element life;
  simdjson::dom::array events;
  if (parser.parse(json.data(), json.size()).get(life) != simdjson::SUCCESS ||
      life["events"].get(events) != simdjson::SUCCESS) {
    return not_ours("/explain");
  }
  const std::map<std::string, std::string> names = site_names(status);
  std::vector<Row> rows = {head({"WRITTEN (UTC)", "BY", "DID", "AT", "VALUE", "HAD NOT SEEN"})};
  for (const element event : events) {
    std::string unseen;
    for (const element& stamp : list_of(event, "had_not_seen")) {
      std::string_view text;
      if (stamp.get(text) != simdjson::SUCCESS) continue;
      unseen += (unseen.empty() ? "" : ", ") + made(safe(text), names);
    }
    const std::string stamp = text_of(event, "stamp");
    rows.push_back({{stamp.substr(0, stamp.rfind('@'))},
                    {author(stamp, names) + app_of(event, "app")},
                    {text_of(event, "did")},
                    {text_of(event, "path")},
                    {value_of(event, "value", look)},
                    {unseen, Colour::kYellow}});
  }
  std::string out = rows.size() == 1 ? "no write that is not everywhere yet\n" : table(rows, look);
  for (const element& entry : list_of(life, "conflicts")) {
    const std::string at = text_of(entry, "path");
    out += fmt::format("\n{}: {} lost{}, {} ({}, {})\n", at.empty() ? "the document" : at,
                       value_of(entry, "lost", look),
                       truth_of(entry, "element") ? " as an element" : "", text_of(entry, "reason"),
                       text_of(entry, "state"), text_of(entry, "name"));
    const std::string lost = made(text_of(entry, "lost_stamp"), names);
    const std::string won = made(text_of(entry, "won_stamp"), names);
    if (lost.empty() || won.empty()) continue;
    out += fmt::format("  it was written {}{}; what beat it, {}{}\n", lost,
                       app_of(entry, "lost_app"), won, app_of(entry, "won_app"));
  }
  if (!truth_of(life, "whole")) out += "\nthere may be more: the log is long\n";
  return out;
}

Result<std::string> quarantine_text(std::string_view json, Look look) {
  simdjson::dom::parser parser;
  simdjson::dom::array entries;
  if (parser.parse(json.data(), json.size()).get(entries) != simdjson::SUCCESS) {
    return not_ours("/quarantine");
  }
  std::vector<Row> rows = {head({"SET ASIDE (UTC)", "RECORD", "BYTES", "WHY"})};
  for (const element entry : entries) {
    rows.push_back({{time_of(entry)},
                    {text_of(entry, "record")},
                    {std::to_string(number_of(entry, "bytes"))},
                    {text_of(entry, "reason"), Colour::kRed}});
  }
  return rows.size() == 1 ? "no records set aside\n" : table(rows, look);
}

Result<std::string> quarantined_record(std::string_view json, std::string_view name) {
  simdjson::dom::parser parser;
  simdjson::dom::array entries;
  if (parser.parse(json.data(), json.size()).get(entries) != simdjson::SUCCESS) {
    return not_ours("/quarantine");
  }
  for (const element entry : entries) {
    if (text_of(entry, "record") == safe(name)) return safe(simdjson::minify(entry)) + "\n";
  }
  return fail(ErrorCode::kNotFound, "show a record set aside", std::string(name),
              "no record of this name is set aside");
}

}  // namespace outrigger::ctl
