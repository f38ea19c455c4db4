#pragma once
// The tree of processes, made again by those that are in it (resources/process_tree.h says how).
//
//   starter   connected, fresh
//   tree      every saved process is there with its parent, session and group; each is as fresh as
//             the starter, connected, and waits for requests
//   ended     those that had ended and were not waited for have ended again

#include <cstdint>
#include <optional>
#include <vector>

#include "abi/id_table.h"
#include "base/connection_queue.h"
#include "base/error.h"
#include "resources/remote_process.h"
#include "restart/restart.h"

namespace cairn::restart {

// Ends whatever was made for a restart that fails.
class Newborns {
 public:
  Newborns() = default;
  Newborns(const Newborns&) = delete;
  Newborns& operator=(const Newborns&) = delete;
  ~Newborns();

  void add(RealPid pid);
  void keep() { born_.clear(); }  // the restart has come off

 private:
  struct Birth {
    RealPid pid;
    std::uint64_t start_time;
  };
  std::vector<Birth> born_;
};

struct Tree {
  // In the order of the plan's records; these end with those that have ended, which are left out.
  std::vector<resources::RemoteProcess> processes;
  // The starter where the job's first process was gone already: it is nobody of the job, and ends
  // once the others run.
  std::optional<resources::RemoteProcess> stand_in;
};

// Binds the ids of all processes, groups and sessions. After a failure `tree` holds whom there are:
// each ends when its object goes away.
[[nodiscard]] Result<> build_tree(const Plan& plan, ConnectionQueue& connections,
                                  resources::RemoteProcess starter, abi::IdTable& ids,
                                  Newborns& newborns, Tree& tree);

}  // namespace cairn::restart
