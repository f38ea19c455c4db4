#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "fixture.h"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kBase = 0x10'0000'0000;

class OwnerTest : public StoreTest {};

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(OwnerTest, TheRecordIsReadBackAndIncarnationsRise) {
  OwnerRecord wanted{.job_id = "j-1", .coordinator_address = "tcp://x:1", .public_key = "key"};
  wanted.fill_in_self();
  const auto first = must(store_->take_ownership(wanted, Takeover::kAlways));
  EXPECT_EQ(first.incarnation, 2U);  // the fixture took the first
  const auto read = *must(store_->owner());
  EXPECT_EQ(read.job_id, "j-1");
  EXPECT_EQ(read.coordinator_address, "tcp://x:1");
  EXPECT_EQ(read.public_key, "key");
  EXPECT_EQ(read.pid, ::getpid());
  EXPECT_EQ(read.start_time, wanted.start_time);
  EXPECT_NE(read.start_time, 0U);
  EXPECT_FALSE(read.boot_id.empty());
  EXPECT_EQ(text_of(path_ + "/owner"), text_of(path_ + "/owner.2"));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/owner.1"));
}

TEST_F(OwnerTest, ARunningOwnerIsRespectedAndADeadOneIsNot) {
  OwnerRecord mine{.job_id = "job"};
  mine.fill_in_self();
  must(store_->take_ownership(mine, Takeover::kAlways));
  const auto refused = store_->take_ownership({.job_id = "other"}, Takeover::kIfNotAlive);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, kOwned);

  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    OwnerRecord dying{.job_id = "job"};
    dying.fill_in_self();
    ::_exit(must(Store::open(path_, {.workers = 1}))->take_ownership(dying, Takeover::kAlways) ? 0
                                                                                               : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(owner_life(*must(store_->owner())), OwnerLife::kDead);
  ASSERT_OK(store_->take_ownership(mine, Takeover::kIfNotAlive));
}

TEST_F(OwnerTest, LifeIsToldByBootAndStartTime) {
  OwnerRecord owner;
  owner.fill_in_self();
  EXPECT_EQ(owner_life(owner), OwnerLife::kAlive);
  OwnerRecord reused = owner;
  reused.start_time += 1;
  EXPECT_EQ(owner_life(reused), OwnerLife::kDead);
  OwnerRecord rebooted = owner;
  rebooted.boot_id = "another";
  EXPECT_EQ(owner_life(rebooted), OwnerLife::kDead);
  rebooted.host = "elsewhere";
  EXPECT_EQ(owner_life(rebooted), OwnerLife::kUnknown);
}

TEST_F(OwnerTest, ASupersededIncarnationNeverCommits) {
  Memory memory;
  fill(memory, random_, kBase, 600, Pattern::kRandom);
  auto writer = must(store_->begin_generation({}));
  must(write_memory(*writer, memory));
  const auto summary = must(writer->finish());

  const auto second = must(Store::open(path_, {.workers = 1}));
  must(second->take_ownership({.job_id = "job"}, Takeover::kAlways));

  const auto late = store_->commit(writer->number(), {summary}, "{}");
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, kSuperseded);
  writer.reset();
  EXPECT_OK(store_->abort(1));
  const auto again = store_->begin_generation({});
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, kSuperseded);
  EXPECT_TRUE(must(second->generations()).empty());

  auto fresh = must(second->begin_generation({}));
  must(write_memory(*fresh, memory));
  const auto good = must(fresh->finish());
  ASSERT_OK(second->commit(fresh->number(), {good}, "{}"));
}

// The old owner has looked for the last time and found itself; then the new one comes.
TEST_F(OwnerTest, ANewOwnerBetweenTheLastLookAndTheRename) {
  Memory memory;
  fill(memory, random_, kBase, 10, Pattern::kRandom);
  store_.reset();
  int gate[2];
  ASSERT_EQ(::pipe(gate), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    open();
    auto writer = must(store_->begin_generation({}));
    must(write_memory(*writer, memory));
    const auto summary = must(writer->finish());
    ::write(gate[1], "x", 1);
    fault::arm(FaultPoint::kRenameCommit, FaultAction::kHang);
    (void)store_->commit(writer->number(), {summary}, "{}");
    ::_exit(0);
  }
  char byte;
  ASSERT_EQ(::read(gate[0], &byte, 1), 1);
  // It stands before the rename once the manifest is there.
  while (!std::filesystem::exists(path_ + "/1.tmp-2/manifest.json")) ::sched_yield();
  open();
  EXPECT_FALSE(std::filesystem::exists(path_ + "/1.tmp-2"));
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::close(gate[0]);
  ::close(gate[1]);
  ASSERT_OK(save({&memory}));
  EXPECT_EQ(must(load(1))[0], memory);
}

