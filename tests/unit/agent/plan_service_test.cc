#include "agent/plan_service.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/deadline.h"
#include "base/files.h"
#include "base/futex.h"

namespace cairn::agent {
namespace {

std::uint32_t number(abi::PlanState state) { return static_cast<std::uint32_t>(state); }

class Plans : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cairn-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    std::strcpy(segment_->plan_cache, name);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path planner(const std::string& body) {
    const auto path = directory_ / "planner";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path.c_str(), 0700);
    return path;
  }

  // As a process does it; false if no answer came.
  bool ask(abi::PlanRequest& request, const char* file) {
    request.state = number(abi::PlanState::kFilling);
    std::strcpy(request.path, file);
    request.state = number(abi::PlanState::kWanted);
    segment_->agent_wakeup.fetch_add(1);
    futex_wake_all(segment_->agent_wakeup);
    const Deadline deadline{std::chrono::milliseconds(30'000)};
    while (request.state != number(abi::PlanState::kDone) && !deadline.passed())
      futex_wait(request.state, number(abi::PlanState::kWanted), deadline.left());
    return request.state == number(abi::PlanState::kDone);
  }

  std::filesystem::path directory_;
  std::unique_ptr<abi::JobSegment> segment_ = std::make_unique<abi::JobSegment>();
};

TEST_F(Plans, ThePlannerIsRunForTheFileThatIsWanted) {
  const PlanService service(*segment_, planner("echo \"$@\" > \"$2/asked\""));
  ASSERT_TRUE(ask(segment_->plans[3], "/lib/some thing.so"));
  EXPECT_EQ(read_text_file(directory_ / "asked"),
            "--cache " + directory_.string() + " /lib/some thing.so\n");
}

TEST_F(Plans, AFailureIsAnAnswerToo) {
  const PlanService service(*segment_, planner("exit 1"));
  EXPECT_TRUE(ask(segment_->plans[0], "/lib/x"));
  EXPECT_TRUE(ask(segment_->plans[0], "/lib/y"));
}

TEST_F(Plans, APlannerThatIsMissingIsAnAnswerToo) {
  const PlanService service(*segment_, directory_ / "none");
  EXPECT_TRUE(ask(segment_->plans[0], "/lib/x"));
}

TEST_F(Plans, WhatIsNotWantedIsLeftAlone) {
  segment_->plans[0].state = number(abi::PlanState::kFilling);
  {
    const PlanService service(*segment_, planner("exit 0"));
    ASSERT_TRUE(ask(segment_->plans[1], "/lib/x"));
  }
  EXPECT_EQ(segment_->plans[0].state, number(abi::PlanState::kFilling));
}

}  // namespace
}  // namespace cairn::agent
