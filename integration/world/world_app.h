// An app of a world: writes and reads at one site, one after the other, as long as it is told to,
// and notes in the book what it was told.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "integration/world/world_book.h"
#include "integration/world/world_driver.h"
#include "integration/world/world_site.h"

namespace outrigger::world {

inline constexpr int kApps = 9;  // of all sites

class WorldApp {
 public:
  // All outlive it; it runs beside `site`. `pause_ms_max`: between two bursts of operations.
  WorldApp(WorldParts& parts, WorldBook& book, int number, const WorldSite& site,
           int64_t pause_ms_max);

  // Until end().
  net::Task<void> run();
  // The same, of nothing but documents that share keys: at moments that are the same at all sites.
  net::Task<void> run_accounts();
  void end() { is_over_ = true; }
  // Everything is healed: a write must succeed now.
  net::Task<void> write_last();
  // Takes away what is shown of those that share keys.
  net::Task<void> delete_accounts();

 private:
  using Outcome = WorldDriver::Outcome;

  net::Task<Outcome> insert_kept();
  net::Task<void> set_field();
  net::Task<void> add();
  net::Task<void> push_or_pull();
  net::Task<void> write_own();
  net::Task<void> count();
  net::Task<void> assign();
  net::Task<void> raise_cause();
  net::Task<void> look_at_cause();
  net::Task<void> be_wild();
  net::Task<void> register_account();
  net::Task<Outcome> send(const std::string& command);
  net::Task<int64_t> read_number(const char* collection, const std::string& id);
  [[nodiscard]] std::string wild_statement(std::string& what);
  [[nodiscard]] std::string account_statement(std::string& what);
  void tell(const std::string& what, Outcome outcome);

  WorldParts& parts_;
  WorldBook& book_;
  const int number_;  // from 1 on
  const std::string name_;
  const int64_t pause_ms_max_;
  std::unique_ptr<net::MemoryProcess> process_;
  WorldDriver driver_;
  int64_t writes_ = 0;
  std::vector<std::pair<std::string, std::string>> pushed_;  // list and value, not pulled yet
  int64_t raised_ = 0;
  int64_t own_documents_ = 0;
  std::optional<int64_t> own_n_;  // of the last of them
  bool is_over_ = false;
};

}  // namespace outrigger::world
