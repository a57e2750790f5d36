// A collection that has got another name, told in words that peers know: the old one is dropped,
// what stood under the new name too, and the documents are born there.
//
// The problem: the store does it at once, but telling it takes many records, and site or store may
// die at any moment. So before the store hears of the command its names are prepared, with the
// uuid of the collection, which goes with it to the new name: whoever finds the prepare later looks
// which name has that uuid, and tells it all, or nothing. The prepare stays open until the last
// record is in the log, and is older than all of them, so no peer has heard of any before
// (site/state/open_writes.h): what had been told by a process that died is told again.
//
// Nobody writes to either name meanwhile, and neither is in the records of anybody: what stands
// under the new name is what stood under the old one.
#pragma once

#include <string>
#include <vector>

#include "config/result.h"
#include "replication/record/catalog.h"
#include "replication/record/change.h"
#include "replication/record/prepare.h"
#include "replication/site/site_parts.h"
#include "replication/store/store.h"

namespace outrigger {

struct Rename {
  std::string from;
  std::string to;
  std::string uuid;     // of the collection: 16 bytes
  CatalogEntry source;  // as it was
  CatalogEntry target;  // what had the new name; may not exist
};

// What is prepared of it: the entries of both names in the catalogue, and what tells it apart.
[[nodiscard]] std::vector<PreparedDocument> prepared_rename(const Rename& rename);
[[nodiscard]] bool is_rename(const Prepare& prepare);
// Of such a prepare. Errors: kCorrupt.
[[nodiscard]] Result<Rename> rename_of(const Prepare& prepare);

// Has the store done it? Errors: of the store.
[[nodiscard]] Result<bool> has_happened(StoreCatalog& store, const Rename& rename);
// The same, and no crash or election takes it back: what is told is never taken back. Errors: of
// the store, or another run of it has answered in between. Ask again.
[[nodiscard]] Result<bool> has_settled(Store& store, const Rename& rename);

// Tells what has happened, piece by piece, so that nobody has to wait for all of it. One thread's
// at a time; the site outlives it.
class RenameTelling {
 public:
  // `documents`: all there are, in the order they are to be born in. `gone_from`: names whose
  // documents of these _ids are told to be gone first.
  RenameTelling(SiteParts& site, Rename rename, std::vector<ListedDocument> documents,
                std::vector<std::string> gone_from)
      : site_(site),
        rename_(std::move(rename)),
        documents_(std::move(documents)),
        gone_from_(std::move(gone_from)) {}

  // The next piece. False: that was the last. Errors: of the store, of the log; then it is told
  // anew, from the prepare.
  [[nodiscard]] Result<bool> step(Store& store);

 private:
  [[nodiscard]] Status remove_some();
  [[nodiscard]] Status drop_names();
  [[nodiscard]] Status define(StoreReader& store);
  [[nodiscard]] Status bear_some(StoreReader& store);

  enum class Next : uint8_t { kRemove, kDrop, kDefine, kBear };

  SiteParts& site_;
  const Rename rename_;
  const std::vector<ListedDocument> documents_;
  const std::vector<std::string> gone_from_;
  Next next_ = Next::kRemove;
  size_t name_ = 0;      // of gone_from_
  size_t document_ = 0;  // of documents_
};

// Of a prepare that is found: looks, and tells all of it. False: it has not happened. Errors: of
// the store, of the log; call it again.
[[nodiscard]] Result<bool> settle_rename(SiteParts& site, Store& store, const Prepare& prepare);

}  // namespace outrigger
