#pragma once
// The processes of a frozen job that have ended and were not waited for yet: a number, a place in
// the tree, and what their parents will be told.

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

// Field 38 of /proc/PID/stat: what the parent gets at the end.
[[nodiscard]] int exit_signal_of(RealPid pid);

}  // namespace cairn::checkpoint
