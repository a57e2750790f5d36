// The members of the store's set as the settings list them (`proxy.members`): where each is
// reached, under which names apps are shown them, and which of them is primary.
#pragma once

#include <string>
#include <vector>

#include "config/log.h"
#include "config/settings.h"
#include "config/thread_annotations.h"
#include "proxy/admin/status.h"
#include "proxy/capture/run.h"
#include "proxy/mongo/backend.h"
#include "replication/store/store.h"

namespace outrigger {

class ListedMembers {
 public:
  // `store`: how the one that store.uri names is reached. `settings` outlive this.
  ListedMembers(const ProxySettings& settings, StoreEndpoint store)
      : settings_(settings), store_(std::move(store)) {}

  // The settings list some.
  [[nodiscard]] bool are_listed() const { return !settings_.members.empty(); }
  // Where apps come in, in the order of the members.
  [[nodiscard]] std::vector<StoreDoor> doors() const;
  // The same to read.
  [[nodiscard]] std::string doors_text() const;
  // As they are reached by this network; one where none are listed.
  [[nodiscard]] StoreMembers reached_by(net::Network& network) const;
  // Whether this set can be served as the settings say, with the way out; what of it apps will not
  // see is said in the log.
  [[nodiscard]] Status check(const StoreInfo& info, const Logger& log) const;

  // Of a store of this kind.
  [[nodiscard]] FoundAgain found_again(StoreKind kind) const;

  // ---- any thread
  // Asks the primary what it says of the set; nothing where no members are listed.
  void look(StoreServer& store);
  [[nodiscard]] std::vector<MemberStatus> status() const;

 private:
  const ProxySettings& settings_;
  const StoreEndpoint store_;
  mutable Mutex mutex_;
  std::string primary_ GUARDED_BY(mutex_);
  std::vector<std::string> in_set_ GUARDED_BY(mutex_);
};

}  // namespace outrigger
