#pragma once
// Which processes of the job live. The agent is not their parent: it holds a pidfd for each.

#include <filesystem>
#include <functional>
#include <map>

#include "abi/segment.h"
#include "agent/segment_file.h"
#include "base/fd.h"
#include "base/poll_loop.h"
#include "base/strong.h"

namespace cairn::agent {

class JobWatch {
 public:
  using Ended = std::function<void(RealPid)>;

  // `ended` is called on the loop's thread for each process that has ended, after its slot was freed.
  JobWatch(PollLoop& loop, SegmentFile& segment, Ended ended)
      : loop_(loop), segment_(segment), ended_(std::move(ended)) {}
  ~JobWatch();
  JobWatch(const JobWatch&) = delete;
  JobWatch& operator=(const JobWatch&) = delete;

  // A process that has no slot yet, by its pidfd: the one that will exec the runtime.
  void watch(RealPid pid, Fd pidfd);
  // Takes in the processes that have claimed slots since.
  void refresh();

  // Asks the kernel: a process may have ended whose end the loop has not been told yet.
  [[nodiscard]] bool anybody_lives() const;
  [[nodiscard]] bool empty() const { return pidfds_.empty(); }
  // Looks again: a process may have passed its place on to a child while a listing went on.
  [[nodiscard]] bool empty_for_certain();
  [[nodiscard]] std::vector<RealPid> pids() const;

 private:
  [[nodiscard]] bool find(RealPid pid);
  void process_ended(RealPid pid);

  PollLoop& loop_;
  SegmentFile& segment_;
  Ended ended_;
  std::map<RealPid, Fd> pidfds_;
};

// The slots of live processes, in the state kRunning or kUnsupported. From any thread.
[[nodiscard]] std::vector<abi::ProcessSlot*> live_slots(const SegmentFile& segment);

// Whether a live process of the job has this pid; it may not have begun yet. From any thread.
[[nodiscard]] bool is_member(const SegmentFile& segment, RealPid pid);

// Of a job whose agent was killed: do processes of it run on? False if it left no segment.
[[nodiscard]] bool anybody_left(const std::filesystem::path& segment);

}  // namespace cairn::agent
