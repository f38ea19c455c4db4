#include "agent/api_service.h"

#include <algorithm>

#include "base/futex.h"

namespace cairn::agent {
namespace {

// A process may die between raising `asked` and waking us; then this is the bound for the others.
constexpr std::chrono::seconds kIdleRound{1};

}  // namespace

ApiService::~ApiService() {
  thread_.request_stop();
  state_.wakeup.fetch_add(1);
  futex_wake_all(state_.wakeup);
}

void ApiService::serve(const std::stop_token& stop) {
  std::uint32_t heard = 0;  // the program may have asked before this thread began
  while (!stop.stop_requested()) {
    const std::uint32_t seen = state_.wakeup.load();
    if (const std::uint32_t asked = state_.asked.load(); asked != heard) asked_(heard = asked);
    if (!stop.stop_requested()) futex_wait(state_.wakeup, seen, kIdleRound);
  }
}

void answer_tickets(abi::ApiState& state, std::uint32_t ticket, int result) {
  const std::uint32_t open = ticket - state.answered.load();
  for (std::uint32_t i = 0; i < std::min(open, abi::kApiResults); ++i)
    state.results[(ticket - i) % abi::kApiResults].store(result);
  state.answered.store(ticket);
  futex_wake_all(state.answered);
}

}  // namespace cairn::agent
