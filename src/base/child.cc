#include "base/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

namespace cairn {
namespace {

Result<pid_t> spawn(const std::filesystem::path& program,
                    const std::vector<std::string>& arguments) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, 0, 1);
  posix_spawn_file_actions_adddup2(&files, 0, 2);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program.c_str(), &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return failure(error, "start", program);
  return pid;
}

// Until the child has ended, or the deadline.
bool wait_for_end(pid_t pid, const Deadline& deadline) {
  // pidfd_open (5.3) is there wherever the rest of Cairn works.
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  while (pidfd.valid() && !deadline.passed()) {
    pollfd entry{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, deadline.poll_timeout()) > 0) return true;
  }
  return false;
}

}  // namespace

Result<int> run_program(const std::filesystem::path& program,
                        const std::vector<std::string>& arguments, const Deadline& deadline) {
  CAIRN_ASSIGN(const pid_t pid, spawn(program, arguments));
  const bool ended = wait_for_end(pid, deadline);
  if (!ended) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return os_failure("wait for", program);
  if (!ended) return failure(ETIMEDOUT, "run", program);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace cairn
