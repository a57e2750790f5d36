// A strict walk over a YAML tree. yaml-cpp finds a key among duplicates without a word, turns
// text into numbers where it can, and has no notion of a key nobody asked for; this layer takes
// each mapping apart key by key, remembers which keys were asked for, and turns every surprise
// into an error that names file, line and key path.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/result.h"
#include "config/settings.h"

namespace outrigger {

// One value with the place a person must look at to change it: the line of its key, from 1.
struct YamlValue {
  YAML::Node node;
  std::string path;  // "peers.sites[0].address"
  int line = 0;
};

// Collects the errors of one file; must outlive the YamlMaps that report to it.
class YamlErrors {
 public:
  explicit YamlErrors(std::string file) : file_(std::move(file)) {}

  // "expected <what>, found <the value>". The found text is redacted like a URI.
  void expected(const YamlValue& at, const std::string& what, const std::string& hint = {});
  // A reason in the caller's own words.
  void refuse(const YamlValue& at, ErrorCode code, const std::string& reason,
              const std::string& hint = {});

  [[nodiscard]] bool empty() const { return errors_.empty(); }
  // In the order of the file.
  [[nodiscard]] std::vector<Error> take();

 private:
  std::string file_;
  std::multimap<int, Error> errors_;  // by line
};

// Readers of one value. On a wrong type they report and return nullopt.
[[nodiscard]] std::optional<std::string> read_text(YamlErrors& errors, const YamlValue& value,
                                                   const std::string& what);
[[nodiscard]] std::optional<bool> read_bool(YamlErrors& errors, const YamlValue& value);
[[nodiscard]] std::optional<uint32_t> read_number(YamlErrors& errors, const YamlValue& value,
                                                  uint32_t min, uint32_t max);
[[nodiscard]] std::optional<Endpoint> read_endpoint(YamlErrors& errors, const YamlValue& value);
[[nodiscard]] std::vector<YamlValue> read_list(YamlErrors& errors, const YamlValue& value,
                                               const std::string& what);

// One mapping. Keys not taken by the time finish() is called are reported as unknown, so every
// known key must be asked for, also one whose value is not used.
class YamlMap {
 public:
  // Reports a value that is no mapping (or empty), keys that are no plain names, keys given twice.
  YamlMap(YamlErrors& errors, const YamlValue& value);

  // The value of `key` when it is there.
  [[nodiscard]] std::optional<YamlValue> take(const std::string& key);
  // The same; reports a missing key, with `what` it should hold.
  [[nodiscard]] std::optional<YamlValue> require(const std::string& key, const std::string& what);
  // Where an error about the mapping as a whole, or about a key that is missing, points to.
  [[nodiscard]] YamlValue at(const std::string& key = {}) const;
  void finish();

 private:
  YamlErrors& errors_;
  YamlValue self_;
  bool is_map_ = false;
  std::map<std::string, YamlValue> left_;
  std::vector<std::string> known_;
};

}  // namespace outrigger
