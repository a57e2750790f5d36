#include "proxy/app/listed_members.h"

#include <fmt/format.h>

#include <algorithm>

namespace outrigger {
namespace {

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& each) { return equal_names(each, name); });
}

// The lines to write for a set that is served by its members.
std::string lines_for(const StoreInfo& info) {
  constexpr int kFirstPort = 27117;
  std::string lines =
      "write, with an address of this machine that drivers can dial: proxy: {members: [";
  int port = kFirstPort;
  for (const std::string& member : info.members) {
    if (port > kFirstPort) lines += ", ";
    lines += fmt::format("{{member: \"{}\", listen: \"127.0.0.1:{}\"}}", member, port++);
  }
  return lines + "]}";
}

}  // namespace

std::vector<StoreDoor> ListedMembers::doors() const {
  std::vector<StoreDoor> all;
  const auto add = [&](size_t member, const Endpoint& listen, const std::string& socket) {
    all.push_back({listen.text(), member, false});
    if (!socket.empty()) all.push_back({"unix:" + socket, member, true});
  };
  if (!are_listed()) add(0, settings_.listen, settings_.socket);
  for (size_t i = 0; i < settings_.members.size(); ++i) {
    add(i, settings_.members[i].listen, settings_.members[i].socket);
  }
  return all;
}

std::string ListedMembers::doors_text() const {
  std::vector<std::string> addresses;
  for (const StoreDoor& door : doors()) addresses.push_back(door.address);
  return fmt::format("{}", fmt::join(addresses, ", "));
}

StoreMembers ListedMembers::reached_by(net::Network& network) const {
  StoreMembers members;
  StoreEndpoint store = store_;
  store.network = &network;
  if (!are_listed()) {
    return {{store, {settings_.advertise.text(), {}}, "", {settings_.socket, {}}}};
  }
  ShownNames names;
  ShownNames by_socket;  // a member without one is reached over TCP from there, too
  const auto socket_of = [](const ProxyMember& each) {
    return each.socket.empty() ? each.advertise.text() : each.socket;
  };
  for (const ProxyMember& each : settings_.members) {
    names.members.emplace_back(each.member.text(), each.advertise.text());
    by_socket.members.emplace_back(each.member.text(), socket_of(each));
  }
  for (const ProxyMember& each : settings_.members) {
    store.address = each.member.text();
    store.host = each.member.host;
    names.advertise = each.advertise.text();
    by_socket.advertise = socket_of(each);
    members.push_back({store, names, each.member.text(), by_socket});
  }
  return members;
}

Status ListedMembers::check(const StoreInfo& info, const Logger& log) const {
  if (info.kind == StoreKind::kMultiMember && !are_listed()) {
    return fail(ErrorCode::kUnsupported, "start", "replica set " + info.set_name,
                "it has several members, and apps need a listener for each", lines_for(info));
  }
  if (!are_listed()) return {};
  if (info.kind == StoreKind::kStandalone) {
    return fail(ErrorCode::kUnsupported, "start", store_.address,
                "proxy.members lists members of a set, and this is a standalone",
                "write proxy.listen instead");
  }
  std::vector<std::string> listed;
  for (const ProxyMember& each : settings_.members) {
    listed.push_back(each.member.text());
    if (holds(info.members, listed.back())) continue;
    log->warn("proxy.members lists {}, which the set {} does not show: it has {}", listed.back(),
              info.set_name, fmt::join(info.members, ", "));
  }
  const bool any = std::any_of(info.hosts.begin(), info.hosts.end(),
                               [&](const std::string& each) { return holds(listed, each); });
  if (!any) {
    return fail(ErrorCode::kInvalidArgument, "start", "replica set " + info.set_name,
                "proxy.members lists none of the members that may be primary",
                "name them as the set's own config does; " + lines_for(info));
  }
  for (const std::string& member : info.members) {
    if (holds(listed, member)) continue;
    log->warn(
        "{} is not listed in proxy.members: apps are not shown it, and cannot use it as "
        "their primary",
        member);
  }
  return {};
}

FoundAgain ListedMembers::found_again(StoreKind kind) const {
  if (kind == StoreKind::kStandalone) return FoundAgain::kNever;
  return are_listed() ? FoundAgain::kByMajority : FoundAgain::kJournaled;
}

void ListedMembers::look(StoreServer& store) {
  if (!are_listed()) return;
  const Result<StoreInfo> info = store.info();
  const MutexLock lock(mutex_);
  primary_ = info && info->writable ? info->me : "";
  if (info) in_set_ = info->members;
}

std::vector<MemberStatus> ListedMembers::status() const {
  std::vector<MemberStatus> all;
  const MutexLock lock(mutex_);
  for (const ProxyMember& each : settings_.members) {
    const std::string name = each.member.text();
    all.push_back({name, each.listen.text(), equal_names(primary_, name), holds(in_set_, name)});
  }
  return all;
}

}  // namespace outrigger
