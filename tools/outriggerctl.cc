// outriggerctl: asks a running outrigger, over its admin port, how it is.
// Exit code 0: well. 1: it answers, but is not ready or could not say. 2: nobody answers, or the
// call was wrong.
#include <httplib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "config/clock.h"
#include "tools/outriggerctl_view.h"

namespace outrigger::ctl {
namespace {

constexpr int kWell = 0;
constexpr int kNotWell = 1;
constexpr int kNoAnswer = 2;
constexpr time_t kTimeoutSeconds = 10;

struct Options {
  std::string admin = "127.0.0.1:9117";
  size_t limit = 20;
  std::string from;  // of a page of conflicts; empty: the newest
  std::string record;
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
    std::string path = "/conflicts?limit=" + std::to_string(options_.limit);
    if (!options_.from.empty()) path += "&from=" + options_.from;
    const auto entries = get(path);
    if (!entries) return kNotWell;
    if (options_.json) return print(*entries);
    const auto names = get("/status");
    return print(conflicts_text(*entries, names.value_or(""), terminal_look()));
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

int run(int argc, char** argv) {
  CLI::App cli("outriggerctl: asks a running outrigger how it is");
  Options options;
  cli.add_option("--admin", options.admin, "HOST:PORT, as admin.listen of its settings")
      ->capture_default_str();
  cli.set_version_flag("--version", "outriggerctl 0.1.0");
  cli.require_subcommand(1);
  CLI::App* status = cli.add_subcommand("status", "the site, its outbox and its peers");
  CLI::App* peers = cli.add_subcommand("peers", "the other sites: links and lag");
  CLI::App* conflicts = cli.add_subcommand("conflicts", "the latest losers and what beat them");
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
  for (CLI::App* command : {status, peers, conflicts, quarantine}) {
    command->add_flag("--json", options.json, "as it comes, for programs");
    command->fallthrough();
  }
  conflicts->add_option("--from", options.from, "where to go on, as the last answer says");
  conflicts->add_option("--limit", options.limit, "how many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli.exit(error) == 0 ? kWell : kNoAnswer;
  }
  Asker asker(options);
  if (status->parsed()) return asker.status();
  if (show->parsed()) return asker.quarantine_show();
  if (retry->parsed()) return asker.quarantine_retry();
  if (quarantine->parsed()) return asker.quarantine();
  return peers->parsed() ? asker.peers() : asker.conflicts();
}

}  // namespace
}  // namespace outrigger::ctl

int main(int argc, char** argv) { return outrigger::ctl::run(argc, argv); }
