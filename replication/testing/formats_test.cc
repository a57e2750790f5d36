// FORMATS.md says what every byte means to whoever writes a decoder in another language. Here its
// worked examples are read out of it, so that the document cannot say one thing and the code do
// another.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <string>

#include "replication/testing/formats_testing.h"

namespace outrigger::formats {
namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[static_cast<uint8_t>(byte) >> 4];
    text += kDigits[static_cast<uint8_t>(byte) & 15];
    text += ' ';
  }
  return text;
}

// "0a" or, sixteen times over, "aa*16".
bool append_token(std::string& bytes, const std::string& token) {
  const auto digits_end = token.find_first_not_of("0123456789abcdef");
  if (token.substr(0, digits_end).size() != 2) return false;
  size_t times = 1;
  if (digits_end != std::string::npos) {
    if (token[digits_end] != '*' || token.size() == digits_end + 1) return false;
    if (token.find_first_not_of("0123456789", digits_end + 1) != std::string::npos) return false;
    times = std::stoul(token.substr(digits_end + 1));
  }
  bytes.append(times, static_cast<char>(std::stoul(token.substr(0, 2), nullptr, 16)));
  return true;
}

// A line is hex, then a comment behind "#"; "->" stands between a key and its value.
bool append_line(Parts& parts, const std::string& line) {
  std::istringstream tokens(line.substr(0, line.find('#')));
  for (std::string token; tokens >> token;) {
    if (token == "->") {
      parts.emplace_back();
    } else if (!append_token(parts.back(), token)) {
      return false;
    }
  }
  return true;
}

// Every fenced block whose info string is "example NAME".
std::map<std::string, Parts> examples_in_document() {
  std::map<std::string, Parts> found;
  std::ifstream document(OUTRIGGER_FORMATS_MD);
  EXPECT_TRUE(document.is_open()) << OUTRIGGER_FORMATS_MD;
  const std::string opening = "```example";
  Parts* open = nullptr;
  size_t number = 0;
  for (std::string line; std::getline(document, line);) {
    ++number;
    if (open == nullptr && line.starts_with(opening)) {
      EXPECT_EQ(line.substr(opening.size(), 1), " ") << "line " << number << ": no name";
      const auto [at, is_new] = found.try_emplace(line.substr(opening.size() + 1), Parts{""});
      EXPECT_TRUE(is_new) << "line " << number << ": a second example " << at->first;
      open = &at->second;
    } else if (line == "```") {
      open = nullptr;
    } else if (open != nullptr) {
      EXPECT_TRUE(append_line(*open, line)) << "line " << number << ": no hex: " << line;
    }
  }
  EXPECT_EQ(open, nullptr) << "the last example does not end";
  return found;
}

std::vector<Example> examples_in_code() {
  std::vector<Example> all;
  for (const auto& some : {record_examples(), prepare_examples(), row_examples(), site_examples(),
                           outbox_examples(), link_examples()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

TEST(Formats, EveryExampleIsWrittenAndReadByTheCode) {
  const auto in_document = examples_in_document();
  for (const Example& example : examples_in_code()) {
    SCOPED_TRACE(example.name);
    const Parts written = example.encode();
    const auto shown = in_document.find(example.name);
    if (shown == in_document.end()) {
      std::string bytes;
      for (const std::string& part : written) bytes += "\n" + hex(part);
      ADD_FAILURE() << "no example in the document of:" << bytes;
      continue;
    }
    ASSERT_EQ(written.size(), shown->second.size());
    for (size_t i = 0; i < written.size(); ++i) EXPECT_EQ(hex(written[i]), hex(shown->second[i]));
    example.check(shown->second);
  }
}

TEST(Formats, EveryExampleInTheDocumentIsOneOfTheCode) {
  std::set<std::string> known;
  for (const Example& example : examples_in_code()) {
    EXPECT_TRUE(known.insert(example.name).second) << example.name << " is there twice";
  }
  for (const auto& [name, parts] : examples_in_document()) {
    EXPECT_TRUE(known.contains(name)) << name;
  }
}

}  // namespace
}  // namespace outrigger::formats
