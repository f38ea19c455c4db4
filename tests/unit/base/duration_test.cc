#include "base/duration.h"

#include <gtest/gtest.h>

namespace cairn {
namespace {

using std::chrono::milliseconds;

milliseconds parsed(std::string_view text) {
  const auto result = parse_duration(text);
  EXPECT_TRUE(result) << text;
  return result.value_or(milliseconds(-1));
}

TEST(Duration, EveryUnit) {
  EXPECT_EQ(parsed("250ms"), milliseconds(250));
  EXPECT_EQ(parsed("30s"), milliseconds(30'000));
  EXPECT_EQ(parsed("10m"), milliseconds(600'000));
  EXPECT_EQ(parsed("1h"), milliseconds(3'600'000));
  EXPECT_EQ(parsed("2d"), milliseconds(172'800'000));
  EXPECT_EQ(parsed("1h30m"), milliseconds(5'400'000));
  EXPECT_EQ(parsed("1m1s1ms"), milliseconds(61'001));
}

TEST(Duration, ABareNumberIsSeconds) {
  EXPECT_EQ(parsed("0"), milliseconds(0));
  EXPECT_EQ(parsed("90"), milliseconds(90'000));
  EXPECT_EQ(parsed("1.5"), milliseconds(1'500));
  EXPECT_EQ(parsed("0.5h"), milliseconds(1'800'000));
}

TEST(Duration, WhatIsNone) {
  for (const char* text : {"", "s", "-1s", "1x", "1 s", "s1", "1h2", "nan", "inf", "1e3s", "0x10",
                           "99999999999999999999d"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Duration, FormattedAndParsedAgainIsTheSame) {
  for (const std::int64_t ms : {1LL, 999LL, 1000LL, 61'001LL, 5'400'000LL, 90'061'001LL})
    EXPECT_EQ(parsed(format_duration(milliseconds(ms))), milliseconds(ms));
  EXPECT_EQ(format_duration(milliseconds(0)), "0s");
  EXPECT_EQ(format_duration(milliseconds(90'000)), "1m30s");
}

}  // namespace
}  // namespace cairn
