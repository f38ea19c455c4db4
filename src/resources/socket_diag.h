#pragma once
// What the kernel tells about sockets by netlink (NETLINK_SOCK_DIAG), and no other call does: peers and
// waiting connections of unix sockets, and TCP connections that have no descriptor. No privilege is needed.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace cairn::resources {

struct UnixDiagnosis {
  std::uint32_t state = 0;        // 1 connected, 7 not, 10 listening
  std::uint32_t peer_inode = 0;   // 0: none, gone, or not accepted yet
  std::uint32_t backlog = 0;      // of a listener
  std::uint32_t shutdown = 0;     // 1 receiving, 2 sending
  std::uint32_t name_inode = 0;   // of the file that it was bound to; 0: none
  std::vector<std::uint32_t> waiting;  // inodes of clients that were not accepted yet
};

Result<UnixDiagnosis> diagnose_unix_socket(std::uint64_t inode);

struct TcpDiagnosis {
  int state = 0;              // as in tcp_info
  std::uint32_t inode = 0;    // 0: not accepted yet, or of nobody any more
  std::uint32_t unread = 0;
  std::string local, remote;  // struct sockaddr_*
  int timer = 0;              // what it waits for; kTcpProbeTimer
  std::chrono::milliseconds timer_left{0};
};
constexpr int kTcpTimeWait = 6;
constexpr int kTcpProbeTimer = 4;  // to ask the peer for room once more

// All of the machine.
Result<std::vector<TcpDiagnosis>> diagnose_tcp(int family);

}  // namespace cairn::resources
