#include "runtime/host/job_files.h"

#include "abi/link.h"
#include "runtime/host/kernel_types.h"
#include "runtime/host/unix_socket.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kOpenMode = 0600;

// The answer: one byte, and the descriptor with it.
std::int64_t receive_descriptor(std::uint64_t socket) {
  char byte = 0;
  int fds[abi::kFdsPerMessage], count = 0;
  for (;;) {
    auto got = receive_with_fds(static_cast<int>(socket), sys::address(&byte), 1, fds, &count);
    if (got == -kEINTR) continue;
    return got == 1 && count == 1 ? fds[0] : -kEACCES;
  }
}

std::int64_t ask(const char* segment_path, abi::JobFile file) {
  auto socket = unix_socket();
  if (!socket.ok()) return socket.raw;
  auto done = connect_unix(socket.value(), segment_path, SocketName::kAbstract);
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
