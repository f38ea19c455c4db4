#include "cli/output.h"

#include <gtest/gtest.h>

namespace cairn::cli {
namespace {

TEST(Output, Sizes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1536 << 10), "1.5 MiB");
  EXPECT_EQ(format_bytes(~0ULL), "16384.0 PiB");
}

TEST(Output, AFailureIsOneLineAndOneObject) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  EXPECT_EQ(fail(true, ExitCode::kRefused, Error{ENOENT, "open", "/x"}), ExitCode::kRefused);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "cairn: open /x: No such file or directory\n");
  const Json json = Json::parse(testing::internal::GetCapturedStdout());
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["exit"], 121);
}

TEST(Output, ColumnsLineUp) {
  testing::internal::CaptureStdout();
  print_table({{"A", "LONG", "END"}, {"aaa", "b", "c"}, {"x"}});
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "A    LONG  END\naaa  b     c\nx\n");
}

TEST(Output, NoBarWithoutATerminal) {
  testing::internal::CaptureStderr();
  {
    ProgressBar bar;
    bar.show("memory", 1, 2);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace cairn::cli
