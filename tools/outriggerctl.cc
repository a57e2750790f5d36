// outriggerctl: asks a running outrigger, over its admin port, how it is.
// Exit code 0: well. 1: it answers, but is not ready or could not say. 2: nobody answers, or the
// call was wrong.
#include <httplib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/clock.h"
#include "tools/outriggerctl_conflicts.h"
#include "tools/outriggerctl_view.h"

namespace outrigger::ctl {
namespace {

constexpr int kWell = 0;
constexpr int kNotWell = 1;
constexpr int kNoAnswer = 2;
constexpr time_t kTimeoutSeconds = 10;
constexpr size_t kPageMax = 1000;

struct Options {
  std::string admin = "127.0.0.1:9117";
  size_t limit = 20;
  std::string from;  // of a page of conflicts; empty: the newest
  std::string record;
  std::string name;  // of a conflict
  ConflictFilter filter;
  std::string id;    // of a document
  std::string path;  // in it
  bool json = false;
};

int say_error(int code, const std::string& text) {
  std::fprintf(stderr, "outriggerctl: %s\n", text.c_str());
  return code;
}

Look terminal_look() {
  const char* no_color = std::getenv("NO_COLOR");
  Look look;
  look.colours = isatty(STDOUT_FILENO) != 0 && (no_color == nullptr || *no_color == '\0');
  return look;
}

class Asker {
 public:
  explicit Asker(const Options& options)
      : options_(options), client_(("http://" + options.admin).c_str()) {
    client_.set_connection_timeout(kTimeoutSeconds);
    client_.set_read_timeout(kTimeoutSeconds);
  }

  int status() { return show(status_text); }
  int peers() { return show(peers_text); }

  int conflicts() {
    if (const int code = check_ready(); code == kNoAnswer) return code;
    ConflictPage found;
    const int walked = walk_conflicts(options_.limit, [&](ConflictPage& page) {
      found.entries.insert(found.entries.end(), page.entries.begin(), page.entries.end());
      found.next = page.next;
    });
    if (walked != kWell) return walked;
    const std::string entries = conflicts_json(found);
    if (options_.json) return print(entries);
    const auto names = get("/status");
    return print(conflicts_text(entries, names.value_or(""), terminal_look()));
  }

  int conflicts_export() {
    if (const int code = check_ready(); code == kNoAnswer) return code;
    return walk_conflicts(SIZE_MAX, [](ConflictPage& page) {
      for (const std::string& entry : page.entries) print(entry + "\n");
    });
  }

  int conflict_show() {
    const auto entry = get("/conflicts?name=" + options_.name);
    if (!entry) return kNotWell;
    if (options_.json) return print(*entry);
    const auto names = get("/status");
    return print(conflict_text(*entry, names.value_or(""), terminal_look()));
  }

  // `verb`: choose, revert, dismiss.
  int conflict_write(const std::string& verb) {
    const std::string path = "/conflicts/" + verb + "?name=" + options_.name;
    const auto answer = body_of(path, client_.Post(path.c_str()));
    if (!answer) return kNotWell;
    if (options_.json) return print(*answer);
    if (verb == "dismiss") return print("it is closed\n");
    return print(verb == "choose" ? "it stands again\n" : "undone\n");
  }

  int conflict_explain() {
    const auto entry = get("/conflicts?name=" + options_.name);
    if (!entry) return kNotWell;
    const auto asked = path_of_conflict(*entry);
    return asked ? explain(*asked) : say_error(kNotWell, asked.error().message());
  }

  int explain() {
    if (const int code = check_ready(); code == kNoAnswer) return code;
    return explain({options_.filter.ns, id_json(options_.id), options_.path});
  }

  int explain(const PathAsked& asked) {
    const auto life = get("/explain?namespace=" + percent_coded(asked.ns) +
                          "&id=" + percent_coded(asked.id) + "&path=" + percent_coded(asked.path));
    if (!life) return kNotWell;
    if (options_.json) return print(*life);
    const auto names = get("/status");
    return print(path_text(*life, names.value_or(""), terminal_look()));
  }

  int quarantine() {
    if (const int code = check_ready(); code == kNoAnswer) return code;
    const auto entries = get("/quarantine?limit=" + std::to_string(options_.limit));
    if (!entries) return kNotWell;
    return print(options_.json ? *entries : quarantine_text(*entries, terminal_look()));
  }

