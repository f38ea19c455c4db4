#pragma once
// Freezing all processes of a job, which appear and vanish all the time.
//
//   the job's word := odd number     whoever is born from now on comes to rest by itself
//   look: every slot of a live process is asked to park
//   all that are known are parked
//   look again                       until nobody is there that was not known
//
// A process has its slot before it is there (abi/segment.h), and makes no other one while it is
// parked: when all known ones are parked and a look finds no other, there is no other. Waited for
// are
//   * a child between its fork and its first instruction
//   * a child of vfork, up to its exec: until then its parent is inside the kernel and cannot park
//   * a process that has called exit_group: only when it has ended its children have their new
//   parent

#include <memory>
#include <string>
#include <vector>

#include "abi/segment.h"
#include "base/deadline.h"
#include "base/error.h"
#include "checkpoint/freeze.h"

namespace cairn::checkpoint {

// Which process is where. Whoever looks at one slot after another may miss a process that passes its
// place on to a child, in a slot that was looked at already, and ends: not if nothing has changed
// from before the look to behind it.
std::vector<std::uint64_t> occupants(const abi::JobSegment& segment);

class JobFreeze {
 public:
  JobFreeze(abi::JobSegment& segment, TaskControl& control, std::uint32_t word)
      : segment_(segment), control_(control), word_(word) {}
  JobFreeze(const JobFreeze&) = delete;
  JobFreeze& operator=(const JobFreeze&) = delete;
  ~JobFreeze() { release(); }

  // Every process of the job is at rest. A failure names who is not, or cannot be saved.
  Result<> freeze(const Deadline& deadline);
  // Who is born from now on runs; those that are frozen stay so.
  void let_newborns_run() { segment_.freeze_word.store(0); }
  // Those that were stopped and may go on are stopped again.
  void wait_stopped();
  // All may run.
  void release();

  [[nodiscard]] const std::vector<std::unique_ptr<Freeze>>& members() const { return members_; }

 private:
  struct Look {
    bool changed = false;                     // somebody is new
    std::string waiting;                      // for whom, if anybody
    std::vector<abi::ProcessSlot*> promised;  // to a child that is not there
  };
  Result<> wait_for_last_thaw(const Deadline& deadline);
  Result<Look> look();
  Result<Look> look_steadily();
  Result<> let_stopped_on(RealPid pid);
  void watch();
  Result<> take_in(abi::ProcessSlot& slot, Look& look);
  Result<bool> wait_parked(const Deadline& deadline);  // false: some have ended
  [[nodiscard]] std::vector<abi::ProcessSlot*> slots() const;

  abi::JobSegment& segment_;
  TaskControl& control_;
  const std::uint32_t word_;
  std::vector<std::unique_ptr<Freeze>> members_;
};

}  // namespace cairn::checkpoint
