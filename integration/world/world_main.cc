// outrigger_world [--seed N] [--count N | --hours N | --seconds N | --forever] [--minutes N]
//                 [--pause-ms N] [--aloud]
// Runs worlds, one seed after the other, and stops at the first that is not as it must be, with its
// story.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "integration/world/world.h"

namespace {

using outrigger::world::WorldOptions;
using outrigger::world::WorldReport;

// Told when an invariant breaks: the process ends where it stands.
std::atomic<uint64_t> current_seed{0};
void tell_seed(int signal) {
  std::fprintf(stderr, "in the world of seed %llu\n",
               static_cast<unsigned long long>(current_seed.load()));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void explain(const WorldOptions& options, const WorldReport& report) {
  std::printf("%s", report.story.c_str());
  std::printf("\nseed %llu is not as it must be:\n", static_cast<unsigned long long>(options.seed));
  for (const std::string& violation : report.violations) std::printf("  %s\n", violation.c_str());
  std::printf("again: tools/world --aloud --seed %llu --count 1 --minutes %lld --pause-ms %lld\n",
              static_cast<unsigned long long>(options.seed),
              static_cast<long long>(options.minutes),
              static_cast<long long>(options.pause_ms_max));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App cli("Whole sites in virtual time, from a seed");
  WorldOptions options;
  options.seed = static_cast<uint64_t>(std::time(nullptr));
  uint64_t count = 1;
  double seconds_max = 0;
  double hours_min = 0;
  bool forever = false;
  cli.add_option("--seed", options.seed, "the first one");
  cli.add_option("--count", count, "how many seeds");
  cli.add_option("--minutes", options.minutes, "of load and faults in each");
  cli.add_option("--seconds", seconds_max, "go on until so much CPU time is used");
  cli.add_option("--hours", hours_min, "go on until so many site-hours have passed");
  cli.add_option("--pause-ms", options.pause_ms_max, "between an app's operations, at most");
  cli.add_flag("--forever", forever);
  cli.add_flag("--aloud", options.aloud, "tell everything as it happens");
  CLI11_PARSE(cli, argc, argv);

  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE}) std::signal(signal, tell_seed);
  std::printf("first seed %llu\n", static_cast<unsigned long long>(options.seed));
  double hours = 0;
  uint64_t acknowledged = 0;
  for (uint64_t done = 0;; ++options.seed) {
    current_seed = options.seed;
    const WorldReport report = outrigger::world::run_world(options);
    if (!report.violations.empty()) {
      explain(options, report);
      return 1;
    }
    hours += report.site_hours;
    acknowledged += report.acknowledged;
    ++done;
    if (forever && done % 20 == 0) {
      std::printf("%llu worlds\n", static_cast<unsigned long long>(done));
      std::fflush(stdout);
    }
    bool over = !forever && done >= count;
    if (seconds_max > 0) over = cpu_seconds() >= seconds_max;
    if (hours_min > 0) over = hours >= hours_min;
    if (!over) continue;
    std::printf("%llu worlds, %.1f site-hours, %llu acknowledged writes, in %.1f s of CPU\n",
                static_cast<unsigned long long>(done), hours,
                static_cast<unsigned long long>(acknowledged), cpu_seconds());
    return 0;
  }
}
