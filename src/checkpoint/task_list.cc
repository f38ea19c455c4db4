#include "checkpoint/task_list.h"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "abi/park.h"
#include "base/files.h"

namespace cairn::checkpoint {
namespace {

std::string task_directory(RealPid pid) {
  return "/proc/" + std::to_string(pid.value) + "/task/";
}

// "SigPnd:\t<16 hexadecimal digits>" of a status file, for one signal.
bool signal_pending(std::string_view status, int signal) {
  const std::size_t at = status.find("\nSigPnd:\t");
  if (at == std::string_view::npos) return false;
  std::uint64_t mask = 0;
  const char* digits = status.data() + at + 9;
  std::from_chars(digits, status.data() + status.size(), mask, 16);
  return (mask >> (signal - 1) & 1) != 0;
}

}  // namespace

std::vector<Task> live_tasks(RealPid pid) {
  std::vector<Task> tasks;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(task_directory(pid).c_str()),
                                                ::closedir);
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    if (entry->d_name[0] == '.') continue;
    if (const auto task = task_of(pid, std::atoi(entry->d_name))) tasks.push_back(*task);
  }
  return tasks;
}

bool any_in_state(const std::vector<Task>& tasks, char state) {
  return std::any_of(tasks.begin(), tasks.end(),
                     [state](const Task& task) { return task.state == state; });
}

std::optional<Task> task_of(RealPid pid, pid_t tid) {
  const auto status = read_text_file(task_directory(pid) + std::to_string(tid) + "/status");
  if (!status) return std::nullopt;  // ended meanwhile
  const char state = state_in_status(*status);
  if (state == 'Z' || state == 'X' || state == '\0') return std::nullopt;
  const bool dying =
      signal_pending(*status, SIGKILL) || status->find("\nVmSize:") == std::string::npos;
  return Task{tid, state, signal_pending(*status, abi::kParkSignal), dying};
}

char task_state(RealPid pid, pid_t tid) {
  const auto status = read_text_file(task_directory(pid) + std::to_string(tid) + "/status");
  return status ? state_in_status(*status) : '\0';
}

Result<> request_park(RealPid pid, pid_t tid, std::uint32_t freeze_word) {
  siginfo_t info{};
  info.si_signo = abi::kParkSignal;
  info.si_code = SI_QUEUE;
  info.si_pid = ::getpid();
  info.si_uid = ::getuid();
  info.si_value.sival_ptr = reinterpret_cast<void*>(abi::kParkMagic ^ freeze_word);
  if (::syscall(SYS_rt_tgsigqueueinfo, pid.value, tid, abi::kParkSignal, &info) == 0) return {};
  return os_failure("ask to park thread", std::to_string(tid));
}

}  // namespace cairn::checkpoint
