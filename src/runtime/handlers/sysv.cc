// System V IPC: sets that the job makes or opens are noted for the checkpoint, and after a restart
// their ids are the guest's old ones. What the kernel gave by another number then is renamed only
// where that number is one of those.

#include "runtime/handlers/sysv.h"

#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

using abi::SysvKind;

constexpr std::int32_t kPrivate = 0;
constexpr std::uint64_t kCreate = 01000, kExclusive = 02000;
constexpr std::int32_t kNothing = 0x7ffffffe;  // no set has this real id
constexpr std::int32_t kLargestId = 0x7fff0000;

abi::SysvTable& table() { return abi::job_segment()->sysv; }

bool shifted() { return job_attached() && table().shifted.load(std::memory_order_relaxed) != 0; }

std::int32_t adopt(SysvKind kind, std::int32_t real) {
  if (!shifted()) return real;
  abi::SysvIds& ids = table().of(kind);
  if (std::int32_t known = ids.by_real.find(real + 1); known != 0) return known - 1;
  if (ids.by_virtual.find(real + 1) == 0) return real;
  auto fresh = kLargestId - static_cast<std::int32_t>(table().invented.fetch_add(1));
  if (ids.by_virtual.insert(fresh + 1, real + 1) == 0) die("too many System V sets since the restart");
  return ids.by_real.insert(real + 1, fresh + 1) - 1;
}

template <SysvKind kKind>
std::int64_t after_get(ThreadBlock* t, std::int64_t result) {
  if (result < 0) return result;
  auto origin = t->id_argument[0] != 0 ? abi::SysvOrigin::kCreated : abi::SysvOrigin::kFound;
  auto real = static_cast<std::int32_t>(result);
  if (job_attached()) table().note(kKind, real, origin);
  return adopt(kKind, real);
}

// The kernel does not tell whether a set was there before, so it is asked before.
template <SysvKind kKind>
Action get(ThreadBlock* t) {
  const bool is_messages = kKind == SysvKind::kMessages;
  const std::uint64_t flags = is_messages ? t->rsi : t->rdx;
  bool creates = static_cast<std::int32_t>(t->rdi) == kPrivate;
  if (!creates && (flags & kCreate) != 0)
    creates = (flags & kExclusive) != 0 || sys::call(static_cast<long>(t->rax), t->rdi).error() == kENOENT;
  t->id_argument[0] = creates ? 1 : 0;
  return pass(t, after_get<kKind>);
}

template <SysvKind kKind>
Action by_id(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail)
    t->tail.args[0] = static_cast<std::uint64_t>(to_real_sysv(kKind, t->rdi));
  return action;
}

template <SysvKind kKind>
std::int64_t id_of_index(ThreadBlock*, std::int64_t result) {
  return result < 0 ? result : adopt(kKind, static_cast<std::int32_t>(result));
}

PostHandler id_of_index(SysvKind kind) {
  if (kind == SysvKind::kMemory) return id_of_index<SysvKind::kMemory>;
  if (kind == SysvKind::kMessages) return id_of_index<SysvKind::kMessages>;
  return id_of_index<SysvKind::kSemaphores>;
}

// IPC_INFO, XXX_STAT, XXX_INFO and XXX_STAT_ANY follow one another from XXX_STAT on.
constexpr std::uint64_t kIpcInfo = 3;
constexpr std::uint64_t first_status(SysvKind kind) {
  return kind == SysvKind::kMemory ? 13 : kind == SysvKind::kSemaphores ? 18 : 11;
}

}  // namespace

std::int32_t to_real_sysv(SysvKind kind, std::uint64_t argument) {
  auto id = static_cast<std::int32_t>(argument);
  if (id < 0 || !shifted()) return id;
  const abi::SysvIds& ids = table().of(kind);
  if (std::int32_t real = ids.by_virtual.find(id + 1); real != 0) return real - 1;
  return ids.by_real.find(id + 1) != 0 ? kNothing : id;
}

void translate_sysv_control(ThreadBlock* t, SysvKind kind, std::uint64_t command) {
  const std::uint64_t status = first_status(kind), info = status + 1, any = status + 2;
  if (command == kIpcInfo || command == info) return;
  if (command == status || command == any)
    then(t, id_of_index(kind));
  else
    t->tail.args[0] = static_cast<std::uint64_t>(to_real_sysv(kind, t->rdi));
}

const HandlerRow kSysvHandlers[] = {{__NR_shmget, get<SysvKind::kMemory>},
                                    {__NR_semget, get<SysvKind::kSemaphores>},
                                    {__NR_msgget, get<SysvKind::kMessages>},
                                    {0, nullptr}};

const HandlerRow kShiftedSysvHandlers[] = {{__NR_shmat, by_id<SysvKind::kMemory>},
                                           {__NR_semop, by_id<SysvKind::kSemaphores>},
                                           {__NR_semtimedop, by_id<SysvKind::kSemaphores>},
                                           {__NR_msgsnd, by_id<SysvKind::kMessages>},
                                           {__NR_msgrcv, by_id<SysvKind::kMessages>},
                                           {0, nullptr}};

}  // namespace cairn::runtime
