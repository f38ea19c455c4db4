#include "base/connection_queue.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <thread>

namespace cairn {
namespace {

using std::chrono::milliseconds;

constexpr RealPid kOne{1};
constexpr RealPid kTwo{2};

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(ConnectionQueue, EachGetsItsOwn) {
  ConnectionQueue queue;
  Fd first(::eventfd(0, 0));
  Fd second(::eventfd(0, 0));
  const int numbers[] = {first.get(), second.get()};
  queue.deliver(kOne, std::move(first));
  queue.deliver(kTwo, std::move(second));
  EXPECT_EQ(queue.wait_for(kTwo, Deadline{milliseconds(0)})->get(), numbers[1]);
  EXPECT_EQ(queue.wait_for(kOne, Deadline{milliseconds(0)})->get(), numbers[0]);
  EXPECT_EQ(queue.wait_for(kOne, Deadline{milliseconds(1)}).error().code, ETIMEDOUT);
}

TEST(ConnectionQueue, TheWaitEndsWhenItComes) {
  ConnectionQueue queue;
  std::jthread later([&] { queue.deliver(kOne, Fd(::eventfd(0, 0))); });
  EXPECT_TRUE(queue.wait_for(kOne, Deadline{milliseconds(30'000)}));
}

TEST(ConnectionQueue, TheWaitEndsWhenTheProcessDoes) {
  ConnectionQueue queue;
  std::jthread later([&] { queue.gone(kOne); });
  EXPECT_EQ(queue.wait_for(kOne, Deadline{milliseconds(30'000)}).error().code, ESRCH);
}

TEST(ConnectionQueue, WhatCameForAnEarlierRoundIsClosed) {
  ConnectionQueue queue;
  Fd stale(::eventfd(0, 0));
  const int number = stale.get();
  queue.deliver(kOne, std::move(stale));
  queue.forget(kOne);
  EXPECT_FALSE(is_open(number));
  EXPECT_FALSE(queue.wait_for(kOne, Deadline{milliseconds(0)}));
}

}  // namespace
}  // namespace cairn
