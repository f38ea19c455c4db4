#include "resources/file_journal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

namespace cairn::resources {
namespace {

class FileJournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string place = ::testing::TempDir() + "journal.XXXXXX";
    ASSERT_NE(::mkdtemp(place.data()), nullptr);
    store_ = place;
    slot_.state = static_cast<std::uint32_t>(abi::SlotState::kRunning);
  }
  void TearDown() override { std::filesystem::remove_all(store_); }

  // Whether the journal that begins now counts as incomplete because of the process in the slot.
  bool incomplete_by(pid_t pid) {
    slot_.real_pid = pid;
    FileJournal journal(store_, *segment_);
    EXPECT_TRUE(journal.begin({}));
    EXPECT_TRUE(journal.check_taken_over({&slot_}));
    const auto written =
        MappedJournal::open(store_ + "/journal/" + std::to_string(journal.number()) + "/log");
    EXPECT_TRUE(written);
    return written->header().incomplete != 0;
  }

  std::string store_;
  abi::ProcessSlot slot_{};
  std::unique_ptr<abi::JobSegment> segment_ = std::make_unique<abi::JobSegment>();
};

TEST_F(FileJournalTest, AProcessThatRunsWithoutItMakesItIncomplete) {
  EXPECT_TRUE(incomplete_by(::getpid()));
}

TEST_F(FileJournalTest, AProcessThatHasTakenItOverDoesNot) {
  slot_.journal = 1;
  EXPECT_FALSE(incomplete_by(::getpid()));
}

// It was killed before it could take it over, and so has done nothing since the commit.
TEST_F(FileJournalTest, AProcessThatHasEndedDoesNot) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(incomplete_by(pid));
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
}

}  // namespace
}  // namespace cairn::resources
