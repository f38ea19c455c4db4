#include "cli/command_line.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace cairn::cli {
namespace {

using Words = std::vector<std::string>;

tl::expected<CommandLine, int> parse(Words words) {
  words.insert(words.begin(), "cairn");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  auto result = parse_command_line(static_cast<int>(words.size()), argv.data());
  testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  return result;
}

int exit_code(const tl::expected<CommandLine, int>& result) { return result ? -1 : result.error(); }

TEST(CommandLine, EverythingFromTheProgramOnIsTheProgramsOwn) {
  const auto line = parse({"run", "--dir", "/d", "--interval=5m", "--json", "prog", "--dir", "/e",
                           "-x", "--", "--help"});
  ASSERT_TRUE(line);
  EXPECT_EQ(line->verb, "run");
  EXPECT_EQ(line->run.common.dir, "/d");
  EXPECT_EQ(line->run.job.interval, "5m");
  EXPECT_TRUE(line->run.common.json);
  EXPECT_EQ(line->run.command, (Words{"prog", "--dir", "/e", "-x", "--", "--help"}));
}

TEST(CommandLine, TwoDashesEndTheOptions) {
  EXPECT_EQ(parse({"run", "--", "--dir", "x"})->run.command, (Words{"--dir", "x"}));
  EXPECT_EQ(parse({"run", "--name", "n", "--", "p"})->run.command, (Words{"p"}));
  EXPECT_EQ(parse({"run", "--", "--", "p"})->run.command, (Words{"--", "p"}));
}

TEST(CommandLine, TheProgramKeepsEmptyAndOddArguments) {
  const Words words{"p", "", " ", "a b", "-", "=", "--=x", "'\""};
  Words all{"run"};
  all.insert(all.end(), words.begin(), words.end());
  EXPECT_EQ(parse(all)->run.command, words);
}

TEST(CommandLine, WhatIsWrongIsAUsageError) {
  for (const Words& words : {Words{}, Words{"frobnicate"}, Words{"run", "--intervall", "3", "p"},
                             Words{"checkpoint", "--bogus"}, Words{"ls", "a", "b"},
                             Words{"run", "--keep", "many", "p"}, Words{"run", "--dir"}})
    EXPECT_EQ(exit_code(parse(words)), static_cast<int>(ExitCode::kUsage));
}

TEST(CommandLine, HelpIsNoError) {
  EXPECT_EQ(exit_code(parse({"--help"})), 0);
  EXPECT_EQ(exit_code(parse({"run", "--help"})), 0);
  EXPECT_EQ(exit_code(parse({"--version"})), 0);
}

TEST(CommandLine, FlagsComeFromTheEnvironmentToo) {
  ::setenv("CAIRN_DIR", "/from/environment", 1);
  ::setenv("CAIRN_KILL", "1", 1);
  ::setenv("CAIRN_TIMEOUT", "9s", 1);
  const auto plain = parse({"checkpoint"});
  const auto given = parse({"checkpoint", "--dir", "/given"});
  for (const char* name : {"CAIRN_DIR", "CAIRN_KILL", "CAIRN_TIMEOUT"}) ::unsetenv(name);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->checkpoint.common.dir, "/from/environment");
  EXPECT_TRUE(plain->checkpoint.kill);
  EXPECT_EQ(plain->checkpoint.timeout, "9s");
  EXPECT_EQ(given->checkpoint.common.dir, "/given");
  EXPECT_FALSE(parse({"checkpoint"})->checkpoint.kill);
}

TEST(CommandLine, EveryVerbHasDirAndJson) {
  for (const char* verb : {"checkpoint", "restart", "ps", "ls", "status", "inspect", "verify"}) {
    const auto line = parse({verb, "--dir", "/d", "--json"});
    ASSERT_TRUE(line) << verb;
    EXPECT_EQ(line->verb, verb);
  }
}

}  // namespace
}  // namespace cairn::cli
