#include "base/poll_loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

namespace cairn {
namespace {

using std::chrono::milliseconds;

PollLoop make_loop() {
  auto loop = PollLoop::create();
  EXPECT_TRUE(loop);
  return std::move(*loop);
}

TEST(PollLoop, CallsWhatIsReadableUntilItIsForgotten) {
  PollLoop loop = make_loop();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  int calls = 0;
  loop.on_readable(ends[0], [&] {
    char byte;
    ASSERT_EQ(::read(ends[0], &byte, 1), 1);
    if (++calls < 3) return;
    loop.forget(ends[0]);
    loop.post([&] { loop.stop(); });
  });
  ASSERT_EQ(::write(ends[1], "abcde", 5), 5);
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(calls, 3);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(PollLoop, AnActionMayForgetAnotherDescriptorOfTheSameRound) {
  PollLoop loop = make_loop();
  int first[2];
  int second[2];
  ASSERT_EQ(::pipe(first), 0);
  ASSERT_EQ(::pipe(second), 0);
  int calls = 0;
  for (int* pair : {first, second}) {
    ASSERT_EQ(::write(pair[1], "x", 1), 1);
    loop.on_readable(pair[0], [&] {
      ++calls;
      loop.forget(first[0]);
      loop.forget(second[0]);
      loop.post([&] { loop.stop(); });
    });
  }
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(calls, 1);
  for (const int fd : {first[0], first[1], second[0], second[1]}) ::close(fd);
}

TEST(PollLoop, TimersComeAgainOrOnce) {
  PollLoop loop = make_loop();
  int often = 0;
  int once = 0;
  loop.every(milliseconds(1), [&] {
    if (++often == 5) loop.stop();
  });
  loop.after(milliseconds(1), [&] { ++once; });
  loop.every(milliseconds(0), [&] { FAIL() << "a period of zero means never"; });
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(often, 5);
  EXPECT_EQ(once, 1);
}

TEST(PollLoop, ATimerMayMakeATimer) {
  PollLoop loop = make_loop();
  bool second = false;
  loop.after(milliseconds(0), [&] {
    loop.after(milliseconds(0), [&] {
      second = true;
      loop.stop();
    });
  });
  ASSERT_TRUE(loop.run());
  EXPECT_TRUE(second);
}

TEST(PollLoop, OtherThreadsPost) {
  PollLoop loop = make_loop();
  const auto here = std::this_thread::get_id();
  std::thread::id ran_on;
  std::jthread other([&] {
    loop.post([&] {
      ran_on = std::this_thread::get_id();
      loop.stop();
    });
  });
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(ran_on, here);
}

}  // namespace
}  // namespace cairn
