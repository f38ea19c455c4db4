#include "cli/launch.h"

#include <gtest/gtest.h>

namespace cairn::cli {
namespace {

TEST(Launch, TheBootTextIsWhatTheRuntimeReads) {
  EXPECT_EQ(boot_text({"run", "/tmp/x/segment", abi::DoorMode::kAuto}),
            "CAIRN1:op=run;segment=/tmp/x/segment;slot=-1;fd=-1;mode=0");
  EXPECT_EQ(boot_text({"restore", "/s", abi::DoorMode::kSeccomp}),
            "CAIRN1:op=restore;segment=/s;slot=-1;fd=-1;mode=2");
  EXPECT_EQ(boot_text({"run", "/s", abi::DoorMode::kAuto, 7}),
            "CAIRN1:op=run;segment=/s;slot=-1;fd=-1;mode=0;ready=7");
}

TEST(Launch, NamesOfJobs) {
  for (const char* name : {"a", "python3", "my job", "lmp_serial-2"})
    EXPECT_TRUE(check_job_name(name)) << name;
  for (const std::string& name : {std::string(), std::string("a/b"), std::string("."),
                                  std::string(".."), std::string("a\nb"), std::string(64, 'x')})
    EXPECT_FALSE(check_job_name(name)) << name;
  EXPECT_TRUE(check_job_name(std::string(63, 'x')));
}

TEST(Launch, OptionsThatAreWrongAreUsageErrors) {
  for (const JobOptions& options :
       {JobOptions{.interval = "often"}, JobOptions{.mode = "magic"}, JobOptions{.files = "all"}}) {
    ExitCode code = ExitCode::kOk;
    EXPECT_FALSE(prepare_agent(options, code));
    EXPECT_EQ(code, ExitCode::kUsage);
  }
}

TEST(Launch, EveryModeHasANameThatIsUnderstood) {
  for (const auto mode : {abi::DoorMode::kAuto, abi::DoorMode::kDispatch, abi::DoorMode::kSeccomp,
                          abi::DoorMode::kPatchOnly}) {
    ExitCode code = ExitCode::kOk;
    const auto settings = prepare_agent({.mode = agent::mode_name(mode)}, code);
    // Without a runtime beside the test program the rest fails, but not for the mode.
    EXPECT_NE(code, ExitCode::kUsage) << agent::mode_name(mode);
    if (settings) {
      EXPECT_EQ(settings->mode, mode);
    }
  }
}

}  // namespace
}  // namespace cairn::cli
