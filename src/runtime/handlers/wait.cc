// Calls that wait with a timeout or a temporary mask.
//
// select, pselect6 and ppoll write what remains into the guest's own argument, also when a park
// interrupts them: made anew, they are given what remains of their first deadline there, so that
// the time of a stand is not waited for once more.

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/pi_futex.h"
#include "runtime/handlers/time_arguments.h"
#include "runtime/host/clocks.h"
#include "runtime/host/support.h"
#include "runtime/intercept/vdso.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"
#include "syscalls/table.gen.h"

namespace cairn::runtime {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000, kMillisecond = 1'000'000;
constexpr std::int64_t kForever = 1LL << 62;

bool made_anew(const ThreadBlock* t) {
  return t->interrupted.valid != 0 && t->interrupted.time_is == abi::kDeadline;
}

void note_deadline(ThreadBlock* t, std::int64_t deadline) {
  t->call = {1, t->rax, t->return_address, t->guest_sp, deadline, abi::kDeadline, 0};
}

std::int64_t remaining(ThreadBlock* t, std::int64_t now) {
  std::int64_t deadline = t->interrupted.time_ns;
  note_deadline(t, deadline);
  return deadline > now ? deadline - now : 0;
}

void strip_mask(ThreadBlock* t, int index) {
  std::uint64_t& argument = t->tail.args[index];
  std::uint64_t mask = 0;
  if (argument == 0 || copy_from_guest(&mask, argument, sizeof(mask)) != 0) return;
  note_wait_mask(t, mask);
  if ((mask & kHostSignals) == 0) return;
  t->mask_argument[0] = mask & ~kHostSignals;
  argument = sys::address(&t->mask_argument[0]);
}

Action poll(ThreadBlock* t) {
  pass(t);
  return keep_milliseconds(t, 2);
}

// What a relative wait is still to take: true for one that is made anew, which has less than it
// says. Its time is in units of nanoseconds behind the seconds: a timespec, or a timeval with 1000.
bool is_shorter(ThreadBlock* t, std::uint64_t at, std::int64_t unit, Timespec* shorter) {
  Timespec wanted{};
  if (at == 0 || copy_from_guest(&wanted, at, sizeof(wanted)) != 0) return false;
  bool odd = wanted.sec < 0 || wanted.nsec < 0 || wanted.nsec >= kSecond / unit;
  if (odd || wanted.sec > kForever / kSecond / 2) return false;
  std::int64_t now = guest_monotonic_ns();
  if (!made_anew(t)) {
    note_deadline(t, now + wanted.sec * kSecond + wanted.nsec * unit);
    return false;
  }
  std::int64_t left = remaining(t, now) + unit - 1;  // rounded up
  *shorter = {left / kSecond, left % kSecond / unit};
  return true;
}

void put_time(ThreadBlock* t, int index, const Timespec& time) {
  memcpy(t->time_argument, &time, sizeof(time));
  t->tail.args[index] = sys::address(t->time_argument);
}

// A time of the guest's that the call writes to. Where it cannot be written the kernel has not
// changed it either, and one of ours is read in its place.
Action keep_written_time(ThreadBlock* t, int index, std::int64_t unit) {
  Timespec shorter{};
  std::uint64_t at = t->tail.args[index];
  if (is_shorter(t, at, unit, &shorter) && copy_to_guest(at, &shorter, sizeof(shorter)) != 0)
    put_time(t, index, shorter);
  return Action::kTail;
}

Action ppoll(ThreadBlock* t) {
  pass(t);
  strip_mask(t, 3);
  return keep_written_time(t, 2, 1);
}

// The sixth argument points to a pair: the mask's address and its size.
void strip_mask_pair(ThreadBlock* t) {
  std::uint64_t pair[2];
  std::uint64_t mask = 0;
  if (t->r9 == 0 || copy_from_guest(pair, t->r9, sizeof(pair)) != 0 || pair[0] == 0 ||
      copy_from_guest(&mask, pair[0], sizeof(mask)) != 0)
    return;
  note_wait_mask(t, mask);
  if ((mask & kHostSignals) == 0) return;
  t->mask_argument[0] = mask & ~kHostSignals;
  t->scratch[0] = sys::address(&t->mask_argument[0]);
  t->scratch[1] = pair[1];
  t->tail.args[5] = sys::address(&t->scratch[0]);
}

Action pselect6(ThreadBlock* t) {
  pass(t);
  strip_mask_pair(t);
  return keep_written_time(t, 4, 1);
}

Action select(ThreadBlock* t) {
  constexpr std::int64_t kMicrosecond = 1'000;
  pass(t);
  return keep_written_time(t, 4, kMicrosecond);
}

Action epoll_wait(ThreadBlock* t) {
  pass(t);
  return keep_milliseconds(t, 3);
}

Action epoll_pwait(ThreadBlock* t) {
  pass(t);
  strip_mask(t, 4);
  return keep_milliseconds(t, 3);
}

Action epoll_pwait2(ThreadBlock* t) {
  pass(t);
  strip_mask(t, 4);
  return keep_relative_timespec(t, 3);
}

Action semtimedop(ThreadBlock* t) {
  pass(t);
  return keep_relative_timespec(t, 3);
}

Action io_getevents(ThreadBlock* t) {
  pass(t);
  return keep_relative_timespec(t, 4);
}

Action io_pgetevents(ThreadBlock* t) {
  pass(t);
  strip_mask_pair(t);
  return keep_relative_timespec(t, 4);
}

// The kernel writes what remains where it has read the timeout.
std::int64_t after_recvmmsg(ThreadBlock* t, std::int64_t result) {
  bool ours = t->tail.args[4] == sys::address(t->time_argument);
  if (result > 0 && ours) (void)!copy_to_guest(t->r8, t->time_argument, sizeof(Timespec));
  return result;
}

Action recvmmsg(ThreadBlock* t) {
  pass(t, after_recvmmsg);
  return keep_relative_timespec(t, 4);
}

// What remains is written by report_remaining: the kernel would write it at a park as well, and
// programs sleep again and again with one timespec for both.
Action nanosleep(ThreadBlock* t) {
  pass(t);
  t->tail.args[1] = 0;
  return keep_relative_timespec(t, 0);
}

// An absolute time of the guest's clock, as the kernel's.
void unshift(ThreadBlock* t, int index, std::int32_t clock) {
  std::int64_t offset = cairn_clocks_shifted != 0 ? clock_offset_ns(clock) : 0;
  Timespec time{};
  if (offset == 0 || t->tail.args[index] == 0) return;
  if (copy_from_guest(&time, t->tail.args[index], sizeof(time)) != 0) return;
  time = shifted(time, -offset);
  if (time.sec < 0) time = {0, 0};
  put_time(t, index, time);
}

Action clock_nanosleep(ThreadBlock* t) {
  constexpr std::uint64_t kAbsolute = 1;
  pass(t);
  t->tail.args[0] = static_cast<std::uint64_t>(real_clock(static_cast<std::int32_t>(t->rdi)));
  if ((t->rsi & kAbsolute) == 0) {
    t->tail.args[3] = 0;
    return keep_relative_timespec(t, 2);
  }
  unshift(t, 2, static_cast<std::int32_t>(t->rdi));
  return Action::kTail;
}

Action futex(ThreadBlock* t) {
  constexpr std::uint64_t kWait = 0, kLockPi = 6, kUnlockPi = 7, kTrylockPi = 8, kWaitBitset = 9,
                          kWaitRequeuePi = 11, kLockPi2 = 13;
  constexpr std::uint64_t kRealtime = 256, kCommand = ~(128ULL | kRealtime);
  pass(t);
  std::uint64_t command = t->rsi & 0xffffffff & kCommand;
  if (command == kWait) return keep_relative_timespec(t, 3);
  if (ids_shifted() &&
      (command == kLockPi || command == kLockPi2 || command == kUnlockPi || command == kTrylockPi))
    return pi_futex(t, command);
  bool absolute = command == kWaitBitset || command == kWaitRequeuePi || command == kLockPi2;
  if (absolute && (t->rsi & kRealtime) == 0) unshift(t, 3, 1);
  return Action::kTail;
}

// Absolute, by the clock that an argument names.
Action futex_wait(ThreadBlock* t) {
  pass(t);
  if (static_cast<std::int32_t>(t->r9) == 1) unshift(t, 4, 1);
  return Action::kTail;
}

Action futex_waitv(ThreadBlock* t) {
  pass(t);
  if (static_cast<std::int32_t>(t->r8) == 1) unshift(t, 3, 1);
  return Action::kTail;
}

}  // namespace

