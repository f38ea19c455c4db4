// Limits of resources, where what the host uses or what was used before a restart would count.

#include "runtime/handlers/dispatch.h"
#include "runtime/host/arena.h"
#include "runtime/host/clocks.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint32_t kRlimitCpu = 0, kRlimitAs = 9;
constexpr std::uint64_t kUnlimited = ~0ULL;
constexpr std::int64_t kSecond = 1'000'000'000;

struct Limits {
  std::uint64_t soft, hard;
};

// Seconds of CPU time that the guest has used and this kernel does not know of.
std::uint64_t used_before(const ThreadBlock* t) {
  if (t->process != &g_process || g_clocks.process_cpu_ns < 0) return 0;
  return static_cast<std::uint64_t>(g_clocks.process_cpu_ns / kSecond);
}

std::uint64_t as_guest(std::uint64_t limit, std::uint64_t used) {
  return limit == kUnlimited ? limit : limit + used;
}

// Never 0: the kernel would take it for one second, and so it is.
std::uint64_t as_kernel(std::uint64_t limit, std::uint64_t used) {
  if (limit == kUnlimited) return limit;
  return limit > used ? limit - used : 1;
}

void show_cpu_limit(ThreadBlock* t, std::uint64_t at) {
  Limits limits{};
  std::uint64_t used = used_before(t);
  if (used == 0 || at == 0 || copy_from_guest(&limits, at, sizeof(limits)) != 0) return;
  limits = {as_guest(limits.soft, used), as_guest(limits.hard, used)};
  (void)!copy_to_guest(at, &limits, sizeof(limits));
}

void take_cpu_limit(ThreadBlock* t, int index) {
  Limits limits{};
  std::uint64_t used = used_before(t), at = t->tail.args[index];
  if (used == 0 || at == 0 || copy_from_guest(&limits, at, sizeof(limits)) != 0) return;
  limits = {as_kernel(limits.soft, used), as_kernel(limits.hard, used)};
  memcpy(t->scratch, &limits, sizeof(limits));
  t->tail.args[index] = sys::address(t->scratch);
}

// A limit on the address space (ulimit -v) must not count the arena's reservation: it is given up,
// and the window stays ours only because nothing is ever mapped there by default.
bool limits_addresses(std::uint64_t resource, std::uint64_t limits) {
  std::uint64_t soft = kUnlimited;
  return (resource & 0xffffffff) == kRlimitAs && limits != 0 &&
         copy_from_guest(&soft, limits, sizeof(soft)) == 0 && soft != kUnlimited;
}

std::int64_t after_address_limit(ThreadBlock*, std::int64_t result) {
  if (result == 0) release_reservation();
  return result;
}

std::int64_t after_getrlimit(ThreadBlock* t, std::int64_t result) {
  if (result == 0) show_cpu_limit(t, t->rsi);
  return result;
}

Action getrlimit(ThreadBlock* t) {
  return pass(t, (t->rdi & 0xffffffff) == kRlimitCpu ? after_getrlimit : nullptr);
}

Action setrlimit(ThreadBlock* t) {
  pass(t, limits_addresses(t->rdi, t->rsi) ? after_address_limit : nullptr);
  if ((t->rdi & 0xffffffff) == kRlimitCpu) take_cpu_limit(t, 1);
  return Action::kTail;
}

std::int64_t after_prlimit(ThreadBlock* t, std::int64_t result) {
  if (result == 0) show_cpu_limit(t, t->r10);
  return result;
}

Action prlimit(ThreadBlock* t) {
  auto pid = static_cast<std::int32_t>(t->rdi);
  bool own = pid == 0 || pid == t->process->virtual_pid;
  pass(t, own && limits_addresses(t->rsi, t->rdx) ? after_address_limit : nullptr);
  t->tail.args[0] = static_cast<std::uint64_t>(static_cast<std::int64_t>(to_real(pid)));
  if (!own || (t->rsi & 0xffffffff) != kRlimitCpu) return Action::kTail;
  take_cpu_limit(t, 2);
  t->post = after_prlimit;
  return Action::kTail;
}

}  // namespace

const HandlerRow kLimitHandlers[] = {{__NR_getrlimit, getrlimit},
                                     {__NR_setrlimit, setrlimit},
                                     {__NR_prlimit64, prlimit},
                                     {0, nullptr}};

}  // namespace cairn::runtime
