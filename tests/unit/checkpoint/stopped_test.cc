// Stopped processes against the kernel: a child with a handler as the front handler's stands for the
// runtime, the memory shared with it for the slot.

#include "checkpoint/stopped.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <ctime>

#include "abi/park.h"
#include "base/futex.h"
#include "checkpoint/task_list.h"

namespace cairn::checkpoint {
namespace {

using std::chrono::milliseconds;

struct Shared {
  std::atomic<std::uint32_t> word, parked, value;
  std::atomic<std::uint64_t> count;
};
Shared* g_shared = nullptr;

void park(int) {
  const std::uint32_t word = g_shared->word;
  if ((word & 1) == 0) return;
  g_shared->parked.fetch_add(1);
  while (g_shared->word == word) futex_wait(g_shared->word, word, milliseconds(1000));
  g_shared->parked.fetch_sub(1);
}

// In the order in which they arrive, a decimal each.
void note_value(int, siginfo_t* info, void*) {
  g_shared->value = g_shared->value * 10 + static_cast<std::uint32_t>(info->si_value.sival_int);
}

class StoppedTest : public testing::Test {
 protected:
  StoppedTest() {
    g_shared = static_cast<Shared*>(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                                           MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    child_ = ::fork();
    if (child_ == 0) be_child();
    while (g_shared->count == 0) ::usleep(1000);
    ::kill(child_, SIGSTOP);
    EXPECT_EQ(stops(), SIGSTOP);
  }
  ~StoppedTest() override {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::munmap(g_shared, sizeof(Shared));
  }

  [[noreturn]] static void be_child() {
    struct sigaction action{};
    sigfillset(&action.sa_mask);
    action.sa_handler = park;
    ::sigaction(abi::kParkSignal, &action, nullptr);
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = note_value;
    ::sigaction(SIGRTMIN, &action, nullptr);
    for (;;) ++g_shared->count;
  }

  // By what, if a wait finds a stop.
  [[nodiscard]] int stops(int options = 0) const {
    int status = 0;
    return ::waitpid(child_, &status, WUNTRACED | options) == child_ ? WSTOPSIG(status) : 0;
  }
  [[nodiscard]] char state() const { return task_state(RealPid{child_}, child_); }
  void let_it_park() {
    g_shared->word = 7;
    ASSERT_TRUE(stopped_.to_park(RealPid{child_}));
    while (g_shared->parked == 0) ::usleep(100);
    stopped_.watch({{RealPid{child_}, child_}});
  }
  void thaw() {
    stopped_.let_go(RealPid{child_});
    g_shared->word = 0;
    futex_wake_all(g_shared->word);
    stopped_.wait_stopped(Deadline{milliseconds(5000)});
  }

  pid_t child_ = 0;
  StoppedProcesses stopped_;
};

TEST_F(StoppedTest, ItParksAndIsStoppedAgainAndNobodyIsTold) {
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t count = g_shared->count;
    let_it_park();
    EXPECT_EQ(stopped_.stop_signal(RealPid{child_}), SIGSTOP);
    thaw();
    EXPECT_EQ(state(), 'T');
    EXPECT_EQ(g_shared->parked, 0U);
    stopped_.finish(Deadline{milliseconds(5000)});
    EXPECT_EQ(state(), 'T');
    EXPECT_EQ(g_shared->count, count);
    EXPECT_EQ(stops(WNOHANG), 0);
  }
  const std::uint64_t count = g_shared->count;
  ::kill(child_, SIGCONT);
  while (g_shared->count == count) ::usleep(1000);
}

TEST_F(StoppedTest, SignalsThatWereSentToItWaitAndKeepTheirOrder) {
  for (int i = 1; i <= 4; ++i) ::sigqueue(child_, SIGRTMIN, sigval{.sival_int = i});
  let_it_park();
  thaw();
  stopped_.finish(Deadline{milliseconds(5000)});
  EXPECT_EQ(g_shared->value, 0U);
  ::kill(child_, SIGCONT);
  while (g_shared->value < 1000) ::usleep(1000);
  EXPECT_EQ(g_shared->value, 1234U);
}

TEST_F(StoppedTest, WhoIsContinuedInTheParkRunsOnAfterIt) {
  let_it_park();
  ::kill(child_, SIGCONT);
  const Deadline soon{milliseconds(5000)};
  while (stopped_.stop_signal(RealPid{child_}) != 0 && !soon.passed()) ::usleep(1000);
  EXPECT_EQ(stopped_.stop_signal(RealPid{child_}), 0);
  const std::uint64_t count = g_shared->count;
  thaw();
  while (g_shared->count == count) ::usleep(1000);
}

TEST_F(StoppedTest, WhoIsStoppedInTheParkAnswersStill) {
  ::kill(child_, SIGCONT);
  g_shared->word = 7;
  ASSERT_TRUE(request_park(RealPid{child_}, child_, 7));
  while (g_shared->parked == 0) ::usleep(100);
  stopped_.watch({{RealPid{child_}, child_}});
  ::kill(child_, SIGSTOP);
  EXPECT_EQ(stops(), SIGSTOP);
  const Deadline soon{milliseconds(5000)};
  while (stopped_.stop_signal(RealPid{child_}) == 0 && !soon.passed()) ::usleep(1000);
  EXPECT_EQ(stopped_.stop_signal(RealPid{child_}), SIGSTOP);
  const std::uint64_t count = g_shared->count;
  thaw();
  EXPECT_EQ(g_shared->parked, 0U);
  EXPECT_EQ(state(), 'T');
  EXPECT_EQ(g_shared->count, count);
}

// As where a disk does not answer, or the agent is killed.
TEST_F(StoppedTest, WhoIsNotThawedIsStoppedWhereItIs) {
  const std::uint64_t count = g_shared->count;
  let_it_park();
  stopped_.finish(Deadline{milliseconds(20)});
  while (state() != 'T') ::usleep(1000);
  EXPECT_EQ(g_shared->parked, 1U);
  g_shared->word = 0;
  // It is on its way out when the next freeze begins: first out, then in again.
  ASSERT_TRUE(stopped_.to_gate(RealPid{child_}));
  while (g_shared->parked != 0) ::usleep(100);
  let_it_park();
  thaw();
  EXPECT_EQ(state(), 'T');
  EXPECT_EQ(g_shared->count, count);
  EXPECT_EQ(stops(WNOHANG), 0);
}

TEST_F(StoppedTest, WhatADebuggerHoldsIsLeftAlone) {
  const pid_t debugger = ::fork();
  if (debugger == 0) {
    ::syscall(SYS_ptrace, 0x4206 /* PTRACE_SEIZE */, child_, 0, 0);
    ::pause();
    ::_exit(0);
  }
  while (state() != 't') ::usleep(1000);
  // It shows as a debugger's, so it is not even tried.
  g_shared->word = 7;
  EXPECT_TRUE(stopped_.to_park(RealPid{child_}));
  EXPECT_EQ(state(), 't');
  ::kill(debugger, SIGKILL);
  ::waitpid(debugger, nullptr, 0);
}

}  // namespace
}  // namespace cairn::checkpoint