bool wait_mask_of(std::uint64_t number, const std::uint64_t* regs, std::uint64_t* mask) {
  using syscalls::Role;
  const std::uint64_t arguments[6] = {regs[abi::kRdi], regs[abi::kRsi], regs[abi::kRdx],
                                      regs[abi::kR10], regs[abi::kR8],  regs[abi::kR9]};
  for (int i = 0; i < 6; ++i) {
    Role role = syscalls::kTable[number].args[i];
    if (role != Role::kSigmask && role != Role::kSigmaskPair) continue;
    std::uint64_t at = arguments[i];
    if (role == Role::kSigmaskPair && (at == 0 || copy_from_guest(&at, at, sizeof(at)) != 0))
      return false;
    return at != 0 && copy_from_guest(mask, at, sizeof(*mask)) == 0;
  }
  return false;
}

void report_remaining(const abi::InterruptedCall& call, const std::uint64_t* regs) {
  constexpr std::uint64_t kAbsolute = 1;
  bool plain = call.number == __NR_nanosleep;
  bool relative =
      plain || (call.number == __NR_clock_nanosleep && (regs[abi::kRsi] & kAbsolute) == 0);
  std::uint64_t at = plain ? regs[abi::kRsi] : regs[abi::kR10];
  if (!relative || call.valid == 0 || call.time_is != abi::kDeadline || at == 0) return;
  std::int64_t left = call.time_ns - guest_monotonic_ns();
  if (left < 1) left = 1;
  Timespec time{left / kSecond, left % kSecond};
  (void)!copy_to_guest(at, &time, sizeof(time));
}