  int quarantine_show() {
    const auto entries = get("/quarantine?limit=1000");
    return entries ? print(quarantined_record(*entries, options_.record)) : kNotWell;
  }

  int quarantine_retry() {
    const std::string path = "/quarantine/retry?record=" + options_.record;
    const auto answer = body_of(path, client_.Post(path.c_str()));
    return answer ? print(std::string("it will be applied\n")) : kNotWell;
  }

 private:
  // Page by page, newest first, `room` of those that are asked for.
  int walk_conflicts(size_t room, const std::function<void(ConflictPage&)>& take) {
    const bool is_filtered = !options_.filter.ns.empty() || !options_.filter.state.empty();
    size_t limit = is_filtered ? kPageMax : room;
    std::string from = options_.from;
    while (room > 0) {
      std::string path = "/conflicts?limit=" + std::to_string(std::min({limit, room, kPageMax}));
      if (!from.empty()) path += "&from=" + from;
      const auto body = get(path);
      if (!body) return kNotWell;
      Result<ConflictPage> page = conflict_page(*body, options_.filter);
      if (!page) return say_error(kNotWell, page.error().message());
      if (page->entries.size() > room) {  // of fewer it says where the next ones are
        limit = room;
        continue;
      }
      room -= page->entries.size();
      from = page->next;
      take(*page);
      if (from.empty()) break;
    }
    return kWell;
  }

  // kWell; otherwise it has said why not.
  int check_ready() {
    const httplib::Result answer = client_.Get("/readyz");
    if (!answer) {
      return say_error(kNoAnswer, "nobody answers on " + options_.admin + ": " +
                                      httplib::to_string(answer.error()) +
                                      " (is outrigger running? --admin is admin.listen of its "
                                      "settings)");
    }
    if (answer->status == 200) return kWell;
    std::string why = answer->body;
    while (!why.empty() && why.back() == '\n') why.pop_back();
    return say_error(kNotWell, "not ready: " + why);
  }

  std::optional<std::string> get(const std::string& path) {
    return body_of(path, client_.Get(path.c_str()));
  }

  static std::optional<std::string> body_of(const std::string& path,
                                            const httplib::Result& answer) {
    if (answer && answer->status == 200) return answer->body;
    const std::string why = answer ? std::to_string(answer->status) + " " + answer->body
                                   : httplib::to_string(answer.error());
    say_error(kNotWell, path + ": " + why);
    return std::nullopt;
  }

  int show(Result<std::string> (*text)(std::string_view json, int64_t now_ms, Look look)) {
    const int ready = check_ready();
    if (ready == kNoAnswer) return ready;
    const auto body = get("/status");
    if (!body) return kNotWell;
    const int shown =
        print(options_.json ? *body : text(*body, SystemClock().wall_ms(), terminal_look()));
    return shown == kWell ? ready : shown;
  }

  static int print(const Result<std::string>& text) {
    if (!text) return say_error(kNotWell, text.error().message());
    std::fwrite(text->data(), 1, text->size(), stdout);
    return kWell;
  }

