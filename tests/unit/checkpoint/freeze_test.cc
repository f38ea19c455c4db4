// The freeze against a fake segment and a fake kernel: which requests are made, when a process counts
// as frozen, and what is left behind afterwards.

#include "checkpoint/freeze.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/futex.h"

namespace cairn::checkpoint {
namespace {

using std::chrono::milliseconds;

// Threads that park when `on_request` says so.
class FakeKernel : public TaskControl {
 public:
  explicit FakeKernel(abi::ProcessSlot& slot) : slot_(slot) {}

  Result<std::vector<Task>> tasks(RealPid) override {
    ++listings;
    if (before_listing) before_listing(listings);
    if (threads.empty()) return failure(ESRCH, "list");
    std::vector<Task> list;
    for (const auto& [tid, task] : threads) list.push_back(task);
    return list;
  }

  Result<> request_park(RealPid, pid_t tid, std::uint32_t freeze_word) override {
    ++requests[tid];
    last_word = freeze_word;
    if (!threads.contains(tid)) return failure(ESRCH, "signal");
    if (parks(tid)) slot_.parked.fetch_add(1);
    return {};
  }

  Result<> let_out(RealPid) override {
    told.emplace_back("out");
    slot_.parked = 0;
    return refused ? refusal("stopped, and cannot be had") : Result<>();
  }
  Result<> let_park(RealPid) override {
    told.emplace_back(slot_.freeze_word == 0 ? "park too early" : "park");
    if (refused) return refusal("stopped, and cannot be had");
    for (auto& [tid, task] : threads)
      if (task.state == 'T') {
        task.state = 't';
        slot_.parked.fetch_add(1);
      }
    return {};
  }
  void watch(std::vector<std::pair<RealPid, pid_t>>) override { told.emplace_back("watch"); }
  int stop_signal(RealPid) override { return 19; }
  void let_stop(RealPid) override {
    told.emplace_back(slot_.freeze_word == 0 ? "stop too late" : "stop");
  }
  bool had(RealPid) override { return !told.empty(); }
  void wait_stopped(const Deadline&) override { told.emplace_back("wait"); }
  void end_of_freeze(const Deadline&) override { told.emplace_back("end"); }

  void add(pid_t tid, char state = 'S') { threads[tid] = {tid, state, false}; }

  std::map<pid_t, Task> threads;
  std::map<pid_t, int> requests;
  std::vector<std::string> told;  // of stopped threads
  bool refused = false;
  std::function<bool(pid_t)> parks = [this](pid_t tid) { return requests[tid] == 1; };
  std::function<void(int)> before_listing;
  int listings = 0;
  std::uint32_t last_word = 0;

 private:
  abi::ProcessSlot& slot_;
};

class FreezeTest : public testing::Test {
 protected:
  FreezeTest() { slot_->real_pid = ::getpid(); }

