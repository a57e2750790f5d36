// Who the members are, whose word counts, and what can be true of them.
#include <algorithm>
#include <cstring>

#include "replication/record/bytes.h"
#include "replication/site/replica_impl.h"

namespace outrigger {

Status Replica::Impl::load_members() {
  auto known = outbox.scan_meta(meta_keys::kMember);
  if (!known) return tl::unexpected(known.error());
  for (const auto& [key, name] : *known) {
    ByteReader in(std::string_view(key).substr(std::strlen(meta_keys::kMember)), "member");
    const SiteId id = in.site();
    in.end();
    if (in.ok()) site_names[id] = name;
  }
  return {};
}

void Replica::Impl::put_member(outbox::Batch& batch, const MemberId& member) {
  const auto key = [](const SiteId& id) {
    return meta_keys::kMember + std::string(reinterpret_cast<const char*>(id.data()), id.size());
  };
  for (auto at = site_names.begin(); at != site_names.end();) {
    const bool replaced = at->second == member.name && at->first != member.id;
    if (replaced) batch.remove_meta(key(at->first));
    at = replaced ? site_names.erase(at) : std::next(at);
  }
  site_names[member.id] = member.name;
  batch.put_meta(key(member.id), member.name);
}

void Replica::introduce(const SiteHello& peer) {
  outbox::Batch batch;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto known = impl_->site_names.find(peer.site_id);
    if (known == impl_->site_names.end() || known->second != peer.site) {
      impl_->put_member(batch, {peer.site, peer.site_id});
    }
    impl_->introduced.insert(peer.site_id);
    impl_->heard_ms[peer.site_id] = impl_->clock.wall_ms();
    impl_->promises.linked(Origin{peer.site_id, peer.epoch});
  }
  // Should this be lost, the next hello says it again.
  if (!batch.empty()) (void)impl_->outbox.write(std::move(batch));
}

void Replica::parted(const SiteHello& peer) {
  const std::lock_guard lock(impl_->mutex);
  impl_->promises.parted(Origin{peer.site_id, peer.epoch});
}

std::vector<MemberId> Replica::members() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<MemberId> members;
  for (const auto& [id, name] : impl_->site_names) members.push_back({name, id});
  return members;
}

void Replica::hear_members(const std::vector<MemberId>& members) {
  outbox::Batch batch;
  {
    const std::lock_guard lock(impl_->mutex);
    const std::vector<std::string>& names = impl_->options.members;
    for (const MemberId& member : members) {
      const bool listed = std::find(names.begin(), names.end(), member.name) != names.end();
      if (!listed || member.name == impl_->options.site || member.id == impl_->self.site) continue;
      // One id a name and one name an id: whoever came first, but for a hello of its own.
      const bool taken =
          std::any_of(impl_->site_names.begin(), impl_->site_names.end(), [&](const auto& known) {
            return known.first == member.id || known.second == member.name;
          });
      if (!taken) impl_->put_member(batch, member);
    }
  }
  if (!batch.empty()) (void)impl_->outbox.write(std::move(batch));
}

bool Replica::Impl::is_member(const SiteId& site) const {
  // What was taken in before is what others still name.
  return site == self.site || site_names.count(site) != 0 || visible.entries_of(site) != 0;
}

size_t Replica::Impl::epochs_max() const {
  return std::max(kEpochsMin, options.origins_max / options.members.size());
}

std::string Replica::Impl::wrong_with_report(const Report& report) const {
  if (!is_member(report.site)) return "a report of a site that is no member";
  for (const auto* vector : {&report.vector, &report.issued, &report.closed}) {
    if (vector->entries().size() > 2 * epochs_max() * options.members.size())
      return "a report of too many origins";
    for (const auto& [origin, stamp] : vector->entries()) {
      if (!is_member(origin.site)) return "a report that names an origin of no member";
    }
  }
  return {};
}

std::string Replica::Impl::wrong_with_origin(const Origin& origin) const {
  if (!is_member(origin.site)) return "records of an origin that is no member's";
  if (origin.epoch == kRetired) return "records under the name of all retired epochs";
  if (visible.at(origin) != 0 || inbox.queues().count(origin) != 0) return {};
  size_t epochs = visible.entries_of(origin.site);
  for (const auto& [queued, items] : inbox.queues()) {
    if (queued.site == origin.site && visible.at(queued) == 0) ++epochs;
  }
  return epochs < epochs_max() ? "" : "records of more epochs of one site than can be held";
}

RecordRules Replica::Impl::record_rules() const {
  RecordRules rules;
  rules.replicates = [this](std::string_view ns) {
    return !options.replicates || options.replicates(ns);
  };
  rules.is_member = [this](const SiteId& site) { return is_member(site); };
  return rules;
}

void Replica::hear(const Report& report, const Origin& from) {
  bool moved = false;
  std::string wrong;
  {
    const std::lock_guard lock(impl_->mutex);
    const Origin about{report.site, report.epoch};
    if (report.site == impl_->self.site) return;
    if (impl_->promises.word_of(from, about, report.epoch) == Word::kNone) return;
    wrong = impl_->wrong_with_report(report);
    if (wrong.empty()) moved = impl_->stability.hear(report, from == about);
    if (moved) impl_->heard_ms[report.site] = impl_->clock.wall_ms();
  }
  if (!wrong.empty()) {
    impl_->alarm("reports by " + to_text(from), to_text(from) + " sent " + wrong + ": ignored");
  }
  if (moved) impl_->wake();
}

}  // namespace outrigger
