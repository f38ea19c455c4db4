// Pids and tids in arguments and results, by the roles that the table gives them, and the number of
// a pseudo terminal: armed by a restart.

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/pty_name.h"
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
  return number < -1 ? -to_real_group(-number) : number;
}

bool is_plain_id(Role role) {
  return role == Role::kPid || role == Role::kTid || role == Role::kTgid;
}

bool is_group(Role role) { return role == Role::kPgid || role == Role::kSid; }

std::uint64_t extended(std::int32_t id) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(id)); }

// P_PID and P_PGID, IOPRIO_WHO_PROCESS and _PGRP are 1 and 2; PRIO_PROCESS and PRIO_PGRP 0 and 1.
std::int32_t real_who(std::uint64_t number, std::int32_t which, std::int32_t id) {
  bool from_zero = number == __NR_getpriority || number == __NR_setpriority;
  std::int32_t kind = from_zero ? which + 1 : which;
  return kind == 1 ? to_real(id) : kind == 2 ? to_real_group(id) : id;
}

void translate_arguments(ThreadBlock* t) {
  const syscalls::Row& row = syscalls::kTable[t->rax];
  for (int i = 0; i < 6; ++i) {
    std::uint64_t& argument = t->tail.args[i];
    auto id = static_cast<std::int32_t>(argument);
    if (is_plain_id(row.args[i]))
      argument = extended(to_real(id));
    else if (is_group(row.args[i]))
      argument = extended(to_real_group(id));
    else if (row.args[i] == Role::kPidOrNegative)
      argument = static_cast<std::uint64_t>(real_or_group(id));
    else if (row.args[i] == Role::kClockid)
      argument = static_cast<std::uint64_t>(real_clock(id));
    else if (row.args[i] == Role::kWho && i > 0)
      argument = extended(real_who(t->rax, static_cast<std::int32_t>(t->tail.args[i - 1]), id));
  }
}

std::int64_t translate_result(ThreadBlock* t, std::int64_t result) {
  const syscalls::Row& row = syscalls::kTable[t->rax];
  if (result <= 0) return result;
  auto id = static_cast<std::int32_t>(result);
  if (is_group(row.result)) return to_virtual_group(id);
  return is_plain_id(row.result) ? to_virtual(id) : result;
}

Action by_roles(ThreadBlock* t) {
  Action action = lower(t);
  if (action != Action::kTail) return action;
  translate_arguments(t);
  then(t, translate_result);
  return action;
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
  Action action = by_roles(t);
  if (action == Action::kTail) then(t, after_waitid);
  return action;
}

std::int64_t id_result(ThreadBlock*, std::int64_t result) {
  if (result > 0) return to_virtual(static_cast<std::int32_t>(result));
  return result < -4095 ? -to_virtual_group(static_cast<std::int32_t>(-result)) : result;
}

// struct f_owner_ex: F_OWNER_TID, _PID or _PGRP, and the id.
struct Owner {
  std::int32_t type;
  std::int32_t id;
};
constexpr std::int32_t kOwnerGroup = 2;

std::int64_t after_owner_out(ThreadBlock* t, std::int64_t result) {
  Owner owner{};
  if (result != 0 || copy_from_guest(&owner, t->rdx, sizeof(owner)) != 0) return result;
  owner.id = owner.type == kOwnerGroup ? to_virtual_group(owner.id) : to_virtual(owner.id);
  return copy_to_guest(t->rdx, &owner, sizeof(owner));
}

void set_owner(ThreadBlock* t) {
  Owner owner{};
  if (copy_from_guest(&owner, t->rdx, sizeof(owner)) != 0) return;
  owner.id = owner.type == kOwnerGroup ? to_real_group(owner.id) : to_real(owner.id);
  memcpy(t->id_argument, &owner, sizeof(owner));
  t->tail.args[2] = sys::address(t->id_argument);
}

// l_pid at the end of struct flock: who holds the lock. -1: an open file's lock, not a process's.
std::int64_t after_get_lock(ThreadBlock* t, std::int64_t result) {
  constexpr std::uint64_t kPidOffset = 24;
  std::int32_t pid = 0;
  if (result != 0 || copy_from_guest(&pid, t->rdx + kPidOffset, sizeof(pid)) != 0) return result;
  std::int32_t known = to_virtual(pid);
  return known == pid ? result : copy_to_guest(t->rdx + kPidOffset, &known, sizeof(known));
}

