#pragma once
// Unix stream sockets of the host, and descriptors that travel over them.

#include <cstdint>

#include "sys/result.h"

namespace cairn::runtime {

enum class SocketName { kPath, kAbstract };

// A socket that is not connected yet, closed on exec.
sys::SysResult unix_socket();
// To the path, or to the abstract name that is the path's text; longer names are cut.
sys::SysResult connect_unix(std::uint64_t socket, const char* path, SocketName kind);

// recvmsg that appends descriptors to `fds`, of which there is room for abi::kFdsPerMessage; bytes, 0 at
// the end, or a negative errno.
std::int64_t receive_with_fds(int socket, std::uint64_t to, std::uint64_t bytes, int* fds, int* count);
std::int64_t send_with_fds(int socket, const void* from, std::uint64_t bytes, const int* fds, int count);

}  // namespace cairn::runtime
