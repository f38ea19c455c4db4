#include "resources/syscall_names.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>

namespace cairn::resources {
namespace {

struct Name {
  std::uint32_t number;
  const char* name;
};

#define NAME(call) Name{SYS_##call, #call}
constexpr std::array kNames{
    NAME(accept4), NAME(arch_prctl), NAME(bind), NAME(brk), NAME(chdir), NAME(clock_gettime),
    NAME(close), NAME(connect), NAME(dup2), NAME(dup3), NAME(epoll_create1), NAME(epoll_ctl),
    NAME(fchdir), NAME(fcntl), NAME(flock), NAME(getcwd), NAME(getitimer), NAME(getpriority),
    NAME(inotify_add_watch), NAME(inotify_init1), NAME(inotify_rm_watch), NAME(ioctl),
    NAME(ioprio_get), NAME(ioprio_set), NAME(listen), NAME(madvise), NAME(mbind), NAME(mlock),
    NAME(mlock2), NAME(mlockall), NAME(mmap), NAME(mprotect), NAME(mremap), NAME(munmap),
    NAME(openat), NAME(personality), NAME(pidfd_open), NAME(prctl), NAME(prlimit64),
    NAME(rt_sigpending), NAME(rt_sigprocmask), NAME(rt_sigqueueinfo), NAME(rt_sigtimedwait),
    NAME(rt_tgsigqueueinfo), NAME(sched_getaffinity), NAME(sched_getattr), NAME(sched_setaffinity),
    NAME(sched_setattr), NAME(setitimer), NAME(setpriority), NAME(setsockopt), NAME(signalfd4),
    NAME(socket), NAME(timer_create), NAME(timer_delete), NAME(timer_getoverrun),
    NAME(timer_gettime), NAME(timer_settime), NAME(umask),
};
#undef NAME

}  // namespace

std::string syscall_name(std::uint32_t number) {
  const auto found =
      std::find_if(kNames.begin(), kNames.end(), [&](const Name& n) { return n.number == number; });
  return found != kNames.end() ? found->name : "system call " + std::to_string(number);
}

}  // namespace cairn::resources
