#include "replication/site/members.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>

#include "replication/record/bytes.h"
#include "replication/site/state/meta_keys.h"

namespace outrigger {
namespace {

std::string key_of(const SiteId& id) {
  return meta_keys::kMember + std::string(reinterpret_cast<const char*>(id.data()), id.size());
}

std::shared_ptr<const MemberIds> ids_of(const std::map<SiteId, std::string>& names) {
  MemberIds ids;
  for (const auto& [id, name] : names) ids.insert(id);
  return std::make_shared<const MemberIds>(std::move(ids));
}

}  // namespace

Members::Members(const SiteContext& context)
    : context_(context), ids_(std::make_shared<const MemberIds>()) {}

Status Members::load() {
  auto known = context_.outbox.scan_meta(meta_keys::kMember);
  if (!known) return tl::unexpected(known.error());
  const MutexLock lock(mutex_);
  for (const auto& [key, name] : *known) {
    ByteReader in(std::string_view(key).substr(std::strlen(meta_keys::kMember)), "member");
    const SiteId id = in.site();
    in.end();
    if (in.ok()) names_[id] = name;
  }
  ids_ = ids_of(names_);
  return {};
}

void Members::put(outbox::Batch& batch, const MemberId& member) {
  for (auto at = names_.begin(); at != names_.end();) {
    const bool replaced = at->second == member.name && at->first != member.id;
    if (replaced) batch.remove_meta(key_of(at->first));
    at = replaced ? names_.erase(at) : std::next(at);
  }
  names_[member.id] = member.name;
  ids_ = ids_of(names_);
  batch.put_meta(key_of(member.id), member.name);
}

void Members::introduce(const SiteHello& peer) {
  outbox::Batch batch;
  {
    const MutexLock lock(mutex_);
    const auto known = names_.find(peer.site_id);
    if (known == names_.end() || known->second != peer.site) put(batch, {peer.site, peer.site_id});
    heard_ms_[peer.site_id] = context_.clock.wall_ms();
  }
  // Should this be lost, the next hello says it again.
  if (!batch.empty()) (void)context_.outbox.write(std::move(batch));
}

void Members::hear(const std::vector<MemberId>& members) {
  outbox::Batch batch;
  {
    const MutexLock lock(mutex_);
    const std::vector<std::string>& listed = context_.options.members;
    for (const MemberId& member : members) {
      if (std::find(listed.begin(), listed.end(), member.name) == listed.end()) continue;
      if (member.name == context_.options.site || member.id == context_.self.site) continue;
      const bool taken = std::any_of(names_.begin(), names_.end(), [&](const auto& known) {
        return known.first == member.id || known.second == member.name;
      });
      if (!taken) put(batch, member);
    }
  }
  if (!batch.empty()) (void)context_.outbox.write(std::move(batch));
}

void Members::heard(const SiteId& site) {
  const MutexLock lock(mutex_);
  heard_ms_[site] = context_.clock.wall_ms();
}

std::string Members::name_of(const SiteId& site) const {
  if (site == context_.self.site) return context_.options.site;
  const MutexLock lock(mutex_);
  const auto known = names_.find(site);
  return known == names_.end() ? to_hex(site) : known->second;
}

std::vector<MemberId> Members::list() const {
  const MutexLock lock(mutex_);
  std::vector<MemberId> members;
  for (const auto& [id, name] : names_) members.push_back({name, id});
  return members;
}

std::shared_ptr<const MemberIds> Members::ids() const {
  const MutexLock lock(mutex_);
  return ids_;
}

std::vector<PeerProgress> Members::name(Progress progress) const {
  std::set<std::string> missing(context_.options.members.begin(), context_.options.members.end());
  missing.erase(context_.options.site);
  std::vector<PeerProgress> peers;
  const MutexLock lock(mutex_);
  for (auto& [site, peer] : progress.heard) {
    const auto name = names_.find(site);
    peer.site = name == names_.end() ? peer.site_id : name->second;
    const auto heard = heard_ms_.find(site);
    peer.last_heard_ms = heard == heard_ms_.end() ? 0 : heard->second;
    missing.erase(peer.site);
    peers.push_back(std::move(peer));
  }
  for (const std::string& name : missing) {
    if (peers.size() + 1 >= context_.options.members.size()) break;  // heard, but not introduced
    peers.emplace_back(progress.unheard).site = name;
  }
  return peers;
}

}  // namespace outrigger
