#include "resources/socket_diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string>

#include "base/fd.h"

namespace cairn::resources {
namespace {

struct Request {
  nlmsghdr header;
  unix_diag_req body;
};

void read_attributes(const nlmsghdr* header, UnixDiagnosis& diagnosis) {
  const auto* message = static_cast<const unix_diag_msg*>(NLMSG_DATA(header));
  diagnosis.state = message->udiag_state;
  int left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof *message));
  auto* attribute = reinterpret_cast<const rtattr*>(message + 1);
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    const void* data = RTA_DATA(attribute);
    if (attribute->rta_type == UNIX_DIAG_PEER) {
      std::memcpy(&diagnosis.peer_inode, data, sizeof diagnosis.peer_inode);
    } else if (attribute->rta_type == UNIX_DIAG_SHUTDOWN) {
      diagnosis.shutdown = *static_cast<const std::uint8_t*>(data);
    } else if (attribute->rta_type == UNIX_DIAG_RQLEN) {
      unix_diag_rqlen lengths{};
      std::memcpy(&lengths, data, sizeof lengths);
      diagnosis.backlog = lengths.udiag_wqueue;
    } else if (attribute->rta_type == UNIX_DIAG_VFS) {
      unix_diag_vfs name{};
      std::memcpy(&name, data, sizeof name);
      diagnosis.name_inode = name.udiag_vfs_ino;
    } else if (attribute->rta_type == UNIX_DIAG_ICONS) {
      diagnosis.waiting.resize(RTA_PAYLOAD(attribute) / sizeof(std::uint32_t));
      std::memcpy(diagnosis.waiting.data(), data, diagnosis.waiting.size() * sizeof(std::uint32_t));
    }
  }
}

std::string address_from(int family, std::uint16_t port, const std::uint32_t (&address)[4]) {
  if (family == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = port;
    v4.sin_addr.s_addr = address[0];
    return {reinterpret_cast<const char*>(&v4), sizeof v4};
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = port;
  std::memcpy(&v6.sin6_addr, address, sizeof v6.sin6_addr);
  return {reinterpret_cast<const char*>(&v6), sizeof v6};
}

// True at the end of the list.
Result<bool> read_tcp_entries(const char* data, std::size_t bytes,
                              std::vector<TcpDiagnosis>& entries) {
  auto left = static_cast<unsigned>(bytes);
  for (const auto* header = reinterpret_cast<const nlmsghdr*>(data); NLMSG_OK(header, left);
       header = NLMSG_NEXT(header, left)) {
    if (header->nlmsg_type == NLMSG_DONE) return true;
    if (header->nlmsg_type == NLMSG_ERROR)
      return failure(-static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error,
                     "ask the kernel about TCP sockets");
    const auto* one = static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
    entries.push_back({one->idiag_state, one->idiag_inode, one->idiag_rqueue,
                       address_from(one->idiag_family, one->id.idiag_sport, one->id.idiag_src),
                       address_from(one->idiag_family, one->id.idiag_dport, one->id.idiag_dst),
                       one->idiag_timer, std::chrono::milliseconds(one->idiag_expires)});
  }
  return false;
}

}  // namespace

Result<std::vector<TcpDiagnosis>> diagnose_tcp(int family) {
  const Fd link(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!link.valid()) return os_failure("ask the kernel about TCP sockets");
  struct {
    nlmsghdr header;
    inet_diag_req_v2 body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = static_cast<std::uint8_t>(family);
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = 0xffffffff;
  if (::send(link.get(), &request, sizeof request, 0) != sizeof request)
    return os_failure("ask the kernel about TCP sockets");
  std::vector<TcpDiagnosis> entries;
  alignas(nlmsghdr) std::array<char, 65536> buffer;
  for (;;) {
    pollfd entry{link.get(), POLLIN, 0};
    if (::poll(&entry, 1, 10000) != 1) return failure(ETIMEDOUT, "hear about TCP sockets");
    const ssize_t got = ::recv(link.get(), buffer.data(), buffer.size(), 0);
    if (got < 0) return os_failure("hear about TCP sockets");
    CAIRN_ASSIGN(const bool done,
                 read_tcp_entries(buffer.data(), static_cast<std::size_t>(got), entries));
    if (done) return entries;
  }
}

Result<UnixDiagnosis> diagnose_unix_socket(std::uint64_t inode) {
  const Fd link(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!link.valid()) return os_failure("ask the kernel about unix sockets");
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.sdiag_family = AF_UNIX;
  request.body.udiag_states = 0xffffffff;
  request.body.udiag_ino = static_cast<std::uint32_t>(inode);
  request.body.udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN | UDIAG_SHOW_VFS;
  request.body.udiag_cookie[0] = request.body.udiag_cookie[1] = 0xffffffff;
  if (::send(link.get(), &request, sizeof request, 0) != sizeof request)
    return os_failure("ask the kernel about a unix socket");
  pollfd entry{link.get(), POLLIN, 0};
  if (::poll(&entry, 1, 10000) != 1) return failure(ETIMEDOUT, "hear about a unix socket");
  alignas(nlmsghdr) std::array<char, 65536> buffer;
  const ssize_t got = ::recv(link.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) return os_failure("hear about a unix socket");
  const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
  if (!NLMSG_OK(header, static_cast<std::size_t>(got)))
    return refusal("hear about a unix socket: a broken answer");
  if (header->nlmsg_type == NLMSG_ERROR) {
    const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(header));
    return failure(-error->error, "ask the kernel about unix socket", std::to_string(inode));
  }
  UnixDiagnosis diagnosis;
  read_attributes(header, diagnosis);
  return diagnosis;
}

}  // namespace cairn::resources
