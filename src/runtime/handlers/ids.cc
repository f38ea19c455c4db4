// Pids and tids in arguments and results, by the roles that the table gives them: armed by a restart.

#include "runtime/handlers/dispatch.h"
#include "runtime/host/support.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"
#include "syscalls/table.gen.h"

namespace cairn::runtime {
namespace {

using syscalls::Role;

std::int64_t real_or_group(std::int64_t id) {
  auto number = static_cast<std::int32_t>(id);
  if (number > 0) return to_real(number);
  return number < -1 ? -to_real(-number) : number;
}

bool is_plain_id(Role role) {
  return role == Role::kPid || role == Role::kTid || role == Role::kTgid || role == Role::kPgid ||
         role == Role::kSid;
}

bool who_is_id(std::uint64_t number, std::int32_t which) {
  if (number == __NR_waitid) return which == 1 || which == 2;  // P_PID, P_PGID
  if (number == __NR_ioprio_get || number == __NR_ioprio_set) return which == 1 || which == 2;
  return which == 0 || which == 1;  // PRIO_PROCESS, PRIO_PGRP
}

void translate_arguments(ThreadBlock* t) {
  const syscalls::Row& row = syscalls::kTable[t->rax];
  for (int i = 0; i < 6; ++i) {
    std::uint64_t& argument = t->tail.args[i];
    auto id = static_cast<std::int32_t>(argument);
    if (is_plain_id(row.args[i]))
      argument = static_cast<std::uint64_t>(static_cast<std::int64_t>(to_real(id)));
    else if (row.args[i] == Role::kPidOrNegative)
      argument = static_cast<std::uint64_t>(real_or_group(id));
    else if (row.args[i] == Role::kClockid)
      argument = static_cast<std::uint64_t>(real_clock(id));
    else if (row.args[i] == Role::kWho && i > 0 &&
             who_is_id(t->rax, static_cast<std::int32_t>(t->tail.args[i - 1])))
      argument = static_cast<std::uint64_t>(static_cast<std::int64_t>(to_real(id)));
  }
}

std::int64_t translate_result(ThreadBlock* t, std::int64_t result) {
  const syscalls::Row& row = syscalls::kTable[t->rax];
  if (result <= 0 || !is_plain_id(row.result)) return result;
  return to_virtual(static_cast<std::int32_t>(result));
}

Action by_roles(ThreadBlock* t) {
  pass(t, translate_result);
  translate_arguments(t);
  return Action::kTail;
}

// si_pid lies at offset 12 + 4 of what waitid fills in (after signo, errno, code and padding).
std::int64_t after_waitid(ThreadBlock* t, std::int64_t result) {
  constexpr std::uint64_t kPidOffset = 16;
  std::int32_t pid = 0;
  if (result != 0 || t->rdx == 0 || copy_from_guest(&pid, t->rdx + kPidOffset, sizeof(pid)) != 0) return result;
  pid = to_virtual(pid);
  return copy_to_guest(t->rdx + kPidOffset, &pid, sizeof(pid));
}

Action waitid(ThreadBlock* t) {
  by_roles(t);
  t->post = after_waitid;
  return Action::kTail;
}

std::int64_t id_result(ThreadBlock*, std::int64_t result) {
  if (result > 0) return to_virtual(static_cast<std::int32_t>(result));
  return result < -4095 ? -to_virtual(static_cast<std::int32_t>(-result)) : result;
}

Action fcntl(ThreadBlock* t) {
  constexpr std::uint64_t kSetown = 8, kGetown = 9;
  if (t->rsi == kGetown) return pass(t, id_result);
  pass(t);
  if (t->rsi == kSetown)
    t->tail.args[2] = static_cast<std::uint64_t>(real_or_group(static_cast<std::int32_t>(t->rdx)));
  return Action::kTail;
}

std::int64_t after_id_out(ThreadBlock* t, std::int64_t result) {
  std::int32_t id = 0;
  if (result != 0 || copy_from_guest(&id, t->rdx, sizeof(id)) != 0) return result;
  id = to_virtual(id);
  return copy_to_guest(t->rdx, &id, sizeof(id));
}

Action ioctl(ThreadBlock* t) {
  constexpr std::uint64_t kTiocgpgrp = 0x540f, kTiocspgrp = 0x5410, kTiocgsid = 0x5429;
  std::uint64_t command = t->rsi & 0xffffffff;
  if (command == kTiocgpgrp || command == kTiocgsid) return pass(t, after_id_out);
  pass(t);
  std::int32_t group = 0;
  if (command != kTiocspgrp || copy_from_guest(&group, t->rdx, sizeof(group)) != 0) return Action::kTail;
  group = to_real(group);
  memcpy(t->scratch, &group, sizeof(group));
  t->tail.args[2] = sys::address(t->scratch);
  return Action::kTail;
}

// SIGEV_THREAD_ID names a thread.
Action timer_create(ThreadBlock* t) {
  constexpr std::int32_t kSigevThreadId = 4;
  by_roles(t);
  std::int32_t event[16];
  if (t->rsi == 0 || copy_from_guest(event, t->rsi, sizeof(event)) != 0) return Action::kTail;
  if (event[3] != kSigevThreadId) return Action::kTail;
  event[4] = to_real(event[4]);
  memcpy(t->scratch, event, sizeof(event));
  t->tail.args[1] = sys::address(t->scratch);
  return Action::kTail;
}

}  // namespace

const HandlerRow kShiftedIdHandlers[] = {
    {__NR_kill, by_roles},
    {__NR_tkill, by_roles},
    {__NR_tgkill, by_roles},
    {__NR_rt_sigqueueinfo, by_roles},
    {__NR_rt_tgsigqueueinfo, by_roles},
    {__NR_wait4, by_roles},
    {__NR_waitid, waitid},
    {__NR_getppid, by_roles},
    {__NR_getpgrp, by_roles},
    {__NR_getpgid, by_roles},
    {__NR_setpgid, by_roles},
    {__NR_getsid, by_roles},
    {__NR_setsid, by_roles},
    {__NR_getpriority, by_roles},
    {__NR_setpriority, by_roles},
    {__NR_ioprio_get, by_roles},
    {__NR_ioprio_set, by_roles},
    {__NR_sched_setparam, by_roles},
    {__NR_sched_getparam, by_roles},
    {__NR_sched_setscheduler, by_roles},
    {__NR_sched_getscheduler, by_roles},
    {__NR_sched_rr_get_interval, by_roles},
    {__NR_sched_setaffinity, by_roles},
    {__NR_sched_getaffinity, by_roles},
    {__NR_sched_setattr, by_roles},
    {__NR_sched_getattr, by_roles},
    {__NR_get_robust_list, by_roles},
    {__NR_process_vm_readv, by_roles},
    {__NR_process_vm_writev, by_roles},
    {__NR_kcmp, by_roles},
    {__NR_move_pages, by_roles},
    {__NR_migrate_pages, by_roles},
    {__NR_pidfd_open, by_roles},
    {__NR_clock_getres, by_roles},
    {__NR_fcntl, fcntl},
    {__NR_ioctl, ioctl},
    {__NR_timer_create, timer_create},
    {0, nullptr}};

}  // namespace cairn::runtime
