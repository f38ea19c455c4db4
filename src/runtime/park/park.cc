// A parked thread sits in its front handler, on its signal stack, all signals blocked. The agent
// and the process meet in the slot of the job segment (abi/segment.h):
//
//   agent                                    thread
//   freeze_word = odd n, park signals  --->  parked += 1, waits on freeze_word
//   all parked? serve_tid = one, wake  --->  that one sets it to 0, connects and serves the link
//   kThaw (or the connection ends)     --->  freeze_word = 0, wake; all go on, parked -= 1
//   (is killed before it connects)           freeze_word = 0 by whoever looks first
//
// freeze_word is compared with the value of this request, so a thread that was about to wait when
// the process was thawed and frozen again waits for the right thing.

#include "runtime/park/park.h"

#include "abi/park.h"
#include "runtime/handlers/go_on.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/intercept/held_signals.h"
#include "runtime/intercept/site_map.h"
#include "runtime/intercept/vdso.h"
#include "runtime/link/server.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kFutexWake = 1, kFutexWaitBitset = 9;

template <class Word>
void futex_wake(std::atomic<Word>* word) {
  (void)sys::call(__NR_futex, sys::address(word), kFutexWake, 0x7fffffff);
}

// Not for ever: nobody wakes a process whose agent was killed before anyone here was connected to
// it.
void wait_parked(const ThreadBlock* t, std::atomic<std::uint32_t>* word, std::uint32_t value) {
  std::int64_t now = kernel_monotonic_ns();
  Timespec look{now / 1'000'000'000 + 1, now % 1'000'000'000};
  (void)sys::call(__NR_futex, sys::address(word), kFutexWaitBitset, value, sys::address(&look), 0,
                  park_bit(t));
}

void thaw_without_agent(abi::ProcessSlot* slot, std::uint32_t word) {
  if (!agent_is_gone()) return;
  std::uint32_t expected = word;
  abi::job_segment()->freeze_word.compare_exchange_strong(expected, 0);  // for those who are born
  expected = word;
  if (slot->freeze_word.compare_exchange_strong(expected, 0)) futex_wake(&slot->freeze_word);
}

// A call that this park interrupted goes on afterwards; the guest never hears of it. (Without
// SA_RESTART the kernel lets every such call end with EINTR, or with the part that is done.)
void remember_interrupted(ThreadBlock* t, KernelUcontext* context, const Boundary& at) {
  std::uint64_t* regs = context->mcontext.regs;
  auto result = static_cast<std::int64_t>(regs[abi::kRax]);
  bool interrupted = at.made_call && result == -kEINTR;
  bool divided = at.made_call && result > 0 && may_have_more(at.number);
  bool again = at.before_call && at.begun;
  if (again && t->interrupted.valid != 0) return;
  if (!interrupted && !divided && !again) return;
  if (interrupted && at.number == __NR_close) {  // the descriptor is gone all the same
    regs[abi::kRax] = 0;
    return;
  }
  t->interrupted = {};
  if (t->call.valid != 0 && t->call.number == at.number) t->interrupted = t->call;
  t->interrupted.valid = 1;
  t->interrupted.number = at.number;
  t->interrupted.return_address = t->return_address;
  t->interrupted.stack_pointer = regs[abi::kRsp];
  t->interrupted.progress = divided ? static_cast<std::uint64_t>(result) : 0;
  if (divided && at.number == __NR_recvmmsg) take_back_interruption(regs[abi::kRdi]);
  t->polled = 0;
  regs[abi::kRip] = call_site(t->return_address);
  regs[abi::kRax] = at.number;
}

void serve_if_chosen(ThreadBlock* t, abi::ProcessSlot* slot, std::uint32_t word) {
  std::int32_t me = t->real_tid;
  if (!slot->serve_tid.compare_exchange_strong(me, 0)) return;
  futex_wake(&slot->serve_tid);
  serve_capture(t, slot, word);
  std::uint32_t expected = word;
  slot->freeze_word.compare_exchange_strong(expected, 0);
  futex_wake(&slot->freeze_word);
}

void hold(ThreadBlock* t, abi::ProcessSlot* slot, std::uint32_t word) {
  __atomic_store_n(&t->parked, word, __ATOMIC_RELEASE);
  slot->parked.fetch_add(1);
  futex_wake(&slot->parked);
  while (slot->freeze_word.load() == word) {
    serve_if_chosen(t, slot, word);
    run_thread_calls(t);
    if (slot->freeze_word.load() == word) wait_parked(t, &slot->freeze_word, word);
    thaw_without_agent(slot, word);
  }
  __atomic_store_n(&t->parked, 0, __ATOMIC_RELEASE);
  slot->parked.fetch_sub(1);
  futex_wake(&slot->parked);
}

}  // namespace

abi::ProcessSlot* slot_of(const Process* process) {
  if (process->slot < 0 || !job_attached()) return nullptr;
  return &abi::job_segment()->slots[process->slot];
}

// Ours by its value, even if it is stale: then there is nothing to do but swallow it.
bool is_park_value(std::uint64_t value) {
  return (value >> 32) == (abi::kParkMagic >> 32);
}

void park(ThreadBlock* t, KernelUcontext* context, const Boundary& at) {
  abi::ProcessSlot* slot = slot_of(t->process);
  if (slot == nullptr) return;
  remember_interrupted(t, context, at);
  t->parked_context = context;
  (void)sys::call(__NR_arch_prctl, 0x1003 /* ARCH_GET_FS */, sys::address(&t->fs_base));
  std::uint32_t word = slot->freeze_word.load();
  if ((word & 1) != 0) {
    hand_held_signals_to_kernel(t);
    hold(t, slot, word);
  }
  t->parked_context = nullptr;
}

void park_if_frozen(ThreadBlock* t) {
  abi::ProcessSlot* slot = slot_of(t->process);
  if (slot == nullptr || (slot->freeze_word.load() & 1) == 0) return;
  // Stop where a frame exists to be saved: ask ourselves, all signals still being blocked.
  std::uint32_t word = slot->freeze_word.load();
  KernelSiginfo info{};
  info.signal = abi::kParkSignal;
  info.code = kSiQueue;
  info.sent.pid = t->process->real_pid;
  info.sent.value = abi::kParkMagic ^ word;
  (void)sys::call(__NR_rt_tgsigqueueinfo, static_cast<std::uint64_t>(t->process->real_pid),
                  static_cast<std::uint64_t>(t->real_tid), abi::kParkSignal, sys::address(&info));
}

}  // namespace cairn::runtime
