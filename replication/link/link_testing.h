// For the tests of this folder and of proxy/peer: sites, records and two links joined by hand.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "replication/link/link.h"

namespace outrigger::link::testing {

inline SiteId site_id(uint8_t seed) {
  SiteId id{};
  id.fill(seed);
  return id;
}

inline Hello hello_of(const std::string& site, uint8_t id) {
  Hello hello;
  hello.site.site = site;
  hello.site.site_id = site_id(id);
  hello.site.epoch = 7;
  hello.site.policy_hash = "abc";
  hello.site.members = {"oslo", "paris"};
  hello.policy_lines = {"*: replicate"};
  return hello;
}

// One `$set` of `text` in t.a, at `hlc` of `origin`.
inline Record record_of(const Origin& origin, Hlc hlc, const std::string& text) {
  Record record;
  record.origin = origin;
  record.hlc = hlc;
  record.deps.raise(origin, hlc - 1);
  Effect effect;
  effect.path = {"text"};
  effect.shape = Shape::kValue;
  effect.value = bson::make_string(text);
  DocumentEffects document;
  document.ns = "t.a";
  document.id = bson::make_int64(static_cast<int64_t>(hlc));
  document.effects = {effect};
  record.documents = {document};
  return record;
}

inline std::vector<Segment> segments_of(const Origin& origin, Hlc hlc, const std::string& text) {
  Segment segment;
  segment.origin = origin;
  segment.after = hlc - 1;
  segment.through = hlc;
  segment.records = {record_of(origin, hlc, text)};
  return {segment};
}

// One end: a link and what came out of it.
struct End {
  Hello hello;
  Expectation expected;
  LinkOptions options;
  std::vector<LinkEvent> events;
  std::unique_ptr<Link> link;

  void open(int64_t now_ms) {
    options.hello = [this] { return hello; };
    options.expect = [this](const SiteHello&) { return expected; };
    link = std::make_unique<Link>(options, now_ms);
  }
  void receive(std::string_view bytes, int64_t now_ms) { keep(link->receive(bytes, now_ms)); }
  void tick(int64_t now_ms) { keep(link->tick(now_ms)); }

  template <typename Event>
  [[nodiscard]] std::vector<Event> all() const {
    std::vector<Event> found;
    for (const LinkEvent& event : events) {
      if (const Event* match = std::get_if<Event>(&event)) found.push_back(*match);
    }
    return found;
  }

 private:
  void keep(std::vector<LinkEvent> more) {
    for (LinkEvent& event : more) events.push_back(std::move(event));
  }
};

}  // namespace outrigger::link::testing
