#pragma once
// What is done when a round is late although nobody said so: whoever works on it waits for
// something that does not answer (a disk, a file server), and cannot be told to stop.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/deadline.h"

namespace cairn::checkpoint {

class Overdue {
 public:
  // `act` is called once, in another thread, when the deadline passes before call_off().
  Overdue(const Deadline& deadline, std::function<void()> act);
  ~Overdue() { call_off(); }
  Overdue(const Overdue&) = delete;
  Overdue& operator=(const Overdue&) = delete;

  // Afterwards `act` has either been run to its end or never will be.
  void call_off();

 private:
  void wait(const Deadline& deadline);

  std::function<void()> act_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool called_off_ = false;
  std::thread thread_;
};

}  // namespace cairn::checkpoint
