// Between a row and the state it stands for: `fill` reads from the document what the row leaves
// out, `strip` leaves out what `fill` would find again.
//
// A field of the document without a register of its own in the row carries the stamp of the nearest
// register of a container above it, since it was assigned with that container; without one, stamp
// zero. A container that nobody ever assigned (it appeared with a field below it) gets that stamp
// too; it could not be told from one that was there before, and no rule asks: what lives in it
// asserts it with larger stamps.
#include <vector>

#include "replication/merge/decompose.h"
#include "replication/merge/row.h"
#include "replication/merge/view.h"

namespace outrigger::merge {
namespace {

class Filler {
 public:
  explicit Filler(Body& body) : body_(body) {}

  void run(const bson::Document& document) {
    Dot inherited;
    const auto root = body_.registers.find(Path());
    if (root != body_.registers.end()) {
      inherited = root->second.stamp;
      root->second.content = Content::kDocument;
    }
    Path path;
    fields(document, path, inherited);
    for (auto& [at, reg] : found_) body_.registers.try_emplace(at, std::move(reg));
  }

 private:
  void fields(const bson::Document& document, Path& path, const Dot& inherited) {
    for (const bson::Element& element : document) {
      path.emplace_back(element.name);
      field(element.value, path, inherited);
      path.pop_back();
    }
  }

  void field(const bson::Value& value, Path& path, Dot inherited) {
    const bool container = is_container(value, path.size());
    const auto own = body_.registers.find(path);
    if (own != body_.registers.end()) {
      Register& reg = own->second;
      if (reg.content == Content::kShown) set_content(reg, value, container);
      reg.order = next_order_++;
      inherited = reg.stamp;
    } else {
      Register reg;
      reg.stamp = inherited;
      // What a counter shows is no base: without a register the base is absent.
      if (!body_.counters.contains(path)) set_content(reg, value, container);
      reg.order = next_order_++;
      found_.emplace_back(path, std::move(reg));
    }
    if (container) fields(value.as_document(), path, inherited);
  }

  static void set_content(Register& reg, const bson::Value& value, bool container) {
    reg.content = container ? Content::kDocument : Content::kValue;
    if (!container) reg.value = bson::OwnedValue(value);
  }

  Body& body_;
  std::vector<std::pair<Path, Register>> found_;  // apart: what we look up is the row only
  uint32_t next_order_ = 0;
};

// Places of the fields of a state that has all its values; for looks only.
void take_order(Body& body, const bson::Document& document, Path& path, uint32_t& next) {
  for (const bson::Element& element : document) {
    path.emplace_back(element.name);
    const auto own = body.registers.find(path);
    if (own != body.registers.end()) own->second.order = next++;
    if (is_container(element.value, path.size()))
      take_order(body, element.value.as_document(), path, next);
    path.pop_back();
  }
}

// A register the store should show and does not: somebody took it away behind our back.
void forget_missing(Body& body) {
  for (auto& [path, reg] : body.registers) {
    if (reg.content != Content::kShown) continue;
    reg.content = path.empty() ? Content::kDocument : Content::kAbsent;
  }
}

Content content_in_row(const Path& path, const Register& reg, const Node* node) {
  const bool shown = node != nullptr && node->governs && node->reg == &reg;
  if (!shown) return reg.content;
  if (node->shows == Node::Shows::kDocument && reg.content == Content::kDocument) {
    return Content::kShown;
  }
  // A leaf that would be taken apart when it is read back from the document stays in the row.
  const bool whole =
      node->shows == Node::Shows::kRegister && !is_container(reg.value.view(), path.size());
  return whole ? Content::kShown : reg.content;
}

// The registers of a full body that the document does not imply.
std::map<Path, Register> needed_registers(const Body& body, const Node& root) {
  std::map<Path, Register> needed;
  std::vector<std::pair<const Path*, Dot>> above;  // containers kept so far on the way here
  for (const auto& [path, reg] : body.registers) {
    while (!above.empty() && !has_prefix(path, *above.back().first)) above.pop_back();
    const Dot inherited = above.empty() ? Dot() : above.back().second;
    const bool counter = body.counters.contains(path);
    const Content content =
        counter ? reg.content : content_in_row(path, reg, find_node(root, path));
    const bool implied = reg.stamp == inherited && reg.baseline.empty() &&
                         (content == Content::kShown || content == Content::kAbsent);
    if (implied) continue;
    Register kept;
    kept.stamp = reg.stamp;
    kept.content = content;
    if (content == Content::kValue) kept.value = reg.value;
    kept.baseline = reg.baseline;
    const auto at = needed.emplace_hint(needed.end(), path, std::move(kept));
    above.emplace_back(&at->first, at->second.stamp);
  }
  return needed;
}

bool nothing_to_remember(const Incarnation& incarnation) {
  const Body& body = incarnation.body;
  return incarnation.births.size() == 1 && incarnation.births.front().is_zero() &&
         body.registers.empty() && body.counters.empty() && body.asserted.empty();
}

}  // namespace

void fill(DocumentState& state, const std::optional<bson::Document>& document) {
  if (state.full) return;
  state.full = true;
  if (state.incarnations.empty()) {
    if (!document) return;
    state.incarnations.emplace_back().births.emplace_back();
  }
  const bool sparse = !state.detached && state.incarnations.size() == 1;
  if (document && sparse) {
    Filler(state.incarnations.front().body).run(*document);
  } else if (document) {
    for (Incarnation& incarnation : state.incarnations) {
      Path path;
      uint32_t next = 0;
      take_order(incarnation.body, *document, path, next);
    }
  }
  if (sparse) forget_missing(state.incarnations.front().body);
}

std::string strip(const DocumentState& state) {
  if (state.incarnations.empty()) return {};
  const bool sparse = !state.detached && state.incarnations.size() == 1;
  if (!sparse) return encode_row(state);
  const Incarnation& incarnation = state.incarnations.front();
  if (!state.full) return nothing_to_remember(incarnation) ? std::string() : encode_row(state);
  DocumentState row;
  Incarnation& kept = row.incarnations.emplace_back();
  kept.births = incarnation.births;
  kept.body.counters = incarnation.body.counters;
  kept.body.asserted = incarnation.body.asserted;
  kept.body.registers = needed_registers(incarnation.body, view_tree(incarnation.body));
  return nothing_to_remember(kept) ? std::string() : encode_row(row);
}

}  // namespace outrigger::merge
