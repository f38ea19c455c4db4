#include "runtime/loader/boot_options.h"

#include "abi/boot.h"
#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/pty_name.h"
#include "runtime/handlers/socket_timeouts.h"
#include "runtime/handlers/seccomp.h"
#include "runtime/host/clocks.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/intercept/deliver.h"
#include "runtime/intercept/door.h"
#include "runtime/intercept/front.h"
#include "runtime/restorer/ids.h"

namespace cairn::runtime {
namespace {

std::int64_t parse_number(const char* text) {
  bool negative = *text == '-';
  if (negative) ++text;
  std::uint64_t value = 0;
  bool hex = starts_with(text, "0x");
  if (hex) text += 2;
  for (; *text != 0 && *text != ';'; ++text) {
    char c = *text;
    unsigned digit = c >= 'a' ? static_cast<unsigned>(c - 'a' + 10) : static_cast<unsigned>(c - '0');
    if (digit >= (hex ? 16U : 10U)) die("bad number in the boot string");
    value = value * (hex ? 16 : 10) + digit;
  }
  auto signed_value = static_cast<std::int64_t>(value);
  return negative ? -signed_value : signed_value;
}

void take_text(const char* value, char* out, std::uint64_t room) {
  std::uint64_t n = 0;
  while (value[n] != 0 && value[n] != ';') {
    if (n + 1 >= room) die("boot string too long");
    out[n] = value[n];
    ++n;
  }
  out[n] = 0;
}

void take_operation(const char* value, BootOptions* boot) {
  if (starts_with(value, "run"))
    boot->operation = BootOperation::kRun;
  else if (starts_with(value, "exec"))
    boot->operation = BootOperation::kExec;
  else if (starts_with(value, "restore"))
    boot->operation = BootOperation::kRestore;
  else
    die("unknown operation in the boot string");
}

bool take_clock(const char* pair, std::int64_t number, BootOptions* boot) {
  boot->clocks_shifted = true;
  if (starts_with(pair, "mono=")) boot->clocks.monotonic_ns = number;
  else if (starts_with(pair, "boot=")) boot->clocks.boottime_ns = number;
  else if (starts_with(pair, "cpu=")) boot->clocks.process_cpu_ns = number;
  else if (starts_with(pair, "user=")) boot->clocks.user_ns = number;
  else if (starts_with(pair, "sys=")) boot->clocks.system_ns = number;
  else if (starts_with(pair, "cuser=")) boot->clocks.children_user_ns = number;
  else if (starts_with(pair, "csys=")) boot->clocks.children_system_ns = number;
  else if (starts_with(pair, "start=")) boot->clocks.start_ticks = number;
  else if (starts_with(pair, "tcpu=")) boot->thread_cpu_ns = number;
  else if (starts_with(pair, "tuser=")) boot->thread_user_ns = number;
  else if (starts_with(pair, "tsys=")) boot->thread_system_ns = number;
  else return false;
  return true;
}

void take(const char* pair, BootOptions* boot) {
  const char* value = pair;
  while (*value != '=' && *value != 0 && *value != ';') ++value;
  if (*value != '=') die("bad boot string");
  ++value;
  if (starts_with(pair, "op=")) return take_operation(value, boot);
  if (starts_with(pair, "segment=")) return take_text(value, boot->segment_storage, sizeof(boot->segment_storage));
  std::int64_t number = parse_number(value);
  if (starts_with(pair, "slot=")) boot->slot = static_cast<std::int32_t>(number);
  else if (starts_with(pair, "fd=")) boot->program_fd = static_cast<int>(number);
  else if (starts_with(pair, "errfd=")) boot->error_fd = static_cast<int>(number);
  else if (starts_with(pair, "filters=")) boot->filters_fd = static_cast<int>(number);
  else if (starts_with(pair, "nameless=")) boot->nameless = number != 0;
  else if (starts_with(pair, "landlock=")) boot->landlocked = number != 0;
  else if (starts_with(pair, "privs=")) boot->no_new_privs_is_ours = number != 0;
  else if (starts_with(pair, "ready=")) boot->agent_report = static_cast<int>(number);
  else if (starts_with(pair, "ign=")) boot->ignored = static_cast<std::uint64_t>(number);
  else if (starts_with(pair, "vmask=")) boot->blocked = static_cast<std::uint64_t>(number);
  else if (starts_with(pair, "vpid=")) boot->virtual_pid = static_cast<std::int32_t>(number);
  else if (starts_with(pair, "seccomp=")) boot->seccomp = number != 0;
  else if (starts_with(pair, "mode=")) boot->mode = static_cast<abi::DoorMode>(number);
  else if (starts_with(pair, "sockto="))
    boot->socket_timeouts = number != 0;
  else if (!take_clock(pair, number, boot))
    die("unknown key in the boot string");
}

}  // namespace

void read_boot_options(const KernelStart& start, BootOptions* boot) {
  boot->slot = -1;
  boot->program_fd = -1;
  boot->error_fd = -1;
  boot->filters_fd = -1;
  boot->agent_report = -1;
  if (start.argc < 2 || !starts_with(start.argv[1], abi::kBootPrefix))
    die("this program is started by \"cairn run\"");
  const char* at = start.argv[1] + string_length(abi::kBootPrefix);
  while (*at != 0) {
    take(at, boot);
    while (*at != 0 && *at != ';') ++at;
    if (*at == ';') ++at;
  }
  boot->segment = boot->segment_storage;
  if (boot->operation != BootOperation::kRestore && start.argc < 3) die("no program given");
  boot->program_path = start.argc >= 3 ? start.argv[2] : "";
}

void resume_boot_state(const BootOptions& boot) {
  if (boot.socket_timeouts) arm_socket_timeouts();
  if (ids_shifted() || ptys_shifted()) arm_shifted_ids();
  if (boot.landlocked) g_process.unsavable = kLandlocked;
  if (boot.no_new_privs_is_ours) g_process.no_new_privs_is_ours = true;
  if (boot.filters_fd >= 0) load_filters(current(), boot.filters_fd);
  if (!boot.clocks_shifted) return;
  set_clocks(boot.clocks);
  ThreadBlock* t = current();
  t->cpu_clock_offset_ns = boot.thread_cpu_ns;
  t->user_time_offset_ns = boot.thread_user_ns;
  t->system_time_offset_ns = boot.thread_system_ns;
  arm(kShiftedClockHandlers);
}

namespace {

char* append_cpu_times(char* at, const ThreadBlock* t) {
  at = append_decimal(append(at, ";cpu="), g_clocks.process_cpu_ns);
  at = append_decimal(append(at, ";user="), g_clocks.user_ns);
  at = append_decimal(append(at, ";sys="), g_clocks.system_ns);
  at = append_decimal(append(at, ";cuser="), g_clocks.children_user_ns);
  at = append_decimal(append(at, ";csys="), g_clocks.children_system_ns);
  at = append_decimal(append(at, ";start="), g_clocks.start_ticks);
  at = append_decimal(append(at, ";tcpu="), t->cpu_clock_offset_ns);
  at = append_decimal(append(at, ";tuser="), t->user_time_offset_ns);
  return append_decimal(append(at, ";tsys="), t->system_time_offset_ns);
}

}  // namespace

std::uint64_t write_boot_string(char* out, std::uint64_t room, const ExecOptions& options) {
  ThreadBlock* t = current();
  char* at = append(out, abi::kBootPrefix);
  at = append(append(append(at, "op=exec;segment="), segment_path()), ";slot=");
  at = append_decimal(at, t->process->slot);
  at = append_decimal(append(at, ";fd="), options.program_fd);
  if (options.filters_fd >= 0) at = append_decimal(append(at, ";filters="), options.filters_fd);
  if (options.nameless) at = append(at, ";nameless=1");
  if (t->process->unsavable == kLandlocked) at = append(at, ";landlock=1");
  if (t->process->no_new_privs_is_ours) at = append(at, ";privs=1");
  std::uint64_t ignored = 0;
  for (int signal = 1; signal <= 64; ++signal)
    if (kernel_action_is_ours(signal) && read_action(t->sighand, signal).handler == kSigIgn)
      ignored |= signal_bit(signal);
  at = append_hex(append(at, ";ign="), ignored);
  at = append_hex(append(at, ";vmask="), t->guest_mask);
  at = append_decimal(append(at, ";mode="), static_cast<std::int64_t>(door_mode()));
  at = append_decimal(append(at, ";seccomp="), seccomp_installed() ? 1 : 0);
  if (t->process->virtual_pid != t->process->real_pid)
    at = append_decimal(append(at, ";vpid="), t->process->virtual_pid);
  if (cairn_clocks_shifted != 0) {
    // A vfork child has memory and clocks of its parent, and has used nothing of that time itself.
    bool own = t->process == &g_process;
    at = append_decimal(append(at, ";mono="), g_clocks.monotonic_ns);
    at = append_decimal(append(at, ";boot="), g_clocks.boottime_ns);
    if (own) at = append_cpu_times(at, t);
  }
  if (socket_timeouts_armed()) at = append(at, ";sockto=1");
  if (static_cast<std::uint64_t>(at - out) >= room) die("boot string too long");
  return static_cast<std::uint64_t>(at - out);
}

}  // namespace cairn::runtime
