// Numbers of pseudo terminals: what came back keeps its own, and no two have the same.

#include "abi/pty_numbers.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace cairn::abi {
namespace {

TEST(PtyNumbers, WithoutARestartTheyAreTheKernels) {
  auto numbers = std::make_unique<PtyNumbers>();
  EXPECT_EQ(numbers->to_virtual(0), 0);
  EXPECT_EQ(numbers->to_virtual(7), 7);
  EXPECT_EQ(numbers->to_real(0), -1);
}

TEST(PtyNumbers, WhatCameBackByAnotherNumberKeepsItsOwn) {
  auto numbers = std::make_unique<PtyNumbers>();
  ASSERT_TRUE(numbers->bind(0, 7));
  ASSERT_TRUE(numbers->bind(7, 0));
  EXPECT_EQ(numbers->to_virtual(7), 0);
  EXPECT_EQ(numbers->to_virtual(0), 7);
  EXPECT_EQ(numbers->to_real(0), 7);
  EXPECT_EQ(numbers->to_real(7), 0);
  EXPECT_EQ(numbers->to_virtual(8), 8);
  EXPECT_EQ(numbers->to_real(8), -1);
}

TEST(PtyNumbers, AnotherOneByANumberInUseGetsANewNumberAndKeepsIt) {
  auto numbers = std::make_unique<PtyNumbers>();
  ASSERT_TRUE(numbers->bind(3, 9));
  const std::int32_t given = numbers->to_virtual(3);
  EXPECT_GE(given, kFirstInventedPty);
  EXPECT_EQ(numbers->to_virtual(3), given);
  EXPECT_EQ(numbers->to_real(given), 3);
  EXPECT_EQ(numbers->to_real(3), 9);
}

TEST(PtyNumbers, ANumberThatWasInventedBeforeTheRestartIsNotGivenAgain) {
  auto numbers = std::make_unique<PtyNumbers>();
  ASSERT_TRUE(numbers->bind(3, 9));
  ASSERT_TRUE(numbers->bind(kFirstInventedPty, 10));
  EXPECT_EQ(numbers->to_virtual(3), kFirstInventedPty + 1);
  EXPECT_EQ(numbers->to_virtual(10), kFirstInventedPty);
}

TEST(PtyNumbers, AsManyAsCanBeBoundMayBeInvented) {
  auto numbers = std::make_unique<PtyNumbers>();
  std::int32_t bound = 0;
  while (numbers->bind(bound, static_cast<std::int32_t>(kPtySlots) + bound)) ++bound;
  EXPECT_EQ(bound, static_cast<std::int32_t>(kPtySlots / 2));
  std::set<std::int32_t> given;
  for (std::int32_t real = 0; real < bound; ++real) given.insert(numbers->to_virtual(real));
  EXPECT_EQ(given.size(), static_cast<std::size_t>(bound));
  EXPECT_GE(*given.begin(), kFirstInventedPty);
}

TEST(PtyNumbers, ManyThreadsAgree) {
  constexpr int kThreads = 8, kNumbers = 500;
  auto numbers = std::make_unique<PtyNumbers>();
  for (int i = 0; i < kNumbers; ++i) ASSERT_TRUE(numbers->bind(i, kNumbers + i));
  std::array<std::array<std::int32_t, kNumbers>, kThreads> seen{};
  std::vector<std::thread> threads;
  for (auto& mine : seen)
    threads.emplace_back([&] {
      for (int i = 0; i < kNumbers; ++i) mine[static_cast<std::size_t>(i)] = numbers->to_virtual(i);
    });
  for (auto& thread : threads) thread.join();
  for (const auto& mine : seen) EXPECT_EQ(mine, seen[0]);
  EXPECT_EQ(std::set<std::int32_t>(seen[0].begin(), seen[0].end()).size(), std::size_t{kNumbers});
}

}  // namespace
}  // namespace cairn::abi
