#include "resources/passing_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"

namespace cairn::resources {

Result<> with_passing_process(const std::function<Result<>(pid_t)>& use) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_failure("make a pipe");
  const Fd ending(ends[0]);
  Fd living(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return os_failure("make a process that ends");
  if (child == 0) {
    ::close(living.get());
    char byte = 0;
    while (::read(ending.get(), &byte, 1) < 0 && errno == EINTR) {
    }
    ::_exit(0);
  }
  auto used = use(child);
  living.reset();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return used;
}

}  // namespace cairn::resources
