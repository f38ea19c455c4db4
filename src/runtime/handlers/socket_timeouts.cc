#include "runtime/handlers/socket_timeouts.h"

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/time_arguments.h"
#include "runtime/handlers/transfer.h"
#include "runtime/host/support.h"
#include "syscalls/table.gen.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kReceiveTimeout = 20, kSendTimeout = 21;        // with a 64-bit timeval
constexpr std::uint64_t kReceiveTimeoutNew = 66, kSendTimeoutNew = 67;  // the same on x86-64

bool g_armed = false;

std::int64_t after_setsockopt(ThreadBlock* t, std::int64_t result) {
  std::uint64_t name = t->rdx;
  bool timeout = name == kReceiveTimeout || name == kSendTimeout || name == kReceiveTimeoutNew ||
                 name == kSendTimeoutNew;
  if (result == 0 && t->rsi == kSolSocket && timeout) arm_socket_timeouts();
  return result;
}

Action setsockopt(ThreadBlock* t) {
  return pass(t, after_setsockopt);
}

}  // namespace

std::int64_t socket_timeout_ns(std::uint64_t fd, std::uint64_t number) {
  const Transfer* kind = transfer_of(number);
  bool sends = number == __NR_connect || (kind != nullptr && kind->sends);
  struct {
    std::int64_t sec, usec;
  } limit{};
  std::uint32_t bytes = sizeof(limit);
  auto got = sys::call(__NR_getsockopt, fd, kSolSocket, sends ? kSendTimeout : kReceiveTimeout,
                       sys::address(&limit), sys::address(&bytes));
  return got.ok() ? limit.sec * 1'000'000'000 + limit.usec * 1000 : 0;
}

bool socket_timeouts_armed() {
  return g_armed;
}

void arm_socket_timeouts() {
  g_armed = true;
  for (std::uint32_t i = 0; i < syscalls::kSyscalls; ++i)
    if ((syscalls::kTable[i].causes & syscalls::kTimeouts) != 0) set_slow(i);
}

void note_start(ThreadBlock* t) {
  bool known = t->interrupted.valid != 0 && t->interrupted.time_is == abi::kStarted;
  std::int64_t start = known ? t->interrupted.time_ns : guest_monotonic_ns();
  t->call = {1, t->rax, t->return_address, t->guest_sp, start, abi::kStarted, 0};
}

const HandlerRow kSocketHandlers[] = {{__NR_setsockopt, setsockopt}, {0, nullptr}};

}  // namespace cairn::runtime
