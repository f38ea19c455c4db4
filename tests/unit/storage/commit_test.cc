#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kBase = 0x10'0000'0000;

// Every step between the beginning of a generation and its commit.
constexpr FaultPoint kSteps[] = {
    FaultPoint::kWorkDirectory, FaultPoint::kPackWrite,    FaultPoint::kPackIndexWrite,
    FaultPoint::kPackSync,      FaultPoint::kRecordWrite,  FaultPoint::kRecordSync,
    FaultPoint::kManifestWrite, FaultPoint::kManifestSync, FaultPoint::kWorkDirectorySync,
    FaultPoint::kOwnerCheck,    FaultPoint::kRenameCommit, FaultPoint::kStoreSync,
};

class CommitTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    fill(before_, random_, kBase, 3000, Pattern::kRandom);
    ASSERT_OK(save({&before_}));
    after_ = before_;
    for (std::uint64_t i = 0; i < 2500; ++i)
      after_[kBase + i * kPageBytes] = make_page(random_, Pattern::kRandom);
  }

  [[nodiscard]] std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> list;
    for (const GenerationInfo& info : must(store_->generations())) {
      EXPECT_FALSE(info.damaged) << info.problem;
      list.push_back(info.number);
    }
    return list;
  }

  Memory before_;
  Memory after_;
};

TEST_F(CommitTest, AFailureAtAnyStepLeavesThePreviousGenerationAndTheStoreGoesOn) {
  for (const FaultPoint step : kSteps) {
    for (const FaultAction action : {FaultAction::kEio, FaultAction::kEnospc}) {
      fault::arm(step, action);
      const auto failed = save({&after_});
      ASSERT_FALSE(failed.has_value()) << "step " << static_cast<int>(step);
      EXPECT_EQ(failed.error().code, action == FaultAction::kEio ? EIO : ENOSPC);
      fault::disarm();
      EXPECT_EQ(numbers(), std::vector<std::uint64_t>{1}) << "step " << static_cast<int>(step);
      for (const auto& entry : std::filesystem::directory_iterator(path_))
        EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos) << entry.path();
    }
  }
  // What the failed ones wrote is not believed to be stored.
  const auto info = save({&after_});
  ASSERT_OK(info);
  EXPECT_EQ(must(load(info->number))[0], after_);
  EXPECT_EQ(must(load(1))[0], before_);
}

TEST_F(CommitTest, ShortWritesAreContinued) {
  for (const FaultPoint step :
       {FaultPoint::kPackIndexWrite, FaultPoint::kRecordWrite, FaultPoint::kManifestWrite}) {
    fault::arm(step, FaultAction::kShort);
    const auto info = save({&after_});
    ASSERT_OK(info);
    EXPECT_LE(fault::armed().countdown, 0) << "the fault was never reached";
    EXPECT_EQ(must(load(info->number))[0], after_);
  }
}

TEST_F(CommitTest, ADeathAtAnyStepLeavesThePreviousGenerationAndTheNextOwnerCleansUp) {
  for (const FaultPoint step : kSteps) {
    for (int nth = 1; nth <= 2; ++nth) {
      const auto known = numbers();
      store_.reset();  // threads do not survive fork
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        open();
        fault::arm(step, FaultAction::kKill, nth);
        const bool saved = save({&after_}).has_value();
        ::_exit(saved ? 0 : 1);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      open();
      const bool killed = WIFSIGNALED(status);
      EXPECT_TRUE(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
      auto now = numbers();
      for (const auto& entry : std::filesystem::directory_iterator(path_))
        EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos) << entry.path();
      // Either it is not there at all, or it was renamed and is whole.
      if (now.size() > known.size()) {
        EXPECT_TRUE(!killed || step == FaultPoint::kStoreSync) << static_cast<int>(step);
        EXPECT_EQ(must(load(now.back()))[0], after_);
        now.pop_back();
      }
      EXPECT_EQ(now, known);
    }
  }
  EXPECT_EQ(must(load(1))[0], before_);
}

TEST_F(CommitTest, ModesDoNotDependOnTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{077}, mode_t{0777}}) {
    const mode_t old = ::umask(mask);
    const std::string path = root_ + "/deep/mode-" + std::to_string(mask);
    {
      const auto store = must(Store::open(path, {.create = true, .workers = 1}));
      must(store->take_ownership({.job_id = "modes"}, Takeover::kAlways));
      auto writer = must(store->begin_generation({}));
      must(write_memory(*writer, after_));
      const auto summary = must(writer->finish());
      must(store->commit(1, {summary}, "{}"));
    }
    ::umask(old);
    struct stat status;
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700U);
    int seen = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 07777, entry.is_directory() ? 0700U : 0600U) << entry.path();
      ++seen;
    }
    EXPECT_EQ(seen, 6);  // owner, its claim, the generation with three files
  }
}

TEST_F(CommitTest, OneGenerationAtATime) {
  auto writer = must(store_->begin_generation({}));
  const auto second = store_->begin_generation({});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, EBUSY);
  EXPECT_FALSE(store_->retain(1).has_value());
  const std::uint64_t number = writer->number();
  writer.reset();
  ASSERT_OK(store_->abort(number));
  ASSERT_OK(save({&after_}));
}

}  // namespace
}  // namespace cairn::storage
