#pragma once
// A process that serves the runtime link with a libc instead of the runtime: the far side of
// RemoteProcess for tests of what the agent does. It is a forked child of the test.
//
//   FakeProcess old([] { make_objects(); }, nullptr);
//   ... capture from old.remote() ...
//   FakeProcess fresh(nullptr, [] { return objects_work() ? 0 : 1; });
//   ... rebuild in fresh.remote() ...; fresh.remote().go(); EXPECT_EQ(fresh.wait(), 0);
//
// `setup` runs before the link is served, `afterwards` after kThaw or kGo; its value is the exit code.

#include <sys/types.h>

#include <functional>

#include "resources/remote_process.h"

namespace cairn::testing {

struct FakeOptions {
  abi::LinkPurpose purpose = abi::LinkPurpose::kCapture;
  int extra_threads = 0;      // parked threads besides the serving one (capture)
  bool direct_memory = true;  // false: every byte goes over the link
};

class FakeProcess {
 public:
  FakeProcess(std::function<void()> setup, std::function<int()> afterwards, FakeOptions options = {});
  ~FakeProcess();
  FakeProcess(const FakeProcess&) = delete;
  FakeProcess& operator=(const FakeProcess&) = delete;

  resources::RemoteProcess& remote() { return *remote_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // Waits for its end: the exit code, or 256 + the signal that killed it. At most 60 s.
  int wait();

 private:
  pid_t pid_ = -1;
  bool waited_ = false;
  int status_ = 0;
  std::unique_ptr<resources::RemoteProcess> remote_;
};

}  // namespace cairn::testing
