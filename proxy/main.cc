// outrigger --config FILE: reads the settings, says what is wrong with them, runs the sidecar.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "config/loader.h"
#include "config/log.h"
#include "config/merge_rules.h"
#include "proxy/app/app.h"
#include "proxy/net/uv/signals.h"

namespace {

// Large blocks go back to the system when they are freed. By itself glibc would learn from the
// first freed memtable of the outbox (blocks of 1 MiB) to take such blocks from the heap, where
// what lives longer comes to lie between them: after two minutes of writes 80 of 110 MiB of heap
// were free, and resident. Smaller blocks, nearly all messages, stay on the heap.
void return_large_blocks() {
#ifdef __GLIBC__
  constexpr int kLargeBytes = 512 << 10;
  constexpr int kFreeAtTopBytes = 1 << 20;
  mallopt(M_MMAP_THRESHOLD, kLargeBytes);
  mallopt(M_TRIM_THRESHOLD, kFreeAtTopBytes);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  return_large_blocks();
  CLI::App cli("Outrigger: one active-active document store from independent MongoDBs");
  std::string config;
  bool check_only = false;
  cli.add_option("--config", config, "the YAML file with the settings")->required();
  cli.add_flag("--check", check_only, "only say whether the settings are good");
  std::vector<std::string> explained;
  cli.add_option("--explain", explained,
                 "say which rule decides for a path of a namespace, and why")
      ->expected(2)
      ->type_name("NAMESPACE PATH")
      ->needs("--check");
  cli.set_version_flag("--version", "outrigger 0.1.0");
  CLI11_PARSE(cli, argc, argv);

  outrigger::SettingsResult settings = outrigger::load_settings(config);
  if (!settings) {
    std::fprintf(stderr, "%s\n", outrigger::describe(settings.error()).c_str());
    return 2;
  }
  if (check_only) {
    std::printf("%s: good\n", config.c_str());
    for (const std::string& line : outrigger::rules_of_documents_alone(*settings, config)) {
      std::printf("warning: %s\n", line.c_str());
    }
    if (!explained.empty()) {
      const std::string why =
          outrigger::explain_path(*settings, config, explained[0], explained[1]);
      std::printf("%s", why.c_str());
    }
    return 0;
  }
  outrigger::net::ignore_sigpipe();
  outrigger::Log log(settings->log);
  for (const std::string& warning : outrigger::warnings(*settings)) {
    log.module("config")->warn("{}", warning);
  }
  for (;;) {
    outrigger::App app(*settings, log);
    const outrigger::App::Exit exit = app.run();
    if (exit != outrigger::App::Exit::kRestart) {
      return exit == outrigger::App::Exit::kDrained ? 0 : 1;
    }
  }
}
