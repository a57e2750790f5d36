#include "config/yaml_text.h"

#include <yaml-cpp/eventhandler.h>

#include <sstream>

namespace outrigger {
namespace {

// Takes a document's events and keeps none.
class Events final : public YAML::EventHandler {
 public:
  bool has_alias = false;

  using Anchor = YAML::anchor_t;
  using Style = YAML::EmitterStyle::value;
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, Anchor) override {}
  void OnAlias(const YAML::Mark&, Anchor) override { has_alias = true; }
  void OnScalar(const YAML::Mark&, const std::string&, Anchor, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, Anchor, Style) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, Anchor, Style) override {}
  void OnMapEnd() override {}
};

void write_plain(YAML::Emitter& out, const YAML::Node& node) {
  if (node.IsMap()) {
    out << YAML::BeginMap;
    for (const auto& pair : node) {
      out << YAML::Key;
      write_plain(out, pair.first);
      out << YAML::Value;
      write_plain(out, pair.second);
    }
    out << YAML::EndMap;
  } else if (node.IsSequence()) {
    out << YAML::BeginSeq;
    for (const auto& each : node) write_plain(out, each);
    out << YAML::EndSeq;
  } else if (node.IsScalar()) {
    out << node.Scalar();
  } else {
    out << YAML::Null;
  }
}

}  // namespace

// How many documents there are is counted up to two. YAML::LoadAll would tell too, but never
// returns from a file that starts with a comma: it finds one empty document after the other.
Result<YamlText> parse_yaml(const std::string& text, const std::string& file) {
  YamlText yaml;
  int documents = 0;
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    Events events;
    while (documents < 2 && parser.HandleNextDocument(events)) ++documents;
    yaml.has_alias = events.has_alias;
    yaml.root = YAML::Load(text);
  } catch (const YAML::Exception& e) {
    return fail(ErrorCode::kInvalidArgument, "", file + ":" + std::to_string(e.mark.line + 1),
                "expected YAML, found an error: " + e.msg);
  }
  if (documents == 1) return yaml;
  return fail(ErrorCode::kInvalidArgument, "", file + ":1",
              std::string("expected one YAML document, found ") +
                  (documents == 0 ? "none" : "more than one"),
              "start with: site, data_dir and store.uri");
}

std::string plain_yaml(const YAML::Node& node) {
  YAML::Emitter out;
  write_plain(out, node);
  return out.c_str();
}

}  // namespace outrigger
