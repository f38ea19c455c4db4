// The job's table of ids: found is what was put, whoever else puts at the same time.

#include "abi/id_table.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <thread>
#include <vector>

namespace cairn::abi {
namespace {

using SmallMap = IdMap<64>;

TEST(IdMap, FindsWhatWasPutAndNothingElse) {
  auto map = std::make_unique<SmallMap>();
  EXPECT_EQ(map->find(4711), 0);
  EXPECT_EQ(map->insert(4711, 12), 12);
  EXPECT_EQ(map->insert(kFirstInventedId, 0x7fffffff), 0x7fffffff);
  EXPECT_EQ(map->find(4711), 12);
  EXPECT_EQ(map->find(kFirstInventedId), 0x7fffffff);
  EXPECT_EQ(map->find(12), 0);
}

TEST(IdMap, WhoeverComesFirstDecides) {
  auto map = std::make_unique<SmallMap>();
  EXPECT_EQ(map->insert(5, 50), 50);
  EXPECT_EQ(map->insert(5, 51), 50);
  EXPECT_EQ(map->find(5), 50);
}

TEST(IdMap, HoldsAsManyAsItHasSlots) {
  auto map = std::make_unique<SmallMap>();
  for (int id = 1; id <= 64; ++id) EXPECT_EQ(map->insert(id * 64, id), id);
  EXPECT_EQ(map->insert(1, 1), 0) << "there was no slot left";
  EXPECT_EQ(map->find(1), 0) << "and the search for it ends";
  for (int id = 1; id <= 64; ++id) EXPECT_EQ(map->find(id * 64), id);
  EXPECT_EQ(map->insert(64, 99), 1) << "what is there is still found";
}

// Both sides of a fork ask for the same new process: they must agree, for every id.
TEST(IdMap, ManyThreadsAgree) {
  constexpr int kThreads = 8, kIds = 1000;
  auto map = std::make_unique<IdMap<2048>>();
  std::array<std::vector<std::int32_t>, kThreads> seen;
  std::vector<std::thread> threads;
  for (int me = 0; me < kThreads; ++me)
    threads.emplace_back([&, me] {
      for (int i = 0; i < kIds; ++i) {
        const int id = 1 + (i * 7 + me * 131) % kIds;  // each in an order of its own
        seen[static_cast<std::size_t>(me)].push_back(map->insert(id, me * kIds + id));
      }
    });
  for (auto& thread : threads) thread.join();
  for (int me = 0; me < kThreads; ++me)
    for (int i = 0; i < kIds; ++i) {
      const int id = 1 + (i * 7 + me * 131) % kIds;
      const auto got = seen[static_cast<std::size_t>(me)][static_cast<std::size_t>(i)];
      EXPECT_EQ(got, map->find(id));
      EXPECT_EQ((got - 1) % kIds + 1, id);
    }
}

// The job segment is a fresh file: zero bytes are an empty table.
TEST(IdTable, ZeroBytesAreEmpty) {
  auto table = std::make_unique<IdTable>();
  EXPECT_EQ(table->used.load(), 0U);
  EXPECT_EQ(table->by_real.find(1), 0);
  EXPECT_EQ(table->groups_by_virtual.find(1), 0);
  EXPECT_GT(kFirstInventedId, 4 << 20) << "above the kernel's PID_MAX_LIMIT";
  EXPECT_LT(kFirstInventedId, 0x3fffffff) << "FUTEX_TID_MASK";
}

}  // namespace
}  // namespace cairn::abi
