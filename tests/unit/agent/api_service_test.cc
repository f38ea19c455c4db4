#include "agent/api_service.h"

#include <gtest/gtest.h>

#include "base/futex.h"

namespace cairn::agent {
namespace {

using std::chrono::seconds;

class ApiServiceTest : public testing::Test {
 protected:
  void ask() {
    state_.asked.fetch_add(1);
    state_.wakeup.fetch_add(1);
    futex_wake_all(state_.wakeup);
  }
  void wait_answered(std::uint32_t ticket) {
    while (state_.answered.load() != ticket)
      futex_wait(state_.answered, state_.answered.load(), seconds{1});
  }

  abi::ApiState state_{};
};

TEST_F(ApiServiceTest, WhatWasAskedBeforeTheThreadBeganIsHeard) {
  ask();
  ApiService service(state_, [this](std::uint32_t ticket) { answer_tickets(state_, ticket, 0); });
  wait_answered(1);
  ask();
  wait_answered(2);
}

TEST_F(ApiServiceTest, OneAnswerIsForAllTicketsUpToIt) {
  answer_tickets(state_, 2, 0);
  answer_tickets(state_, 5, ENOSPC);
  EXPECT_EQ(state_.results[2].load(), 0);
  for (const int ticket : {3, 4, 5}) EXPECT_EQ(state_.results[ticket].load(), ENOSPC);
  EXPECT_EQ(state_.results[6].load(), 0);
}

TEST_F(ApiServiceTest, MoreTicketsThanThereIsRoomForAndNumbersThatBeginAnew) {
  answer_tickets(state_, 1000, EIO);
  for (const auto& result : state_.results) EXPECT_EQ(result.load(), EIO);
  state_.answered.store(~0U - 1);
  answer_tickets(state_, 1, 0);
  for (const std::uint32_t ticket : {~0U, 0U, 1U})
    EXPECT_EQ(state_.results[ticket % abi::kApiResults].load(), 0);
  EXPECT_EQ(state_.results[2].load(), EIO);
}

TEST_F(ApiServiceTest, ItEndsWithoutBeingAsked) {
  ApiService service(state_, [](std::uint32_t) { FAIL(); });
}

}  // namespace
}  // namespace cairn::agent