TEST_F(OwnerTest, OfManyTakersEachGetsAnIncarnationOfItsOwn) {
  constexpr int kTakers = 8;
  std::mutex mutex;
  std::vector<std::uint64_t> incarnations;
  std::vector<std::thread> threads;
  for (int i = 0; i < kTakers; ++i)
    threads.emplace_back([&, i] {
      const auto store = must(Store::open(path_, {.workers = 1}));
      const auto owner =
          store->take_ownership({.job_id = "job" + std::to_string(i)}, Takeover::kAlways);
      if (!owner) {
        EXPECT_EQ(owner.error().code, kSuperseded) << owner.error().message();
        return;
      }
      const std::lock_guard lock(mutex);
      incarnations.push_back(owner->incarnation);
    });
  for (std::thread& thread : threads) thread.join();
  std::sort(incarnations.begin(), incarnations.end());
  EXPECT_EQ(std::adjacent_find(incarnations.begin(), incarnations.end()), incarnations.end());
  // Who claims a number that was used and settled over meanwhile is told that somebody was faster.
  const auto last = *must(store_->owner());
  EXPECT_LE(last.incarnation, 1U + kTakers);
  ASSERT_FALSE(incarnations.empty());
  EXPECT_EQ(last.incarnation, incarnations.back());
  EXPECT_EQ(text_of(path_ + "/owner"),
            text_of(path_ + "/owner." + std::to_string(last.incarnation)));
  for (const std::string& file : files()) EXPECT_EQ(file.find("draft"), std::string::npos) << file;
}

TEST_F(OwnerTest, ADeathWhileTakingOwnershipBlocksNobody) {
  for (const FaultPoint step :
       {FaultPoint::kOwnerWrite, FaultPoint::kOwnerLink, FaultPoint::kOwnerPublish,
        FaultPoint::kOwnerSync}) {
    store_.reset();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      fault::arm(step, FaultAction::kKill);
      open();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    open();
    EXPECT_EQ(files().size(), 2U);  // owner and its claim
  }
}

TEST_F(OwnerTest, ADamagedOwnerIsAnError) {
  std::filesystem::resize_file(path_ + "/owner", 40);
  const auto owner = store_->owner();
  ASSERT_FALSE(owner.has_value());
  EXPECT_NE(owner.error().message().find(path_ + "/owner"), std::string::npos);
}

TEST_F(OwnerTest, AClaimWhoseBytesAPowerFailureTookLocksNobodyOut) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{300}}) {
    const std::uint64_t lost = must(store_->owner())->incarnation + 1;
    std::ofstream(path_ + "/owner." + std::to_string(lost)) << std::string(bytes, '\0');
    const auto owner = must(store_->owner());
    EXPECT_EQ(owner->incarnation, lost);
    EXPECT_NE(owner_life(*owner), OwnerLife::kAlive);
    EXPECT_EQ(store_->begin_generation({}).error().code, kSuperseded);
    EXPECT_EQ(must(store_->take_ownership({.job_id = "job"}, Takeover::kIfNotAlive)).incarnation,
              lost + 1);
  }
}

// The start of a program waits for the claim alone; the sync and the removal come beside it.
TEST_F(OwnerTest, AClaimFencesBeforeItIsSettled) {
  Memory memory;
  fill(memory, random_, kBase, 10, Pattern::kRandom);
  auto writer = must(store_->begin_generation({}));
  must(write_memory(*writer, memory));
  const auto summary = must(writer->finish());
  const OwnerRecord claim = must(claim_store(path_, {.job_id = "job"}, Takeover::kAlways));
  EXPECT_EQ(claim.incarnation, 2U);
  EXPECT_EQ(store_->commit(writer->number(), {summary}, "{}").error().code, kSuperseded);
  EXPECT_TRUE(std::filesystem::exists(path_ + "/1.dead-2"));
  EXPECT_TRUE(std::filesystem::exists(path_ + "/owner.1"));

  const auto second = must(Store::open(path_, {.workers = 1}));
  second->continue_ownership(claim);
  fault::arm(FaultPoint::kOwnerSync, FaultAction::kEio);
  EXPECT_EQ(second->begin_generation({}).error().code, EIO);  // nothing without a durable claim
  ASSERT_OK(second->begin_generation({}));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/1.dead-2"));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/owner.1"));
}

TEST_F(OwnerTest, NothingIsWrittenWithoutOwnership) {
  const auto reader = must(Store::open(path_, {.workers = 1}));
  EXPECT_FALSE(reader->begin_generation({}).has_value());
  EXPECT_FALSE(reader->retain(1).has_value());
}

}  // namespace
}  // namespace cairn::storage
