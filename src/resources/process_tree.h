#pragma once
// How the tree of saved processes is made again, as a list of steps that processes take one after
// another: who forks whom, who begins a session or a group, who ends.
//
//   plan = plan_tree(generation.processes, origin)    pure: nothing is looked at, nothing is
//   started
//
// A parent is given by fork, a session by being born in it or by setsid. What is left of a history
// whose actors have ended is made by helpers, which end before the tree is used:
//   * an orphan is forked by a helper that ends, so that it falls to whoever adopts it: a subreaper
//   of
//     the job, or nobody of the job
//   * a session or group whose leader has ended is begun by a helper; the number that it leaves
//     behind stands for the saved one

#include <cstdint>
#include <map>
#include <vector>

#include "base/error.h"
#include "image/schema/process.pb.h"

namespace cairn::resources {

// Where the job's first process stood when it was started: both may be others' than the job's.
struct TreeOrigin {
  std::int32_t session = 0;
  std::int32_t group = 0;
};

struct TreeStep {
  enum class Kind {
    kFork,     // `actor` makes `other`
    kSession,  // setsid
    kGroup,    // `actor` goes into the group of `other`; its own is a new one
    kAdopt,    // `actor` becomes the one to whom orphans below it fall ...
    kRelease,  // ... and is so no more
    kEnd,      // the helper `actor` ends, and its parent `other` takes note
  };
  Kind kind;
  int actor;
  int other;
  std::int32_t exit_signal = 0;  // of kFork
};

struct TreePlan {
  // Actors are numbered: the saved processes in their order, then the starter if the job's first
  // process is not among them, then helpers.
  std::vector<TreeStep> steps;
  int actors = 0;
  int starter = 0;                     // who is there from the beginning
  std::map<std::int32_t, int> stands;  // saved sessions and groups whose number is a helper's
};

// The first process comes first, processes that have ended last; else as they were.
void order_processes(std::vector<image::ProcessImage>& processes);

[[nodiscard]] Result<TreePlan> plan_tree(const std::vector<image::ProcessImage>& processes,
                                         const TreeOrigin& origin);

}  // namespace cairn::resources
