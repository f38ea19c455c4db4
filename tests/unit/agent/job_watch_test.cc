#include "agent/job_watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/files.h"

namespace cairn::agent {
namespace {

std::uint32_t number(abi::SlotState state) { return static_cast<std::uint32_t>(state); }

Fd open_pidfd(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

class Watch : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cairn-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    auto segment = SegmentFile::create(directory_ / "segment", {.socket = "/s",
                                                                .job_name = std::string(100, 'n'),
                                                                .runtime_path = "/r",
                                                                .plan_cache = "/c",
                                                                .mode = abi::DoorMode::kSeccomp});
    ASSERT_TRUE(segment);
    segment_.emplace(std::move(*segment));
    auto loop = PollLoop::create();
    ASSERT_TRUE(loop);
    loop_.emplace(std::move(*loop));
    watch_.emplace(*loop_, *segment_, [this](RealPid pid) {
      ended_.push_back(pid);
      if (on_end_) on_end_(pid);
      if (watch_->empty()) loop_->stop();
    });
  }
  void TearDown() override {
    watch_.reset();
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
  }

  pid_t start_process() {
    const pid_t child = ::fork();
    if (child == 0)
      for (;;) ::pause();
    children_.push_back(child);
    return child;
  }

  abi::ProcessSlot& claim(std::uint32_t index, pid_t pid) {
    abi::ProcessSlot& slot = (*segment_)->slots[index];
    slot.real_pid = pid;
    slot.start_time = process_start_time(pid);
    slot.state = number(abi::SlotState::kRunning);
    if ((*segment_)->slots_used < index + 1) (*segment_)->slots_used = index + 1;
    return slot;
  }

  std::filesystem::path directory_;
  std::optional<SegmentFile> segment_;
  std::optional<PollLoop> loop_;
  std::optional<JobWatch> watch_;
  std::vector<RealPid> ended_;
  std::function<void(RealPid)> on_end_;
  std::vector<pid_t> children_;
};

TEST_F(Watch, TheSegmentSaysWhatTheRuntimeNeeds) {
  EXPECT_EQ((*segment_)->magic, abi::kSegmentMagic);
  EXPECT_EQ((*segment_)->version, abi::kSegmentVersion);
  EXPECT_EQ((*segment_)->bytes, sizeof(abi::JobSegment));
  EXPECT_EQ((*segment_)->agent_pid, ::getpid());
  EXPECT_EQ((*segment_)->door_mode, static_cast<std::uint32_t>(abi::DoorMode::kSeccomp));
  EXPECT_STREQ((*segment_)->agent_socket, "/s");
  EXPECT_STREQ((*segment_)->runtime_path, "/r");
  EXPECT_STREQ((*segment_)->plan_cache, "/c");
  EXPECT_EQ(std::string((*segment_)->job_name), std::string(63, 'n'));
}

TEST_F(Watch, AProcessThatEndsFreesItsSlot) {
  const pid_t pid = start_process();
  watch_->watch(RealPid{pid}, open_pidfd(pid));
  abi::ProcessSlot& slot = claim(0, pid);
  slot.freeze_word = 7;
  slot.parked = 3;
  EXPECT_EQ(live_slots(*segment_).size(), 1U);
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(loop_->run());
  EXPECT_EQ(ended_, std::vector<RealPid>{RealPid{pid}});
  EXPECT_EQ(slot.state, number(abi::SlotState::kFree));
  EXPECT_EQ(slot.freeze_word, 0U);
  EXPECT_EQ(slot.parked, 0U);
  EXPECT_TRUE(live_slots(*segment_).empty());
}

TEST_F(Watch, TheJobLivesOnInAChild) {
  const pid_t first = start_process();
  const pid_t second = start_process();
  watch_->watch(RealPid{first}, open_pidfd(first));
  claim(0, first);
  claim(1, second);
  loop_->after(std::chrono::milliseconds(0), [&] { ::kill(first, SIGKILL); });
  // The end of the first one makes the watch look at the slots: there is the second.
  on_end_ = [&](RealPid pid) {
    if (pid.value == first) ::kill(second, SIGKILL);
  };
  ASSERT_TRUE(loop_->run());
  EXPECT_EQ(ended_, (std::vector<RealPid>{RealPid{first}, RealPid{second}}));
}

TEST_F(Watch, ASlotWhosePidBelongsToSomebodyElseIsDead) {
  abi::ProcessSlot& slot = claim(0, ::getpid());
  slot.start_time = process_start_time(::getpid()) + 1;
  EXPECT_TRUE(live_slots(*segment_).empty());
  watch_->refresh();
  EXPECT_TRUE(watch_->empty());
  EXPECT_EQ(slot.state, number(abi::SlotState::kFree));
}

TEST_F(Watch, ASlotThatIsBeingFilledInIsLeftAlone) {
  abi::ProcessSlot& filling = claim(0, ::getpid());
  filling.state = number(abi::SlotState::kFilling);
  abi::ProcessSlot& promised = claim(1, ::getpid());
  promised.real_pid = 0;  // the kernel has not made the child yet
  promised.state = number(abi::SlotState::kClaimed);
  watch_->refresh();
  EXPECT_TRUE(watch_->empty());
  EXPECT_EQ(filling.state, number(abi::SlotState::kFilling));
  EXPECT_EQ(promised.state, number(abi::SlotState::kClaimed));
}

TEST_F(Watch, AChildCountsBeforeItHasBegunAndAnEndingProcessUntilItHasEnded) {
  const pid_t born = start_process();
  claim(0, born).state = number(abi::SlotState::kClaimed);
  const pid_t ending = start_process();
  claim(1, ending).state = number(abi::SlotState::kEnding);
  watch_->refresh();
  EXPECT_EQ(watch_->pids().size(), 2U);
  EXPECT_TRUE(live_slots(*segment_).empty());
}

}  // namespace
}  // namespace cairn::agent