void note_wait_mask(ThreadBlock* t, std::uint64_t mask) {
  t->wait_mask = mask & ~(signal_bit(kSigkill) | signal_bit(kSigstop));
  t->has_wait_mask = 1;
}

std::int64_t guest_monotonic_ns() {
  return kernel_monotonic_ns() + g_clocks.monotonic_ns;
}

Action keep_relative_timespec(ThreadBlock* t, int index) {
  Timespec shorter{};
  if (is_shorter(t, t->tail.args[index], 1, &shorter)) put_time(t, index, shorter);
  return Action::kTail;
}

Action keep_milliseconds(ThreadBlock* t, int index) {
  auto wanted = static_cast<std::int32_t>(t->tail.args[index]);
  if (wanted <= 0) return Action::kTail;
  std::int64_t now = guest_monotonic_ns();
  if (!made_anew(t)) {
    note_deadline(t, now + wanted * kMillisecond);
    return Action::kTail;
  }
  // Rounded up: a wait may end late, never early.
  t->tail.args[index] =
      static_cast<std::uint64_t>((remaining(t, now) + kMillisecond - 1) / kMillisecond);
  return Action::kTail;
}

const HandlerRow kWaitHandlers[] = {{__NR_poll, poll},
                                    {__NR_ppoll, ppoll},
                                    {__NR_pselect6, pselect6},
                                    {__NR_select, select},
                                    {__NR_epoll_wait, epoll_wait},
                                    {__NR_epoll_pwait, epoll_pwait},
                                    {441 /* epoll_pwait2 */, epoll_pwait2},
                                    {__NR_semtimedop, semtimedop},
                                    {__NR_io_getevents, io_getevents},
                                    {333 /* io_pgetevents */, io_pgetevents},
                                    {__NR_recvmmsg, recvmmsg},
                                    {__NR_nanosleep, nanosleep},
                                    {__NR_clock_nanosleep, clock_nanosleep},
                                    {__NR_io_pgetevents, io_pgetevents},
                                    {__NR_futex, futex},
                                    {455 /* futex_wait */, futex_wait},
                                    {449 /* futex_waitv */, futex_waitv},
                                    {0, nullptr}};

}  // namespace cairn::runtime
