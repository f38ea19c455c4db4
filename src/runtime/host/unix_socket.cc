#include "runtime/host/unix_socket.h"

#include "abi/link.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::int32_t kSolSocket = 1, kScmRights = 1;

struct UnixAddress {
  std::uint16_t family;
  char path[108];
};

struct MessageHeader {
  std::uint64_t name;
  std::uint32_t name_bytes;
  std::uint32_t pad;
  std::uint64_t vector;
  std::uint64_t vector_count;
  std::uint64_t control;
  std::uint64_t control_bytes;
  std::int32_t flags;
  std::uint32_t pad2;
};

struct alignas(8) RightsMessage {
  std::uint64_t bytes;
  std::int32_t level;
  std::int32_t type;
  int fds[abi::kFdsPerMessage];
};
constexpr std::uint64_t kRightsHeader = 16;

}  // namespace

sys::SysResult unix_socket() {
  constexpr std::uint64_t kUnix = 1, kStreamCloexec = 1 | 0x80000;
  return sys::call(__NR_socket, kUnix, kStreamCloexec, 0);
}

sys::SysResult connect_unix(std::uint64_t socket, const char* path, SocketName kind) {
  std::uint64_t skipped = kind == SocketName::kAbstract ? 1 : 0;
  UnixAddress address{1, {}};
  string_copy(address.path + skipped, sizeof(address.path) - skipped, path);
  return sys::call(__NR_connect, socket, sys::address(&address), sizeof(address));
}

std::int64_t receive_with_fds(int socket, std::uint64_t to, std::uint64_t bytes, int* fds, int* count) {
  RightsMessage control;
  std::uint64_t vector[2] = {to, bytes};
  MessageHeader message{0, 0, 0, sys::address(vector), 1, sys::address(&control), sizeof(control), 0, 0};
  constexpr std::uint64_t kCloexec = 0x40000000;  // MSG_CMSG_CLOEXEC
  auto got = sys::call(__NR_recvmsg, static_cast<std::uint64_t>(socket), sys::address(&message), kCloexec);
  if (!got.ok() || message.control_bytes < kRightsHeader) return got.raw;
  if (control.level != kSolSocket || control.type != kScmRights) return got.raw;
  auto n = static_cast<int>((control.bytes - kRightsHeader) / sizeof(int));
  for (int i = 0; i < n && *count < static_cast<int>(abi::kFdsPerMessage); ++i)
    fds[(*count)++] = control.fds[i];
  return got.raw;
}

std::int64_t send_with_fds(int socket, const void* from, std::uint64_t bytes, const int* fds, int count) {
  RightsMessage control;
  std::uint64_t fd_bytes = static_cast<std::uint64_t>(count) * sizeof(int);
  control.bytes = kRightsHeader + fd_bytes;
  control.level = kSolSocket;
  control.type = kScmRights;
  memcpy(control.fds, fds, fd_bytes);
  std::uint64_t vector[2] = {sys::address(from), bytes};
  MessageHeader message{0, 0, 0, sys::address(vector), 1, sys::address(&control),
                        (control.bytes + 7) & ~7ULL, 0, 0};
  if (count == 0) message.control = message.control_bytes = 0;
  return sys::call(__NR_sendmsg, static_cast<std::uint64_t>(socket), sys::address(&message), 0x4000).raw;
}

}  // namespace cairn::runtime
