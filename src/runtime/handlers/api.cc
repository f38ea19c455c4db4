#include "runtime/handlers/api.h"

#include "abi/api.h"
#include "abi/arena.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/park/park.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kFutexWait = 0, kFutexWake = 1;
constexpr std::int64_t kRestarted = 1;

std::uint32_t g_left_out_lock;
std::uint32_t g_left_out_count;
abi::LeftOut g_left_out[abi::kMaxLeftOut];

abi::ApiState& state() { return abi::job_segment()->api; }

void wake(std::atomic<std::uint32_t>* word) {
  (void)sys::call(__NR_futex, sys::address(word), kFutexWake, 0x7fffffff);
}

// What has an effect is done in the `after`, which runs once; so a call is needed that has none.
Action once(ThreadBlock* t, PostHandler post) {
  t->tail = {__NR_getppid, {}};
  t->post = post;
  return Action::kTail;
}

bool defers(const ThreadBlock* t) {
  return t->deferring != 0 && t->deferring_in == t->process->real_pid;
}

std::int64_t after_ask(ThreadBlock*, std::int64_t) {
  std::uint32_t ticket = state().asked.fetch_add(1) + 1;
  state().wakeup.fetch_add(1);
  wake(&state().wakeup);
  return ticket;
}

Action ask(ThreadBlock* t) {
  if (defers(t)) return done(t, -kEDEADLK);
  if (agent_is_gone()) return done(t, -kENOTCONN);
  return once(t, after_ask);
}

std::int64_t after_wait(ThreadBlock*, std::int64_t result) {
  return result == -kEINTR ? result : kAgain;
}

// A park in this wait is the checkpoint that is waited for: the call is made anew afterwards, by the
// same process or by a restarted one, which the incarnation tells.
Action wait(ThreadBlock* t) {
  auto ticket = static_cast<std::uint32_t>(t->rdx);
  if (state().incarnation.load() != t->r10) return done(t, kRestarted);
  std::uint32_t answered = state().answered.load();
  if (static_cast<std::int32_t>(answered - ticket) >= 0)
    return done(t, -state().results[ticket % abi::kApiResults].load());
  if (agent_is_gone()) return done(t, -kENOTCONN);
  t->time_argument[0] = 1;  // seconds until the agent is looked for again
  t->time_argument[1] = 0;
  t->tail = {__NR_futex,
             {sys::address(&state().answered), kFutexWait, answered, sys::address(t->time_argument)}};
  t->post = after_wait;
  return Action::kTail;
}

std::int64_t after_defer(ThreadBlock* t, std::int64_t) {
  abi::ProcessSlot* slot = slot_of(t->process);
  if (slot == nullptr) return -kENOTCONN;
  slot->deferred.fetch_add(1);
  t->deferring = defers(t) ? t->deferring + 1 : 1;
  t->deferring_in = t->process->real_pid;
  return 0;
}

std::int64_t after_undefer(ThreadBlock* t, std::int64_t) {
  abi::ProcessSlot* slot = slot_of(t->process);
  if (slot == nullptr) return -kENOTCONN;
  std::uint32_t count = slot->deferred.load();
  do {
    if (count == 0) return -kEPERM;
  } while (!slot->deferred.compare_exchange_weak(count, count - 1));
  if (defers(t)) --t->deferring;
  if (count == 1) wake(&slot->deferred);
  return 0;
}

void lock_left_out() {
  while (__atomic_exchange_n(&g_left_out_lock, 1, __ATOMIC_ACQUIRE) != 0) asm volatile("pause");
}
void unlock_left_out() { __atomic_store_n(&g_left_out_lock, 0, __ATOMIC_RELEASE); }

// Takes what lies between the addresses out of the list. A hole in the middle of a range needs room
// for one more: without it the whole range is dropped, which only means that more is saved.
void take_in(std::uint64_t start, std::uint64_t end) {
  std::uint32_t count = g_left_out_count;
  for (std::uint32_t i = count; i-- > 0;) {
    abi::LeftOut range = g_left_out[i];
    if (range.end <= start || range.start >= end) continue;
    g_left_out[i] = g_left_out[--g_left_out_count];
    if (range.start < start && g_left_out_count < abi::kMaxLeftOut)
      g_left_out[g_left_out_count++] = {range.start, start};
    if (range.end > end && g_left_out_count < abi::kMaxLeftOut)
      g_left_out[g_left_out_count++] = {end, range.end};
  }
}

bool leave_out(std::uint64_t start, std::uint64_t end) {
  for (std::uint32_t i = 0; i < g_left_out_count;) {
    abi::LeftOut& range = g_left_out[i];
    if (range.end < start || range.start > end) {
      ++i;
      continue;
    }
    start = range.start < start ? range.start : start;
    end = range.end > end ? range.end : end;
    range = g_left_out[--g_left_out_count];
    i = 0;  // the larger one may touch those that were looked at
  }
  if (g_left_out_count == abi::kMaxLeftOut) return false;
  g_left_out[g_left_out_count++] = {start, end};
  return true;
}

std::int64_t after_region(ThreadBlock* t, std::int64_t) {
  lock_left_out();
  bool fits = true;
  if (static_cast<abi::ApiCall>(t->rsi) == abi::ApiCall::kLeaveOut)
    fits = leave_out(t->rdx, t->rdx + t->r10);
  else
    take_in(t->rdx, t->rdx + t->r10);
  unlock_left_out();
  return fits ? 0 : -kENOSPC;
}

Action region(ThreadBlock* t) {
  std::uint64_t start = t->rdx, bytes = t->r10;
  bool whole = start % 4096 == 0 && bytes % 4096 == 0 && bytes != 0 && start + bytes > start;
  if (!whole || (start < abi::kArenaEnd && start + bytes > abi::kArenaBase))
    return done(t, -kEINVAL);
  return once(t, after_region);
}

std::int64_t as_number(const std::atomic<std::uint64_t>& value) {
  return static_cast<std::int64_t>(value.load());
}

}  // namespace

Action api(ThreadBlock* t) {
  auto call = static_cast<abi::ApiCall>(t->rsi);
  if (call == abi::ApiCall::kVersion) return done(t, CAIRN_VERSION_NUMBER);
  if (call == abi::ApiCall::kLeaveOut || call == abi::ApiCall::kTakeIn) return region(t);
  if (!job_attached()) return done(t, -kENOTCONN);
  switch (call) {
    case abi::ApiCall::kIncarnation: return done(t, as_number(state().incarnation));
    case abi::ApiCall::kGeneration: return done(t, as_number(state().generation));
    case abi::ApiCall::kAsk: return ask(t);
    case abi::ApiCall::kWait: return wait(t);
    case abi::ApiCall::kDefer: return once(t, after_defer);
    case abi::ApiCall::kUndefer: return once(t, after_undefer);
    default: return done(t, -kEINVAL);
  }
}

void left_out_gone(std::uint64_t start, std::uint64_t end) {
  if (__atomic_load_n(&g_left_out_count, __ATOMIC_RELAXED) == 0) return;
  lock_left_out();
  take_in(start, end);
  unlock_left_out();
}

void left_out_lock_after_fork() { unlock_left_out(); }

// While all threads are parked: none holds the lock.
void get_left_out(abi::RuntimeState* out) {
  out->left_out_count = g_left_out_count;
  memcpy(out->left_out, g_left_out, sizeof(g_left_out));
}

void set_left_out(const abi::RuntimeState& state) {
  g_left_out_count = static_cast<std::uint32_t>(state.left_out_count);
  memcpy(g_left_out, state.left_out, sizeof(g_left_out));
}

}  // namespace cairn::runtime
