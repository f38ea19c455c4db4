#pragma once
// What parents of a frozen job have not been told by wait() yet: of the processes that have ended (a
// number, a place in the tree, and how they ended) and of those that are stopped.

#include <vector>

#include "abi/id_table.h"
#include "base/error.h"
#include "base/strong.h"
#include "image/schema/process.pb.h"
#include "resources/remote_process.h"

namespace cairn::checkpoint {

struct ParentProcess {
  resources::RemoteProcess* remote;
  std::vector<pid_t> threads;
};

struct EndedProcess {
  RealPid pid;
  image::ProcessImage image;
};

// Of all parents' children. One that lives and is none of `parents` is an error that names it.
[[nodiscard]] Result<std::vector<EndedProcess>> capture_ended(
    const std::vector<ParentProcess>& parents, const abi::IdTable& ids);

// What wait() would tell the parent of a child that lives, or of any (pid 0).
struct Untold {
  int stop_signal = 0;
  bool continued = false;
};
[[nodiscard]] Result<Untold> untold(resources::RemoteProcess& parent, pid_t child);

// Field 38 of /proc/PID/stat: what the parent gets at the end.
[[nodiscard]] int exit_signal_of(RealPid pid);

}  // namespace cairn::checkpoint
