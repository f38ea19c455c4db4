#include "resources/registry.h"

#include <algorithm>

#include "resources/device.h"
#include "resources/directory.h"
#include "resources/epoll.h"
#include "resources/eventfd.h"
#include "resources/fifo.h"
#include "resources/inet_socket.h"
#include "resources/inherited.h"
#include "resources/inotify.h"
#include "resources/message_queue.h"
#include "resources/memfd.h"
#include "resources/netlink_socket.h"
#include "resources/path_only.h"
#include "resources/pidfd.h"
#include "resources/pipe.h"
#include "resources/proc_file.h"
#include "resources/pty.h"
#include "resources/regular_file.h"
#include "resources/shared_memory.h"
#include "resources/signalfd.h"
#include "resources/sysv.h"
#include "resources/timerfd.h"
#include "resources/unix_socket.h"

namespace cairn::resources {

// The order of matching: the special before the general (O_PATH says nothing of the file's type, a
// file of /proc is "regular", and so is a pidfd since Linux 6.17).
// The order of creation: what others hold or refer to first. Files and pipes before sockets, in
// whose queues they may be in flight; epoll sets last, since they may watch anything.
std::span<const Kind> kinds() {
  static const Kind table[] = {
      kPathOnlyKind,    kPidFdKind,     kProcFileKind,   kMemFdKind,      kSharedMemoryKind,
      kMessageQueueKind, kRegularFileKind, kDirectoryKind, kPtyKind,        kDeviceKind,     kTerminalKind,
      kInheritedKind,   kPipeKind,      kPipeEndKind,    kFifoKind,       kEventFdKind,
      kTimerFdKind,     kSignalFdKind,  kInotifyKind, kUnixSocketKind, kInetSocketKind, kNetlinkSocketKind,
      kOtherSocketKind, kEpollKind,     kSysvSemaphoresKind, kSysvMessagesKind,
  };
  return table;
}

const Kind* kind_of(const OpenFile& file) {
  const auto table = kinds();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Kind& kind) { return kind.matches(file); });
  return found == table.end() ? nullptr : &*found;
}

const Kind* kind_of(const image::KernelObject& object) {
  const auto table = kinds();
  const auto found = std::find_if(table.begin(), table.end(), [&](const Kind& kind) {
    return kind.record == object.kind_case();
  });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace cairn::resources
