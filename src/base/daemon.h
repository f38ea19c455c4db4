#pragma once
// Turning a copy of this process into a daemon that nothing of the caller reaches.

#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"

namespace cairn {

// Tells the starter how the daemon's start goes. It ends with exactly one call of ready(), failed()
// or end(), which closes the pipe.
class ReadyReport {
 public:
  explicit ReadyReport(Fd pipe) : pipe_(std::move(pipe)) {}
  void ready(const std::string& answer);
  void failed(const Error& error);

  // For a starter that reads the pipe itself: bytes as they are.
  void send(const std::string& bytes);
  void end(const std::string& bytes);

 private:
  void outcome(char kind, int code, const std::string& text);
  Fd pipe_;
};

// Must be called while this process has one thread. Forks twice; `body` runs in the grandchild: in a
// session of its own, reparented, with standard descriptors on /dev/null, only the descriptors of
// `keep` besides them, default signal dispositions and every signal but the fatal faults ignored or
// blocked. The caller gets no child and no SIGCHLD. The program name shown by ps is `title`.
using DaemonBody = void (*)(void* context, ReadyReport report);

// Waits until the daemon has reported, and returns its answer or its error.
[[nodiscard]] Result<std::string> start_daemon(const std::string& title, std::vector<int> keep,
                                               const Deadline& deadline, DaemonBody body,
                                               void* context);

// Does not wait for the report: returns where it will come, which is no standard descriptor and closed
// on exec.
[[nodiscard]] Result<Fd> launch_daemon(const std::string& title, std::vector<int> keep,
                                       DaemonBody body, void* context);

// Where main()'s arguments lie, for the daemon's title.
void remember_arguments(int argc, char** argv);

// Whoever looks for the job by its command line (pkill -f) must not find the agent.
void set_title(const std::string& title);

}  // namespace cairn
