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

}  // namespace

Result<ConflictPage> conflict_page(std::string_view json, const ConflictFilter& filter) {
  simdjson::dom::parser parser;
  element body;
  simdjson::dom::array entries;
  if (parser.parse(json.data(), json.size()).get(body) != simdjson::SUCCESS ||
      body["conflicts"].get(entries) != simdjson::SUCCESS) {
    return fail(ErrorCode::kCorrupt, "read", "/conflicts", "this is not what an outrigger says",
                "is --admin the admin port of an outrigger?");
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
