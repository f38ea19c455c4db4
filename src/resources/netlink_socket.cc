#include "resources/netlink_socket.h"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "resources/socket_options.h"

namespace cairn::resources {
namespace {

constexpr std::array kFlags{NETLINK_PKTINFO,         NETLINK_BROADCAST_ERROR, NETLINK_NO_ENOBUFS,
                            NETLINK_LISTEN_ALL_NSID, NETLINK_CAP_ACK,         NETLINK_EXT_ACK,
                            NETLINK_GET_STRICT_CHK};
constexpr std::size_t kMostGroupWords = 64;

bool matches(const OpenFile& file) {
  if (!S_ISSOCK(file.info.st_mode)) return false;
  const auto domain = socket_option(file.copy.get(), SOL_SOCKET, SO_DOMAIN);
  return domain && *domain == AF_NETLINK;
}

// A listing that the program has asked for and not read to its end goes on inside the kernel.
bool is_in_a_listing(const OpenFile& file) {
  std::ifstream table("/proc/net/netlink");
  std::string line;
  std::getline(table, line);  // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
  while (std::getline(table, line)) {
    std::istringstream columns(line);
    std::string skipped;
    std::uint64_t dump = 0, inode = 0;
    for (int i = 0; i < 6; ++i) columns >> skipped;
    columns >> dump >> skipped >> skipped >> inode;
    if (columns && inode == file.info.st_ino) return dump != 0;
  }
  return false;  // it has no port yet, and so has asked for nothing
}

Result<> capture(CaptureContext&, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_netlink_socket();
  const int fd = file.copy.get();
  CAIRN_ASSIGN(const int type, socket_option(fd, SOL_SOCKET, SO_TYPE));
  CAIRN_ASSIGN(const int protocol, socket_option(fd, SOL_SOCKET, SO_PROTOCOL));
  record.set_type(type);
  record.set_protocol(protocol);
  pollfd state{fd, POLLIN, 0};
  ::poll(&state, 1, 0);
  const bool listing = is_in_a_listing(file);
  if ((state.revents & (POLLIN | POLLERR)) != 0 || listing)
    return cannot_save_now(file, "a netlink socket with messages that were not read yet");
  CAIRN_ASSIGN(const auto local, local_address(fd));
  sockaddr_nl name{};
  std::memcpy(&name, local.data(), std::min(local.size(), sizeof name));
  record.set_port_id(name.nl_pid);
  const auto peer = peer_address(fd);
  sockaddr_nl to{};
  std::memcpy(&to, peer.data(), std::min(peer.size(), sizeof to));
  if (to.nl_pid != 0 || to.nl_groups != 0) record.mutable_peer()->set_raw(peer);
  std::array<std::uint32_t, kMostGroupWords> groups{};
  socklen_t bytes = sizeof groups;
  if (::getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups.data(), &bytes) != 0)
    return os_failure("ask for the groups of a netlink socket");
  for (std::uint32_t group = 1; group <= bytes * 8 && group <= sizeof groups * 8; ++group)
    if (groups[(group - 1) / 32] >> (group - 1) % 32 & 1) record.add_groups(group);
  CAIRN_TRY(capture_options(fd, AF_NETLINK, type, *record.mutable_options()));
  for (const int flag : kFlags) {
    const auto value = socket_option(fd, SOL_NETLINK, flag);
    if (!value || *value == 0) continue;  // or a kernel that does not know it
    auto& option = *record.add_options();
    option.set_level(SOL_NETLINK);
    option.set_name(flag);
    option.set_value(std::string(reinterpret_cast<const char*>(&*value), sizeof *value));
  }
  return {};
}

Result<Fd> create(RebuildContext&, const image::KernelObject& object) {
  const auto& record = object.netlink_socket();
  Fd fd(::socket(AF_NETLINK, record.type() | SOCK_CLOEXEC, record.protocol()));
  if (!fd.valid()) return os_failure("make a netlink socket");
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  name.nl_pid = record.port_id();
  if (name.nl_pid != 0 && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) != 0)
    return os_failure("bind a netlink socket again to port", std::to_string(name.nl_pid));
  for (const std::uint32_t group : record.groups())
    if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return os_failure("join a netlink group again", std::to_string(group));
  const auto& peer = record.peer().raw();
  if (!peer.empty() && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(peer.data()),
                                 static_cast<socklen_t>(peer.size())) != 0)
    return os_failure("connect a netlink socket again");
  CAIRN_TRY(restore_options(fd.get(), record.options()));
  return fd;
}

// --- families that are not saved

constexpr std::pair<int, const char*> kFamilies[] = {
    {AF_PACKET, "packet"},
    {AF_VSOCK, "vsock"},
    {AF_ALG, "AF_ALG (kernel crypto)"},
    {AF_CAN, "CAN"},
    {AF_BLUETOOTH, "bluetooth"},
    {AF_XDP, "XDP"},
    {AF_TIPC, "TIPC"},
    {AF_RDS, "RDS"},
    {AF_SMC, "SMC"},
    {AF_KCM, "KCM"},
    {AF_KEY, "AF_KEY (IPsec)"},
    {AF_QIPCRTR, "QRTR"},
};

bool is_a_socket(const OpenFile& file) {
  return S_ISSOCK(file.info.st_mode);
}

Result<> refuse(CaptureContext&, OpenFile& file, image::KernelObject&) {
  CAIRN_ASSIGN(const int domain, socket_option(file.copy.get(), SOL_SOCKET, SO_DOMAIN));
  for (const auto& [family, name] : kFamilies)
    if (family == domain) return cannot_save(file, fmt::format("a {} socket", name));
  CAIRN_ASSIGN(const int type, socket_option(file.copy.get(), SOL_SOCKET, SO_TYPE));
  CAIRN_ASSIGN(const int protocol, socket_option(file.copy.get(), SOL_SOCKET, SO_PROTOCOL));
  if (type == SOCK_RAW && (domain == AF_INET || domain == AF_INET6))
    return cannot_save(file, fmt::format("a raw IP socket of protocol {}", protocol));
  return cannot_save(
      file, fmt::format("a socket of family {}, type {}, protocol {}", domain, type, protocol));
}

Result<Fd> never_created(RebuildContext&, const image::KernelObject&) {
  return refusal("an object of a kind that this version does not know");
}

}  // namespace

const Kind kNetlinkSocketKind{
    "netlink socket", image::KernelObject::kNetlinkSocket, Maker::kAgent, matches, capture, create,
    nullptr};
const Kind kOtherSocketKind{"other socket", image::KernelObject::KIND_NOT_SET,
                            Maker::kAgent,  is_a_socket,
                            refuse,         never_created,
                            nullptr};

}  // namespace cairn::resources
