#pragma once
// What the kernel tells about unix sockets by netlink (NETLINK_SOCK_DIAG): peers and waiting
// connections, which no other call names. No privilege is needed.

#include <cstdint>
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

}  // namespace cairn::resources
