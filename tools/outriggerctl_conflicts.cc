#include "tools/outriggerctl_conflicts.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cctype>

#include "tools/outriggerctl_text.h"

namespace outrigger::ctl {
namespace {

using simdjson::dom::element;

bool is_of(const element& entry, const char* key, const std::string& wanted) {
  std::string_view found;
  return wanted.empty() || (entry[key].get(found) == simdjson::SUCCESS && found == wanted);
}

tl::unexpected<Error> not_of_conflicts() {
  return fail(ErrorCode::kCorrupt, "read", "/conflicts", "this is not what an outrigger says",
              "is --admin the admin port of an outrigger?");
}

}  // namespace

Result<ConflictPage> conflict_page(std::string_view json, const ConflictFilter& filter) {
  simdjson::dom::parser parser;
  element body;
  simdjson::dom::array entries;
  if (parser.parse(json.data(), json.size()).get(body) != simdjson::SUCCESS ||
      body["conflicts"].get(entries) != simdjson::SUCCESS) {
    return not_of_conflicts();
  }
  ConflictPage page;
  for (const element entry : entries) {
    if (!is_of(entry, "namespace", filter.ns) || !is_of(entry, "state", filter.state)) continue;
    page.entries.push_back(safe(simdjson::minify(entry)));
  }
  bool is_more = false;
  std::string_view next;
  if (body["more"].get(is_more) == simdjson::SUCCESS && is_more &&
      body["next"].get(next) == simdjson::SUCCESS) {
    page.next = safe(next);
  }
  return page;
}

std::string conflicts_json(const ConflictPage& page) {
  const std::string entries = fmt::format("{}", fmt::join(page.entries, ",\n "));
  if (page.next.empty()) return "{\"conflicts\": [" + entries + "], \"more\": false}\n";
  return "{\"conflicts\": [" + entries + "], \"more\": true, \"next\": \"" + page.next + "\"}\n";
}

Result<PathAsked> path_of_conflict(std::string_view json) {
  simdjson::dom::parser parser;
  element entry;
  element id;
  std::string_view ns;
  std::string_view path;
  std::string_view kind;
  if (parser.parse(json.data(), json.size()).get(entry) != simdjson::SUCCESS ||
      entry["namespace"].get(ns) != simdjson::SUCCESS ||
      entry["_id"].get(id) != simdjson::SUCCESS || entry["path"].get(path) != simdjson::SUCCESS ||
      entry["kind"].get(kind) != simdjson::SUCCESS) {
    return not_of_conflicts();
  }
  if (ns.empty()) {
    return fail(ErrorCode::kRefused, "explain", safe(simdjson::minify(id)),
                "it is a record that is set aside, and no value of a document",
                "outriggerctl quarantine show tells what is in it");
  }
  const bool names_an_index = kind == "kept";
  return PathAsked{std::string(ns), simdjson::minify(id),
                   names_an_index ? std::string() : std::string(path)};
}

std::string id_json(const std::string& typed) {
  const bool is_hex =
      typed.size() == 24 && typed.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (is_hex) {
    std::string lower = typed;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return "{\"$oid\":\"" + lower + "\"}";
  }
  simdjson::dom::parser parser;
  element parsed;
  if (parser.parse(typed).get(parsed) == simdjson::SUCCESS) return simdjson::minify(parsed);
  std::string text = "\"";
  for (const char c : typed) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + "\"";
}

std::string percent_coded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += std::isalnum(byte) != 0 ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

}  // namespace outrigger::ctl
