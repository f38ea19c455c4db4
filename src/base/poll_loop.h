#pragma once
// A small event loop over poll(2): descriptors and timers, one thread. Other threads reach it by
// post().

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cairn {

class PollLoop {
 public:
  using Action = std::function<void()>;
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] static Result<PollLoop> create();
  PollLoop(PollLoop&&) noexcept;

  // Called each time the descriptor is readable (or at its end) until forget(fd).
  void on_readable(int fd, Action action);
  void forget(int fd);

  // Called every `period`, first after one period. Zero: never.
  void every(std::chrono::milliseconds period, Action action);
  // Called once.
  void after(std::chrono::milliseconds delay, Action action);

  // Runs the action on the loop's thread; may be called from any thread.
  void post(Action action);

  // Until stop().
  [[nodiscard]] Result<> run();
  void stop() { stopped_ = true; }

 private:
  struct Timer {
    std::chrono::milliseconds period;  // zero: once
    Clock::time_point next;
    Action action;
  };

  explicit PollLoop(Fd wakeup) : wakeup_(std::move(wakeup)) {}
  void run_posted();
  void run_timers();
  [[nodiscard]] int timeout() const;

  Fd wakeup_;
  std::map<int, Action> readable_;
  std::vector<Timer> timers_;
  std::mutex posted_mutex_;
  std::vector<Action> posted_;
  bool stopped_ = false;
};

}  // namespace cairn
