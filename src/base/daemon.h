#pragma once
// Turning a copy of this process into a daemon that nothing of the caller reaches.

#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"

namespace cairn {

// Tells the starter how the daemon's start ended: exactly one call of either.
class ReadyReport {
 public:
  explicit ReadyReport(Fd pipe) : pipe_(std::move(pipe)) {}
  void ready(const std::string& answer);
  void failed(const Error& error);

 private:
  void send(char kind, int code, const std::string& text);
  Fd pipe_;
};

// Must be called while this process has one thread. Forks twice; `body` runs in the grandchild: in a
// session of its own, reparented, with standard descriptors on /dev/null, only the descriptors of
// `keep` besides them, default signal dispositions and every signal but the fatal faults ignored or
// blocked. The caller gets no child, no SIGCHLD and no descriptor; it waits until the daemon has
// reported, and returns its answer or its error. The program name shown by ps is `title`.
[[nodiscard]] Result<std::string> start_daemon(const std::string& title, std::vector<int> keep,
                                               const Deadline& deadline,
                                               void (*body)(void* context, ReadyReport report),
                                               void* context);

// Where main()'s arguments lie, for the daemon's title.
void remember_arguments(int argc, char** argv);

}  // namespace cairn
