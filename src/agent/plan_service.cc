#include "agent/plan_service.h"

#include <cstring>
#include <string>

#include "base/child.h"
#include "base/futex.h"
#include "base/log.h"

namespace cairn::agent {
namespace {

using std::chrono::seconds;

// A wakeup can be missed only if a process dies between its two stores; then this is the bound.
constexpr seconds kIdleRound{1};
constexpr seconds kOnePlan{60};

}  // namespace

PlanService::~PlanService() {
  thread_.request_stop();
  segment_.agent_wakeup.fetch_add(1);
  futex_wake_all(segment_.agent_wakeup);
}

void PlanService::serve(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const std::uint32_t seen = segment_.agent_wakeup.load();
    for (abi::PlanRequest& request : segment_.plans)
      if (request.state.load() == static_cast<std::uint32_t>(abi::PlanState::kWanted))
        answer(request);
    if (!stop.stop_requested()) futex_wait(segment_.agent_wakeup, seen, kIdleRound);
  }
}

void PlanService::answer(abi::PlanRequest& request) const {
  const std::string path(request.path, ::strnlen(request.path, sizeof request.path));
  const auto code =
      run_program(program_, {"--cache", segment_.plan_cache, path}, Deadline{kOnePlan});
  if (!code) {
    log_warning("no patch plan", "file={} reason={}", log_value(path),
                log_value(code.error().message()));
  } else if (*code != 0) {
    log_warning("no patch plan", "file={} exit={}", log_value(path), *code);
  }
  request.state.store(static_cast<std::uint32_t>(abi::PlanState::kDone));
  futex_wake_all(request.state);
}

}  // namespace cairn::agent
