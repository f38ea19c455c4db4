// One list for a process; all signals are blocked while its lock is held, so that nobody on this
// thread can want it meanwhile. A signal with si_code SI_TKILL is the thread's, any other one is taken
// for the process', whose threads are looked through for one that does not block it or waits for it.

#include "runtime/intercept/held_signals.h"

#include <initializer_list>

#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {

struct HeldSignal {
  const ThreadBlock* thread;  // nullptr: the process'
  KernelSiginfo info;
};

namespace {

constexpr std::uint32_t kFirstRoom = 256;

void lock(Process* process) {
  while (__atomic_exchange_n(&process->held_lock, 1, __ATOMIC_ACQUIRE) != 0) asm volatile("pause");
}

void unlock(Process* process) { __atomic_store_n(&process->held_lock, 0, __ATOMIC_RELEASE); }

bool make_room(Process* process) {
  if (process->held_count < process->held_room) return true;
  std::uint32_t room = process->held_room == 0 ? kFirstRoom : process->held_room * 2;
  auto at = map_host(room * sizeof(HeldSignal));
  if (!at.ok()) return false;
  auto* larger = reinterpret_cast<HeldSignal*>(at.value());
  memcpy(larger, process->held, process->held_count * sizeof(HeldSignal));
  if (process->held != nullptr)
    unmap_host(sys::address(process->held), process->held_room * sizeof(HeldSignal));
  process->held = larger;
  process->held_room = room;
  return true;
}

bool is_for(const HeldSignal& held, const ThreadBlock* t) {
  return held.thread == nullptr || held.thread == t;
}

void remove(Process* process, std::uint32_t index) {
  --process->held_count;
  memmove(process->held + index, process->held + index + 1,
          (process->held_count - index) * sizeof(HeldSignal));
}

bool add(Process* process, const HeldSignal& one) {
  for (std::uint32_t i = 0; one.info.signal < 32 && i < process->held_count; ++i)
    if (process->held[i].info.signal == one.info.signal && process->held[i].thread == one.thread)
      return true;  // a standard signal is pending once
  if (!make_room(process)) return false;
  process->held[process->held_count++] = one;
  return true;
}

void send_to(const ThreadBlock* t, KernelSiginfo info) {
  (void)sys::call(__NR_rt_tgsigqueueinfo, static_cast<std::uint64_t>(t->process->real_pid),
                  static_cast<std::uint64_t>(t->real_tid), static_cast<std::uint64_t>(info.signal),
                  sys::address(&info));
}

// The other thread comes to its front handler, looks here and goes on: a park request that is none.
// (The kernel lets nobody but its addressee pass on a siginfo that came from kill.)
void nudge(const ThreadBlock* t) {
  KernelSiginfo info{};
  info.signal = abi::kParkSignal;
  info.code = kSiQueue;
  info.sent.value = abi::kParkMagic;
  send_to(t, info);
}

bool waits_for(const ThreadBlock* t, std::uint64_t bit) {
  return (__atomic_load_n(&t->waited_set, __ATOMIC_SEQ_CST) & bit) != 0;
}

// Another thread of the process that would take this signal at once, as the kernel's wants_signal.
const ThreadBlock* taker(const ThreadBlock* t, std::uint64_t bit, bool waiting_only) {
  for (std::uint32_t i = 0; i < block_count(); ++i) {
    const ThreadBlock* other = block_at(i);
    if (other == t || other->in_use == 0 || other->process != t->process || other->real_tid == 0)
      continue;
    if (waits_for(other, bit) || (!waiting_only && (other->guest_mask & bit) == 0)) return other;
  }
  return nullptr;
}

}  // namespace

void hold_signal(ThreadBlock* t, int signal, const KernelSiginfo& info) {
  std::uint64_t bit = signal_bit(signal);
  bool of_thread = info.code == kSiTkill;
  const ThreadBlock* other = of_thread || waits_for(t, bit) ? nullptr : taker(t, bit, false);
  Process* process = t->process;
  lock(process);
  if (!add(process, {of_thread ? t : other, info})) die("no memory for a pending signal", signal);
  unlock(process);
  // Somebody may have begun to wait since, and found nothing.
  if (!of_thread && other == nullptr) other = taker(t, bit, true);
  if (other != nullptr) nudge(other);
}

std::uint64_t held_signals(const ThreadBlock* t, std::uint64_t set) {
  Process* process = t->process;
  if (__atomic_load_n(&process->held_count, __ATOMIC_SEQ_CST) == 0) return 0;
  std::uint64_t found = 0;
  for (int signal : {kSigsys, abi::kParkSignal}) {
    std::uint64_t bit = signal_bit(signal);
    // A look without the lock: an entry that comes or goes meanwhile might as well have been earlier.
    for (std::uint32_t i = 0; (set & bit) != 0 && i < process->held_count; ++i)
      if (process->held[i].info.signal == signal && is_for(process->held[i], t)) found |= bit;
  }
  return found;
}

bool take_held_signal(ThreadBlock* t, std::uint64_t set, KernelSiginfo* out) {
  Process* process = t->process;
  bool found = false;
  lock(process);
  for (int signal : {kSigsys, abi::kParkSignal})
    for (std::uint32_t i = 0; !found && i < process->held_count; ++i) {
      const HeldSignal& held = process->held[i];
      if (held.info.signal != signal || (set & signal_bit(signal)) == 0 || !is_for(held, t)) continue;
      *out = held.info;
      remove(process, i);
      found = true;
    }
  unlock(process);
  return found;
}

void let_held_signals_through(ThreadBlock* t, std::uint64_t mask) {
  KernelSiginfo info;
  while (held_signals(t, ~mask) != 0 && take_held_signal(t, ~mask, &info)) send_to(t, info);
}

void hand_held_signals_to_kernel(ThreadBlock* t) {
  Process* process = t->process;
  if (__atomic_load_n(&process->held_count, __ATOMIC_SEQ_CST) == 0) return;
  lock(process);
  for (std::uint32_t i = 0; i < process->held_count;) {
    HeldSignal held = process->held[i];
    if (!is_for(held, t)) {
      ++i;
      continue;
    }
    remove(process, i);
    bool leader = t->real_tid == process->real_pid;
    if (held.thread == nullptr && leader)
      (void)sys::call(__NR_rt_sigqueueinfo, static_cast<std::uint64_t>(process->real_pid),
                      static_cast<std::uint64_t>(held.info.signal), sys::address(&held.info));
    else
      send_to(t, held.info);
  }
  unlock(process);
}

void forget_held_signals_of(ThreadBlock* ended) {
  Process* process = ended->process;
  if (__atomic_load_n(&process->held_count, __ATOMIC_SEQ_CST) == 0) return;
  lock(process);
  for (std::uint32_t i = 0; i < process->held_count;) {
    HeldSignal& held = process->held[i];
    if (held.thread == ended && held.info.code == kSiTkill) {
      remove(process, i);
      continue;
    }
    if (held.thread == ended) held.thread = nullptr;
    ++i;
  }
  unlock(process);
}

void start_without_held_signals(Process* process) {
  process->held = nullptr;
  process->held_count = process->held_room = process->held_lock = 0;
}

}  // namespace cairn::runtime
