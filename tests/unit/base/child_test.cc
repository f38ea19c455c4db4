#include "base/child.h"

#include <gtest/gtest.h>

namespace cairn {
namespace {

using std::chrono::milliseconds;

TEST(RunProgram, ReturnsHowItEnded) {
  const Deadline deadline{milliseconds(30'000)};
  EXPECT_EQ(run_program("/bin/true", {}, deadline), 0);
  EXPECT_EQ(run_program("/bin/sh", {"-c", "exit 7"}, deadline), 7);
  EXPECT_EQ(run_program("/bin/sh", {"-c", "kill -9 $$"}, deadline), 128 + 9);
  EXPECT_EQ(run_program("/nonexistent/program", {}, deadline).error().code, ENOENT);
}

TEST(RunProgram, IsKilledAtTheDeadline) {
  EXPECT_EQ(run_program("/bin/sleep", {"1000"}, Deadline{milliseconds(20)}).error().code,
            ETIMEDOUT);
}

TEST(RunProgram, GetsNoneOfOurDescriptors) {
  EXPECT_EQ(run_program("/bin/sh", {"-c", "test ! -t 1 && test ! -s /dev/stdin"},
                        Deadline{milliseconds(30'000)}),
            0);
}

}  // namespace
}  // namespace cairn
