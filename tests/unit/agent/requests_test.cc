#include "agent/requests.h"

#include <gtest/gtest.h>

namespace cairn::agent {
namespace {

using std::chrono::milliseconds;

TEST(Requests, ACheckpointRequestComesBackAsItWas) {
  const CheckpointRequest sent{.timeout = milliseconds(1234),
                               .freeze_timeout = milliseconds(77),
                               .kill = true};
  const CheckpointRequest got = parse_checkpoint_request(to_json(sent));
  EXPECT_EQ(got.timeout, sent.timeout);
  EXPECT_EQ(got.freeze_timeout, sent.freeze_timeout);
  EXPECT_TRUE(got.kill);
}

TEST(Requests, FieldsOfTheWrongKindAreDefaults) {
  const CheckpointRequest got = parse_checkpoint_request(
      {{"request", "checkpoint"}, {"timeout_ms", "soon"}, {"kill", "yes"}});
  EXPECT_EQ(got.timeout, CheckpointRequest{}.timeout);
  EXPECT_FALSE(got.kill);
}

TEST(Requests, AFailureKeepsItsReasonAndCode) {
  const Json answer = failure_answer(Error{ETIMEDOUT, "freeze process 7", {}});
  EXPECT_EQ(answer["ok"], false);
  EXPECT_EQ(answer["code"], ETIMEDOUT);
  EXPECT_EQ(error_of(answer).message(), "freeze process 7: Connection timed out");
}

TEST(Requests, ASuccessSaysWhatAndHowLong) {
  checkpoint::Outcome outcome;
  outcome.generation.number = 4;
  outcome.generation.nodes.push_back({.memory_bytes = 100, .new_bytes = 50, .stored_bytes = 10});
  outcome.phases.memory = std::chrono::microseconds(2500);
  outcome.threads = 3;
  const Json answer = checkpoint_answer(outcome);
  EXPECT_EQ(answer["ok"], true);
  EXPECT_EQ(answer["generation"], 4);
  EXPECT_EQ(answer["threads"], 3);
  EXPECT_EQ(answer["memory_bytes"], 100);
  EXPECT_EQ(answer["stored_bytes"], 10);
  EXPECT_DOUBLE_EQ(answer["ms"]["memory"], 2.5);
}

TEST(Requests, ProgressIsToldAtEachPhaseAndAtTheEnd) {
  ProgressFilter filter;
  EXPECT_TRUE(filter.worth_telling("freeze", 0, 0));
  EXPECT_TRUE(filter.worth_telling("memory", 1, 100));
  EXPECT_FALSE(filter.worth_telling("memory", 2, 100));
  EXPECT_TRUE(filter.worth_telling("memory", 100, 100));
}

TEST(Requests, AProcessThatCannotBeSavedSaysWhy) {
  abi::ProcessSlot slot{};
  slot.real_pid = 12;
  slot.state = static_cast<std::uint32_t>(abi::SlotState::kRunning);
  EXPECT_FALSE(describe_process(slot).contains("cannot_be_saved"));
  slot.state = static_cast<std::uint32_t>(abi::SlotState::kUnsupported);
  std::string(sizeof slot.reason, 'x').copy(slot.reason, sizeof slot.reason);  // without a NUL
  EXPECT_EQ(describe_process(slot)["cannot_be_saved"], std::string(sizeof slot.reason, 'x'));
}

}  // namespace
}  // namespace cairn::agent
