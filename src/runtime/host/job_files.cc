#include "runtime/host/job_files.h"

#include "runtime/host/kernel_types.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kOpenMode = 0600;

// The answer: one byte, and the descriptor in a control message of its own.
std::int64_t receive_descriptor(std::uint64_t socket) {
  constexpr std::uint64_t kCloexec = 0x40000000;  // MSG_CMSG_CLOEXEC
  char byte = 0;
  std::uint64_t vector[2] = {sys::address(&byte), 1};
  struct alignas(8) {
    std::uint64_t bytes;
    std::int32_t level, type, fd, pad;
  } control{};
  struct {
    std::uint64_t name, name_bytes, vector, vector_count, control, control_bytes;
    std::int32_t flags, pad;
  } message{0, 0, sys::address(vector), 1, sys::address(&control), sizeof(control), 0, 0};
  for (;;) {
    auto got = sys::call(__NR_recvmsg, socket, sys::address(&message), kCloexec);
    if (got.error() == kEINTR) continue;
    return got.raw == 1 && control.bytes >= 20 ? control.fd : -kEACCES;
  }
}

std::int64_t ask(const char* segment_path, abi::JobFile file) {
  auto socket = sys::call(__NR_socket, 1, 1 | 0x80000, 0);  // AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC
  if (!socket.ok()) return socket.raw;
  struct {
    std::uint16_t family;
    char name[108];
  } address{1, {}};
  string_copy(address.name + 1, sizeof(address.name) - 1, segment_path);
  auto done = sys::call(__NR_connect, socket.value(), sys::address(&address), sizeof(address));
  if (done.ok())
    done = sys::call(__NR_sendto, socket.value(), sys::address(&file), sizeof(file),
                     0x4000 /* MSG_NOSIGNAL */, 0, 0);
  std::int64_t fd = done.ok() ? receive_descriptor(socket.value()) : done.raw;
  (void)sys::call(__NR_close, socket.value());
  return fd;
}

}  // namespace

sys::SysResult open_job_file(const char* path, std::uint64_t flags, const char* segment_path,
                             abi::JobFile file) {
  auto fd = sys::call(__NR_open, sys::address(path), flags, kOpenMode);
  if (fd.error() != kEACCES) return fd;
  const std::int64_t given = ask(segment_path, file);
  return given >= 0 ? sys::SysResult{given} : fd;
}

}  // namespace cairn::runtime
