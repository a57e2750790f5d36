#include "tools/outriggerctl_conflicts.h"

#include <fmt/format.h>
#include <simdjson.h>

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

}  // namespace outrigger::ctl
