// For the tests of this folder and of proxy/peer: sites, records and two links joined by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "replication/link/link.h"
#include "replication/record/record_codec.h"

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

inline const Origin kOslo{site_id(1), 7};

inline std::string noise(uint32_t seed, size_t size) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < size) text.push_back(static_cast<char>('a' + random() % 26));
  return text;
}

inline std::string frame(MessageType type, std::string_view payload, uint8_t flags = 0) {
  std::string bytes;
  write_frame(bytes, static_cast<uint8_t>(type), flags, payload);
  return bytes;
}

// oslo dials paris; bytes go across only when told to.
class LinkTest : public ::testing::Test {
 protected:
  LinkTest() {
    oslo_.hello = hello_of("oslo", 1);
    oslo_.expected.dialled_site = "paris";
    oslo_.options.dialled = true;
    paris_.hello = hello_of("paris", 2);
  }

  void open() {
    oslo_.open(now_);
    paris_.open(now_);
  }
  // Until both are quiet; each transfer is cut into pieces of at most `piece_max` bytes.
  void exchange(size_t piece_max = SIZE_MAX) {
    while (oslo_.link->has_output() || paris_.link->has_output()) {
      move(oslo_, paris_, piece_max);
      move(paris_, oslo_, piece_max);
    }
  }
  void move(End& from, End& to, size_t piece_max = SIZE_MAX) {
    std::string bytes = from.link->take_output();
    for (std::string_view left = bytes; !left.empty();) {
      size_t size = piece_max == SIZE_MAX ? left.size() : 1 + random_() % piece_max;
      size = std::min(size, left.size());
      to.receive(left.substr(0, size), now_);
      left.remove_prefix(size);
    }
  }
  void establish() {
    open();
    exchange();
    ASSERT_TRUE(oslo_.link->established() && paris_.link->established());
  }
  // Time passes in steps of 250 ms; bytes go across unless the line is cut.
  void pass(int64_t ms, bool cut = false) {
    for (int64_t step = 0; step < ms; step += 250) {
      now_ += 250;
      oslo_.tick(now_);
      paris_.tick(now_);
      if (!cut) exchange();
    }
  }
  size_t send(End& from, Hlc hlc, const std::string& text) {
    std::string plain = encode_segments(segments_of(kOslo, hlc, text));
    const size_t bytes = plain.size();
    EXPECT_TRUE(from.link->send_batch(std::move(plain)).has_value());
    return bytes;
  }
  // What a hostile oslo sends to paris on an open link, and what paris says of it.
  std::string paris_says_to(const std::string& bytes) {
    paris_.receive(bytes, now_);
    std::vector<Closed> closed = paris_.all<Closed>();
    return closed.empty() ? "nothing" : closed[0].text;
  }

  int64_t now_ = 1'000'000;
  std::mt19937 random_{42};
  End oslo_;
  End paris_;
};

}  // namespace outrigger::link::testing