  const Options& options_;
  httplib::Client client_;
};

// A command and what it does.
struct Command {
  CLI::App* parsed;
  std::function<int(Asker&)> run;
};

// The deepest come first: of `conflicts show` both are parsed.
void add_conflicts(CLI::App& cli, Options& options, std::vector<Command>& commands) {
  CLI::App* conflicts = cli.add_subcommand(
      "conflicts",
      "what lost and what beat it: list, show, explain, choose, revert, dismiss, export");
  CLI::App* show = conflicts->add_subcommand("show", "all that is known of one");
  CLI::App* explain = conflicts->add_subcommand("explain", "the life of the path it is of");
  CLI::App* choose = conflicts->add_subcommand("choose", "write the value that lost again");
  CLI::App* revert = conflicts->add_subcommand("revert", "undo that");
  CLI::App* dismiss = conflicts->add_subcommand("dismiss", "what stands is right: close it");
  CLI::App* everything = conflicts->add_subcommand("export", "all of them, a line of JSON each");
  CLI::App* list = conflicts->add_subcommand("list", "the newest first (this without a command)");
  for (CLI::App* command : {show, explain, choose, revert, dismiss}) {
    command->add_option("name", options.name, "its name, as the list says")->required();
    command->fallthrough();
  }
  everything->fallthrough();
  list->fallthrough();
  conflicts->add_option("--namespace", options.filter.ns, "those of one: shop.carts");
  conflicts->add_option("--state", options.filter.state, "those in it")
      ->check(CLI::IsMember({"auto", "open", "resolved", "reverted"}));
  conflicts->add_option("--from", options.from, "where to go on, as the last answer says");
  conflicts->add_option("--limit", options.limit, "how many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  conflicts->add_flag("--json", options.json, "as it comes, for programs");
  conflicts->fallthrough();
  commands.push_back({show, [](Asker& asker) { return asker.conflict_show(); }});
  commands.push_back({explain, [](Asker& asker) { return asker.conflict_explain(); }});
  commands.push_back({choose, [](Asker& asker) { return asker.conflict_write("choose"); }});
  commands.push_back({revert, [](Asker& asker) { return asker.conflict_write("revert"); }});
  commands.push_back({dismiss, [](Asker& asker) { return asker.conflict_write("dismiss"); }});
  commands.push_back({everything, [](Asker& asker) { return asker.conflicts_export(); }});
  commands.push_back({conflicts, [](Asker& asker) { return asker.conflicts(); }});
}

void add_quarantine(CLI::App& cli, Options& options, std::vector<Command>& commands) {
  CLI::App* quarantine =
      cli.add_subcommand("quarantine", "records of peers set aside: list, show, retry");
  CLI::App* show = quarantine->add_subcommand("show", "all that is known of one");
  CLI::App* retry = quarantine->add_subcommand("retry", "apply it after all");
  for (CLI::App* command : {show, retry}) {
    command->add_option("record", options.record, "its name, as the list says")->required();
    command->fallthrough();
  }
  quarantine->add_subcommand("list", "the oldest first (this without a command)")->fallthrough();
  quarantine->add_option("--limit", options.limit, "how many")->check(CLI::Range(1, 1000));
  quarantine->add_flag("--json", options.json, "as it comes, for programs");
  quarantine->fallthrough();
  commands.push_back({show, [](Asker& asker) { return asker.quarantine_show(); }});
  commands.push_back({retry, [](Asker& asker) { return asker.quarantine_retry(); }});
  commands.push_back({quarantine, [](Asker& asker) { return asker.quarantine(); }});
}

int run(int argc, char** argv) {
  CLI::App cli("outriggerctl: asks a running outrigger how it is");
  Options options;
  cli.add_option("--admin", options.admin, "HOST:PORT, as admin.listen of its settings")
      ->capture_default_str();
  cli.set_version_flag("--version", "outriggerctl 0.1.0");
  cli.require_subcommand(1);
  std::vector<Command> commands = {
      {cli.add_subcommand("status", "the site, its outbox and its peers"),
       [](Asker& asker) { return asker.status(); }},
      {cli.add_subcommand("peers", "the other sites: links and lag"),
       [](Asker& asker) { return asker.peers(); }}};
  CLI::App* explain = cli.add_subcommand("explain", "the life of one path of a document");
  explain->add_option("namespace", options.filter.ns, "shop.carts")->required();
  explain->add_option("id", options.id, "its _id: JSON, an ObjectId's digits, or a text")
      ->required();
  explain->add_option("path", options.path, "items.qty; without it the whole document");
  commands.push_back({explain, [](Asker& asker) { return asker.explain(); }});
  for (const Command& command : commands) {
    command.parsed->add_flag("--json", options.json, "as it comes, for programs");
    command.parsed->fallthrough();
  }
  add_conflicts(cli, options, commands);
  add_quarantine(cli, options, commands);
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli.exit(error) == 0 ? kWell : kNoAnswer;
  }
  Asker asker(options);
  for (const Command& command : commands) {
    if (command.parsed->parsed()) return command.run(asker);
  }
  return kNoAnswer;  // a command is required
}

}  // namespace
}  // namespace outrigger::ctl

int main(int argc, char** argv) { return outrigger::ctl::run(argc, argv); }