Action fcntl(ThreadBlock* t) {
  constexpr std::uint64_t kGetlk = 5, kSetown = 8, kGetown = 9, kSetownEx = 15, kGetownEx = 16,
                          kOfdGetlk = 36;
  Action action = lower(t);
  if (action != Action::kTail) return action;
  switch (t->rsi & 0xffffffff) {
    case kGetlk:
    case kOfdGetlk: then(t, after_get_lock); break;
    case kGetown: then(t, id_result); break;
    case kGetownEx: then(t, after_owner_out); break;
    case kSetownEx: set_owner(t); break;
    case kSetown:
      t->tail.args[2] = static_cast<std::uint64_t>(real_or_group(static_cast<std::int32_t>(t->rdx)));
      break;
    default: break;
  }
  return action;
}

std::int64_t after_group_out(ThreadBlock* t, std::int64_t result) {
  std::int32_t id = 0;
  if (result != 0 || copy_from_guest(&id, t->rdx, sizeof(id)) != 0) return result;
  id = to_virtual_group(id);
  return copy_to_guest(t->rdx, &id, sizeof(id));
}

// A socket's owner, positive, or its group, negative.
std::int64_t after_owner_number_out(ThreadBlock* t, std::int64_t result) {
  std::int32_t id = 0;
  if (result != 0 || copy_from_guest(&id, t->rdx, sizeof(id)) != 0) return result;
  id = id < 0 ? -to_virtual_group(-id) : to_virtual(id);
  return copy_to_guest(t->rdx, &id, sizeof(id));
}

std::int64_t after_pty_number(ThreadBlock* t, std::int64_t result) {
  std::int32_t number = 0;
  if (result != 0 || copy_from_guest(&number, t->rdx, sizeof(number)) != 0) return result;
  number = to_virtual_pty(number);
  return copy_to_guest(t->rdx, &number, sizeof(number));
}

Action ioctl(ThreadBlock* t) {
  constexpr std::uint64_t kTiocgpgrp = 0x540f, kTiocspgrp = 0x5410, kTiocgsid = 0x5429,
                          kFiosetown = 0x8901, kSiocspgrp = 0x8902, kFiogetown = 0x8903,
                          kSiocgpgrp = 0x8904, kTiocgptn = 0x80045430;
  std::uint64_t command = t->rsi & 0xffffffff;
  Action action = lower(t);
  if (action != Action::kTail) return action;
  if (command == kTiocgpgrp || command == kTiocgsid) then(t, after_group_out);
  if (command == kFiogetown || command == kSiocgpgrp) then(t, after_owner_number_out);
  if (command == kTiocgptn) then(t, after_pty_number);
  bool group = command == kTiocspgrp, owner = command == kFiosetown || command == kSiocspgrp;
  std::int32_t id = 0;
  if ((!group && !owner) || copy_from_guest(&id, t->rdx, sizeof(id)) != 0) return action;
  id = group ? to_real_group(id) : static_cast<std::int32_t>(real_or_group(id));
  memcpy(t->id_argument, &id, sizeof(id));
  t->tail.args[2] = sys::address(t->id_argument);
  return action;
}

// SIGEV_THREAD_ID names a thread.
Action timer_create(ThreadBlock* t) {
  constexpr std::int32_t kSigevThreadId = 4;
  Action action = by_roles(t);
  std::int32_t event[16];
  std::uint64_t at = t->tail.args[1];
  if (action != Action::kTail || at == 0 || copy_from_guest(event, at, sizeof(event)) != 0) return action;
  if ((event[3] & kSigevThreadId) == 0) return action;
  event[4] = to_real(event[4]);
  memcpy(t->id_argument, event, sizeof(event));
  t->tail.args[1] = sys::address(t->id_argument);
  return action;
}

}  // namespace

const HandlerRow kShiftedIdHandlers[] = {
    {__NR_kill, by_roles},
    {__NR_tkill, by_roles},
    {__NR_tgkill, by_roles},
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
    {__NR_clock_settime, by_roles},
    {__NR_clock_adjtime, by_roles},
    {__NR_fcntl, fcntl},
    {__NR_ioctl, ioctl},
    {__NR_timer_create, timer_create},
    {0, nullptr}};

}  // namespace cairn::runtime
