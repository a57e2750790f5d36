// Whose word counts, and what was promised. A promise is "this site has no record up to here but
// those you have"; a site without writes in flight gives one for the stamps that came to nothing.
//
// Peers relay promises and reports of each other, which is how sites without a link learn of one
// another. But a member may be broken or lie: of a site that is linked to us only its own word
// counts, of the epoch it runs in. Others' word is kept apart and counts while there is no link.
#pragma once

#include <cstdint>
#include <map>

#include "replication/causality/stamp.h"
#include "replication/causality/version_vector.h"

namespace outrigger {

enum class Word : uint8_t {
  kNone,     // does not count
  kOwn,      // of the site itself, over its link
  kHearsay,  // of another, about a site that has no link to us
};

// Not thread-safe: lives under the lock of SiteState.
class Promises {
 public:
  // A link to that run of a site has opened, or is over. There may be two for a moment.
  void linked(const Origin& site);
  void parted(const Origin& site);
  [[nodiscard]] bool is_linked(const SiteId& site) const;

  // What `from` says about `about`, a run of a site. `present_epoch`: of that site as last heard,
  // for one that is not linked; 0: unknown.
  [[nodiscard]] Word word_of(const Origin& from, const Origin& about, uint64_t present_epoch) const;

  void raise(const Origin& origin, Hlc through, Word word);
  // Up to where `origin` has promised; 0: nowhere.
  [[nodiscard]] Hlc get(const Origin& origin) const;
  // Raises the entries of `vector` to what was promised.
  void raise_in(VersionVector& vector) const;

 private:
  struct Site {
    std::map<uint64_t, int> links;  // by epoch
    uint64_t linked_epoch = 0;      // of the newest link
    uint64_t epoch = 0;             // of what follows
    Hlc own = 0;
    Hlc hearsay = 0;
  };
  [[nodiscard]] Hlc promised(const Site& site) const;

  std::map<SiteId, Site> sites_;
};

}  // namespace outrigger
