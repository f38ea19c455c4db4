#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kBase = 0x10'0000'0000;

class RetentionTest : public StoreTest {
 protected:
  // Changes `share` per mille of the pages.
  void change(Memory& memory, std::uint64_t share) {
    for (auto& [address, page] : memory)
      if (random_() % 1000 < share) page = make_page(random_, Pattern::kRandom);
  }
};

TEST_F(RetentionTest, KeptGenerationsStayWholeAndTheRestGoes) {
  Memory memory;
  fill(memory, random_, kBase, 4000, Pattern::kRandom);
  std::map<std::uint64_t, Memory> history;
  for (int round = 0; round < 10; ++round) {
    history[must(save({&memory})).number] = memory;
    change(memory, 50);
    const auto report = store_->retain(3);
    ASSERT_OK(report);
    const auto list = must(store_->generations());
    ASSERT_LE(list.size(), 3U);
    for (const GenerationInfo& info : list)
      ASSERT_EQ(must(load(info.number))[0], history[info.number]) << info.number;
  }
  // Three versions that differ in 5 % each: no more than half of the space may be dead.
  EXPECT_LT(stored_bytes(), 2 * 4000 * kPageBytes * 110 / 100);
}

TEST_F(RetentionTest, PacksOfNothingAliveAreRemovedAtOnce) {
  Memory first;
  fill(first, random_, kBase, 1000, Pattern::kRandom);
  ASSERT_OK(save({&first}));
  Memory second;
  fill(second, random_, kBase, 1000, Pattern::kRandom);
  ASSERT_OK(save({&second}));
  const auto report = must(store_->retain(1));
  EXPECT_EQ(report.removed, std::vector<std::uint64_t>{1});
  EXPECT_EQ(report.packs_removed, 1U);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/1"));
  EXPECT_EQ(must(load(2))[0], second);
}

TEST_F(RetentionTest, MostlyDeadPacksAreCompactedAndReferencesHold) {
  Memory memory;
  fill(memory, random_, kBase, 4000, Pattern::kRandom);
  ASSERT_OK(save({&memory}));
  for (auto& [address, page] : memory)
    if (address % (10 * kPageBytes) != 0) page = make_page(random_, Pattern::kRandom);
  ASSERT_OK(save({&memory}));
  const std::uint64_t before = std::filesystem::file_size(path_ + "/1/node-0.pack");
  const auto report = must(store_->retain(1));
  EXPECT_EQ(report.packs_compacted, 1U);
  EXPECT_LT(std::filesystem::file_size(path_ + "/1/node-0.pack"), before / 5);
  EXPECT_EQ(must(load(2))[0], memory);
  // Numbers go on, dedup goes on, and a second compaction of the same pack works.
  const auto again = must(save({&memory}));
  EXPECT_EQ(again.number, 3U);
  EXPECT_EQ(again.new_bytes(), 0U);
  for (auto& [address, page] : memory)
    if (address % (100 * kPageBytes) != 0) page = make_page(random_, Pattern::kRandom);
  ASSERT_OK(save({&memory}));
  EXPECT_GE(must(store_->retain(1)).packs_compacted, 1U);
  EXPECT_EQ(must(load(4))[0], memory);
}

TEST_F(RetentionTest, WhatRetentionRemovedIsStoredAgain) {
  Memory first;
  fill(first, random_, kBase, 1000, Pattern::kRandom);
  Memory second;
  fill(second, random_, kBase, 1000, Pattern::kRandom);
  ASSERT_OK(save({&first}));
  ASSERT_OK(save({&second}));
  ASSERT_OK(store_->retain(1));
  const auto info = must(save({&first}));
  EXPECT_EQ(info.new_bytes(), 1000 * kPageBytes);
  EXPECT_EQ(must(load(info.number))[0], first);
}

TEST_F(RetentionTest, AnotherNodeNoticesThatItsPacksWereRemoved) {
  const auto other = must(Store::open(path_, {.workers = 1}));
  other->join_ownership(*must(store_->owner()));
  const auto round = [&](const Memory& memory) {
    auto writer = must(store_->begin_generation({.node = 0}));
    auto joined = must(other->join_generation(writer->number(), {.node = 1}));
    const auto ref = must(write_memory(*joined, memory));
    must(joined->add_record(1, 1, ref.encode()));
    const auto there = must(joined->finish());
    const auto here = must(writer->finish());
    must(store_->commit(writer->number(), {here, there}, "{}"));
    other->committed(writer->number());
    return writer->number();
  };
  Memory first;
  fill(first, random_, kBase, 700, Pattern::kRandom);
  Memory second;
  fill(second, random_, kBase, 700, Pattern::kRandom);
  round(first);
  round(second);
  ASSERT_OK(store_->retain(1));
  const std::uint64_t third = round(first);
  EXPECT_EQ(must(load(third)), std::vector<Memory>{first});
}

TEST_F(RetentionTest, ADeathAtAnyStepBreaksNoKeptGeneration) {
  Memory memory;
  fill(memory, random_, kBase, 2000, Pattern::kRandom);
  std::uint64_t newest = 0;
  for (const FaultPoint step :
       {FaultPoint::kPruneManifest, FaultPoint::kPrunePack, FaultPoint::kCompactRename,
        FaultPoint::kPackIndexWrite, FaultPoint::kStoreSync}) {
    for (int i = 0; i < 3; ++i) {
      change(memory, 600);
      newest = must(save({&memory})).number;
    }
    store_.reset();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      open();
      fault::arm(step, FaultAction::kKill);
      (void)store_->retain(1);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << static_cast<int>(step);
    open();
    EXPECT_EQ(must(load(newest))[0], memory);
    const auto list = must(store_->generations());
    for (const GenerationInfo& info : list) {
      EXPECT_FALSE(info.damaged);
      EXPECT_OK(store_->read_generation(info.number, VerifyLevel::kPages));
    }
    ASSERT_OK(store_->retain(1));
    EXPECT_EQ(must(load(newest))[0], memory);
    EXPECT_EQ(must(store_->generations()).size(), 1U);
    for (const std::string& file : files()) EXPECT_FALSE(file.ends_with(".new")) << file;
  }
}

TEST_F(RetentionTest, NothingIsRemovedIfAKeptGenerationCannotBeFollowed) {
  Memory memory;
  fill(memory, random_, kBase, 500, Pattern::kRandom);
  ASSERT_OK(save({&memory}));
  change(memory, 100);
  ASSERT_OK(save({&memory}));
  std::filesystem::resize_file(path_ + "/1/node-0.pack", 5000);
  EXPECT_FALSE(store_->retain(1).has_value());
  EXPECT_EQ(must(store_->generations()).size(), 2U);
}

}  // namespace
}  // namespace cairn::storage