  std::unique_ptr<abi::ProcessSlot> slot_ = std::make_unique<abi::ProcessSlot>();
  FakeKernel kernel_{*slot_};
  const pid_t main_ = ::getpid();
};

TEST_F(FreezeTest, WordsAreOddAndGrow) {
  EXPECT_EQ(next_freeze_word(0), 1U);
  EXPECT_EQ(next_freeze_word(1), 3U);
  EXPECT_EQ(next_freeze_word(3), 5U);
}

TEST_F(FreezeTest, EveryThreadIsAskedOnceAndTheMainThreadServes) {
  kernel_.add(main_);
  kernel_.add(main_ + 1);
  kernel_.add(main_ + 2);
  Freeze freeze(*slot_, kernel_, 5);
  ASSERT_TRUE(freeze.request());
  EXPECT_EQ(slot_->freeze_word, 5U);
  ASSERT_TRUE(freeze.wait_parked(Deadline{milliseconds(5000)}));
  EXPECT_EQ(freeze.threads(), 3U);
  EXPECT_EQ(kernel_.last_word, 5U);
  for (const auto& [tid, times] : kernel_.requests) EXPECT_EQ(times, 1) << tid;
  freeze.choose_server();
  EXPECT_EQ(slot_->serve_tid, main_);
  EXPECT_EQ(slot_->freeze_word, 5U);
}

TEST_F(FreezeTest, WithoutAMainThreadAnotherOneServes) {
  kernel_.add(main_ + 7);
  kernel_.add(main_ + 9);
  Freeze freeze(*slot_, kernel_, 1);
  ASSERT_TRUE(freeze.request());
  ASSERT_TRUE(freeze.wait_parked(Deadline{milliseconds(5000)}));
  freeze.choose_server();
  EXPECT_EQ(slot_->serve_tid, main_ + 7);
}

TEST_F(FreezeTest, ARequestThatWasLostIsRepeated) {
  kernel_.add(main_);
  kernel_.add(main_ + 1);
  kernel_.parks = [this](pid_t tid) { return kernel_.requests[tid] == (tid == main_ ? 1 : 3); };
  Freeze freeze(*slot_, kernel_, 1);
  ASSERT_TRUE(freeze.request());
  ASSERT_TRUE(freeze.wait_parked(Deadline{milliseconds(20'000)}));
  EXPECT_EQ(kernel_.requests[main_ + 1], 3);
}

TEST_F(FreezeTest, AThreadWhoseRequestWaitsInTheKernelIsNotAskedAgain) {
  kernel_.add(main_);
  kernel_.parks = [](pid_t) { return false; };
  Freeze freeze(*slot_, kernel_, 1);
  ASSERT_TRUE(freeze.request());
  kernel_.threads[main_].request_pending = true;
  const auto waited = freeze.wait_parked(Deadline{milliseconds(50)});
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, ETIMEDOUT);
  EXPECT_EQ(kernel_.requests[main_], 1);
}

TEST_F(FreezeTest, AThreadBornBetweenTwoListingsIsFrozenToo) {
  kernel_.add(main_);
  kernel_.before_listing = [this](int listing) {
    if (listing == 3) kernel_.add(main_ + 1);  // after the first listing that looked complete
  };
  Freeze freeze(*slot_, kernel_, 1);
  ASSERT_TRUE(freeze.request());
  ASSERT_TRUE(freeze.wait_parked(Deadline{milliseconds(5000)}));
  EXPECT_EQ(freeze.threads(), 2U);
  EXPECT_EQ(kernel_.requests[main_ + 1], 1);
}

TEST_F(FreezeTest, AThreadThatEndsMeanwhileIsNotWaitedFor) {
  kernel_.add(main_);
  kernel_.add(main_ + 1);
  kernel_.parks = [this](pid_t tid) { return tid == main_ && kernel_.requests[tid] == 1; };
  kernel_.before_listing = [this](int listing) {
    if (listing == 3) kernel_.threads.erase(main_ + 1);
  };
  Freeze freeze(*slot_, kernel_, 1);
  ASSERT_TRUE(freeze.request());
  ASSERT_TRUE(freeze.wait_parked(Deadline{milliseconds(5000)}));
  EXPECT_EQ(freeze.threads(), 1U);
}

// It takes no signal: it is let park once the word is set, and is to stop before the word goes.
TEST_F(FreezeTest, AStoppedProcessIsLetParkAndStopAgain) {
  kernel_.add(main_, 'T');
  kernel_.add(main_ + 1, 'T');
  kernel_.parks = [](pid_t) { return false; };
  {
    Freeze freeze(*slot_, kernel_, 1);
    ASSERT_TRUE(freeze.request());
    EXPECT_TRUE(freeze.found_stopped());
    EXPECT_TRUE(kernel_.told.empty());  // not before the others are parked, who may look at it
    ASSERT_TRUE(freeze.wait_parked(Deadline{milliseconds(5000)}));
    EXPECT_EQ(freeze.threads(), 2U);
    EXPECT_EQ(freeze.stop_signal(), 19);
  }
  ASSERT_GE(kernel_.told.size(), 2U);
  EXPECT_EQ(kernel_.told.front(), "park");
  EXPECT_EQ(kernel_.told.back(), "stop");
  EXPECT_EQ(slot_->freeze_word, 0U);
}

TEST_F(FreezeTest, AProcessThatIsStoppedWhileItIsWaitedForIsLetPark) {
  kernel_.add(main_);
  kernel_.parks = [](pid_t) { return false; };
  kernel_.before_listing = [this](int listing) {
    if (listing == 3) kernel_.threads[main_].state = 'T';
  };
  Freeze freeze(*slot_, kernel_, 1);
  ASSERT_TRUE(freeze.request());
  EXPECT_FALSE(freeze.found_stopped());
  ASSERT_TRUE(freeze.wait_parked(Deadline{milliseconds(5000)}));
  EXPECT_EQ(kernel_.told.front(), "park");
}

TEST_F(FreezeTest, AStoppedProcessThatCannotBeHadIsRefusedAtOnce) {
  kernel_.add(main_, 'T');
  kernel_.parks = [](pid_t) { return false; };
  kernel_.refused = true;
  Freeze freeze(*slot_, kernel_, 1);
  ASSERT_TRUE(freeze.request());
  const auto waited = freeze.wait_parked(Deadline{milliseconds(5000)});
  ASSERT_FALSE(waited);
  EXPECT_NE(waited.error().message().find("stopped"), std::string::npos);
}

TEST_F(FreezeTest, WhoWasStoppedOnItsWayOutOfTheLastParkIsLetOut) {
  kernel_.add(main_, 'T');
  slot_->parked = 1;
  Freeze freeze(*slot_, kernel_, 3);
  EXPECT_TRUE(freeze.wait_unparked(Deadline{milliseconds(5000)}));
  EXPECT_EQ(kernel_.told, std::vector<std::string>{"out"});
}

TEST_F(FreezeTest, AProcessThatIsGoneIsAnError) {
  Freeze freeze(*slot_, kernel_, 1);
  const auto requested = freeze.request();
  ASSERT_FALSE(requested);
  EXPECT_EQ(requested.error().code, ESRCH);
}

TEST_F(FreezeTest, TheReasonOfATimeoutNamesTheThread) {
  kernel_.add(main_, 'D');
  kernel_.parks = [](pid_t) { return false; };
  Freeze freeze(*slot_, kernel_, 1);
  ASSERT_TRUE(freeze.request());
  const auto waited = freeze.wait_parked(Deadline{milliseconds(20)});
  ASSERT_FALSE(waited);
  EXPECT_NE(waited.error().message().find(std::to_string(main_)), std::string::npos);
  EXPECT_NE(waited.error().message().find("uninterruptibly"), std::string::npos);
}

// As a thread that went to sleep a moment after it was woken.
TEST_F(FreezeTest, AServerThatMissedItsWakeUpIsWokenAgain) {
  kernel_.add(main_);
  Freeze freeze(*slot_, kernel_, 3);
  ASSERT_TRUE(freeze.request());
  ASSERT_TRUE(freeze.wait_parked(Deadline{milliseconds(5000)}));
  freeze.choose_server();
  std::thread server([&] {
    futex_wait(slot_->freeze_word, 3U, milliseconds(20000));
    slot_->serve_tid = 0;
    futex_wake_all(slot_->serve_tid);
  });
  const Deadline deadline{milliseconds(10000)};
  freeze.wait_chosen(deadline);
  EXPECT_EQ(slot_->serve_tid, 0);
  EXPECT_FALSE(deadline.passed());
  server.join();
}

TEST_F(FreezeTest, GoingAwayThaws) {
  kernel_.add(main_);
  {
    Freeze freeze(*slot_, kernel_, 3);
    ASSERT_TRUE(freeze.request());
    ASSERT_TRUE(freeze.wait_parked(Deadline{milliseconds(5000)}));
    freeze.choose_server();
  }
  EXPECT_EQ(slot_->freeze_word, 0U);
  EXPECT_EQ(slot_->serve_tid, 0);
}

TEST_F(FreezeTest, AFreezeThatWasNeverRequestedTouchesNothing) {
  slot_->freeze_word = 9;
  slot_->serve_tid = 4;
  { const Freeze freeze(*slot_, kernel_, 3); }
  EXPECT_EQ(slot_->freeze_word, 9U);
  EXPECT_EQ(slot_->serve_tid, 4);
}

TEST_F(FreezeTest, TheNextFreezeWaitsForTheLastThreadOfTheOneBefore) {
  slot_->parked = 1;
  Freeze freeze(*slot_, kernel_, 3);
  const auto waited = freeze.wait_unparked(Deadline{milliseconds(20)});
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, ETIMEDOUT);
  slot_->parked = 0;
  EXPECT_TRUE(freeze.wait_unparked(Deadline{milliseconds(20)}));
}

// The real /proc: this very process.
TEST(KernelTaskControl, ListsLiveThreads) {
  const auto tasks = kernel_task_control().tasks(RealPid{::getpid()});
  ASSERT_TRUE(tasks);
  ASSERT_EQ(tasks->size(), 1U);
  EXPECT_EQ(tasks->front().tid, ::getpid());
  EXPECT_EQ(tasks->front().state, 'R');
  EXPECT_FALSE(tasks->front().request_pending);
}

TEST(KernelTaskControl, SeesARequestThatWaits) {
  sigset_t park;
  sigemptyset(&park);
  sigaddset(&park, 62);
  ASSERT_EQ(::sigprocmask(SIG_BLOCK, &park, nullptr), 0);
  ASSERT_TRUE(kernel_task_control().request_park(RealPid{::getpid()}, ::getpid(), 1));
  const auto tasks = kernel_task_control().tasks(RealPid{::getpid()});
  ASSERT_TRUE(tasks);
  EXPECT_TRUE(tasks->front().request_pending);
  siginfo_t info{};
  ASSERT_EQ(::sigwaitinfo(&park, &info), 62);
  EXPECT_EQ(info.si_code, SI_QUEUE);
  EXPECT_EQ(info.si_pid, ::getpid());
}

}  // namespace
}  // namespace cairn::checkpoint
