#include "base/daemon.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"

namespace cairn {
namespace {

using std::chrono::milliseconds;

const Deadline soon() { return Deadline{milliseconds(20'000)}; }

// What a daemon sees of itself, as JSON.
void describe_self(void* context, ReadyReport report) {
  nlohmann::json self;
  self["pid"] = ::getpid();
  self["parent"] = ::getppid();
  self["session"] = ::getsid(0);
  self["group"] = ::getpgid(0);
  self["directory"] = std::filesystem::current_path().string();
  std::vector<int> open;
  for (int fd = 0; fd < 256; ++fd)
    if (::fcntl(fd, F_GETFD) >= 0) open.push_back(fd);
  self["open"] = open;
  self["title"] = read_text_file("/proc/self/comm").value_or("");
  struct sigaction action{};
  ::sigaction(SIGTERM, nullptr, &action);
  self["ignores_term"] = action.sa_handler == SIG_IGN;
  self["context"] = *static_cast<int*>(context);
  report.ready(self.dump());
}

TEST(Daemon, StartsFromAProcessWithoutStandardStreams) {
  const pid_t starter = ::fork();
  if (starter == 0) {
    for (int fd = 0; fd < 3; ++fd) ::close(fd);
    int context = 1;
    const auto answer = start_daemon("a title", {}, soon(), describe_self, &context);
    ::_exit(answer && nlohmann::json::parse(*answer)["open"].size() == 4 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(starter, &status, 0), starter);
  EXPECT_EQ(status, 0);
}

TEST(Daemon, IsNobodysChildAndHoldsNothing) {
  int context = 42;
  int extra[2];
  ASSERT_EQ(::pipe(extra), 0);
  const auto answer = start_daemon("a title", {extra[1]}, soon(), describe_self, &context);
  ASSERT_TRUE(answer) << answer.error().message();
  const auto self = nlohmann::json::parse(*answer);
  EXPECT_EQ(self["context"], 42);
  EXPECT_NE(self["parent"], ::getpid());
  EXPECT_NE(self["session"], ::getsid(0));
  EXPECT_NE(self["session"], self["pid"]);  // no leader: it can never get a terminal
  EXPECT_NE(self["group"], ::getpgid(0));
  EXPECT_EQ(self["directory"], "/");
  EXPECT_EQ(self["title"], "cairn-agent\n");
  EXPECT_EQ(self["ignores_term"], true);
  const auto open = self["open"].get<std::vector<int>>();
  EXPECT_EQ(open.size(), 5U);  // 0, 1, 2, the one to keep, the report
  EXPECT_EQ(std::count(open.begin(), open.end(), extra[1]), 1);
  EXPECT_EQ(std::count(open.begin(), open.end(), extra[0]), 0);
  ::close(extra[0]);
  ::close(extra[1]);
}

TEST(Daemon, TheCallerIsLeftAsItWas) {
  sigset_t child;
  sigset_t before;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ASSERT_EQ(::sigprocmask(SIG_BLOCK, &child, &before), 0);
  int context = 0;
  ASSERT_TRUE(start_daemon("t", {}, soon(), describe_self, &context));
  sigset_t pending;
  ASSERT_EQ(::sigpending(&pending), 0);
  EXPECT_EQ(sigismember(&pending, SIGCHLD), 0);
  EXPECT_EQ(::waitpid(-1, nullptr, __WALL | WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  ASSERT_EQ(::sigprocmask(SIG_SETMASK, &before, nullptr), 0);
}

TEST(Daemon, AFailedStartIsTheCallersError) {
  const auto body = [](void*, ReadyReport report) {
    report.failed(Error{ENOSPC, "make the thing", "/x"});
  };
  const auto answer = start_daemon("t", {}, soon(), body, nullptr);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ENOSPC);
  EXPECT_EQ(answer.error().tried, "make the thing /x");
}

TEST(Daemon, OneThatDiesIsNoticed) {
  const auto answer =
      start_daemon("t", {}, soon(), [](void*, ReadyReport) { ::_exit(3); }, nullptr);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message().find("ended"), std::string::npos);
}

TEST(Daemon, OneThatSaysNothingIsNotWaitedForForEver) {
  int hold[2];
  ASSERT_EQ(::pipe(hold), 0);
  // Ends when the test closes the pipe.
  const auto body = [](void* context, ReadyReport report) {
    char byte;
    [[maybe_unused]] const ssize_t n = ::read(*static_cast<int*>(context), &byte, 1);
    report.ready("late");
  };
  const auto answer =
      start_daemon("t", {hold[0]}, Deadline{milliseconds(50)}, body, &hold[0]);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ETIMEDOUT);
  ::close(hold[0]);
  ::close(hold[1]);
}

}  // namespace
}  // namespace cairn
