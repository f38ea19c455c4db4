#include "base/log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/files.h"

namespace cairn {
namespace {

TEST(Log, ValuesAreQuotedWhereTheyMust) {
  EXPECT_EQ(log_value("plain"), "plain");
  EXPECT_EQ(log_value("/a/b-c.d"), "/a/b-c.d");
  EXPECT_EQ(log_value(""), "\"\"");
  EXPECT_EQ(log_value("two words"), "\"two words\"");
  EXPECT_EQ(log_value("a=b"), "\"a=b\"");
  EXPECT_EQ(log_value("say \"x\""), "\"say \\\"x\\\"\"");
  EXPECT_EQ(log_value("a\nb"), "\"a\\nb\"");
}

TEST(Log, OneLineAnEventWithWhereItBelongs) {
  char name[] = "/tmp/cairn-test-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const std::filesystem::path file = std::filesystem::path(name) / "log";
  ASSERT_TRUE(open_log(file, {"job7", 3}));
  log_info("hello", "n={}", 5);
  set_log_generation(9);
  log_error("went wrong", "reason={}", log_value("no space"));
  set_log_generation(0);
  const auto text = read_text_file(file);
  ASSERT_TRUE(text);
  const std::size_t first_end = text->find('\n');
  const std::string first = text->substr(0, first_end);
  const std::string second = text->substr(first_end + 1);
  EXPECT_NE(first.find("level=info job=job7 node=3 pid=" + std::to_string(::getpid()) +
                       " msg=hello n=5"),
            std::string::npos)
      << first;
  EXPECT_NE(second.find("generation=9 msg=\"went wrong\" reason=\"no space\""), std::string::npos)
      << second;
  struct stat st{};
  ASSERT_EQ(::stat(file.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace cairn
